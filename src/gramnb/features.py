"""From a manifest's rows to what a network takes: images, or a frozen backbone's cached features.

Pictures are read by the reader that curation used (`images.read_image`), so that what was checked
is what is trained on: orientation applied, alpha on white, squashed to a square. Squashing is our
choice, since nothing is cut off; the paper says "256x256" and no more.

A frozen run trains only the head, so all it needs of an image is the pooled top of the backbone
and the taps' feature maps. Each is cached by image, backbone, weights and size, in shards written
whole: an interrupted pass goes on where it stopped, and a second run reads.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from gramnb._keras import keras, quiet
from gramnb.backbones import BACKBONES, build_backbone
from gramnb.config import TrainConfig
from gramnb.data.images import read_image
from gramnb.runs import atomic, cache_dir, fingerprint

# What keras-cv draws from, and what RandAugment's paper has beside it (Cubuk 2020, Section 3.1).
OPERATIONS = (
    "auto-contrast", "equalize", "solarize", "color", "contrast", "brightness", "shear-x",
    "shear-y", "translate-x", "translate-y",
)  # fmt: skip
LACKING = ("identity", "rotate", "posterize", "sharpness")
SHARD = 256  # images a file of the cache holds; what an interruption can lose at most
POOLED = "pooled"  # the top feature map, averaged over its positions


def rand_augment(transformations: int, magnitude: int, seed: int = 0) -> keras.layers.Layer:
    """Return RandAugment with N transformations of magnitude M of 10, as a function of a batch.

    The paper uses N = 3 and M = 7 (Section 4.2) and does not say of how many levels; here M is
    keras-cv's magnitude M/10, without spread, and every transformation is applied (rate 1).
    keras-cv draws transformations for each image of a batch anew, from `OPERATIONS`; `LACKING` are
    four of the reference's fourteen that it does not have. Values stay within 0-255.
    """
    with quiet():
        from keras_cv.layers import RandAugment
    return RandAugment(
        value_range=(0, 255),
        augmentations_per_image=transformations,
        magnitude=magnitude / 10,
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
    labels: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Return batches of images, float32 (B, S, S, 3) in 0-255, and labels, int32 (B,).

    Args:
        table: manifest rows with `path` and `sadness`.
        image_size: S, in pixels.
        batch_size: B over all replicas; the last batch of an epoch may be smaller.
        orders: `shuffled` for training; None takes the rows once, as they stand.
        augment: None, or RandAugment's (N, M).
        seed: of the augmentation.
        labels: of the rows, (n,); None means their `sadness`.
    """
    labels = table["sadness"].to_numpy() if labels is None else labels
    files = tf.constant(table["path"].to_numpy(dtype=str))
    labels = tf.constant(labels, tf.int32)

    def load(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(
            lambda file: read_image(file.decode(), image_size), [files[row]], tf.uint8
        )
        image = tf.ensure_shape(image, (image_size, image_size, 3))
        return tf.cast(image, tf.float32), labels[row]

    def epoch(order: tf.Tensor) -> tf.data.Dataset:
        rows = tf.data.Dataset.from_tensor_slices(order)
        return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)

    data = _epochs(orders, len(table), batch_size, epoch)
    if augment:
        layer = rand_augment(*augment, seed=seed)
        data = data.map(lambda batch, label: (layer(batch, training=True), label))
    return data.prefetch(2)


