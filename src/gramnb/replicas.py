"""One MirroredStrategy a process: over GPUs, or over logical devices of a CPU.

Two strategies in one process clash, and logical devices can only be made before TensorFlow first
runs; so there is one, made on first use, and asking for another is an error that says so.
"""

from functools import cache

import tensorflow as tf

from gramnb._keras import quiet


@cache
def _mirrored(replicas: int) -> tf.distribute.MirroredStrategy:
    if _mirrored.cache_info().currsize:
        raise ValueError(
            "one process holds one strategy: run another number of replicas in its own kernel"
        )
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(replicas)])
    if replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        try:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
            )
        except RuntimeError as error:
            raise ValueError(
                f"{replicas} replicas on one CPU must be asked for before TensorFlow first runs; "
                "start a fresh kernel"
            ) from error
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def strategy(replicas: int = 0) -> tf.distribute.MirroredStrategy:
    """Return this process's MirroredStrategy over GPUs, or over logical CPU devices.

    Args:
        replicas: 0 means all visible GPUs, or one CPU if there is none.

    Raises:
        ValueError: more replicas than GPUs, or another strategy is in use in this process.
    """
    gpus = len(tf.config.list_physical_devices("GPU"))
    if gpus and replicas > gpus:
        raise ValueError(f"replicas must be at most the {gpus} visible GPUs, got {replicas}")
    with quiet():
        return _mirrored(replicas or max(gpus, 1))
