"""From a manifest's rows to what a network takes: images, or a frozen backbone's cached features.

Pictures are squashed to a square: our choice, since nothing is cut off. The paper says "256x256"
and no more. A frozen run trains only the head, so all it needs of an image is the pooled top of the
backbone and the taps' feature maps. Each is cached in a file of its own, by image, backbone,
weights, size and layer: an interrupted pass goes on where it stopped.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from gramnb._keras import keras, quiet
from gramnb.backbones import build_backbone
from gramnb.choices import BACKBONES
from gramnb.config import TrainConfig
from gramnb.data.images import read_image
from gramnb.runs import atomic, cache_dir, fingerprint

with quiet():
    import tensorflow as tf

# What keras-cv draws from, and what RandAugment's paper has beside it (Cubuk 2020, Section 3.1).
OPERATIONS = (
    "auto-contrast", "equalize", "solarize", "color", "contrast", "brightness", "shear-x",
    "shear-y", "translate-x", "translate-y",
)  # fmt: skip
LACKING = ("identity", "rotate", "posterize", "sharpness")
PASS = 256  # images computed before their features are written; what an interruption can lose
POOLED = "pooled"  # the top feature map, averaged over its positions


class _Draws:
    """Takes the place of keras-cv's generators, most of which take seed 0 for no seed."""

    def __init__(self):
        self.seed, self.count = tf.zeros(2, tf.int64), 0

    def uniform(self, shape, minval=0, maxval=None, dtype=tf.float32) -> tf.Tensor:
        """Return uniform numbers that follow from `seed`, others at each place that asks."""
        self.count += 1
        seed = tf.random.experimental.stateless_fold_in(self.seed, self.count)
        return tf.random.stateless_uniform(shape, seed, minval, maxval, dtype)