def arrays(
    inputs: list[np.ndarray], labels: np.ndarray, batch_size: int, orders: np.ndarray | None = None
) -> tf.data.Dataset:
    """Return batches of rows of `inputs`, float32, and labels, int32 (B,): a frozen run's data."""
    labels = tf.constant(labels, tf.int32)

    def gather(index: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
        batch = tf.numpy_function(
            lambda rows: [array[rows] for array in inputs], [index], [a.dtype for a in inputs]
        )
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


def compute(
    table: pd.DataFrame,
    backbone: str,
    image_size: int,
    weights: str | None = None,
    taps: tuple[str, ...] = (),
    progress: bool = True,
) -> list[Path]:
    """Compute what the cache lacks, in one pass; return where the pooled top and each tap lie.

    Args:
        table: manifest rows with `path`, `image_id` and `sadness`.
        backbone: a name in `backbones.BACKBONES`.
        image_size: side of the square input, in pixels.
        weights: as `backbones.build_backbone` takes them.
        taps: names of the layers to tap.
        progress: whether to show a progress bar.
    """
    folders = [_folder(backbone, image_size, weights, layer) for layer in (POOLED, *taps)]
    lacks = [~table["image_id"].isin(_index(folder)) for folder in folders]
    missing = table[np.logical_or.reduce(lacks)].drop_duplicates("image_id")
    if missing.empty:
        return folders
    body = build_backbone(backbone, image_size, weights=weights, taps=taps)
    top, *maps = body.outputs
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(top)
    model = keras.Model(body.inputs, [pooled, *maps])
    with tqdm(total=len(missing), unit="image", desc=backbone, disable=not progress) as bar:
        for start in range(0, len(missing), SHARD):
            part = missing.iloc[start : start + SHARD]
            outputs = _forward(model, part, image_size)
            for folder, output, lacked in zip(folders, outputs, lacks, strict=True):
                if lacked.any():
                    _write_shard(folder, part["image_id"], output)
            bar.update(len(part))
    return folders


def extract(table: pd.DataFrame, backbone: str, image_size: int, *args, **kwargs):
    """Return the rows' features, in their order, computing what is not cached (as `compute` does).

    Returns:
        The pooled top (n, D) float32, and a feature map (n, H, W, C) float16 a tap.
    """
    folders = compute(table, backbone, image_size, *args, **kwargs)
    wanted = table["image_id"].to_numpy(dtype=str)
    return [_gather(folder, wanted) for folder in folders]


def _folder(backbone: str, image_size: int, weights: str | None, layer: str) -> Path:
    """Name a layer's cache by all that its numbers depend on, a weights file by its content."""
    weights = weights or "imagenet"
    content = Path(weights)
    if content.is_file():
        weights = hashlib.sha256(content.read_bytes()).hexdigest()
    key = fingerprint({"weights": weights, "layer": layer})
    folder = cache_dir() / "features" / f"{backbone}-{image_size}-{layer}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _forward(model: keras.Model, part: pd.DataFrame, image_size: int) -> list[np.ndarray]:
    with quiet():
        outputs = model.predict(images(part, image_size, 32), verbose=0)
    pooled, *maps = keras.tree.flatten(outputs)
    return [pooled.astype(np.float32), *(tap.astype(np.float16) for tap in maps)]


def _write_shard(folder: Path, image_ids: pd.Series, array: np.ndarray) -> None:
    ids = image_ids.to_numpy(dtype=str)
    name = hashlib.sha256("".join(ids).encode()).hexdigest()[:16]
    with atomic(folder / f"{name}.npz") as temporary:
        np.savez(temporary, ids=ids, output=array)


def _index(folder: Path) -> dict[str, tuple[Path, int]]:
    """Return where each cached image stands: its shard and its row there."""
    index = {}
    for file in sorted(folder.glob("[!.]*.npz")):
        with np.load(file) as shard:
            index.update({image: (file, row) for row, image in enumerate(shard["ids"].tolist())})
    return index


def _gather(folder: Path, ids: np.ndarray) -> np.ndarray:
    index = _index(folder)
    wanted = pd.DataFrame([index[image] for image in ids], columns=["file", "row"])
    output: np.ndarray | None = None
    for file, rows in wanted.groupby("file"):
        with np.load(file) as shard:
            part = shard["output"]
        if output is None:
            output = np.empty((len(ids), *part.shape[1:]), part.dtype)
        output[rows.index] = part[rows["row"]]
    return output


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
        if self.arrays is not None:
            return arrays([array[rows] for array in self.arrays], labels, size, orders)
        part, augment = self.table.iloc[rows], config.augment if epochs else None
        return images(part, config.image_size, size, orders, augment, config.seed, labels)

    def predict(self, model: keras.Model, rows: np.ndarray, split: str) -> pd.DataFrame:
        """Return a run's predictions of the rows: image_id, split, fold, group, y, p_sadness.

        `fold` is the image's, or -1 in a run that does not go by folds.
        """
        with quiet():
            p = model.predict(self.batches(rows, 64), verbose=0)[:, 1]
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
    emotion = table["emotion"].where(table["emotion"].isin(classes), "others")
    names = emotion.where(table["sadness"] == 0, "sadness")
    index = pd.Index(classes).get_indexer(names)
    if (index < 0).any():
        lost = ", ".join(sorted(table.loc[index < 0, "emotion"].unique()))
        raise ValueError(f"the manifest's emotions {lost} are none of the classes {classes}")
    return index.astype(np.int32)


def prepare_inputs(table: pd.DataFrame, config: TrainConfig, progress: bool = True) -> Inputs:
    """Return the rows as inputs; a frozen run's features are computed here if not cached."""
    if not config.frozen:
        return Inputs(table, config, None)
    taps = config.taps or (BACKBONES[config.backbone].tap,)
    where = (config.backbone, config.image_size, config.weights or None)
    # the baseline reads no tap
    return Inputs(table, config, extract(table, *where, taps if config.k else (), progress))
