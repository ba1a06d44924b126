"""Calibration: what a network says, as probabilities that keep their word.

x: (n,) log-odds of sadness, natural logarithm. A network trained to the end is surer than it is
right, and surest about pictures unlike any it learned from. Platt's two numbers correct the first;
a limit, the range of log-odds on which they were fitted, the second.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

LEAST = 1e-37  # of a softmax in float32


def log_odds(sadness, others=None, least: float = LEAST) -> np.ndarray:
    """Return log(sadness / others) of probabilities, float64.

    Args:
        sadness: (n,) probabilities of sadness.
        others: (n,) those of others; None means 1 - sadness, which loses what float32 has rounded.
        least: what a probability below it is taken for.
    """
    sadness = np.asarray(sadness, float)
    others = 1 - sadness if others is None else np.asarray(others, float)
    return np.log(np.maximum(sadness, least)) - np.log(np.maximum(others, least))


@dataclass(frozen=True)
class Calibration:
    """p = 1 / (1 + exp(-(slope * x + intercept))), with x held within [low, high] (Platt 1999).

    Increasing in x, so the order of images stays, but for ties beyond the limits. The default
    changes nothing.

    Raises:
        ValueError: a slope that is not positive, or limits in the wrong order.
    """

    slope: float = 1.0
    intercept: float = 0.0
    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        """Check that the result increases."""
        if not self.slope > 0:
            raise ValueError(f"slope must be above 0, got {self.slope}: x says nothing of y")
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")

    def __call__(self, x) -> np.ndarray:
        """Return calibrated probabilities, (n,), of log-odds."""
        return expit(self.slope * np.clip(x, self.low, self.high) + self.intercept)

    @classmethod
    def fit(cls, y, x) -> "Calibration":
        """Return Platt's scaling of x, limited to the range of x.

        It has the least mean log-loss against the targets (n1 + 1) / (n1 + 2) for the n1 images
        with y = 1 and 1 / (n0 + 2) for the n0 others, so it exists even where x separates them.

        Raises:
            ValueError: one class only, or larger x do not go with y = 1.
        """
        y, x = np.asarray(y, bool), np.asarray(x, float)
        positive, negative = int(y.sum()), int((~y).sum())
        if not (positive and negative):
            raise ValueError(
                f"only one class in y: {positive} images of sadness, {negative} others"
            )
        target = np.where(y, (positive + 1) / (positive + 2), 1 / (negative + 2))
        centre, scale = x.mean(), x.std() or 1.0
        design = np.stack([(x - centre) / scale, np.ones(len(x))], axis=1)

        def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
            z = design @ w
            return np.mean(np.logaddexp(0, z) - target * z), design.T @ (expit(z) - target) / len(x)

        def curvature(w: np.ndarray) -> np.ndarray:
            p = expit(design @ w)
            return design.T @ (design * (p * (1 - p))[:, None]) / len(x)

        found = minimize(loss, [1.0, 0.0], jac=True, hess=curvature, method="trust-exact",
                         options={"gtol": 1e-10})  # fmt: skip
        slope = found.x[0] / scale
        return cls(float(slope), float(found.x[1] - slope * centre), float(x.min()), float(x.max()))
