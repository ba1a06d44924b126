"""Figures made of images: grids, augmentations, Gram matrices, answers, explanations."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure

from gramnb.evaluation import CLASSES
from gramnb.plots.style import (
    CLASS_COLOURS,
    OTHERS,
    PAPER,
    SADNESS,
    WIDTH,
    bare,
    book_style,
    legend,
    look,
    new,
    nothing,
)

VEIL = [(0, to_rgba(OTHERS, 0.9)), (0.5, to_rgba(OTHERS, 0)),
        (0.5, to_rgba(SADNESS, 0)), (1, to_rgba(SADNESS, 0.9))]  # fmt: skip
TOWARDS = LinearSegmentedColormap.from_list("towards", VEIL)  # others, nothing, sadness
STRIP = 0.15  # inches below a picture for each network's answers
DOT = {"marker": "o", "linestyle": "", "clip_on": False}
ONE = DOT | {"markersize": 3.5, "markeredgewidth": 0, "alpha": 0.5}


@book_style
def image_grid(
    images: Sequence, titles: Sequence[str] = (), sadness=(), columns: int = 6, names=()
) -> Figure:
    """A grid of images, with a blue frame for sadness and an orange one for others.

    images: (H, W, 3) uint8 each; of each, or empty: titles, set above; sadness, 0 or 1; names, set
    below.
    """
    if not len(images):
        return nothing("no images")
    figure, axes, _ = _grid(images, columns, 0.2 * bool(titles) + 0.24 * bool(names))
    for ax, *each in zip_longest(axes, images, sadness, titles, names):
        _picture(ax, *each)
    return figure


def augmentations(original, augmented: Sequence) -> Figure:
    """An image and, beside it, the same image after several random augmentations (Figure 4).

    original: (H, W, 3) uint8; augmented: such images.
    """
    titles = ["original", "augmented", *[""] * (len(augmented) - 1)]
    return image_grid([original, *augmented], titles, columns=-(-(1 + len(augmented)) // 2))


def artworks(images: Sequence, titles: Sequence[str], p) -> Figure:
    """Pictures, each with the predicted class and its probability above (the paper's Figure 8).

    images: n of (H, W, 3) uint8; titles: set below; p: (n,) or (runs, n), probabilities of sadness;
    of several runs the mean and the SD are shown. The frame has the predicted class's colour.
    """
    runs = np.atleast_2d(p).T
    return image_grid(images, [*map(_answer, runs)], runs.mean(axis=1) > 0.5, 4, titles)


@book_style
def ensembles(images: Sequence, titles: Sequence[str], answers: Mapping[str, np.ndarray]) -> Figure:
    """Pictures, each with the class and probability that each network's runs predict on average
    above, and below it a scale from 0 to 1 with a dot for every run and network.

    images: (H, W, 3) uint8; titles: set below; answers: {network: (runs, pictures)}, probabilities
    of sadness. The frame has the colour of the class that the last network's mean predicts.
    """
    words = 0.14 * len(answers) + 0.48  # inches of text a row of pictures
    figure, axes, strips = _grid(images, 4, words, STRIP * (len(answers) + 0.6), 0.3)
    for n, (ax, strip, image) in enumerate(zip(axes, strips, images, strict=True)):
        p = {network: np.asarray(runs)[:, n] for network, runs in answers.items()}
        lines = [f"{network}: {_answer(runs)}" for network, runs in p.items()]
        _picture(ax, image, [*p.values()][-1].mean() > 0.5, "\n".join(lines))
        strip.axvline(0.5, color=PAPER, linewidth=1, linestyle=":")
        for i, runs in enumerate(p.values()):
            strip.plot(runs, np.full(len(runs), -i), **look(i) | ONE)
            strip.plot(runs.mean(), -i, **look(i) | DOT, markersize=5.5)
        strip.set(xlim=(0, 1), ylim=(0.6 - len(p), 0.6), yticks=[])
        strip.set_xticks((0, 0.5, 1), ("0", "p = ½", "1"), fontsize=8)
        strip.tick_params(axis="x", length=2, pad=1)
        strip.grid(False)
        strip.spines["left"].set_visible(False)
        strip.set_xlabel(fill(titles[n], 28), fontsize=8, parse_math=False)
    looks = {name: look(i, marker="", linewidth=4) for i, name in enumerate(answers)}
    dots = {"mean of the runs": DOT | {"markersize": 5.5}, "one run": ONE | {"alpha": 1}}
    legend(figure, looks | {name: each | {"color": PAPER} for name, each in dots.items()})
    return figure


@book_style
def gram_matrix(gram) -> Figure:
    """Heat map of a symmetric matrix whose cells are inner products of two feature sub-maps.

    gram: (C, C). The scale around zero ends at the 99th percentile of absolute values, since a few
    large sub-maps would otherwise hide the rest.
    """
    figure, ((ax,),) = new(3.4, width=4.2)
    shown = _heat(ax, gram, _limit([gram]))
    figure.colorbar(shown, ax=ax, extend="both", label="inner product", shrink=0.9)
    ax.set(title="Gram matrix", xlabel="sub-map", ylabel="sub-map")
    return figure


@book_style
def gram_comparison(images: Sequence, grams: Sequence, labels: Sequence[str]) -> Figure:
    """A row of images above a row of their Gram matrices as heat maps, all on one scale.

    images: n of (H, W, 3) uint8; grams: n of (C, C); labels: n short names, set above.
    """
    figure, above, below = _grid(images, len(images), 0.2, WIDTH / len(images), 0.7)
    for ax, heat, image, gram, label in zip(above, below, images, grams, labels, strict=True):
        _picture(ax, image, above=label)
        shown = _heat(heat, gram, _limit(grams))
        heat.set(xticks=[], yticks=[])
    figure.colorbar(shown, ax=list(below), location="bottom", extend="both", aspect=40,
                    label="inner product of two sub-maps")  # fmt: skip
    return figure


@book_style
def explanations(
    images: Sequence, maps: Sequence[Sequence], titles: Sequence[str], names=None
) -> Figure:
    """Pictures, each beside grey copies of it, on which a blue veil lies over the places that speak
    for sadness and an orange one over those that speak for others.

    images: n of (H, W, 3) uint8; maps: for each title n of (h, w), of any size, as
    `explain.contribution_maps` gives them, drawn on one scale that ends at the 99th percentile of
    absolute values; names: n, set below.
    """
    panels = 1 + len(titles)  # a picture's
    across = min(len(images), 2 if panels < 4 else 1)
    below = 0.25 * (names is not None)
    each = [image for image in images for _ in range(panels)]
    figure, axes, _ = _grid(each, across * panels, below, extra=1.1)
    limits = [_limit(kind) for kind in maps]
    for n, image in enumerate(images):
        first, *rest = axes[n * panels : (n + 1) * panels]
        _picture(first, image)
        for ax, kind, limit, title in zip(rest, maps, limits, titles, strict=True):
            above = f"{title}\n± {limit:.2g}" if n < across else ""
            grey = np.mean(image, axis=2) / 455 + 0.44  # no darker than the veil
            _picture(ax, np.repeat(grey[..., None], 3, axis=2), above=above)
            ax.imshow(np.asarray(kind[n]) / limit, TOWARDS, vmin=-1, vmax=1,
                      extent=ax.images[0].get_extent(), interpolation="bilinear")  # fmt: skip
        if names is not None:  # below all of the picture's panels, where a label keeps a line free
            first.set_xlabel(" ", fontsize=8)
            name = names[n] if len(names[n]) <= 55 else names[n][:54] + "…"
            first.annotate(name, (0, 0), (0, -3), "axes fraction", "offset points", va="top",
                           fontsize=8, parse_math=False, in_layout=False)  # fmt: skip
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), TOWARDS), ax=figure.axes,
                          location="bottom", shrink=0.6, aspect=40, extend="both",
                          pad=0.3 / figure.get_size_inches()[1], panchor=False)  # fmt: skip
    bar.set_ticks([-1, 0, 1], labels=["others", "0", "sadness"])
    bar.set_label("what a place adds to the log-odds of sadness, full colour at the ± above")
    return figure


def _grid(images: Sequence, columns: int, words: float, strip: float = 0, extra: float = 0):
    """Return a figure of rows of pictures, each picture's axes, and those of a strip below each.

    A row is as high as its tallest picture; one taller than wide is drawn narrower. words: of text
    a row, strip (0 is none), extra: below all, in inches.
    """
    tall = [min(np.shape(image)[0] / np.shape(image)[1], 1) for image in images]
    heights = [max(tall[n : n + columns]) * WIDTH / columns for n in range(0, len(tall), columns)]
    rows = [inches for height in heights for inches in ((height, strip) if strip else (height,))]
    figure, axes = new(
        sum(rows) + words * len(heights) + extra, len(rows), columns, height_ratios=rows
    )
    above, below = (axes[::2].ravel(), axes[1::2].ravel()) if strip else (axes.ravel(), axes[0, :0])
    for ax in above:
        ax.set_anchor("N")
    for ax in (*above[len(images) :], *below[len(images) :]):
        ax.set_axis_off()
    return figure, above[: len(images)], below[: len(images)]


def _picture(ax: Axes, image, sadness=None, above: str | None = "", below: str | None = "") -> None:
    """Show an image without ticks, in a frame of its class's colour, with text above and below."""
    ax.imshow(image)
    ax.set(xticks=[], yticks=[])
    bare(ax)
    if sadness is not None:
        ax.spines[:].set(visible=True, color=CLASS_COLOURS[int(sadness)], linewidth=3)
    ax.set_title(above or "", fontsize=8, loc="center", pad=4, parse_math=False)
    ax.set_xlabel(fill(below or "", 26), fontsize=8, parse_math=False)


def _answer(runs: np.ndarray) -> str:
    """Return the class that the mean of runs predicts, its probability and the SD of several."""
    p = runs.mean()
    share = f"{CLASSES[int(p > 0.5)]} {max(p, 1 - p):.2f}"
    return share + (f" ± {runs.std(ddof=1):.2f}" if len(runs) > 1 else "")


def _limit(maps: Sequence) -> float:
    return float(np.percentile(np.abs(np.stack(maps)), 99)) or 1.0


def _heat(ax: Axes, gram, limit: float):
    bare(ax)
    return ax.imshow(np.asarray(gram, float), cmap="RdBu_r", vmin=-limit, vmax=limit)
