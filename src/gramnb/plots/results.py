"""Figures of what was trained: learning curves, tables, differences, ROC, calibration."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gramnb import evaluation
from gramnb.evaluation import CLASSES
from gramnb.plots.style import INK, PAPER, WIDTH, bare, book_style, legend, look, new


@book_style
def learning_curves(history: pd.DataFrame) -> Figure:
    """Two panels of curves by epoch, loss on the left and accuracy on the right, dashed for
    training and solid for validation, with a dot at the epoch of best validation accuracy.

    history: epoch, loss, accuracy, val_loss, val_accuracy (0-1) of one run.
    """
    figure, axes = new(2.9, 1, 2)
    looks = {"training": {"linestyle": "--", "linewidth": 1.1}, "validation": {},
             "best epoch": {"marker": "o", "linestyle": ""}}  # fmt: skip
    percent = history.assign(**100 * history[["accuracy", "val_accuracy"]]).set_index("epoch")
    best = percent.nlargest(1, "val_accuracy")
    units = {"loss": "cross-entropy, nats", "accuracy": "accuracy, %"}
    for ax, (name, unit) in zip(axes[0], units.items(), strict=True):
        drawn = percent[name], percent[f"val_{name}"], best[f"val_{name}"]
        for rows, style in zip(drawn, looks.values(), strict=True):
            ax.plot(rows, color=look(0)["color"], **style)
        ax.set(xlabel="epoch", ylabel=unit, title=name.capitalize())
        ax.set_xlim(left=1 - 0.02 * history["epoch"].max())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend(figure, {name: {"color": PAPER} | each for name, each in looks.items()})
    return figure


@book_style
def confusion(predictions: pd.DataFrame) -> Figure:
    """For each network a two by two table of actual against predicted class, shaded by the share of
    the actual class, in percent: mean and SD over seeds.

    predictions: of many runs, as `evaluation.table4` takes them.
    """
    means = evaluation.seed_means(predictions)
    variants = list(means.groupby(means.index.names[:-1], sort=False))
    rows, columns = -(-len(variants) // 3), min(3, len(variants))
    figure, axes = new(rows * 2.3, rows, columns, width=WIDTH * columns / 3)
    for ax in axes.flat[len(variants) :]:
        ax.set_axis_off()
    for ax, (name, seeds) in zip(axes.flat, variants, strict=False):
        recalls = seeds[[f"recall_{label}" for label in CLASSES]]
        (right0, right1), spread = recalls.mean(), recalls.std()
        shares = np.array([[right0, 1 - right0], [1 - right1, right1]])
        ax.imshow(shares, cmap="Greys", vmin=0, vmax=2)
        for row, column in np.ndindex(2, 2):
            text = evaluation.plus_minus(100 * shares[row, column], 100 * spread.iloc[row], 1)
            ax.text(column, row, text.replace(" ±", "\n±"), ha="center", va="center")
        ax.set_xticks((0, 1), CLASSES)
        counts = [f"{label}\n({seeds[f'support_{label}'].mean():,.0f})" for label in CLASSES]
        ax.set_yticks((0, 1), counts)
        ax.set(title=", ".join(map(str, name)), xlabel="predicted, %")
        bare(ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("actual (images)")
    return figure


@book_style
def roc(bands: dict[str, dict[str, pd.DataFrame]], paper: dict | None = None) -> Figure:
    """Curves of the true against the false positive rate, each with a band of uncertainty, and the
    diagonal of chance; the legend gives the area under each curve (Figures 5 to 7).

    bands: {data set: {network: `evaluation.roc_band`}}, a panel a data set, of which two or three
    fit a page; paper: {data set: {name: (false, true positive rate)}}, drawn as points.
    """
    width = min(WIDTH, 3.5 * len(bands) + 0.6 * (len(bands) == 1))
    figure, axes = new(width / len(bands) + 0.2, 1, len(bands), width=width)
    for ax, (name, curves) in zip(axes[0], bands.items(), strict=True):
        ax.plot((0, 1), (0, 1), color=PAPER, linewidth=1, linestyle=":")
        for n, (network, band) in enumerate(curves.items()):
            area = evaluation.plus_minus(band.attrs["auc"], band.attrs["auc_sd"], 3)
            line = look(n, marker="", linestyle=("-", "--", "-.", ":")[n % 4])
            ax.plot(band["fpr"], band["tpr"], label=f"{network}: {area}", **line)
            shade = {"color": line["color"], "alpha": 0.15, "linewidth": 0}
            ax.fill_between(band["fpr"], band["low"], band["high"], **shade)
        for n, (label, point) in enumerate((paper or {}).get(name, {}).items()):
            ax.plot(*point, **look(n, color=PAPER, markeredgecolor=INK, linestyle=""), label=label)
        ax.set(xlabel="false positive rate", xlim=(0, 1), ylim=(0, 1.005))
        ax.set_title(name, parse_math=False)
        ax.set_aspect("equal")
        ax.legend(loc="lower right", title="AUC, mean ± SD over runs")
    axes[0, 0].set_ylabel("true positive rate")
    return figure


@book_style
def table3_plot(ours: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Points of accuracy in percent for each number of Gram modules, with a thick bar for the
    spread over seeds, a thin one for the 95 percent interval, and a line at the baseline.

    ours: `evaluation.table3` with the column k; paper: `paper.table3`, on an equally long scale,
    with the 95 % intervals that its test images imply.
    """
    low, high = (paper["accuracy"] + sign * 1.96 * paper["error"] for sign in (-1, 1))
    paper = paper.assign(k=paper.index, sd=np.nan, low=low, high=high)
    panels = {"This run": ours, "Paper": paper}
    figure, axes = new(3.1, 1, 2)
    thin, thick = {"linewidth": 1.2}, {"linewidth": 6, "alpha": 0.35}
    half = 0.55 * max((frame["high"].max() - frame["low"].min()) for frame in panels.values())
    for ax, (title, frame) in zip(axes[0], panels.items(), strict=True):
        x, y = np.arange(len(frame)), frame["accuracy"]
        ax.vlines(x, y - frame["sd"], y + frame["sd"], color=INK, **thick)
        ax.vlines(x, frame["low"], frame["high"], color=INK, **thin)
        ax.plot(x, y, "o", color=INK)
        for baseline in y[frame["k"] == 0][:1]:
            ax.axhline(baseline, color=PAPER, linewidth=1, linestyle="--")
        middle = (frame["low"].min() + frame["high"].max()) / 2
        ax.set(title=title, xlabel="Gram modules k (0 = baseline)")
        ax.set(ylim=(middle - half, middle + half))
        ax.set_xticks(x, frame["k"])
        ax.margins(x=0.12)
        ax.grid(False, axis="x")
    axes[0, 0].set_ylabel("accuracy, %")
    interval = "95 % interval (paper: sampling of its test images only)"
    looks = {"SD over seeds": thick, interval: thin}
    legend(figure, {name: each | {"color": INK} for name, each in looks.items()})
    return figure


