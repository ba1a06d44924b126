"""One run's answers: metrics (Section 4.2, by scikit-learn), and Platt's calibration.

y: (n,) labels, 1 = sadness. p: (n,) probabilities of sadness. Sadness is predicted where p is above
the threshold (Section 5.1).
"""

from dataclasses import dataclass

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
    """Return METRICS of one run, the support of both classes and n.

    Precision and F1 of a class that is never predicted are 0. Raises ValueError as `checked`, and
    for one class only.
    """
    y, p = checked(y, p)
    if y.min() == y.max():
        raise ValueError(f"only one class in y: all {len(y)} images are {CLASSES[y[0]]}")
    flagged = p > threshold
    scores = {"accuracy": sk.accuracy_score(y, flagged), "auc": sk.roc_auc_score(y, p)}
    rows = sk.precision_recall_fscore_support(y, flagged, labels=(0, 1), zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), rows[:3], strict=True):
        scores |= {f"{name}_{label}": v for label, v in zip(CLASSES, values, strict=True)}
    scores |= {"brier": sk.brier_score_loss(y, p), "ece": ece(y, p)}
    supports = {f"support_{label}": int((y == n).sum()) for n, label in enumerate(CLASSES)}
    return {name: float(scores[name]) for name in METRICS} | supports | {"n": len(y)}


def bins(p: np.ndarray) -> np.ndarray:
    """Return each probability's bin: BINS of them, equally wide over 0-1."""
    return np.minimum((p * BINS).astype(int), BINS - 1)


def ece(y, p) -> float:
    """Return the expected calibration error, 0-1: the mean gap over `reliability`'s bins."""
    y, p = checked(y, p)
    return float(np.abs(np.bincount(bins(p), y - p)).sum() / len(y))


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

    Raises:
        ValueError: a share that is not above 0 and below 1.
    """
    for name, share in (("learned", learned), ("prevalence", asked)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must be a number above 0 and below 1, got {share}")
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
    def fit(cls, y, x) -> "Calibration":
        """Return Platt's scaling of x, limited to the range of x.

        A logistic regression on the targets (n1 + 1) / (n1 + 2) for the n1 images with y = 1 and
        1 / (n0 + 2) for the n0 others: each image stands under both classes, weighted by these.

        Raises:
            ValueError: one class or one value only, or larger x do not go with y = 1.
        """
        y, x = np.asarray(y, bool), np.asarray(x, float)
        positive, negative = int(y.sum()), int((~y).sum())
        low, high = float(x.min()), float(x.max())
        if not (positive and negative and low < high):
            found = f"{positive} images of sadness, {negative} others, x from {low} to {high}"
            raise ValueError(f"calibration needs both classes and more than one x, got {found}")
        target = np.where(y, (positive + 1) / (positive + 2), 1 / (negative + 2))
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
        model.fit(np.tile(x, 2)[:, None], np.repeat([1, 0], len(x)), np.append(target, 1 - target))
        slope, intercept = float(model.coef_.item()), float(model.intercept_.item())
        if not slope > 0:
            raise ValueError(f"slope must be above 0, got {slope}: x says nothing of y")
        return cls(slope, intercept, low, high)
