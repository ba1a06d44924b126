"""Figures of several runs' answers: pictures with every answer below, what interventions change."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gramnb.evaluation import CLASSES
from gramnb.plots.style import (
    CLASS_COLOURS,
    INK,
    PAPER,
    WIDTH,
    book_style,
    new,
    picture,
    variant_colour,
)

STRIP = 0.15  # inches below a picture for each network's answers
MEAN = 5.5  # points, the size of a dot
ONE = {"markersize": 3.5, "markeredgewidth": 0, "alpha": 0.5}


@book_style
def ensembles(
    images: Sequence, titles: Sequence[str], answers: Mapping[str, np.ndarray], columns: int = 4
) -> Figure:
    """Draw pictures, each network's class and probability above and every run's answer below.

    images: (H, W, 3) uint8, those taller than wide drawn narrower; titles: set below; answers:
    {network: (runs, pictures)}, probabilities of sadness. Above stand the mean over runs and its
    SD, below a dot a run, the mean a larger one. The frame has the colour of the class that the
    last network's mean predicts.

    Alt text: Pictures, each with the class and probability that each network's runs predict on
    average above, and below it a scale from 0 to 1 with a dot for every run and network.
    """
    shapes = [np.shape(image) for image in images]
    tall = [min(height / width, 1) for height, width, _ in shapes]
    heights = [max(tall[n : n + columns]) * WIDTH / columns for n in range(0, len(tall), columns)]
    rows = [inches for height in heights for inches in (height, STRIP * (len(answers) + 0.6))]
    words = 0.14 * len(answers) + 0.48  # inches of text a row of pictures
    size = sum(rows) + words * len(heights) + 0.3
    figure, axes = new(size, len(rows), columns, height_ratios=rows)
    above, below = axes[::2].ravel(), axes[1::2].ravel()
    for ax in (*above[len(images) :], *below[len(images) :]):
        ax.set_axis_off()
    for n, image in enumerate(images):
        p = {network: np.asarray(runs)[:, n] for network, runs in answers.items()}
        sad = int(list(p.values())[-1].mean() > 0.5)
        picture(above[n], image, CLASS_COLOURS[sad])
        above[n].set_anchor("S")
        lines = [f"{network}: {_said(runs)}" for network, runs in p.items()]
        above[n].set_title("\n".join(lines), fontsize=8, loc="center", pad=4)
        _strip(below[n], p)
        below[n].set_xlabel(fill(titles[n], 28), fontsize=8)
    handles = [
        Line2D([], [], color=variant_colour(i), linewidth=4, label=network)
        for i, network in enumerate(answers)
    ]
    dot = {"color": PAPER, "marker": "o", "linestyle": ""}
    handles += [
        Line2D([], [], **dot, markersize=MEAN, label="mean of the runs"),
        Line2D([], [], **dot, **ONE | {"alpha": 1}, label="one run"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _said(p: np.ndarray) -> str:
    """Return the class that the mean predicts, its probability and SD over runs."""
    sad = int(p.mean() > 0.5)
    spread = f" ± {p.std(ddof=1):.2f}" if len(p) > 1 else ""
    return f"{CLASSES[sad]} {p.mean() if sad else 1 - p.mean():.2f}{spread}"


def _strip(ax: Axes, p: Mapping[str, np.ndarray]) -> None:
    """Draw each network's probabilities on a line of its own, from 0 to 1."""
    ax.axvline(0.5, color=PAPER, linewidth=1, linestyle=":")
    for i, runs in enumerate(p.values()):
        look = {"color": variant_colour(i), "marker": "o", "linestyle": "", "clip_on": False}
        ax.plot(runs, np.full(len(runs), -i), **look, **ONE)
        ax.plot(runs.mean(), -i, **look, markersize=MEAN)
    ax.set(xlim=(0, 1), ylim=(0.6 - len(p), 0.6), yticks=[])
    ax.set_xticks((0, 0.5, 1), ("0", "p = ½", "1"), fontsize=8)
    ax.tick_params(axis="x", length=2, pad=1)
    ax.grid(False)
    ax.spines["left"].set_visible(False)


@book_style
def effects(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw what each intervention changes in the log-odds of sadness, one panel a set of pictures.

    tables: {what the pictures are: `interventions.effects`}, of the same steps and networks.

    Alt text: For each intervention and network the mean change of the log-odds of sadness with its
    interval as a thick bar, on a pale bar of the middle four fifths of single changes.
    """
    first = next(iter(tables.values()))
    steps = list(dict.fromkeys(first.index.get_level_values("step")))
    networks = [n for n in dict.fromkeys(first.index.get_level_values("network"))
                if n != "difference"]  # fmt: skip
    figure, ((*axes,),) = new(0.3 * len(steps) + 1.1, 1, len(tables), sharex=True, sharey=True)
    offsets = np.linspace(-0.17, 0.17, len(networks)) if len(networks) > 1 else [0]
    for ax, (pictures, table) in zip(axes, tables.items(), strict=True):
        ax.axvline(0, color=PAPER, linewidth=1, linestyle="--")
        for i, (network, offset) in enumerate(zip(networks, offsets, strict=True)):
            rows = table.xs(network, level="network").loc[steps]
            y = np.arange(len(rows)) + offset
            colour = variant_colour(i)
            ax.hlines(y, rows["p10"], rows["p90"], color=colour, linewidth=5, alpha=0.22)
            ax.hlines(y, rows["low"], rows["high"], color=colour, linewidth=1.6)
            ax.plot(rows["mean"], y, "o", color=colour, markersize=4.5)
        ax.set(xlabel="change of the log-odds of sadness", title=pictures)
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(steps)), steps)
    axes[0].set_ylim(len(steps) - 0.5, -0.5)
    handles = [Line2D([], [], color=variant_colour(i), marker="o", markersize=4.5, label=network)
               for i, network in enumerate(networks)]  # fmt: skip
    handles += [
        Line2D([], [], color=INK, linewidth=1.6, label="95 % interval of the mean"),
        Line2D([], [], color=INK, linewidth=5, alpha=0.22, label="middle 80 % of single changes"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
