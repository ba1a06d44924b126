"""Tables over seeds and folds, in the paper's form.

A predictions frame of many runs adds variant and, where they differ, k, backbone and dataset to the
columns that `intervals` names. Variants keep the order in which they appear; a table of several
data sets is indexed by these first.
"""

from collections.abc import Mapping

import pandas as pd

from gramnb.evaluation.intervals import estimate, paired_difference
from gramnb.evaluation.metrics import CLASSES, report

KEYS = ("dataset", "backbone", "variant", "k", "seed", "fold")
TITLES = {"precision": "Precision", "recall": "Recall", "f1": "F1-score", "support": "Support"}


def by_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return `report` of every run and fold, led by those of KEYS that the frame holds.

    Raises ValueError if the frame holds several splits, as validation beside test.
    """
    if "split" in predictions and predictions["split"].nunique() > 1:
        splits = ", ".join(predictions["split"].unique())
        raise ValueError(f"predictions hold the splits {splits}: select one")
    keys = [name for name in KEYS if name in predictions]
    runs = predictions.groupby(keys, sort=False, dropna=False)
    return pd.DataFrame(
        dict(zip(keys, key, strict=True)) | report(run["y"], run["p_sadness"]) for key, run in runs
    )


def seed_means(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return metrics per variant and seed: means over folds, supports added up."""
    groups = by_seed(predictions).groupby([*_names(predictions), "seed"], sort=False)
    supports = [f"support_{label}" for label in CLASSES]
    return groups.mean(numeric_only=True).assign(**groups[supports].sum())


def summary(
    predictions: pd.DataFrame, metrics: tuple[str, ...] = ("accuracy", "auc"), **options
) -> pd.DataFrame:
    """Return `estimate` (mean, sd, low, high, n) per variant and metric; options as there."""
    names = _names(predictions)
    tables = {
        key: pd.DataFrame(estimate(frame, metrics, **options), metrics)
        for key, frame in predictions.groupby(names, sort=False)
    }
    return pd.concat(tables, names=[*names, "metric"])


def compare(
    predictions: pd.DataFrame,
    against: str | Mapping[str, tuple[str, str]],
    metrics: tuple[str, ...] = ("accuracy", "auc"),
    *,
    common: bool = False,
    **options,
) -> pd.DataFrame:
    """Return `paired_difference` (options as there) on one data set, a row a name and metric.

    against: the baseline of every other variant, or chosen pairs: {name in the table: (variant, the
    one it is compared with)}. common: compare two on the seeds, and on the images of one and the
    same label, that both answer, in the groups of the second; else it is an error if these differ.

    Raises:
        ValueError: there is no such variant, nothing is common; as `paired_difference`.
    """
    if len(_names(predictions)) > 1:
        raise ValueError("predictions hold several data sets: select one")
    variants = dict(iter(predictions.groupby("variant", sort=False)))
    if isinstance(against, str):
        against = {name: (name, against) for name in variants if name != against}
    tables = {}
    for name, pair in against.items():
        if absent := [variant for variant in pair if variant not in variants]:
            raise ValueError(f"no variant {absent[0]!r}; there are {', '.join(variants)}")
        a, b = (variants[variant] for variant in pair)
        if common:
            keys = ["image_id", "seed", "y"]
            both = a[keys].merge(b.filter([*keys, "group"]))
            if both.empty:
                raise ValueError(f"{pair[0]} and {pair[1]} have no seed and image in common")
            a, b = a.drop(columns="group", errors="ignore").merge(both), b.merge(both)
        found = paired_difference(a, b, tuple(metrics), **options)
        tables[name] = pd.DataFrame(found, metrics)
    return pd.concat(tables, names=["variant", "metric"])


def points(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `compare` as text, a row a name, in points.

    Two columns a metric: the difference with its interval, and what could have been detected.
    """
    columns = {}
    for metric, part in (100 * table).groupby(level="metric", sort=False):
        part = part.droplevel("metric").rename(columns={"estimate": "difference"})
        columns[metric] = part.apply(with_interval, axis=1)
        columns[f"{metric}, detectable"] = part["detectable"].map("{:.1f}".format)
    return pd.DataFrame(columns)


def difference_table(
    predictions: pd.DataFrame, baseline: str, metric: str = "accuracy", **options
) -> pd.DataFrame:
    """Return every variant's mean and its difference to the baseline, in percent.

    Columns: the metric and sd (over seeds); difference, low, high (95 %), detectable and p as
    `compare` has them (options as there), NaN for the baseline.
    """
    means = seed_means(predictions)[metric].groupby("variant", sort=False)
    table = pd.DataFrame({metric: means.mean(), "sd": means.std()})
    differences = compare(predictions, baseline, (metric,), **options)
    differences = differences.xs(metric, level="metric").rename(columns={"estimate": "difference"})
    shown = differences[["difference", "low", "high", "detectable"]]
    return table.join(shown).mul(100).join(differences["p"])


def table3(predictions: pd.DataFrame, **options) -> pd.DataFrame:
    """Return Table 3: k, accuracy in percent, sd over seeds, low, high, n runs.

    Options as for `estimate`.
    """
    table = summary(predictions, ("accuracy",), **options).droplevel("metric")
    table[["mean", "sd", "low", "high"]] *= 100
    table.insert(0, "k", predictions.groupby(_names(predictions), sort=False)["k"].first())
    return table.rename(columns={"mean": "accuracy"})


def table4(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return Table 4: variant x (class, metric), 0-1, averaged over seeds."""
    return _by_class(predictions).drop(columns="Support", level=1)


def class_report(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return Tables 5 and 6 of one variant: class x precision, recall, F1-score, support (images).

    Averaged over seeds.
    """
    table = _by_class(predictions).iloc[0].unstack()[list(TITLES.values())]
    return table.astype({"Support": int}).rename_axis("Class")


def _by_class(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return variant x (class, TITLES), averaged over seeds."""
    means = seed_means(predictions).groupby(_names(predictions), sort=False).mean()
    columns = {
        (label.capitalize(), title): means[f"{name}_{label}"]
        for label in CLASSES
        for name, title in TITLES.items()
    }
    return pd.DataFrame(columns)


def plus_minus(mean: float, sd: float, digits: int = 2) -> str:
    """Format a mean and its SD as Table 3 does: '81.94 ± 0.21'; without SD the mean alone."""
    return f"{mean:.{digits}f}" + ("" if pd.isna(sd) else f" ± {sd:.{digits}f}")


def with_interval(row: pd.Series) -> str:
    """Format a row of `difference_table` as '+0.6 (-2.6 to +3.8)', difference and interval."""
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*row[["difference", "low", "high"]])


def _names(predictions: pd.DataFrame) -> list[str]:
    """Return the columns that tell variants apart, one of them dataset where there are several."""
    several = "dataset" in predictions and predictions["dataset"].nunique() > 1
    return ["dataset", "variant"] if several else ["variant"]
