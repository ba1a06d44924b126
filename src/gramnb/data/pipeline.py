"""From a manifest's rows to batches: images through tf.data, and RandAugment behind one function.

Pictures are read by the reader that curation used (`images.read_image`), so that what was checked
is what is trained on: orientation applied, alpha on white, squashed to a square as the paper does.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import tensorflow as tf

from gramnb._keras import quiet
from gramnb.data.images import read_image

LEVELS = 10  # RandAugment's magnitudes are counted 0 to 10 in its paper


@cache
def rand_augment(transformations: int, magnitude: int, seed: int = 0) -> Callable:
    """Return RandAugment with N transformations of magnitude M of 10, as a function of a batch.

    The paper uses N = 3 and M = 7 (Section 4.2) and does not say of how many levels; here M is
    keras-cv's magnitude M/10, without spread, and every transformation is applied (rate 1).
    keras-cv draws transformations for each image of a batch anew; values stay within 0-255.

    Raises:
        ValueError: N below 1 or M outside 0-10.
    """
    if transformations < 1 or not 0 <= magnitude <= LEVELS:
        raise ValueError(
            f"RandAugment needs N of 1 or more and M from 0 to {LEVELS}, "
            f"got N = {transformations}, M = {magnitude}"
        )
    with quiet():
        from keras_cv.layers import RandAugment
    return RandAugment(
        value_range=(0, 255),
        augmentations_per_image=transformations,
        magnitude=magnitude / LEVELS,
        magnitude_stddev=0.0,
        rate=1.0,
        seed=seed,
    )


def images(
    table: pd.DataFrame,
    image_size: int,
    batch_size: int,
    *,
    shuffle: tuple[int, int] | None = None,
    augment: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Return batches of images, float32 (B, S, S, 3) in 0-255, and labels, int32 (B,).

    Args:
        table: manifest rows with `path` and `sadness`.
        image_size: S, in pixels.
        batch_size: B over all replicas; the last batch may be smaller.
        shuffle: None keeps the order; a pair (seed, epoch) gives that epoch's own order.
        augment: None, or RandAugment's (N, M).
    """
    order = permutation(len(table), shuffle)
    files = table["path"].to_numpy(dtype=str)[order]
    labels = table["sadness"].to_numpy(np.int32)[order]

    def load(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(
            lambda file: read_image(file.decode(), image_size), [path], tf.uint8, stateful=False
        )
        image = tf.ensure_shape(image, (image_size, image_size, 3))
        return tf.cast(image, tf.float32), label

    data = tf.data.Dataset.from_tensor_slices((files, labels))
    data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
    if augment:
        layer = rand_augment(*augment, seed=shuffle[0] if shuffle else 0)
        data = data.map(lambda batch, label: (layer(batch, training=True), label))
    return data.prefetch(2)


def arrays(
    inputs: list[np.ndarray],
    labels: np.ndarray,
    batch_size: int,
    *,
    shuffle: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Return batches of rows of `inputs`, float32, and labels, int32 (B,): a frozen run's data."""
    order = permutation(len(labels), shuffle)
    labels = np.asarray(labels, np.int32)

    def rows(index: np.ndarray) -> list[np.ndarray]:
        return [array[index].astype(np.float32) for array in inputs]

    def gather(index: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        batch = tf.numpy_function(rows, [index], [tf.float32] * len(inputs), stateful=False)
        for tensor, array in zip(batch, inputs, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        return tuple(batch), tf.gather(labels, index)

    data = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
    return data.map(gather, num_parallel_calls=2).prefetch(2)


def permutation(count: int, shuffle: tuple[int, int] | None) -> np.ndarray:
    """Return the order of `count` rows in an epoch: the same for the same (seed, epoch)."""
    if shuffle is None:
        return np.arange(count)
    return np.random.default_rng(shuffle).permutation(count)
