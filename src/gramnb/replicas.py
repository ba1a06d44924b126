"""One strategy a process: mirrored over GPUs or over logical devices of a CPU, or a single device.

Two mirrored strategies in one process clash, and logical devices can only be made before
TensorFlow first runs; so there is one, made on first use, and asking for another is an error that
says so. A single device has nothing to mirror and takes TensorFlow's default strategy, since the
mirrored one feeds its replicas through iterators that cost a small head more than its training.
"""

from functools import cache

import tensorflow as tf

from gramnb._keras import quiet


def available() -> int:
    """Return how many replicas this machine trains unless told otherwise: GPUs, or one CPU."""
    return max(len(tf.config.list_physical_devices("GPU")), 1)


def strategy(replicas: int, kind: str = "") -> tf.distribute.Strategy:
    """Return a MirroredStrategy, or for one replica the default strategy.

    `kind` is "GPU", or "CPU": logical devices of it, one a replica; empty: GPUs if there are any.

    Raises:
        ValueError: more replicas than GPUs, or this process has begun with another number.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    kind = kind or ("GPU" if gpus else "CPU")
    if kind == "GPU" and replicas > gpus:
        raise ValueError(f"replicas must be at most the {gpus} visible GPUs, got {replicas}")
    if replicas == 1:
        return tf.distribute.get_strategy()
    if kind == "CPU":
        try:
            parts = [tf.config.LogicalDeviceConfiguration()] * replicas
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as error:  # TensorFlow has run, which is fine if with so many
            if len(tf.config.list_logical_devices("CPU")) != replicas:
                raise ValueError(
                    f"{replicas} replicas on one CPU must be asked for before TensorFlow first "
                    "runs; start a fresh kernel, one for each number of replicas"
                ) from error
    with quiet():
        return _mirrored(kind, replicas)


def device_names(scope: tf.distribute.Strategy) -> list[str]:
    """Return the devices a strategy trains on, as "device:GPU:0" reads."""
    if scope.num_replicas_in_sync > 1:
        return [device.split("/")[-1] for device in scope.extended.worker_devices]
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return [tf.config.list_logical_devices(kind)[0].name.split("/")[-1]]


@cache
def _mirrored(kind: str, replicas: int) -> tf.distribute.MirroredStrategy:
    return tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(replicas)])
