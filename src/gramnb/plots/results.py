"""Figures of results: learning curves, confusion, ROC, Table 3, differences, calibration."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gramnb import evaluation
from gramnb.evaluation import CLASSES
from gramnb.plots.style import INK, PAPER, WIDTH, bare, book_style, new, variant_colour


@book_style
def learning_curves(history: pd.DataFrame) -> Figure:
    """Draw loss and accuracy by epoch, training and validation, with the best epoch marked.

    history: epoch, loss, accuracy, val_loss, val_accuracy (0-1), one run's or, with the columns
    variant and seed, many; each variant has a colour. Best: highest validation accuracy.

    Alt text: Two panels of curves by epoch, loss on the left and accuracy on the right, dashed for
    training and solid for validation, with a dot at the epoch of best validation accuracy.
    """
    history = history.assign(**{n: "" for n in ("variant", "seed") if n not in history})
    variants = list(dict.fromkeys(history["variant"]))
    figure, ((left, right),) = new(2.9, 1, 2)
    for (variant, _), run in history.groupby(["variant", "seed"], sort=False):
        colour = variant_colour(variants.index(variant))
        best = run.loc[run["val_accuracy"].idxmax()]
        for ax, name, scale in ((left, "loss", 1), (right, "accuracy", 100)):
            ax.plot(run["epoch"], scale * run[name], color=colour, linestyle="--", linewidth=1.1)
            ax.plot(run["epoch"], scale * run[f"val_{name}"], color=colour)
            ax.plot(best["epoch"], scale * best[f"val_{name}"], "o", color=colour, markersize=6)
    left.set(xlabel="epoch", ylabel="cross-entropy, nats", title="Loss")
    right.set(xlabel="epoch", ylabel="accuracy, %", title="Accuracy")
    for ax in (left, right):
        ax.set_xlim(left=1 - 0.02 * history["epoch"].max())
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = [
        Line2D([], [], color=PAPER, linestyle="--", linewidth=1.1, label="training"),
        Line2D([], [], color=PAPER, label="validation"),
        Line2D([], [], color=PAPER, marker="o", linestyle="", label="best epoch"),
    ]
    if len(variants) > 1:
        handles += [
            Line2D([], [], color=variant_colour(n), label=v) for n, v in enumerate(variants)
        ]
    columns = 6 if sum(len(handle.get_label()) for handle in handles) < 60 else 3
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


@book_style
def confusion(predictions: pd.DataFrame, columns: int = 3) -> Figure:
    """Draw one confusion matrix per variant: shares of the actual class, mean and SD over seeds.

    predictions: as for `evaluation.confusion`.

    Alt text: For each network a two by two table of actual against predicted class, shaded by the
    share of the actual class, in percent.
    """
    table = evaluation.confusion(predictions)
    variants = list(table.groupby(table.index.names[:-1], sort=False))
    rows, columns = -(-len(variants) // columns), min(columns, len(variants))
    width = WIDTH * columns / 3
    figure, axes = new(rows * 2.3, rows, columns, width=width)
    for ax in axes.flat[len(variants) :]:
        ax.set_axis_off()
    for ax, (name, cells) in zip(axes.flat, variants, strict=False):
        shares = cells[list(CLASSES)].to_numpy()
        ax.imshow(shares, cmap="Greys", vmin=0, vmax=2)
        for row, column in np.ndindex(2, 2):
            sd = 100 * cells["sd"].iloc[row]
            text = evaluation.plus_minus(100 * shares[row, column], sd, 1).replace(" ±", "\n±")
            ax.text(column, row, text, ha="center", va="center")
        ax.set_xticks((0, 1), CLASSES)
        labels = [f"{c}\n({n:,})" for c, n in zip(CLASSES, cells["support"], strict=True)]
        ax.set_yticks((0, 1), labels)
        ax.set(title=", ".join(map(str, name)), xlabel="predicted, %")
        bare(ax)
    for ax in axes[:, 0]:
        ax.set_ylabel("actual (images)")
    return figure


@book_style
def roc(bands: dict[str, dict[str, pd.DataFrame]], paper: dict | None = None) -> Figure:
    """Draw ROC curves with their bands, one panel per data set, as the paper's Figures 5 to 7.

    bands: {data set: {network: `evaluation.roc_band`}}; paper: {data set: {name: (false, true
    positive rate)}}, drawn as points. Two or three data sets fit a page.

    Alt text: Curves of the true against the false positive rate, each with a band of uncertainty,
    and the diagonal of chance; the legend gives the area under each curve.
    """
    width = min(WIDTH, 3.5 * len(bands) + 0.6 * (len(bands) == 1))
    figure, axes = new(width / len(bands) + 0.2, 1, len(bands), width=width)
    for ax, (name, curves) in zip(axes[0], bands.items(), strict=True):
        ax.plot((0, 1), (0, 1), color=PAPER, linewidth=1, linestyle=":")
        for n, (network, band) in enumerate(curves.items()):
            area = evaluation.plus_minus(band.attrs["auc"], band.attrs["auc_sd"], 3)
            look = {"color": variant_colour(n), "linestyle": ("-", "--", "-.", ":")[n % 4]}
            ax.plot(band["fpr"], band["tpr"], label=f"{network}: {area}", **look)
            shade = {"color": variant_colour(n), "alpha": 0.15, "linewidth": 0}
            ax.fill_between(band["fpr"], band["low"], band["high"], **shade)
        for n, (label, point) in enumerate((paper or {}).get(name, {}).items()):
            ax.plot(*point, "osD^v"[n % 5], color=PAPER, markeredgecolor=INK, label=label)
        ax.set(xlabel="false positive rate", xlim=(0, 1), ylim=(0, 1.005))
        ax.set_title(name, parse_math=False)
        ax.set_aspect("equal")
        ax.legend(loc="lower right", title="AUC, mean ± SD over runs")
    axes[0, 0].set_ylabel("true positive rate")
    return figure


@book_style
def table3_plot(ours: pd.DataFrame, paper: pd.DataFrame | None = None) -> Figure:
    """Draw accuracy by number of Gram modules, ours beside the paper's, on equally long scales.

    ours: `evaluation.table3` with the column k; paper: `paper.table3`, whose intervals are those
    that 6,107 test images imply (95 %).

    Alt text: Points of accuracy in percent for each number of Gram modules, with a thick bar for
    the spread over seeds, a thin one for the 95 percent interval, and a line at the baseline.
    """
    panels = {"This run": ours} | ({} if paper is None else {"Paper": paper})
    figure, axes = new(3.1, 1, len(panels), width=WIDTH if len(panels) > 1 else 4.2)
    spans = []
    for ax, (title, frame) in zip(axes[0], panels.items(), strict=True):
        k = frame["k"] if "k" in frame else frame.index.to_series()
        x, y = np.arange(len(k)), frame["accuracy"].to_numpy()
        if "error" in frame:
            low, high = y - 1.96 * frame["error"], y + 1.96 * frame["error"]
        else:
            low, high = frame["low"].to_numpy(), frame["high"].to_numpy()
            ax.vlines(x, y - frame["sd"], y + frame["sd"], color=INK, linewidth=6, alpha=0.35)
        ax.vlines(x, low, high, color=INK, linewidth=1.2)
        ax.plot(x, y, "o", color=INK, markersize=6)
        if (k == 0).any():
            ax.axhline(y[(k == 0).to_numpy()][0], color=PAPER, linewidth=1, linestyle="--")
        ax.set_xticks(x, k)
        ax.set(title=title, xlabel="Gram modules k (0 = baseline)")
        ax.margins(x=0.12)
        ax.grid(False, axis="x")
        spans.append((np.min(low), np.max(high)))
    half = 0.55 * max(high - low for low, high in spans)
    for ax, (low, high) in zip(axes[0], spans, strict=True):
        ax.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)
    axes[0, 0].set_ylabel("accuracy, %")
    handles = [
        Line2D([], [], color=INK, linewidth=6, alpha=0.35, label="SD over seeds"),
        Line2D([], [], color=INK, linewidth=1.2, label="95 % interval"),
    ]
    if paper is not None:
        handles[1].set_label("95 % interval (paper: sampling of its test images only)")
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@book_style
def differences(table: pd.DataFrame) -> Figure:
    """Draw differences to the baseline with their intervals, one panel per metric.

    table: `evaluation.compare`; shares are shown in percentage points.

    Alt text: For each network a point and a horizontal interval, its difference to the baseline in
    percentage points, and a vertical line at zero.
    """
    metrics = list(dict.fromkeys(table.index.get_level_values("metric")))
    variants = list(dict.fromkeys(table.index.get_level_values("variant")))
    figure, axes = new(0.3 * len(variants) + 1, 1, len(metrics), sharey=True)
    for ax, metric in zip(axes[0], metrics, strict=True):
        rows = 100 * table.xs(metric, level="metric").loc[variants]
        y = range(len(rows))
        ax.axvline(0, color=PAPER, linewidth=1, linestyle="--")
        ax.hlines(y, rows["low"], rows["high"], color=INK, linewidth=1.4)
        ax.plot(rows["estimate"], y, "o", color=INK, markersize=6)
        name, _, label = metric.partition("_")
        name = {"auc": "AUC", "f1": "F1", "ece": "ECE"}.get(name, name.capitalize())
        ax.set(xlabel="difference, points", title=f"{name}, {label}" if label else name)
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(variants)), variants)
    axes[0, 0].set_ylim(len(variants) - 0.5, -0.5)
    return figure


@book_style
def by_size(networks: dict[str, pd.DataFrame], size: str) -> Figure:
    """Draw accuracy against a size that grows from row to row, one line a kind of network.

    networks: {kind: `evaluation.versus` with a column of this name}. Sizes stand at equal steps.

    Alt text: Accuracy in percent against size, a line with points for each kind of network and
    bars for the standard deviation over seeds.
    """
    figure, axes = new(3.1, width=4.8)
    ax = axes[0, 0]
    sizes = sorted(set().union(*(table[size] for table in networks.values())))
    for n, (kind, table) in enumerate(networks.items()):
        x = np.array([sizes.index(size) for size in table[size]]) + 0.06 * n
        look = {"color": variant_colour(n), "linewidth": 1.2, "marker": "osD^v"[n % 5]}
        ax.errorbar(x, table["accuracy"], table["sd"], label=kind, **look)
    ax.set_xticks(range(len(sizes)), sizes)
    ax.set(xlabel=size, ylabel="accuracy, %")
    ax.legend(loc="upper left")
    return figure


@book_style
def reliability(curves: dict[str, pd.DataFrame]) -> Figure:
    """Draw observed against predicted probability of sadness, and how often each is predicted.

    curves: {network: `evaluation.reliability`}.

    Alt text: Observed share of sadness against its predicted probability with intervals and the
    diagonal of perfect calibration; below, the number of images at each probability.
    """
    figure, axes = new(4.3, 2, 1, width=4.2, sharex=True, height_ratios=[3.2, 1])
    above, below = axes[:, 0]
    above.plot((0, 1), (0, 1), color=PAPER, linewidth=1, linestyle=":")
    for n, (network, bins) in enumerate(curves.items()):
        look = {"color": variant_colour(n), "linewidth": 1.2, "marker": "osD^v"[n % 5]}
        above.plot(bins["p"], bins["observed"], label=network, clip_on=False, **look)
        bars = {"color": variant_colour(n), "linewidth": 1, "alpha": 0.6}
        above.vlines(bins["p"], bins["low"], bins["high"], **bars)
        below.plot(bins["p"], bins["n"], clip_on=False, **look)
    above.set(ylabel="observed share of sadness", xlim=(0, 1), ylim=(0, 1))
    above.legend(loc="upper left")
    below.set(xlabel="predicted probability of sadness", ylabel="images", ylim=(0, None))
    return figure
