"""Metrics of one run: labels and probabilities in, numbers out.

y: (n,) labels, 1 = sadness. p: (n,) probabilities of sadness. Sadness is predicted where p is above
the threshold (Section 5.1). Metrics are defined in Section 4.2 of the paper. Weights, (r, n), count
each image in each of r resamples: one row of ones is the data itself.
"""

import numpy as np
import pandas as pd
from scipy import stats

CLASSES = ("others", "sadness")
METRICS = (
    "accuracy",
    "auc",
    *(f"{name}_{label}" for label in CLASSES for name in ("precision", "recall", "f1")),
    "brier",
    "ece",
)
BINS = 15  # of the expected calibration error


def checked(y, p) -> tuple[np.ndarray, np.ndarray]:
    """Return y (int) and p (float), or raise ValueError in one line."""
    y, p = np.asarray(y), np.asarray(p, dtype=float)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"y and p must be two equally long rows, got shapes {y.shape}, {p.shape}")
    if not len(y):
        raise ValueError("no predictions: y and p are empty")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, row {np.argmin(np.isin(y, (0, 1)))} is not")
    if not (valid := (p >= 0) & (p <= 1)).all():
        row = np.argmin(valid)
        raise ValueError(f"probabilities must lie in 0-1, row {row} holds {p[row]}")
    return y.astype(int), p


def report(y, p, threshold: float = 0.5) -> dict[str, float]:
    """Return accuracy, AUC, precision, recall, F1 and support by class, Brier score, ECE and n.

    Precision and F1 of a class that is never predicted are 0. Raises ValueError for empty input,
    one class only, labels other than 0 and 1, and p outside 0-1.
    """
    y, p = checked(y, p)
    if y.min() == y.max():
        raise ValueError(f"only one class in y: all {len(y)} images are {CLASSES[y[0]]}")
    weights = np.ones((1, len(y)))
    scores = {name: score(name, y, p, weights, threshold).item() for name in METRICS}
    supports = {f"support_{label}": int((y == c).sum()) for c, label in enumerate(CLASSES)}
    return scores | supports | {"n": len(y)}


def score(
    metric: str, y: np.ndarray, p: np.ndarray, weights: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """Return one of METRICS for each row of weights, (r,). AUC needs both classes, else NaN."""
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; there are {', '.join(METRICS)}")
    if metric == "auc":
        fpr, tpr = curve(y, p, weights)
        return ((fpr[:, 1:] - fpr[:, :-1]) * (tpr[:, 1:] + tpr[:, :-1])).sum(axis=1) / 2
    if metric == "brier":
        return weights @ (p - y) ** 2 / weights.sum(axis=1)
    if metric == "ece":
        gaps = weights * (y - p) @ (_bin(p)[:, None] == np.arange(BINS))  # (r, BINS)
        return np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    flagged = p > threshold
    cells = [y & flagged, ~y & 1 & flagged, y & ~flagged, ~y & 1 & ~flagged]
    tp, fp, fn, tn = (weights @ np.stack(cells, axis=1)).T
    if metric == "accuracy":
        return (tp + tn) / weights.sum(axis=1)
    name, label = metric.split("_")
    hits, wrong, missed = (tp, fp, fn) if label == "sadness" else (tn, fn, fp)
    top, bottom = {
        "precision": (hits, hits + wrong),
        "recall": (hits, hits + missed),
        "f1": (2 * hits, 2 * hits + wrong + missed),
    }[name]
    return np.divide(top, bottom, out=np.zeros(bottom.shape), where=bottom > 0)


def curve(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates from (0, 0) to (1, 1), each (r, thresholds + 1).

    Images of equal p pass the threshold together. A resample without one of the classes is NaN.
    """
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of each run of equal p
    rates = []
    for label in (0, 1):
        passed = np.cumsum(weights[:, order] * (y[order] == label), axis=1)[:, last]
        total = np.where(passed[:, -1:] > 0, passed[:, -1:], np.nan)
        rates.append(np.pad(passed / total, ((0, 0), (1, 0))))
    return rates[0], rates[1]


def reliability(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return per occupied bin of p: n, mean p, observed share of sadness, its interval.

    All runs and folds of a variant's predictions are pooled; BINS bins are equally wide over 0-1.
    Columns n (answers), p, observed, low, high. The interval is Wilson's for as many independent
    images as the bin holds groups of near-duplicates: runs answer the same images, and copies of
    one picture say nothing new.
    """
    y, p = checked(predictions["y"], predictions["p_sadness"])
    image = predictions.get("image_id", pd.Series(range(len(y)), predictions.index))
    group = predictions.get("group", pd.Series(-1, predictions.index))
    unit = image.astype(str).where(group < 0, group.astype(str))
    frame = pd.DataFrame({"y": y, "p": p, "unit": unit.to_numpy()})
    table = frame.groupby(_bin(p)).agg(
        n=("y", "size"), p=("p", "mean"), observed=("y", "mean"), units=("unit", "nunique")
    )
    units = table.pop("units")
    table["low"], table["high"] = wilson(table["observed"] * units, units)
    return table.rename_axis("bin")


def ece(y, p) -> float:
    """Return the expected calibration error of p, 0-1: the mean gap over `reliability`'s bins."""
    y, p = checked(y, p)
    return score("ece", y, p, np.ones((1, len(y)))).item()


def _bin(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * BINS).astype(int), BINS - 1)


def wilson(successes, n, level: float = 0.95):
    """Return low and high of Wilson's score interval of a share, 0-1 (Wilson 1927)."""
    if np.any((np.asarray(n) < 1) | (np.asarray(successes) < 0) | (successes > np.asarray(n))):
        raise ValueError(f"need 0 <= successes <= n and n > 0, got {successes} of {n}")
    z = stats.norm.isf((1 - level) / 2)
    share, scale = successes / n, 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def disagreement(a: pd.DataFrame, b: pd.DataFrame, threshold: float = 0.5) -> float:
    """Return on which share of images exactly one run of a pair is right, mean over pairs of runs.

    a, b: predictions of two variants' runs (seeds) on the same images; a run is paired with each
    run of the other one. With `a is b` the pairs are the different runs of one variant: what the
    seed alone changes. Raises ValueError if the images differ, or if there is no pair.
    """
    right = []
    for frame in (a, b):
        answers = (frame["p_sadness"] > threshold) == frame["y"].astype(bool)
        right.append(answers.groupby([frame["image_id"], frame["seed"]]).first().unstack())
    if not right[0].index.equals(right[1].index):
        raise ValueError("the two variants differ in their images: a pair shares them")
    pairs = [
        (right[0][one] != right[1][other]).mean()
        for one in right[0]
        for other in right[1]
        if not (a is b and one == other)
    ]
    if not pairs:
        raise ValueError("one run has no other run of its variant to disagree with")
    return float(np.mean(pairs))


def mcnemar(y, a, b, threshold: float = 0.5) -> dict[str, float]:
    """Compare two runs on the same images by McNemar's exact test (McNemar 1947).

    a, b: (n,) probabilities of both runs. Returns the images that only a and that only b gets
    right, the share on which exactly one does, and the two-sided p.
    """
    right_a, right_b = ((checked(y, p)[1] > threshold) == np.asarray(y) for p in (a, b))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    both = only_a + only_b
    p = float(stats.binomtest(only_a, both).pvalue) if both else 1.0
    return {"only_a": only_a, "only_b": only_b, "disagreement": both / len(right_a), "p": p}
