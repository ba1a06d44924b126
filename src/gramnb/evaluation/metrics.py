"""One run's answers: metrics (Section 4.2, by scikit-learn), and Platt's calibration.

y: (n,) labels, 1 = sadness. p: (n,) probabilities of sadness. Sadness is predicted where p is above
0.5 (Section 5.1).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import stats
from scipy.special import expit
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

CLASSES = ("others", "sadness")
METRICS = (
    "accuracy",
    "auc",
    *(f"{name}_{label}" for label in CLASSES for name in ("precision", "recall", "f1")),
    "brier",
    "ece",
)
BINS = 15  # of the expected calibration error
LEAST = 1e-37  # of a softmax in float32


def checked(y, p) -> tuple[np.ndarray, np.ndarray]:
    """Return y (int) and p (float), or raise ValueError."""
    y, p = np.asarray(y), np.asarray(p, dtype=float)
    if y.ndim != 1 or y.shape != p.shape or not len(y):
        raise ValueError(f"y and p must be equally long rows, got shapes {y.shape}, {p.shape}")
    shares = (p >= 0) & (p <= 1)
    for values, valid, what in (y, np.isin(y, (0, 1)), "label, 0 or 1"), (p, shares, "probability"):
        if not valid.all():
            row = np.argmin(valid)
            raise ValueError(f"row {row} holds {values[row]}, which is no {what}")
    return y.astype(int), p


def report(y, p) -> dict[str, float]:
    """Return METRICS of one run, the support of both classes and n.

    Raises ValueError as `checked`, and for one class only.
    """
    y, p = checked(y, p)
    if y.min() == y.max():
        raise ValueError(f"only one class in y: all {len(y)} images are {CLASSES[y[0]]}")
    called, found = p > 0.5, {}
    counted = sk.precision_recall_fscore_support(y, called, labels=(0, 1), zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "support"), counted, strict=True):
        found |= {f"{name}_{label}": x for label, x in zip(CLASSES, values.tolist(), strict=True)}
    found |= {"accuracy": sk.accuracy_score(y, called), "auc": sk.roc_auc_score(y, p)}
    found |= {
        "brier": sk.brier_score_loss(y, p),
        "ece": score("ece", y, p, np.ones((1, len(y))))[0],
    }
    metrics = {name: float(found.pop(name)) for name in METRICS}
    return metrics | found | {"n": len(y)}


def score(metric, y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return one of METRICS for each of r resamples at once, (r,), as scikit-learn cannot.

    metric: of a tuple of m names all are returned, (r, m); of an array of g false positive rates
    the ROC curve's heights there, (r, g). weights: (r, n), how often each image is drawn.

    AUC is NaN where a class is missing; precision and F1 of one that is never predicted are 0. ECE,
    the expected calibration error, is the mean gap over `reliability`'s bins.
    """
    if isinstance(metric, str):
        return score((metric,), y, p, weights)[:, 0]
    if isinstance(metric, np.ndarray):
        curves = zip(*curve(y, p, weights), strict=True)
        return np.array([np.interp(metric, fpr, tpr) for fpr, tpr in curves])
    if unknown := [name for name in metric if name not in METRICS]:
        raise ValueError(f"unknown metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    sad, called = y == 1, p > 0.5
    cells = np.stack([sad & called, ~sad & ~called, sad, called, sad | True], axis=1)
    hits, rejections, positive, flagged, images = (weights @ cells.astype(float)).T
    found = {"accuracy": (hits + rejections) / images}
    found |= _of_class("sadness", hits, positive, flagged)
    found |= _of_class("others", rejections, images - positive, images - flagged)
    if "auc" in metric:
        fpr, tpr = curve(y, p, weights)
        found["auc"] = (np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1])).sum(axis=1) / 2
    if "brier" in metric:
        found["brier"] = weights @ (p - y) ** 2 / images
    if "ece" in metric:
        inside = bins(p)[:, None] == np.arange(BINS)  # (n, BINS)
        gaps = weights @ ((y - p)[:, None] * inside)  # (r, BINS)
        found["ece"] = np.abs(gaps).sum(axis=1) / images
    return np.stack([found[name] for name in metric], axis=1)


