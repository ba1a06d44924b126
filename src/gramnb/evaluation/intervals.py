"""Every interval of the repository: means over runs, differences, ROC bands, reliability.

One function, `interval`, gives all but shares': mean ± t x standard error. The error comes from:

- *Runs and images* (`estimate`, `roc_band`, `paired_difference` without folds). A bootstrap over
  groups of near-duplicates, the same draws for every run and variant, gives the variance that the
  test images cause. What the runs scatter beyond it is the runs' own. The two are added: one nested
  bootstrap would count the chance of a run on an image up to three times.
- *Folds* (`paired_difference`). Nadeau and Bengio's corrected resampled t-test (2003), which also
  allows for other training images.
- *Studies* (`meta_analysis`). Their own errors, and how far the true differences lie apart.

A predictions frame holds one row per image and run: image_id, y, p_sadness, and where there are
any seed, fold, group (near-duplicates; -1 = none), n_train and n_test (images that the run of this
row was trained and tested on). A run with folds scores each fold and takes the mean.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial.distance import cdist

from gramnb.evaluation.metrics import BINS, METRICS, bins, checked, wilson

LEVEL = 0.95  # of every interval
CHUNK = 100  # resamples at a time: the weights of 6,107 images take 5 MB


class Difference(NamedTuple):
    """A difference in the metric's unit, its 95 % interval, and how sure it is."""

    estimate: float
    low: float
    high: float
    p: float  # two-sided
    # the least true difference that a test at the 5 % level finds with a probability of 80 %, given
    # the error at hand: t(0.975) + t(0.8) standard errors
    detectable: float
    error: float  # standard error
    freedom: float  # degrees of freedom


def interval(mean, error, freedom) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval: the mean ± t x standard error, t of so many degrees of freedom."""
    half = stats.t.isf((1 - LEVEL) / 2, freedom) * error
    return mean - half, mean + half


def score(metric, y: np.ndarray, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return one of METRICS for each of r resamples at once, (r,), at a threshold of 0.5.

    metric: of a tuple of m names all are returned, (r, m); of an array of g false positive rates
    the ROC curve's heights there, (r, g). weights: (r, n), how often each image is drawn; a row of
    ones gives what `metrics.report` gives. AUC is NaN where a class is missing.
    """
    if isinstance(metric, tuple):
        return np.stack([score(name, y, p, weights) for name in metric], axis=-1)
    if isinstance(metric, np.ndarray):
        curves = zip(*curve(y, p, weights), strict=True)
        return np.array([np.interp(metric, fpr, tpr) for fpr, tpr in curves])
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; there are {', '.join(METRICS)}")
    images = weights.sum(axis=1)
    if metric == "auc":
        fpr, tpr = curve(y, p, weights)
        return (np.diff(fpr) * (tpr[:, 1:] + tpr[:, :-1])).sum(axis=1) / 2
    if metric == "brier":
        return weights @ (p - y) ** 2 / images
    if metric == "ece":
        gaps = weights * (y - p) @ (bins(p)[:, None] == np.arange(BINS))  # (r, BINS)
        return np.abs(gaps).sum(axis=1) / images
    if metric == "accuracy":
        return weights @ ((p > 0.5) == y) / images
    name, label = metric.split("_")
    there, called = (given == (label == "sadness") for given in (y, p > 0.5))
    right, there, called = (weights @ images for images in (there & called, there, called))
    of = {"precision": called, "recall": there, "f1": (called + there) / 2}[name]
    return np.divide(right, of, out=np.zeros(of.shape), where=of > 0)


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