@book_style
def differences(table: pd.DataFrame, margin: float = 0.0) -> Figure:
    """For each network a point and a horizontal interval, its difference to the baseline in
    percentage points, and a vertical line at zero.

    table: `evaluation.compare`, a panel a metric. margin: in points, what counts as no difference,
    shaded on either side of zero.
    """
    panels = {}
    for metric, rows in table.groupby(level="metric", sort=False):
        name, _, label = metric.partition("_")
        name = {"auc": "AUC", "f1": "F1", "ece": "ECE"}.get(name, name.capitalize())
        panels[f"{name}, {label}" if label else name] = 100 * rows
    return _forest(panels, "difference, points", margin)


@book_style
def estimates(table: pd.DataFrame, margin: float) -> Figure:
    """For each study a point and its 95 percent interval, the change of accuracy in percentage
    points, a colour for each kind of comparison; what counts as no difference is shaded.

    table: by name, in points: estimate, low, high, kind.
    """
    panels = {"": table.set_index("kind", append=True)}
    figure = _forest(panels, "change of accuracy, points", margin, height=0.27 * len(table) + 1.3)
    kinds = table["kind"].unique()
    legend(figure, {kind: look(n, linestyle="") for n, kind in enumerate(kinds)}, columns=2)
    return figure


@book_style
def effects(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """For each intervention and network the mean change of the log-odds of sadness with its 95
    percent interval, and a vertical line at zero.

    tables: {what the pictures are: `interventions.effects`}, of the same steps and networks, a
    panel each.
    """
    panels = {}
    for pictures, table in tables.items():
        networks = table.drop("difference", level=1, errors="ignore")
        panels[pictures] = networks.rename(columns={"mean": "estimate"})
    figure = _forest(panels, "change of the log-odds of sadness", sharex=True)
    legend(figure, {name: look(i) for i, name in enumerate(networks.index.unique(1))})
    return figure


def _forest(
    panels: Mapping[str, pd.DataFrame], label: str, margin: float = 0.0, height: float = 0, **shared
) -> Figure:
    """Draw tables (estimate, low, high) of the same names beside each other, from the top, in the
    colours of their second level, whose rows of one name stand apart.
    """
    names = next(iter(panels.values())).index.unique(0)
    height = height or 0.3 * len(names) + 1.1
    figure, axes = new(height, 1, len(panels), sharey=True, **shared)
    for ax, (title, table) in zip(axes[0], panels.items(), strict=True):
        ax.axvline(0, color=PAPER, linewidth=1, linestyle="--")
        if margin:
            ax.axvspan(-margin, margin, color=PAPER, alpha=0.12, linewidth=0)
        groups = [rows.droplevel(1) for _, rows in table.groupby(level=1, sort=False)]
        apart = 0.17 if len(table) > len(names) else 0
        for n, rows in enumerate(groups):
            y = names.get_indexer(rows.index) + apart * (2 * n - len(groups) + 1)
            ax.hlines(y, rows["low"], rows["high"], color=look(n)["color"], linewidth=1.4)
            ax.plot(rows["estimate"], y, **look(n, linestyle=""))
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.set(xlabel=label, title=title)
    return figure


@book_style
def by_size(networks: dict[str, pd.DataFrame], size: str) -> Figure:
    """Accuracy in percent against size, a line with points for each kind of network and bars for
    the standard deviation over seeds.

    networks: {kind: `evaluation.difference_table` with a column of this name}.
    """
    figure, ((ax,),) = new(3.1, width=4.8)
    sizes = sorted(set().union(*(table[size] for table in networks.values())))
    for n, (kind, table) in enumerate(networks.items()):
        x = np.array([sizes.index(size) for size in table[size]]) + 0.06 * n
        ax.errorbar(x, table["accuracy"], table["sd"], label=kind, **look(n, linewidth=1.2))
    ax.set_xticks(range(len(sizes)), sizes)
    ax.set(xlabel=size, ylabel="accuracy, %")
    ax.legend(loc="upper left")
    return figure


@book_style
def reliability(curves: dict[str, pd.DataFrame]) -> Figure:
    """Observed share of sadness against its predicted probability with intervals and the diagonal
    of perfect calibration; below, the number of images at each probability.

    curves: {network: `evaluation.reliability`}.
    """
    figure, ((above,), (below,)) = new(4.3, 2, 1, width=4.2, sharex=True, height_ratios=[3.2, 1])
    above.plot((0, 1), (0, 1), color=PAPER, linewidth=1, linestyle=":")
    for n, (network, bins) in enumerate(curves.items()):
        line = look(n, linewidth=1.2, clip_on=False)
        above.plot(bins["p"], bins["observed"], label=network, **line)
        bars = {"color": line["color"], "linewidth": 1, "alpha": 0.6}
        above.vlines(bins["p"], bins["low"], bins["high"], **bars)
        below.plot(bins["p"], bins["n"], **line)
    above.set(ylabel="observed share of sadness", xlim=(0, 1), ylim=(0, 1))
    above.legend(loc="upper left")
    below.set(xlabel="predicted probability of sadness", ylabel="images", ylim=(0, None))
    return figure