def _of_class(label: str, right, there, called) -> dict[str, np.ndarray]:
    of = {"precision": called, "recall": there, "f1": (called + there) / 2}
    return {
        f"{name}_{label}": np.divide(right, n, out=np.zeros(n.shape), where=n > 0)
        for name, n in of.items()
    }


def curve(y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates from (0, 0) to (1, 1), each (r, thresholds + 1).

    Images of equal p pass the threshold together. A resample without one of the classes is NaN.
    """
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.diff(p[order], append=-1))  # of each run of equal p
    rates = []
    for label in (0, 1):
        own = y[order] == label
        drawn = np.pad(weights[:, order[own]], ((0, 0), (1, 0)))
        passed = np.cumsum(drawn, axis=1)[:, np.append(0, np.cumsum(own)[last])]
        rates.append(passed / np.where(passed[:, -1:] > 0, passed[:, -1:], np.nan))
    return rates[0], rates[1]


def bins(p: np.ndarray) -> np.ndarray:
    """Return each probability's bin: BINS of them, equally wide over 0-1."""
    return np.minimum((p * BINS).astype(int), BINS - 1)


def wilson(successes, n):
    """Return low and high of Wilson's 95 % score interval of a share, 0-1 (Wilson 1927)."""
    z = stats.norm.isf((1 - 0.95) / 2)
    share, scale = successes / n, 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def log_odds(sadness, others=None, least: float = LEAST) -> np.ndarray:
    """Return ln(sadness / others) of probabilities, (n,) float64, none taken for below `least`.

    others: None means 1 - sadness, which loses what float32 has rounded.
    """
    sadness = np.asarray(sadness, float)
    others = 1 - sadness if others is None else np.asarray(others, float)
    return np.log(np.maximum(sadness, least)) - np.log(np.maximum(others, least))


def of_sadness(p: np.ndarray) -> np.ndarray:
    """Return the log-odds of sadness, (n,) float64, of probabilities (n, classes), it second."""
    p = np.asarray(p, np.float64)
    return log_odds(p[:, 1], np.delete(p, 1, axis=1).sum(axis=1))


def at_prevalence(p, learned: float, asked: float) -> np.ndarray:
    """Return probabilities of sadness, (n,), where another share of the images is sad than learned.

    learned, asked: the share of sadness in training and where p is used. The odds are multiplied by
    asked / (1 - asked) over learned / (1 - learned) (Saerens et al. 2002, equation 4): right where
    the two classes look as they did, and only their shares differ.
    """
    if not 0 < asked < 1:
        raise ValueError(f"prevalence must be a number above 0 and below 1, got {asked}")
    sadness, others = p * asked / learned, (1 - p) * (1 - asked) / (1 - learned)
    return sadness / (sadness + others)


@dataclass(frozen=True)
class Calibration:
    """p = 1 / (1 + exp(-(slope * x + intercept))), with log-odds x held within [low, high].

    A network trained to the end is surer than it is right, and surest about pictures unlike any it
    learned from. Platt's two numbers (1999) correct the first, the limits the second.
    """

    slope: float = 1.0
    intercept: float = 0.0
    low: float = -np.inf
    high: float = np.inf

    def __call__(self, x) -> np.ndarray:
        """Return calibrated probabilities, (n,), of log-odds."""
        return expit(self.slope * np.clip(x, self.low, self.high) + self.intercept)

    @classmethod
    def fit(cls, y, x) -> Self:
        """Return Platt's scaling of x, limited to the range of x.

        A logistic regression on the targets (n1 + 1) / (n1 + 2) for the n1 images with y = 1 and
        1 / (n0 + 2) for the n0 others: each image stands under both classes, weighted by these.
        """
        y, x = np.asarray(y, bool), np.asarray(x, float)
        target = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
        model.fit(np.tile(x, 2)[:, None], np.repeat([1, 0], len(x)), np.append(target, 1 - target))
        return cls(model.coef_.item(), model.intercept_.item(), float(x.min()), float(x.max()))