class Runs(NamedTuple):
    """One variant's s runs on the same n images."""

    images: pd.Index  # (n,) image_id
    seeds: pd.Index  # (s,)
    y: np.ndarray  # (n,)
    p: np.ndarray  # (s, n)
    fold: np.ndarray  # (s, n)
    unit: np.ndarray  # (n,) images of one unit are drawn together
    ratio: float  # images tested for each one trained on, mean over folds; NaN where not recorded

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> Self:
        """Arrange a predictions frame; raise ValueError unless each run has each image once."""
        checked(predictions["y"], predictions["p_sadness"])
        absent = {"seed": -1, "fold": -1, "group": -1, "n_train": np.nan, "n_test": np.nan}
        frame = predictions.assign(**{k: v for k, v in absent.items() if k not in predictions})
        if (twice := frame.duplicated(["image_id", "seed"])).any():
            image = frame["image_id"][twice].iloc[0]
            raise ValueError(f"image {image} twice in a run: select one variant, data set, split")
        wide = frame.pivot(index="image_id", columns="seed", values=["y", "p_sadness", "fold"])
        if (lacking := wide.isna().any(axis=1)).any():
            raise ValueError(f"image {wide.index[lacking][0]} is not in every run")
        y, p, fold = (wide[name].to_numpy().T for name in ("y", "p_sadness", "fold"))
        if (y != y[0]).any():
            raise ValueError(f"image {wide.index[(y != y[0]).any(axis=0)][0]} has two labels")
        group = frame.drop_duplicates("image_id").set_index("image_id")["group"][wide.index]
        alone = pd.Series(-1 - np.arange(len(group)), group.index)
        unit = pd.factorize(group.where(group >= 0, alone))[0]
        sizes = frame.groupby(["seed", "fold"])[["n_test", "n_train"]].first()
        ratio = float((sizes["n_test"] / sizes["n_train"]).mean(skipna=False))
        return cls(wide.index, wide["y"].columns, y[0].astype(int), p, fold, unit, ratio)

    def fold_scores(self, metric, weights: np.ndarray | None = None) -> np.ndarray:
        """Return each fold's `score`, (s, folds, r, ...); weights None is the data, r = 1."""
        drawn = np.ones((1, len(self.y))) if weights is None else weights
        scores = []
        for p, fold in zip(self.p, self.fold, strict=True):
            parts = [np.flatnonzero(fold == number) for number in np.unique(self.fold)]
            scores.append([score(metric, self.y[i], p[i], drawn[:, i]) for i in parts])
        if weights is None and np.isnan(scores).any():
            raise ValueError("one class only in a fold or in y: there is no ROC curve")
        return np.array(scores)

    def scores(self, metric, weights: np.ndarray | None = None) -> np.ndarray:
        """Return each run's score, the mean over its folds, (s, r, ...)."""
        return self.fold_scores(metric, weights).mean(axis=1)


