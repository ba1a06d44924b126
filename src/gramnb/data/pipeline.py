"""From a manifest's rows to batches: images through tf.data, and RandAugment behind one function.

Pictures are read by the reader that curation used (`images.read_image`), so that what was checked
is what is trained on: orientation applied, alpha on white, squashed to a square. Squashing is our
choice, since nothing is cut off; the paper says "256x256" and no more.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import tensorflow as tf

from gramnb._keras import quiet
from gramnb.data.images import read_image

LEVELS = 10  # RandAugment's magnitudes are counted 0 to 10 in its paper
# What keras-cv draws from, and what RandAugment's paper has beside it (Cubuk 2020, Section 3.1).
OPERATIONS = (
    "auto-contrast",
    "equalize",
    "solarize",
    "color",
    "contrast",
    "brightness",
    "shear-x",
    "shear-y",
    "translate-x",
    "translate-y",
)
LACKING = ("identity", "rotate", "posterize", "sharpness")


@cache
def rand_augment(transformations: int, magnitude: int, seed: int = 0) -> Callable:
    """Return RandAugment with N transformations of magnitude M of 10, as a function of a batch.

    The paper uses N = 3 and M = 7 (Section 4.2) and does not say of how many levels; here M is
    keras-cv's magnitude M/10, without spread, and every transformation is applied (rate 1).
    keras-cv draws transformations for each image of a batch anew, from `OPERATIONS`; `LACKING` are
    four of the reference's fourteen that it does not have. Values stay within 0-255.

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
    orders: np.ndarray | None = None,
    augment: tuple[int, int] | None = None,
    seed: int = 0,
) -> tf.data.Dataset:
    """Return batches of images, float32 (B, S, S, 3) in 0-255, and labels, int32 (B,).

    Args:
        table: manifest rows with `path` and `sadness`.
        image_size: S, in pixels.
        batch_size: B over all replicas; the last batch of an epoch may be smaller.
        orders: `shuffled` for training; None takes the rows once, as they stand.
        augment: None, or RandAugment's (N, M).
        seed: of the augmentation.
    """
    files = tf.constant(table["path"].to_numpy(dtype=str))
    labels = table["sadness"].to_numpy(np.int32)

    def load(row: tf.Tensor) -> tf.Tensor:
        image = tf.numpy_function(
            lambda file: read_image(file.decode(), image_size), [files[row]], tf.uint8
        )
        return tf.cast(tf.ensure_shape(image, (image_size, image_size, 3)), tf.float32)

    def epoch(order: tf.Tensor) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices(order)
        loaded = rows.map(
            lambda row: (load(row), tf.gather(labels, row)), num_parallel_calls=tf.data.AUTOTUNE
        )
        return loaded.batch(batch_size)

    data = _epochs(orders, len(table), batch_size, epoch)
    if augment:
        layer = rand_augment(*augment, seed=seed)
        data = data.map(lambda batch, label: (layer(batch, training=True), label))
    return data.prefetch(2)


def arrays(
    inputs: list[np.ndarray], labels: np.ndarray, batch_size: int, orders: np.ndarray | None = None
) -> tf.data.Dataset:
    """Return batches of rows of `inputs`, float32, and labels, int32 (B,): a frozen run's data."""
    labels = np.asarray(labels, np.int32)

    def rows(index: np.ndarray) -> list[np.ndarray]:
        return [array[index] for array in inputs]

    def gather(index: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        batch = tf.numpy_function(rows, [index], [array.dtype for array in inputs])
        for tensor, array in zip(batch, inputs, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        # cast here: NumPy is far slower at it
        return tuple(tf.cast(tensor, tf.float32) for tensor in batch), tf.gather(labels, index)

    def epoch(order: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    data = _epochs(orders, len(labels), batch_size, epoch)
    return data.map(gather, num_parallel_calls=2).prefetch(2)


def shuffled(count: int, seed: int, epochs: range) -> np.ndarray:
    """Return the orders of `count` rows, (epochs, count): each epoch has its own, by its number."""
    return np.stack([np.random.default_rng((seed, e)).permutation(count) for e in epochs])


def _epochs(
    orders: np.ndarray | None, count: int, batch_size: int, epoch: Callable
) -> tf.data.Dataset:
    """Return the epochs' batches one after the other, and say how many they are."""
    orders = np.arange(count)[None] if orders is None else orders
    data = tf.data.Dataset.from_tensor_slices(orders).flat_map(epoch)
    batches = len(orders) * -(-count // batch_size)
    return data.apply(tf.data.experimental.assert_cardinality(batches))