def rand_augment(transformations: int, magnitude: int, seed: int = 0) -> Callable:
    """Return RandAugment with N transformations of magnitude M, a function of images and keys.

    The paper uses N = 3 and M = 7 (Section 4.2) and does not say of how many levels; here M is
    keras-cv's magnitude M/10, without spread, and every transformation is applied (rate 1). Images
    (B, H, W, 3) stay in 0-255. What is done to one follows from the seed and its key, (B,) int64.
    """
    with quiet():
        from keras_cv.layers import RandAugment
    spread = {"magnitude": magnitude / 10, "magnitude_stddev": 0.0, "rate": 1.0}
    layer = RandAugment((0, 255), transformations, **spread)
    draws = _Draws()
    for part in (layer, layer._random_choice, *layer.layers):
        part._random_generator = draws
        if hasattr(factor := getattr(part, "factor", None), "upper"):  # contrast and brightness
            part.factor = partial(draws.uniform, minval=factor.lower, maxval=factor.upper)

    def augment(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, key = pair
        draws.seed, draws.count = tf.stack([tf.constant(seed, tf.int64), key]), 0
        return layer(image, training=True)

    @tf.function
    def call(images: tf.Tensor, keys: tf.Tensor | None = None) -> tf.Tensor:
        keys = tf.range(tf.shape(images, tf.int64)[0]) if keys is None else keys
        return tf.map_fn(augment, (images, keys), fn_output_signature=tf.float32)

    return call


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
        table: manifest rows with `path` and, as labels, `sadness`.
        image_size: S, in pixels.
        batch_size: B over all replicas; the last batch of an epoch may be smaller.
        orders: `shuffled` for training; None takes the rows once, as they stand.
        augment, seed: None, or RandAugment's (N, M); it follows from seed, epoch and row.
    """
    files = table["path"].to_numpy()
    change = rand_augment(*augment, seed) if augment else lambda images, keys: images

    def read(rows: np.ndarray) -> np.ndarray:
        with ThreadPoolExecutor() as pool:
            return np.stack([*pool.map(lambda file: read_image(file, image_size), files[rows])])

    def load(keys: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(read, [rows], tf.uint8)
        batch = tf.ensure_shape(batch, (None, image_size, image_size, 3))
        return change(tf.cast(batch, tf.float32), keys)

    return _batches(load, table["sadness"].to_numpy(), batch_size, orders)


def _batches(
    load: Callable, labels: np.ndarray, size: int, orders: np.ndarray | None
) -> tf.data.Dataset:
    """Return the batches of all epochs in turn; `load` takes keys (of row and epoch) and rows."""
    labels, count = tf.constant(labels, tf.int32), len(labels)
    orders = np.arange(count)[None] if orders is None else orders
    data = tf.data.Dataset.from_tensor_slices(orders)
    data = data.flat_map(lambda epoch: tf.data.Dataset.from_tensor_slices(epoch).batch(size))
    data = data.apply(tf.data.experimental.assert_cardinality(len(orders) * -(-count // size)))
    both = data.map(lambda keys: (load(keys, keys % count), tf.gather(labels, keys % count)),
                    num_parallel_calls=2)  # fmt: skip
    options = tf.data.Options()  # rewriting RandAugment's graph costs seconds, and gains nothing
    options.experimental_optimization.apply_default_optimizations = False
    return both.prefetch(2).with_options(options)


def shuffled(count: int, seed: int, epochs: range) -> np.ndarray:
    """Return the orders of `count` rows, (epochs, count): each epoch has its own, by its number.

    An entry is row + count * epoch, a key of both.
    """
    orders = [np.random.default_rng((seed, e)).permutation(count) + count * e for e in epochs]
    return np.stack(orders)


def compute(
    table: pd.DataFrame,
    backbone: str,
    image_size: int,
    weights: str | None = None,
    layers: Sequence[str] = (POOLED,),
    progress: bool = True,
) -> list[Path]:
    """Compute what the cache lacks, in one pass; return each layer's folder, which `cached` reads.

    `layers` are names of feature maps, and `POOLED`; the rest is as for `build_backbone`.
    """
    folders = [_folder(backbone, image_size, weights, layer) for layer in layers]
    known = [{file.stem for file in folder.glob("[!.]*.npy")} for folder in folders]
    missing = table[~table["image_id"].isin(set.intersection(*known))].drop_duplicates("image_id")
    if missing.empty:
        return folders
    maps = [layer for layer in layers if layer != POOLED]
    body = build_backbone(backbone, image_size, weights, maps)
    outputs = dict(zip(maps, body.outputs[1:], strict=True))
    outputs[POOLED] = keras.layers.GlobalAveragePooling2D(dtype="float32")(body.outputs[0])
    model = keras.Model(body.inputs, [outputs[layer] for layer in layers])
    with tqdm(total=len(missing), unit="image", desc=backbone, disable=not progress) as bar:
        for start in range(0, len(missing), PASS):
            part = missing.iloc[start : start + PASS]
            with quiet():
                found = keras.tree.flatten(model.predict(images(part, image_size, 32), verbose=0))
            for folder, output in zip(folders, found, strict=True):
                kind = np.float16 if output.ndim == 4 else np.float32
                for image, own in zip(part["image_id"], output.astype(kind), strict=True):
                    with atomic(folder / f"{image}.npy") as temporary:
                        np.save(temporary, own)
            bar.update(len(part))
    return folders


def _folder(backbone: str, image_size: int, weights: str | None, layer: str) -> Path:
    """Name a layer's cache by all that its numbers depend on, a weights file by its content."""
    weights = weights or "imagenet"
    if Path(weights).is_file():
        weights = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    key = fingerprint({"weights": weights, "layer": layer})
    return cache_dir() / "features" / f"{backbone}-{image_size}-{layer}-{key}"


@lru_cache(maxsize=4)  # many heads read the same maps; TensorFlow never lets go of a copy
def cached(folder: Path, ids: tuple[str, ...]) -> np.ndarray:
    """Return a layer's outputs, (n, H, W, C) float16, or (n, D) float32 of `POOLED`."""
    first = np.load(folder / f"{ids[0]}.npy")
    output = np.empty((len(ids), *first.shape), first.dtype)
    for own, image in zip(output, ids, strict=True):
        own[...] = np.load(folder / f"{image}.npy")
    return output


def probabilities(network: keras.Model, inputs) -> np.ndarray:
    """Return the probabilities of others and sadness, (n, 2) float32, or of more classes.

    network: a whole network, or a head alone. inputs: batches of what it reads, or that itself:
    images (n, S, S, 3), values 0-255, or the list of arrays that a head reads.
    """
    with quiet():
        if isinstance(inputs, np.ndarray) and len(inputs) <= 32:  # one batch, without a data set
            return network.predict_on_batch(inputs)
        return network.predict(inputs, verbose=0)


@dataclass(frozen=True)
class Inputs:
    """A table's rows as a run's network takes them: images, or a frozen backbone's features."""

    table: pd.DataFrame
    config: TrainConfig
    arrays: list[np.ndarray] | None

    def batches(self, rows: np.ndarray, size: int, epochs: range | None = None) -> tf.data.Dataset:
        """Return batches of the rows, or those of several epochs, shuffled and augmented."""
        config = self.config
        orders = shuffled(len(rows), config.seed, epochs) if epochs else None
        labels = class_indices(self.table, config.classes)[rows]
        if self.arrays is None:
            part, augment = self.table.iloc[rows], config.augment if epochs else None
            part = part.assign(sadness=labels)
            return images(part, config.image_size, size, orders, augment, config.seed)

        def load(_: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
            kinds = [array.dtype for array in self.arrays]
            batch = tf.numpy_function(lambda i: [x[rows[i]] for x in self.arrays], [index], kinds)
            for tensor, array in zip(batch, self.arrays, strict=True):
                tensor.set_shape((None, *array.shape[1:]))
            return tuple(tf.cast(tensor, tf.float32) for tensor in batch)  # NumPy is far slower

        return _batches(load, labels, size, orders)

    def predict(self, model: keras.Model, rows: np.ndarray, split: str) -> pd.DataFrame:
        """Return a run's predictions of the rows: image_id, split, fold, group, y, p_sadness.

        `fold` is the image's, or -1 in a run that does not go by folds.
        """
        p = probabilities(model, self.batches(rows, 64))[:, 1]
        table = self.table.iloc[rows].reset_index(drop=True).rename(columns={"sadness": "y"})
        fold = table["fold"] if self.config.fold >= 0 else np.int16(-1)
        table = table.assign(split=split, fold=fold, p_sadness=p.astype(np.float32))
        return table[["image_id", "split", "fold", "group", "y", "p_sadness"]]


def class_indices(table: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    """Return the position in `classes` of each row's class, (n,) int32.

    Sadness is what the manifest counts as it. Another row is of its `emotion`, or of "others".

    Raises:
        ValueError: an emotion that is no class, where "others" is none either.
    """
    told = table["emotion"].isin(set(classes) - {"sadness"})
    names = table["emotion"].where(told, "others").where(table["sadness"] == 0, "sadness")
    index = pd.Index(classes).get_indexer(names)
    if (index < 0).any():
        lost = ", ".join(sorted(table.loc[index < 0, "emotion"].unique()))
        raise ValueError(f"the manifest's emotions {lost} are none of the classes {classes}")
    return index.astype(np.int32)


def prepare_inputs(
    table: pd.DataFrame, config: TrainConfig, progress: bool = True, training: bool = False
) -> Inputs:
    """Return the rows as inputs of a run's network, features computed if they are not cached.

    A network that trains above a layer reads that layer's map while it is `training`, and images
    when it is asked.
    """
    first = POOLED if config.frozen else config.trained_from if training else ""
    if not first:
        return Inputs(table, config, None)
    taps = config.taps or (BACKBONES[config.backbone].tap,)
    layers = (first, *(taps if config.k else ()))  # the baseline reads no tap
    where = (config.backbone, config.image_size, config.weights)
    folders, ids = compute(table, *where, layers, progress), tuple(table["image_id"])
    return Inputs(table, config, [cached(folder, ids) for folder in folders])
