"""Figures of the data: what each step dropped, what is left, where the text threshold lies."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramnb.evaluation import CLASSES
from gramnb.plots.style import CLASS_COLOURS, INK, PAPER, SQUARES, book_style, legend, new, nothing


@book_style
def funnel(attrition: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Horizontal bars, one for each curation step: how many images were listed, how many each step
    removed and how many are kept, by class, above the paper's steps.

    attrition, paper: indexed by step, "listed", the reasons, "kept"; columns others, sadness (may
    be missing) and total, in images (`manifest.attrition`, `paper.attrition`).
    """
    frames = {"This run": attrition, "Paper": paper}
    rows = [len(frame) for frame in frames.values()]
    height = 0.26 * sum(rows) + 0.35 * len(rows) + 0.65
    figure, axes = new(height, len(rows), sharex=True, height_ratios=[n + 0.5 for n in rows])
    for ax, (title, frame) in zip(axes[:, 0], frames.items(), strict=True):
        _waterfall(ax, frame)
        ax.set_title(title)
    axes[-1, 0].set(xlabel="share of listed images, %", xlim=(0, 112), xticks=range(0, 101, 20))
    unknown = {"class not published": SQUARES["others"] | {"color": PAPER}}
    known = not any(frame["others"].isna().any() for frame in frames.values())
    legend(figure, SQUARES | ({} if known else unknown), loc="outside upper right")
    return figure


def _waterfall(ax: Axes, frame: pd.DataFrame) -> None:
    """Draw listed and kept as whole bars, and between them the piece that each step took off."""
    listed, *lost, _ = frame["total"]
    starts = [0, *(listed - np.cumsum(lost)), 0]
    for row, (start, (step, counts)) in enumerate(zip(starts, frame.iterrows(), strict=True)):
        whole = step in ("listed", "kept")
        known = not pd.isna(counts["others"])
        sizes = counts[list(CLASSES)] if known else [counts["total"]]
        for size, colour in zip(sizes, CLASS_COLOURS if known else [PAPER], strict=True):
            place = {"left": 100 * start / listed, "height": 0.72}
            ax.barh(row, 100 * size / listed, color=colour, alpha=1 if whole else 0.6, **place)
            start += size
        label = f"{'' if whole else '−'}{counts['total']:,}"
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        ax.annotate(label, (100 * start / listed, row), fontsize=8.5, **place)
    ax.set_yticks(range(len(frame)), frame.index)
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.grid(False, axis="y")


@book_style
def class_balance(table: pd.DataFrame) -> Figure:
    """Left, bars of the number of kept images for each emotion, coloured by class; right, bars of
    both classes in each split, with the share of sadness above.

    table: a manifest; without splits its folds are shown.
    """
    table = table[table["dropped"] == ""]
    figure, ((left, right),) = new(2.9, 1, 2, width_ratios=[1, 1.1])
    emotions = table.groupby(["sadness", "emotion"]).size().sort_index(ascending=[True, False])
    colours = [CLASS_COLOURS[sadness] for sadness, _ in emotions.index]
    bars = left.barh(range(len(emotions)), emotions, color=colours, height=0.72)
    left.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8.5)
    names = emotions.index.get_level_values("emotion")
    left.set_yticks(range(len(emotions)), names, parse_math=False)
    left.set(xlabel="images", title="Emotion")
    left.margins(x=0.16)
    left.grid(False, axis="y")
    parts = table["split"].where(table["split"] != "", "fold " + table["fold"].astype(str))
    counts = pd.crosstab(parts, table["sadness"]).reindex(columns=[0, 1], fill_value=0)
    order = [name for name in ("train", "val", "test") if name in counts.index]
    counts = counts.loc[order or counts.index]
    counts.plot.bar(ax=right, color=CLASS_COLOURS, width=0.8, legend=False, rot=0)
    for row, (others, sadness) in enumerate(counts.to_numpy()):
        share = f"{100 * sadness / (others + sadness):.1f} %\nsadness"
        right.annotate(share, (row, max(others, sadness)), (0, 3), textcoords="offset points",
                       ha="center", fontsize=8.5)  # fmt: skip
    right.set(xlabel="", ylabel="images", title="Split and class")
    right.margins(y=0.22)
    right.grid(False, axis="x")
    legend(figure, SQUARES, loc="outside upper right")
    return figure


@book_style
def text_threshold(fractions, threshold: float, truth=None) -> Figure:
    """Histogram of the share of each image's area that is under readable text, with a vertical line
    at the threshold above which images are dropped.

    fractions: (n,) 0-1, NaN where not measured; threshold: 0-1; truth: (n,) whether the image
    carries a caption, where that is known.
    """
    percent = pd.Series(100 * np.asarray(fractions, float)).dropna()
    if percent.empty:
        return nothing("text was not measured")
    groups = {"images": percent}
    if truth is not None:
        captions = pd.Series(np.asarray(truth, bool))[percent.index]
        groups = {"without caption": percent[~captions], "with caption": percent[captions]}
    figure, ((ax,),) = new(2.8)
    highest = max(percent.max(), 200 * threshold, 1)
    below = round(40 * 100 * threshold / highest)  # bins; an edge lies at the threshold
    width = 100 * threshold / below if below else highest / 40
    bins = np.arange(0, highest + width, width)
    for (name, values), colour in zip(groups.items(), (INK, "#D55E00"), strict=False):
        label = f"{name}: {(values > 100 * threshold).sum():,} of {len(values):,} above"
        ax.hist(values, bins, histtype="stepfilled", facecolor=(colour, 0.35), edgecolor=colour,
                linewidth=1.4, label=label)  # fmt: skip
    ax.axvline(100 * threshold, color=INK, linewidth=1.2, linestyle="--")
    place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
    ax.annotate(f"threshold {100 * threshold:g} %", (100 * threshold, 0.97), (5, 0), **place)
    ax.set(yscale="log", xlim=(0, bins[-1]), ylim=(0.6, None))
    ax.set(xlabel="share of area under text, %", ylabel="images")
    ax.legend(loc="upper right")
    return figure
