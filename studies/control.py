"""Draw textures whose classes differ in one statistic of the tapped sub-maps and in nothing else.

    python -m studies.control

A positive control: if a network that reads G does not tell these classes apart, something is
broken. Every picture starts as coloured noise; each start makes two pictures, one of either class,
which stay in one fold. Their pixels are moved, by gradients through the frozen network, until one
statistic of the tapped sub-maps has shifted by half of a given number of standard deviations, up
for "sadness" and down for "others", while all else stays as it was:

- `correlation-<strength>`: a weighted sum of the sub-maps' correlations shifts. Each sub-map's mean
  and variance stay, and so does the pooled top, which is all that the baseline reads.
- `mean-<strength>`: a weighted sum of the sub-maps' means shifts. Their covariances stay, and the
  pooled top.

Pictures go to `runs/control/<name>/<class>/`, manifests with five folds to
`runs/control/<name>.parquet`. `results/control/measured.csv` says what the written files hold:
the shift in standard deviations, and how well a cross-validated logistic regression tells the
classes apart by the means, by the pooled top and by the statistic itself (AUC).
"""

from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from studies.record import write_table
from tqdm import tqdm

from gramnb._keras import keras, quiet
from gramnb.backbones import build_backbone
from gramnb.choices import BACKBONES
from gramnb.data import curation, inspection, manifest, sources
from gramnb.runs import resolve

BACKBONE = "EfficientNetLite0"
SIDE = 64  # pixels
COUNT = 500  # pictures a set, half of them of either class
STEPS = 120  # of Adam on the pixels
RATE = 0.5  # grey levels a step, falling to 0
BATCH = 50
KEPT = {  # what stays as it was, and the weight of the gap
    "correlation": {"mean": 3.0, "variance": 3.0, "top": 0.2},
    "mean": {"covariance": 0.1, "top": 0.2},
}
STRENGTHS = {"correlation": (0.0, 0.5, 1.0, 2.0, 4.0), "mean": (1.0, 4.0)}
MEASURED = "results/control/measured.csv"
FOLDER = "runs/control"


