"""Tables over seeds and folds, in the paper's form.

A predictions frame of many runs adds variant and, where they differ, k, backbone and dataset to the
columns that `resampling` names. Variants keep the order in which they appear.
"""

from collections.abc import Iterator, Mapping

import pandas as pd

from gramnb.evaluation.metrics import CLASSES, report
from gramnb.evaluation.resampling import estimate, paired_difference

KEYS = ("dataset", "backbone", "variant", "k", "seed", "fold")
TITLES = {"precision": "Precision", "recall": "Recall", "f1": "F1-score"}


def by_seed(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return `report` of every run and fold, led by those of KEYS that the frame holds.

    Raises ValueError if a run holds several splits.
    """
    keys = [name for name in KEYS if name in predictions]
    rows = []
    for key, run in (
        predictions.groupby(keys, sort=False, dropna=False) if keys else [((), predictions)]
    ):
        if "split" in run and run["split"].nunique() > 1:
            splits = ", ".join(sorted(run["split"].unique()))
            raise ValueError(f"predictions hold the splits {splits}: select one")
        rows.append(dict(zip(keys, key, strict=True)) | report(run["y"], run["p_sadness"]))
    return pd.DataFrame(rows)


def summary(
    predictions: pd.DataFrame, metrics: tuple[str, ...] = ("accuracy", "auc"), **options
) -> pd.DataFrame:
    """Return `estimate` (mean, sd, low, high, n) per variant and metric; options as there."""
    rows = {
        (*key, metric): estimate(frame, metric, **options)
        for key, frame in _variants(predictions)
        for metric in metrics
    }
    index = pd.MultiIndex.from_tuples(rows, names=[*_names(predictions), "metric"])
    return pd.DataFrame(list(rows.values()), index)


def compare(
    predictions: pd.DataFrame,
    baseline: str,
    metrics: tuple[str, ...] = ("accuracy", "auc"),
    method: str = "",
    **options,
) -> pd.DataFrame:
    """Return `paired_difference` of each other variant to the baseline, per variant and metric."""
    if len(names := _names(predictions)) > 1:
        raise ValueError(f"predictions hold several of {', '.join(names[:-1])}: select one")
    pairs = {
        variant: (variant, baseline)
        for variant in predictions["variant"].unique()
        if variant != baseline
    }
    return contrasts(predictions, pairs, metrics, method, **options)


def contrasts(
    predictions: pd.DataFrame,
    pairs: Mapping[str, tuple[str, str]],
    metrics: tuple[str, ...] = ("accuracy", "auc"),
    method: str = "",
    common: bool = False,
    **options,
) -> pd.DataFrame:
    """Return `paired_difference` of chosen pairs of variants, per name and metric.

    Args:
        predictions: of all variants that `pairs` names.
        pairs: {name in the table: (variant, the one it is compared with)}.
        metrics, method, options: as `paired_difference`.
        common: compare the two on the seeds, and on the images of one and the same label, that both
            answer, in the groups of the second; otherwise it is an error if these differ.

    Raises:
        ValueError: there is no such variant; as `paired_difference`.
    """
    variants = dict(iter(predictions.groupby("variant", sort=False)))
    rows = {}
    for name, pair in pairs.items():
        if absent := [variant for variant in pair if variant not in variants]:
            there = ", ".join(map(str, variants))
            raise ValueError(f"no variant {absent[0]!r}; there are {there}")
        a, b = (variants[variant] for variant in pair)
        if common:
            keys = ["image_id", "seed", "y"]
            both = a[keys].merge(b[[*keys, "group"]])
            a, b = a.drop(columns="group").merge(both), b.merge(both)
        for metric in metrics:
            rows[name, metric] = paired_difference(a, b, metric, method, **options)
    index = pd.MultiIndex.from_tuples(rows, names=["variant", "metric"])
    return pd.DataFrame(list(rows.values()), index)


def points(table: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """Return a table of `contrasts` as text, a row a name and two columns a metric.

    In points: the difference with its interval, and what could have been detected.
    """
    columns = {}
    for metric in dict.fromkeys(table.index.get_level_values("metric")):
        part = 100 * table.xs(metric, level="metric")
        part = part.rename(columns={"estimate": "difference"})
        columns[metric] = part.apply(with_interval, axis=1, digits=digits)
        columns[f"{metric}, detectable"] = part["detectable"].map(f"{{:.{digits}f}}".format)
    return pd.DataFrame(columns)


def versus(
    predictions: pd.DataFrame, baseline: str, metric: str = "accuracy", method: str = ""
) -> pd.DataFrame:
    """Return every variant's mean and its difference to the baseline, in percent.

    Columns: the metric and sd (over seeds); difference, low, high (95 %), detectable and p as
    `compare` has them, NaN for the baseline.
    """
    means = _seeds(predictions).groupby(_names(predictions), sort=False)[metric]
    table = pd.DataFrame({metric: means.mean(), "sd": means.std()})
    against = compare(predictions, baseline, (metric,), method).xs(metric, level="metric")
    table = table.join(against.rename(columns={"estimate": "difference"}))
    return table.drop(columns="p").mul(100).join(table["p"])


def table3(predictions: pd.DataFrame, **options) -> pd.DataFrame:
    """Return Table 3: accuracy per variant in percent, SD over seeds, interval, number of runs.

    Columns k (where given), accuracy, sd, low, high, n; options as for `estimate`.
    """
    table = summary(predictions, ("accuracy",), **options).droplevel("metric")
    table[["mean", "sd", "low", "high"]] *= 100
    if "k" in predictions:
        table.insert(0, "k", predictions.groupby(_names(predictions), sort=False)["k"].first())
    return table.rename(columns={"mean": "accuracy"})


def table4(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return Table 4: variant x (class, metric), 0-1, averaged over seeds."""
    means = _means(predictions)
    columns = {
        (label.capitalize(), title): means[f"{name}_{label}"]
        for label in CLASSES
        for name, title in TITLES.items()
    }
    return pd.DataFrame(columns)


def class_report(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return Tables 5 and 6 of one variant: class x precision, recall, F1-score, support.

    Averaged over seeds; support is images. Raises ValueError for several variants.
    """
    means = _means(predictions)
    if len(means) != 1:
        raise ValueError(
            f"a class report is of one variant, got {', '.join(map(str, means.index))}"
        )
    rows = {
        label.capitalize(): {
            title: means[f"{name}_{label}"].item() for name, title in TITLES.items()
        }
        | {"Support": int(means[f"support_{label}"].item())}
        for label in CLASSES
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("Class")


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return per variant and actual class the shares predicted others and sadness, 0-1.

    Means over seeds; sd is over seeds, of either share; support is images.
    """
    groups = _seeds(predictions).groupby(_names(predictions), sort=False)
    means, sds = groups.mean(), groups.std()
    parts = {}
    for label in CLASSES:
        recall = means[f"recall_{label}"]
        parts[label] = pd.DataFrame(
            {name: recall if name == label else 1 - recall for name in CLASSES}
            | {"sd": sds[f"recall_{label}"], "support": means[f"support_{label}"].astype(int)}
        )
    table = pd.concat(parts, names=["actual"])
    return table.reorder_levels([*means.index.names, "actual"]).reindex(means.index, level=0)


def plus_minus(mean: float, sd: float, digits: int = 2) -> str:
    """Format a mean and its SD as Table 3 does: '81.94 ± 0.21'; without SD the mean alone."""
    return f"{mean:.{digits}f}" + ("" if pd.isna(sd) else f" ± {sd:.{digits}f}")


def with_interval(row: pd.Series, digits: int = 1) -> str:
    """Format a row of `versus` as a difference and its interval: '+0.6 (-2.6 to +3.8)'."""
    sign = f"{{:+.{digits}f}}"
    return f"{sign} ({sign} to {sign})".format(*row[["difference", "low", "high"]])


def _names(predictions: pd.DataFrame) -> list[str]:
    """Return the columns that tell variants apart: variant, and what one of them has several of."""
    if "variant" not in predictions:
        raise ValueError("predictions lack the column variant")
    there = [name for name in KEYS[:2] if name in predictions]
    counts = predictions.groupby("variant")[there].nunique()
    several = [name for name in there if counts[name].max() > 1]
    return [*several, "variant"]


def _variants(predictions: pd.DataFrame) -> Iterator[tuple[tuple, pd.DataFrame]]:
    return iter(predictions.groupby(_names(predictions), sort=False))


def _seeds(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return metrics per variant and seed: means over folds, supports added up."""
    rows = by_seed(predictions if "seed" in predictions else predictions.assign(seed=-1))
    groups = rows.groupby([*_names(predictions), "seed"], sort=False)
    supports = [f"support_{label}" for label in CLASSES]
    return groups.mean(numeric_only=True).assign(**groups[supports].sum())


def _means(predictions: pd.DataFrame) -> pd.DataFrame:
    return _seeds(predictions).groupby(_names(predictions), sort=False).mean()
