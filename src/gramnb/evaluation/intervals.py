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

from gramnb.evaluation.metrics import bins, checked, score, wilson

LEVEL = 0.95  # of every interval
CHUNK = 100  # resamples at a time: the weights of 6,107 images take 5 MB


def interval(mean, error, freedom) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval: the mean ± t x standard error, t of so many degrees of freedom."""
    half = stats.t.isf((1 - LEVEL) / 2, freedom) * error
    return mean - half, mean + half


class Runs(NamedTuple):
    """One variant's s runs on the same n images."""

    images: pd.Index  # (n,) image_id
    seeds: pd.Index  # (s,)
    y: np.ndarray  # (n,)
    p: np.ndarray  # (s, n)
    fold: np.ndarray  # (s, n)
    unit: np.ndarray  # (n,) images of one unit are drawn together

    @classmethod
    def of(cls, predictions: pd.DataFrame) -> Self:
        """Arrange a predictions frame; raise ValueError unless each run has each image once."""
        y, p = checked(predictions["y"], predictions["p_sadness"])
        absent = dict.fromkeys({"seed", "fold", "group"} - set(predictions), -1)
        frame = predictions.assign(y=y, p_sadness=p, **absent)
        if (twice := frame.duplicated(["image_id", "seed"])).any():
            image = frame["image_id"][twice].iloc[0]
            raise ValueError(f"image {image} twice in a run: select one variant, data set, split")
        wide = frame.pivot(index=["image_id", "y"], columns="seed", values=["p_sadness", "fold"])
        if (lacking := wide.isna().any(axis=1)).any():
            image, label = wide.index[lacking][0]
            raise ValueError(f"image {image} is not in every run with the label {label}")
        images, y = (wide.index.get_level_values(name) for name in ("image_id", "y"))
        group = frame.groupby("image_id")["group"].first().to_numpy()
        unit = pd.factorize(np.where(group >= 0, group, -1 - np.arange(len(group))))[0]
        p, fold = (wide[name].to_numpy().T for name in ("p_sadness", "fold"))
        return cls(images, wide["fold"].columns, y.to_numpy(), p, fold, unit)

    def scores(self, metric, weights: np.ndarray | None = None) -> np.ndarray:
        """Return each fold's `score`, (s, folds, r, ...); weights None is the data, r = 1."""
        drawn = np.ones((1, len(self.y))) if weights is None else weights
        scores = []
        for p, fold in zip(self.p, self.fold, strict=True):
            parts = [np.flatnonzero(fold == number) for number in np.unique(self.fold)]
            scores.append([score(metric, self.y[i], p[i], drawn[:, i]) for i in parts])
        if weights is None and np.isnan(scores).any():
            raise ValueError("one class only in a fold or in y: there is no ROC curve")
        return np.array(scores)


@lru_cache(maxsize=1)  # every variant and metric of a study asks for the same
def resampled(units: int, resamples: int, seed: int = 0) -> np.ndarray:
    """Return how often each unit is drawn, (resamples, units)."""
    random = np.random.default_rng(seed)
    return random.multinomial(units, np.full(units, 1 / units), resamples).astype(np.int16)


def _bootstrap(scores: Callable, unit: np.ndarray, resamples: int) -> tuple[np.ndarray, ...]:
    """Return scores of s runs, (s, ...), the error of their mean and its degrees of freedom.

    scores: of how often each image is drawn, (r, n) or None, to (s, folds, r, ...). Freedom is
    Satterthwaite's.
    """
    values, units = scores(None).mean(axis=1)[:, 0], int(unit.max()) + 1
    counts = resampled(units, resamples)
    chunks = (counts[n : n + CHUNK, unit].astype(float) for n in range(0, resamples, CHUNK))
    draws = np.concatenate([scores(drawn).mean(axis=1) for drawn in chunks], axis=1)
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
    area = estimate(predictions, "auc", 1)
    table = pd.DataFrame({"fpr": rates, "tpr": band.pop("mean"), **band}).drop(columns="n")
    table.attrs = {"auc": float(area["mean"]), "auc_sd": float(area["sd"])}
    return table