def main() -> None:
    with quiet():
        network = build_backbone(BACKBONE, SIDE)
    channels = BACKBONES[BACKBONE].tap_channels
    random = np.random.default_rng(0)
    weights = {
        "correlation": np.triu(random.choice([-1.0, 1.0], (channels, channels)), 1),
        "mean": random.choice([-1.0, 1.0], channels),
    }
    sadness, rows = np.arange(COUNT) % 2, []
    for kind, strength in [(name, each) for name, some in STRENGTHS.items() for each in some]:
        name = f"{kind}-{strength:g}"
        start = np.repeat(textures(COUNT // 2, seed=len(rows)), 2, axis=0)
        moved = shifted(network, start, (sadness - 0.5) * strength, kind, weights[kind])
        write(moved, f"{FOLDER}/{name}")
        found = measured(network, start, moved, sadness, kind, weights[kind])
        rows.append({"set": name, "strength": strength, "images": COUNT, **found})
        print(rows[-1], flush=True)
    write_table(MEASURED, pd.DataFrame(rows), "%.4f")


def textures(count: int, seed: int) -> np.ndarray:
    """Return coloured noise of several scales, (count, SIDE, SIDE, 3) float32 in 0-255."""
    random = np.random.default_rng(seed)
    pictures = np.zeros((count, SIDE, SIDE, 3))
    for scale in (0.7, 1.5, 3.0, 6.0):
        noise = random.normal(size=pictures.shape)
        noise = gaussian_filter(noise, (0, scale, scale, 0), mode="wrap")
        share = random.uniform(0.3, 1.0, (count, 1, 1, 3))
        pictures += share * noise / noise.std(axis=(1, 2), keepdims=True)
    level = random.uniform(90, 165, (count, 1, 1, 3))
    return np.clip(level + 30 * pictures, 8, 247).astype("float32")


def statistics(network, pictures, kind: str, weights: np.ndarray) -> dict[str, tf.Tensor]:
    """Return of pictures (n, S, S, 3) the sub-maps' means and variances (n, C), their correlations
    and covariances (n, C, C), the pooled top (n, D), and `value`, the weighted sum of `kind`."""
    top, tapped = network(pictures, training=False)
    rows = tf.reshape(tapped, (len(pictures), -1, tapped.shape[-1]))  # (n, P, C)
    mean = tf.reduce_mean(rows, axis=1)
    centred = rows - mean[:, None]
    covariance = tf.einsum("npi,npj->nij", centred, centred) / rows.shape[1]
    variance = tf.linalg.diag_part(covariance)
    scale = tf.sqrt(variance + 1e-6)
    found = {
        "mean": mean,
        "variance": variance,
        "correlation": covariance / (scale[:, :, None] * scale[:, None]),
        "covariance": covariance,
        "top": tf.reduce_mean(top, axis=(1, 2)),
    }
    weighted = found[kind] * tf.constant(weights, tf.float32)
    return found | {"value": tf.reduce_sum(weighted, axis=list(range(1, weights.ndim + 1)))}


def all_statistics(network, pictures, *of) -> dict[str, np.ndarray]:
    """Return `statistics` of any number of pictures, as arrays."""
    starts = range(0, len(pictures), BATCH)
    parts = [statistics(network, pictures[start : start + BATCH], *of) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def shifted(network, start, shifts, kind: str, weights: np.ndarray) -> np.ndarray:
    """Return pictures (n, S, S, 3) uint8 whose statistic differs by `shifts` standard deviations.

    What `KEPT` names of the kind is held at its value in the picture it starts from; each distance
    is counted in the standard deviations over pictures.
    """
    before = all_statistics(network, start, kind, weights)
    spread = {name: before[name].std(axis=0) + 1e-3 for name in KEPT[kind]}
    deviation = before["value"].std()
    targets = before["value"] + shifts * deviation

    @tf.function
    def step(pictures, target, held):
        with tf.GradientTape() as tape:
            found = statistics(network, tf.clip_by_value(pictures, 0.0, 255.0), kind, weights)
            loss = tf.reduce_sum(((found["value"] - target) / deviation) ** 2)
            for name, weight in KEPT[kind].items():
                gap = (found[name] - held[name]) / spread[name]
                loss += weight * tf.reduce_sum(gap**2)
        return tape.gradient(loss, pictures)

    done, pictures = [], tf.Variable(start[:BATCH])
    for first in tqdm(range(0, len(start), BATCH), kind, unit="batch"):
        part = slice(first, first + BATCH)
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, STEPS))
        pictures.assign(start[part])
        held = {name: tf.constant(before[name][part]) for name in KEPT[kind]}
        target = tf.constant(targets[part], tf.float32)
        for _ in range(STEPS):
            optimizer.apply([step(pictures, target, held)], [pictures])
        done.append(np.clip(np.rint(pictures.numpy()), 0, 255).astype(np.uint8))
    return np.concatenate(done)


def measured(network, start, moved, sadness, kind: str, weights: np.ndarray) -> dict[str, float]:
    """Return what differs between the classes in the pictures as they are written."""
    found = all_statistics(network, moved.astype("float32"), kind, weights)
    before = all_statistics(network, start, kind, weights)["value"]
    others, sad = ({name: each[sadness == n] for name, each in found.items()} for n in (0, 1))
    means = others["mean"].mean(axis=0) - sad["mean"].mean(axis=0)
    pairs = np.triu_indices(len(means), 1)
    correlations = (others["correlation"].mean(axis=0) - sad["correlation"].mean(axis=0))[pairs]
    return {
        "shift": (sad["value"].mean() - others["value"].mean()) / before.std(),
        "largest_mean_difference": (np.abs(means) / found["mean"].std(axis=0)).max(),
        "mean_absolute_correlation_difference": np.abs(correlations).mean(),
        "auc_statistic": roc_auc_score(sadness, found["value"]),
        "auc_means": auc(found["mean"], sadness),
        "auc_top": auc(found["top"], sadness),
    }


def auc(features: np.ndarray, sadness: np.ndarray) -> float:
    """Return the cross-validated AUC of a logistic regression."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    start = np.arange(len(features)) // 2
    p = cross_val_predict(model, features, sadness, groups=start, cv=GroupKFold(5),
                          method="predict_proba")  # fmt: skip
    return roc_auc_score(sadness, p[:, 1])


def write(pictures: np.ndarray, folder: str) -> None:
    """Write a set, others and sadness in turns, and its manifest; one start is one group."""
    for number, picture in enumerate(pictures):
        file = resolve(folder) / ("others", "sadness")[number % 2] / f"{number // 2:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    recipe = curation.Recipe(source="folder", root=folder, folds=5, text_threshold=None)
    table = inspection.inspect_all(sources.read("folder", folder, ["sadness"]), progress=False)
    table = table.assign(group=[int(Path(path).stem) for path in table["path"]])
    made = {"source": "demo", "root": folder, "by": "studies/control.py"}  # drawn, as the demo is
    manifest.write(curation.split(table, recipe), f"{folder}.parquet", made)


if __name__ == "__main__":
    main()
