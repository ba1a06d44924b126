"""Figures made of images: grids, augmentations, Gram matrices, artworks, explanations."""

from collections.abc import Sequence
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
    SADNESS,
    WIDTH,
    bare,
    book_style,
    new,
    nothing,
    picture,
)

TOWARDS = LinearSegmentedColormap.from_list(  # a veil: towards others, nothing, towards sadness
    "towards",
    [
        (0, to_rgba(OTHERS, 0.9)),
        (0.5, to_rgba(OTHERS, 0)),
        (0.5, to_rgba(SADNESS, 0)),
        (1, to_rgba(SADNESS, 0.9)),
    ],
)


@book_style
def image_grid(
    images: Sequence, titles: Sequence[str] | None = None, sadness=None, columns: int = 6
) -> Figure:
    """Draw images in rows, each in a frame of its class's colour.

    images: (H, W, 3) uint8 each, none at all included; titles: one line each, set above; sadness: 0
    or 1 each.

    Alt text: A grid of images, with a blue frame for sadness and an orange one for others.
    """
    if not len(images):
        return nothing("no images")
    rows = -(-len(images) // columns)
    figure, axes = new(rows * (WIDTH / columns + (0.2 if titles is not None else 0)), rows, columns)
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for n, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        picture(ax, image, None if sadness is None else CLASS_COLOURS[int(sadness[n])])
        if titles is not None:
            ax.set_title(titles[n], fontsize=8, loc="center", pad=4, parse_math=False)
    return figure


@book_style
def augmentations(original, augmented: Sequence) -> Figure:
    """Draw an image and what augmentation makes of it, as the paper's Figure 4.

    original: (H, W, 3) uint8; augmented: at most eight such images.

    Alt text: An image on the left and, beside it, the same image after several random
    augmentations, distorted in colour and geometry.
    """
    columns = -(-len(augmented) // 2)
    figure, axes = new(WIDTH * 2 / (columns + 2) + 0.25, 2, columns + 2)
    large = axes[0, 0].get_gridspec()[:, :2]
    for ax in axes[:, :2].flat:
        ax.remove()
    ax = figure.add_subplot(large)
    picture(ax, original)
    ax.set_title("original")
    ax.set_anchor("N")
    for ax in axes[:, 2:].flat[len(augmented) :]:
        ax.set_axis_off()
    for ax, image in zip(axes[:, 2:].flat, augmented, strict=False):
        picture(ax, image)
        ax.set_anchor("N")
    axes[0, 2].set_title("augmented")
    return figure


@book_style
def artworks(images: Sequence, titles: Sequence[str], p, spread=None, columns: int = 4) -> Figure:
    """Draw pictures with the predicted class and its probability above, as the paper's Figure 8.

    images: (H, W, 3) uint8; titles: set below; p: probability of sadness, 0-1; spread: its standard
    deviation over runs, in the same unit. Class sadness is predicted where p is above 0.5.

    Alt text: Pictures, each with the predicted class and its probability above and the title below,
    framed in blue where sadness is predicted and in orange otherwise.
    """
    shapes = [np.shape(image) for image in images]
    tall = [height / width for height, width, _ in shapes]
    heights = [max(tall[n : n + columns]) for n in range(0, len(tall), columns)]
    height = sum(heights) * WIDTH / columns + 0.44 * len(heights)
    figure, axes = new(height, len(heights), columns, height_ratios=heights)
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for n, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        sad = int(p[n] > 0.5)
        picture(ax, image, CLASS_COLOURS[sad])
        ax.set_anchor("S")
        share = f"{p[n] if sad else 1 - p[n]:.2f}" + (
            "" if spread is None else f" ± {spread[n]:.2f}"
        )
        ax.set_title(f"{CLASSES[sad]} {share}", fontsize=8.5, loc="center", pad=4)
        ax.set_xlabel(fill(titles[n], 26), fontsize=8, parse_math=False)
    return figure


@book_style
def gram_matrix(gram, title: str = "Gram matrix") -> Figure:
    """Draw one Gram matrix, (C, C), as a heat map around zero.

    The scale ends at the 99th percentile of absolute values, since a few large sub-maps would
    otherwise hide the rest.

    Alt text: Heat map of a symmetric matrix whose cells are inner products of two feature sub-maps.
    """
    figure, ((ax,),) = new(3.4, width=4.2)
    shown = _heat(ax, gram, _limit([gram]))
    figure.colorbar(shown, ax=ax, extend="both", label="inner product", shrink=0.9)
    ax.set(title=title, xlabel="sub-map", ylabel="sub-map")
    return figure


@book_style
def gram_comparison(images: Sequence, grams: Sequence, labels: Sequence[str]) -> Figure:
    """Draw images and, below each, its Gram matrix, all matrices on one scale.

    images: n of (H, W, 3) uint8; grams: n of (C, C); labels: n short names, set above.

    Alt text: A row of images above a row of their Gram matrices as heat maps.
    """
    figure, axes = new(2 * WIDTH / len(images) + 0.6, 2, len(images))
    limit = _limit(grams)
    for (above, below), image, gram, label in zip(axes.T, images, grams, labels, strict=True):
        picture(above, image)
        above.set_title(label, fontsize=9)
        shown = _heat(below, gram, limit)
        below.set(xticks=[], yticks=[])
    figure.colorbar(shown, ax=list(axes[1]), location="bottom", extend="both", aspect=40,
                    label="inner product of two sub-maps")  # fmt: skip
    return figure


def explanation(image, maps: Sequence, titles: Sequence[str]) -> Figure:
    """Draw a picture and, over grey copies of it, what each place adds to the log-odds of sadness.

    image: (H, W, 3) uint8; maps: (h, w) each, of any size, positive towards sadness, as
    `explain.contribution_maps` gives them; titles: one a map.

    Alt text: A picture beside grey copies of it, on which a blue veil lies over the places that
    speak for sadness and an orange one over those that speak for others.
    """
    return explanations([image], [[map_] for map_ in maps], titles)


@book_style
def explanations(
    images: Sequence, maps: Sequence[Sequence], titles: Sequence[str], names=None
) -> Figure:
    """Draw pictures and what each of their places adds to the log-odds of sadness.

    Two pictures stand in a row, or one if it has three maps or more.

    images: n of (H, W, 3) uint8; maps: for each title n of (h, w), positive towards sadness, drawn
    on one scale that ends at the 99th percentile of absolute values; names: n, set below.

    Alt text: Pictures, each beside grey copies of it, on which a blue veil lies over the places
    that speak for sadness and an orange one over those that speak for others.
    """
    across = min(len(images), 2 if len(titles) < 3 else 1)
    columns = across * (1 + len(titles))
    tall = [min(np.shape(image)[0] / np.shape(image)[1], 3) for image in images]
    heights = [max(tall[n : n + across]) for n in range(0, len(tall), across)]
    height = sum(heights) * WIDTH / columns + 0.25 * len(heights) * (names is not None) + 1.1
    figure, axes = new(height, len(heights), columns, height_ratios=heights)
    blocks = axes.reshape(-1, 1 + len(titles))  # a picture's panels
    for ax in axes.flat:
        ax.set_anchor("N")
    for ax in blocks[len(images) :].flat:
        ax.set_axis_off()
    limits = [_limit(kind) for kind in maps]
    for n, (panels, image) in enumerate(zip(blocks, images, strict=False)):
        picture(panels[0], image)
        for ax, kind, limit in zip(panels[1:], maps, limits, strict=True):
            _veil(ax, image, np.asarray(kind[n]) / limit)
        if names is not None:  # below all of the picture's panels, where a label keeps a line free
            panels[0].set_xlabel(" ", fontsize=8)
            name = names[n] if len(names[n]) <= 55 else names[n][:54] + "…"
            panels[0].annotate(name, (0, 0), (0, -3), "axes fraction", "offset points", va="top",
                               fontsize=8, parse_math=False, in_layout=False)  # fmt: skip
    for panels in blocks[:across]:
        for ax, title, limit in zip(panels[1:], titles, limits, strict=True):
            ax.set_title(f"{title}\n± {limit:.2g}", fontsize=8.5, loc="center", pad=4)
    bar = figure.colorbar(ScalarMappable(Normalize(-1, 1), TOWARDS), ax=list(axes.flat),
                          location="bottom", shrink=0.6, aspect=40, extend="both",
                          pad=0.3 / height, panchor=False)  # fmt: skip
    bar.set_ticks([-1, 0, 1], labels=["others", "0", "sadness"])
    bar.set_label("what a place adds to the log-odds of sadness, full colour at the ± above")
    return figure


def _veil(ax: Axes, image, values) -> None:
    """Draw a map of values from -1 to 1, of any size, over all of a grey copy of the image."""
    height, width, _ = np.shape(image)
    ax.imshow(np.mean(image, axis=2), cmap="gray", vmin=-200, vmax=255)  # no darker than the veil
    over = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(values, TOWARDS, vmin=-1, vmax=1, extent=over, interpolation="bilinear")
    ax.set(xticks=[], yticks=[])
    bare(ax)


def _limit(maps: Sequence) -> float:
    return float(np.percentile(np.abs(np.stack([np.asarray(map_) for map_ in maps])), 99)) or 1.0


def _heat(ax: Axes, gram, limit: float):
    bare(ax)
    return ax.imshow(np.asarray(gram, float), cmap="RdBu_r", vmin=-limit, vmax=limit)