def paired_difference(
    a: pd.DataFrame, b: pd.DataFrame, metric="accuracy", method: str = "", resamples: int = 1000
) -> dict:
    """Return metric(a) - metric(b) of two variants' predictions of the same images and seeds.

    Without folds, or by method "bootstrap", the interval covers runs and groups of images, and
    speaks of these training images. With folds it is the corrected resampled t-test's: the variance
    of the J differences, one a fold, times 1/J + n_test / n_train (the larger of two), and J - 1
    degrees of freedom. Seeds that share their folds repeat no partition, and are averaged first.

    Returns:
        In the metric's unit (of several metrics arrays): estimate; low, high, its 95 % interval; p,
        two-sided; detectable, the least true difference that a test at the 5 % level finds with a
        probability of 80 %, given the error at hand; error, the standard error; freedom, its
        degrees.

    Raises:
        ValueError: images, labels, seeds, folds or groups differ.
    """
    one, other = Runs.of(a), Runs.of(b)
    for name in ("images", "y", "seeds", "fold", "unit"):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            raise ValueError(f"the two variants differ in their {name}: a pair shares them")
    if method not in ("", "bootstrap"):
        raise ValueError(f"method must be 'bootstrap', or '' to go by the folds, got {method!r}")

    def difference(drawn: np.ndarray | None) -> np.ndarray:
        return one.scores(metric, drawn) - other.scores(metric, drawn)  # (s, folds, r, ...)

    if method == "bootstrap" or np.ptp(one.fold) == 0:
        values, error, freedom = _bootstrap(difference, one.unit, resamples)
    else:
        values = difference(None)[:, :, 0]
        alike = (one.fold == one.fold[0]).all()
        values = values.mean(axis=0) if alike else np.concatenate(values)  # (J, ...)
        sizes = [each.groupby(["seed", "fold"])[["n_test", "n_train"]].first() for each in (a, b)]
        ratio = max((each["n_test"] / each["n_train"]).mean() for each in sizes)
        error = values.std(axis=0, ddof=1) * np.sqrt(1 / len(values) + ratio)
        freedom = len(values) - 1
    mean = values.mean(axis=0)
    t = np.divide(np.abs(mean), error, out=np.where(mean == 0, 0, np.inf), where=error > 0)
    low, high = interval(mean, error, freedom)
    return {
        "estimate": mean,
        "low": low,
        "high": high,
        "p": 2 * stats.t.sf(t, freedom),
        "detectable": (stats.t.isf((1 - LEVEL) / 2, freedom) + stats.t.ppf(0.8, freedom)) * error,
        "error": error,
        "freedom": freedom,
    }


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

    a, b: two variants' predictions of the same images; a run is paired with each run of the other
    one. With `a is b` the pairs are the different runs of one variant: what the seed alone changes.
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
    within, above (the correlated Bayesian t-test of Corani and Benavoli 2015); p, of two one-sided
    tests of not being equivalent (Schuirmann 1987).
    """
    posterior = stats.t(differences["freedom"], differences["estimate"], differences["error"])
    worse, better = posterior.cdf(-margin), posterior.sf(margin)
    columns = {"worse": worse, "equivalent": 1 - worse - better, "better": better}
    return pd.DataFrame(columns | {"p": np.maximum(worse, better)}, differences.index)


def meta_analysis(estimates, errors) -> dict[str, float]:
    """Return what studies say together, by random effects: each has a true difference of its own.

    estimates, errors: (n,) of 3 studies or more, differences and their standard errors.

    Keys: estimate, low, high, of the mean of all possible studies (DerSimonian and Laird 1986, the
    interval of Hartung and Knapp 2001); tau, the SD between the true differences; predicted_low,
    predicted_high, for the true difference of one more study (Higgins 2009).
    """
    estimates, errors = np.asarray(estimates, float), np.asarray(errors, float)
    n, weights = len(estimates), errors**-2
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