@lru_cache(maxsize=1)  # every variant and metric of a study asks for the same
def resampled(units: int, resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often each unit is drawn, (resamples, units)."""
    random = np.random.default_rng(seed)
    return random.multinomial(units, np.full(units, 1 / units), resamples).astype(np.int16)


def _bootstrap(scores: Callable, unit: np.ndarray, resamples: int) -> tuple[np.ndarray, ...]:
    """Return scores of s runs, (s, ...), the error of their mean and its degrees of freedom.

    scores: of how often each image is drawn, (r, n) or None, to (s, r, ...). Freedom is
    Satterthwaite's.
    """
    values, units = scores(None)[:, 0], int(unit.max()) + 1
    counts = resampled(units, resamples)
    chunks = (counts[n : n + CHUNK, unit].astype(float) for n in range(0, resamples, CHUNK))
    draws = np.concatenate([scores(drawn) for drawn in chunks], axis=1)  # (s, resamples, ...)
    runs = len(values)
    images = np.nanvar(draws.mean(axis=0), axis=0)  # of the mean over runs
    between = values.var(axis=0, ddof=1) / runs if runs > 1 else np.zeros_like(images)
    both = (np.nanvar(draws, axis=1).mean(axis=0) - images) / max(runs - 1, 1)  # run x image
    variance = images + np.maximum(between - both, 0)
    freedom = images**2 / max(units - 1, 1) + between**2 / max(runs - 1, 1)
    freedom = np.divide(variance**2, freedom, out=np.ones_like(variance), where=freedom > 0)
    return values, np.sqrt(variance), np.maximum(freedom, 1)


def estimate(predictions: pd.DataFrame, metric="accuracy", resamples: int = 1000) -> dict:
    """Return mean, SD over seeds (ddof 1; NaN for one run), low, high and number of runs n.

    One variant's predictions; the interval covers runs and images, with one run the images only.
    metric: as `score` takes it; of several each value but n is an array.
    """
    runs = Runs.of(predictions)
    values, error, freedom = _bootstrap(partial(runs.scores, metric), runs.unit, resamples)
    mean = values.mean(axis=0)
    low, high = np.clip(interval(mean, error, freedom), 0, 1)
    sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.nan
    return {"mean": mean, "sd": sd, "low": low, "high": high, "n": len(values)}


def roc_band(predictions: pd.DataFrame, points: int = 101, resamples: int = 1000) -> pd.DataFrame:
    """Return one variant's ROC curve: fpr, and as `estimate` gives them tpr, sd, low, high.

    Runs are averaged at equal false positive rates. `attrs` hold `auc` and `auc_sd`.
    """
    rates = np.linspace(0, 1, points)
    band = estimate(predictions, rates, resamples)
    area = pd.Series(Runs.of(predictions).scores("auc")[:, 0])
    table = pd.DataFrame({"fpr": rates, "tpr": band.pop("mean"), **band}).drop(columns="n")
    table.attrs = {"auc": float(area.mean()), "auc_sd": float(area.std())}
    return table


def paired_difference(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: str | tuple[str, ...] = "accuracy",
    method: str = "",
    resamples: int = 1000,
) -> Difference:
    """Return metric(a) - metric(b) of two variants' predictions of the same images and seeds.

    Of several metrics the fields are arrays. Without folds, or by method "bootstrap", the interval
    covers runs and groups of images, and speaks of these training images. With folds it is the
    corrected resampled t-test's: the variance of the J differences, one a fold, times
    1/J + n_test / n_train (the larger of two), and J - 1 degrees of freedom. Seeds that share their
    folds repeat no partition, and are averaged first.

    Raises:
        ValueError: images, labels, seeds, folds or groups differ; folds without n_train and n_test.
    """
    one, other = Runs.of(a), Runs.of(b)
    for name in ("images", "y", "seeds", "fold", "unit"):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            raise ValueError(f"the two variants differ in their {name}: a pair shares them")
    if method not in ("", "bootstrap"):
        raise ValueError(f"method must be 'bootstrap', or '' to go by the folds, got {method!r}")
    if method == "bootstrap" or np.ptp(one.fold) == 0:

        def difference(drawn: np.ndarray | None) -> np.ndarray:
            return one.scores(metric, drawn) - other.scores(metric, drawn)

        values, error, freedom = _bootstrap(difference, one.unit, resamples)
    else:
        ratio = np.max([one.ratio, other.ratio])  # NaN if either is
        if np.isnan(ratio):
            raise ValueError("predictions lack n_train and n_test, which folds need")
        values = (one.fold_scores(metric) - other.fold_scores(metric))[:, :, 0]
        alike = (one.fold == one.fold[0]).all()
        values = values.mean(axis=0) if alike else np.concatenate(values)  # (J, ...)
        error = values.std(axis=0, ddof=1) * np.sqrt(1 / len(values) + ratio)
        freedom = len(values) - 1
    mean = values.mean(axis=0)
    t = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0, np.inf), where=error > 0)
    detectable = (stats.t.isf((1 - LEVEL) / 2, freedom) + stats.t.ppf(0.8, freedom)) * error
    low, high = interval(mean, error, freedom)
    return Difference(mean, low, high, 2 * stats.t.sf(t, freedom), detectable, error, freedom)


def reliability(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return per occupied bin of p: n (answers), mean p, observed share of sadness, low, high.

    Of one variant, runs and folds pooled. The interval is Wilson's for as many independent images
    as the bin holds groups of near-duplicates: runs and copies answer the same again.
    """
    runs = Runs.of(predictions)
    y, unit = (np.tile(row, len(runs.p)) for row in (runs.y, runs.unit))
    frame = pd.DataFrame({"y": y, "p": runs.p.ravel().astype(float), "unit": unit})
    table = frame.groupby(bins(frame["p"])).agg(
        n=("y", "size"), p=("p", "mean"), observed=("y", "mean"), units=("unit", "nunique")
    )
    units = table.pop("units")
    table["low"], table["high"] = wilson(table["observed"] * units, units)
    return table.rename_axis("bin")


def disagreement(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """Return on which share of images exactly one run of a pair is right, mean over pairs of runs.

    a, b: predictions of two variants' runs (seeds) on the same images; a run is paired with each
    run of the other one. With `a is b` the pairs are the different runs of one variant: what the
    seed alone changes. Raises ValueError if the images differ.
    """
    one, other = Runs.of(a), Runs.of(b)
    if not one.images.equals(other.images):
        raise ValueError("the two variants differ in their images: a pair shares them")
    right, other_right = ((runs.p > 0.5) == runs.y for runs in (one, other))
    apart = cdist(right, other_right, "hamming")  # (runs, runs)
    if a is b:
        apart = apart[~np.eye(len(apart), dtype=bool)]
    return float(apart.mean())


def equivalence(differences: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Return how probable it is that each difference is worse, equivalent or better than a margin.

    differences: of `tables.compare`; higher is better. margin: in the metric's unit, above 0.

    Columns: worse, equivalent, better, the posterior probabilities of a difference below -margin,
    within, above (the correlated Bayesian t-test of Corani and Benavoli 2015, whose posterior is
    Student's t of estimate, error and freedom); p, of two one-sided tests of not being equivalent
    (Schuirmann 1987): with that posterior the larger of worse and better.
    """
    posterior = stats.t(differences["freedom"], differences["estimate"], differences["error"])
    worse, better = posterior.cdf(-margin), posterior.sf(margin)
    columns = {"worse": worse, "equivalent": 1 - worse - better, "better": better}
    return pd.DataFrame(columns | {"p": np.maximum(worse, better)}, differences.index)


def meta_analysis(estimates, errors) -> dict[str, float]:
    """Return what studies say together, by random effects: each has a true difference of its own.

    estimates, errors: (n,) of 3 studies or more, differences and their standard errors, one unit.

    Keys: estimate, low, high, of the mean of all possible studies (DerSimonian and Laird 1986, the
    interval of Hartung and Knapp 2001); tau, the SD between the true differences; predicted_low,
    predicted_high, for the true difference of one more study (Higgins 2009).
    """
    estimates, errors = np.asarray(estimates, float), np.asarray(errors, float)
    n = len(estimates)
    if n < 3 or not (errors > 0).all():
        raise ValueError(f"need three studies or more with errors above 0, got errors {errors}")
    weights = errors**-2
    fixed = np.average(estimates, weights=weights)
    q = weights @ (estimates - fixed) ** 2
    tau2 = max(0, (q - n + 1) / (weights.sum() - weights @ weights / weights.sum()))
    weights = 1 / (errors**2 + tau2)
    mean = np.average(estimates, weights=weights)
    error = np.sqrt(np.average((estimates - mean) ** 2, weights=weights) / (n - 1))
    low, high = interval(mean, error, n - 1)
    next_low, next_high = interval(mean, np.hypot(tau2**0.5, error), n - 2)
    found = {"estimate": mean, "low": low, "high": high, "tau": tau2**0.5}
    return found | {"predicted_low": next_low, "predicted_high": next_high}
