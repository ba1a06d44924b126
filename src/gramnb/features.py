"""What a frozen backbone says of each image, computed once.

A frozen run trains only the head, so all it needs of an image is the pooled top of the backbone
and the taps' feature maps. Each is cached by image, backbone, weights and size, in shards written
whole: an interrupted pass goes on where it stopped, and a second run reads. Taps are
stored as float16 (a map of 28 x 28 x 40 takes 63 kB), pooled features as float32.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from gramnb._keras import keras, quiet
from gramnb.backbones import BACKBONES, build_backbone
from gramnb.config import TrainConfig
from gramnb.data import pipeline
from gramnb.runs import atomic, cache_dir, fingerprint

SHARD = 256  # images a file holds; what an interruption can lose at most
POOLED = "pooled"  # the top feature map, averaged over its positions


@dataclass(frozen=True)
class Features:
    """Pooled features (n, D) float32 and one feature map (n, H, W, C) float16 a tap."""

    pooled: np.ndarray
    taps: tuple[np.ndarray, ...]


def extract(
    table: pd.DataFrame,
    backbone: str,
    image_size: int,
    weights: str | None = None,
    taps: tuple[str, ...] | None = None,
    progress: bool = True,
) -> Features:
    """Return the features of the manifest's rows, in their order, computing what is not cached.

    Args:
        table: manifest rows with `path`, `image_id` and `sadness`.
        backbone: a name in `backbones.BACKBONES`.
        image_size: side of the square input, in pixels.
        weights: as `backbones.build_backbone` takes them.
        taps: names of the layers to tap; None means the backbone's default, () none.
        progress: whether to show a progress bar.
    """
    taps = (BACKBONES[backbone].tap,) if taps is None else tuple(taps)
    folders = compute(table, backbone, image_size, weights, taps, progress)
    wanted = table["image_id"].to_numpy(dtype=str)
    pooled, *maps = (_gather(folder, wanted) for folder in folders)
    return Features(pooled, tuple(maps))


def compute(
    table: pd.DataFrame,
    backbone: str,
    image_size: int,
    weights: str | None,
    taps: tuple[str, ...],
    progress: bool = True,
) -> list[Path]:
    """Compute what the cache lacks, in one pass; return where the pooled top and each tap lie."""
    folders = [_folder(backbone, image_size, weights, layer) for layer in (POOLED, *taps)]
    lacks = [~table["image_id"].isin(_index(folder)) for folder in folders]
    missing = table[np.logical_or.reduce(lacks)].drop_duplicates("image_id")
    if len(missing):
        model = _extractor(backbone, image_size, weights, taps)
        bar = tqdm(total=len(missing), unit="image", desc=backbone, disable=not progress)
        with bar:
            for start in range(0, len(missing), SHARD):
                part = missing.iloc[start : start + SHARD]
                outputs = _forward(model, part, image_size)
                for folder, output, lacked in zip(folders, outputs, lacks, strict=True):
                    if lacked.any():
                        _write_shard(folder, part["image_id"], output)
                bar.update(len(part))
    return folders


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


def _extractor(backbone: str, image_size: int, weights: str | None, taps: tuple) -> keras.Model:
    body = build_backbone(backbone, image_size, weights=weights, taps=taps)
    top, *maps = body.outputs
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32")(top)
    return keras.Model(body.inputs, [pooled, *maps])


def _forward(model: keras.Model, part: pd.DataFrame, image_size: int) -> list[np.ndarray]:
    with quiet():
        outputs = model.predict(pipeline.images(part, image_size, 32), verbose=0)
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
        orders = pipeline.shuffled(len(rows), config.seed, epochs) if epochs else None
        if self.arrays is not None:
            labels = self.table["sadness"].to_numpy()[rows]
            return pipeline.arrays([array[rows] for array in self.arrays], labels, size, orders)
        part, augment = self.table.iloc[rows], config.augment if epochs else None
        return pipeline.images(part, config.image_size, size, orders, augment, config.seed)

    def predict(self, model: keras.Model, rows: np.ndarray, split: str) -> pd.DataFrame:
        """Return a run's predictions of the rows: image_id, split, fold, group, y, p_sadness.

        `fold` is the image's, or -1 in a run that does not go by folds.
        """
        with quiet():
            p = model.predict(self.batches(rows, 64), verbose=0)[:, 1]
        part = self.table.iloc[rows]
        return pd.DataFrame(
            {
                "image_id": part["image_id"].to_numpy(),
                "split": split,
                "fold": part["fold"].to_numpy() if self.config.fold >= 0 else np.int16(-1),
                "group": part["group"].to_numpy(),
                "y": part["sadness"].to_numpy(),
                "p_sadness": p.astype(np.float32),
            }
        )


def prepare_inputs(table: pd.DataFrame, config: TrainConfig, progress: bool = True) -> Inputs:
    """Return the rows as inputs; a frozen run's features are computed here if not cached."""
    if not config.frozen:
        return Inputs(table, config, None)
    taps = (config.taps or None) if config.k else ()  # the baseline reads none
    weights = config.weights or None
    found = extract(table, config.backbone, config.image_size, weights, taps, progress)
    return Inputs(table, config, [found.pooled, *found.taps])
