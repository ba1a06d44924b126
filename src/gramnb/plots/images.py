"""Figures made of images: grids, augmentations, Gram matrices, artworks."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gramnb.evaluation import CLASSES
from gramnb.plots.style import CLASS_COLOURS, WIDTH, bare, book_style, new, picture


@book_style
def image_grid(
    images: Sequence, titles: Sequence[str] | None = None, sadness=None, columns: int = 6
) -> Figure:
    """Draw images in rows, each in a frame of its class's colour.

    images: (H, W, 3) uint8 each; titles: one line each, set above; sadness: 0 or 1 each.

    Alt text: A grid of images, with a blue frame for sadness and an orange one for others.
    """
    if not len(images):
        raise ValueError("no images to show")
    rows = -(-len(images) // columns)
    figure, axes = new(rows * (WIDTH / columns + (0.2 if titles is not None else 0)), rows, columns)
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for n, (ax, image) in enumerate(zip(axes.flat, images, strict=False)):
        picture(ax, image, None if sadness is None else CLASS_COLOURS[int(sadness[n])])
        if titles is not None:
            ax.set_title(titles[n], fontsize=8, loc="center", pad=4)
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
        ax.set_xlabel(fill(titles[n], 26), fontsize=8)
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


def _limit(grams: Sequence) -> float:
    return float(np.percentile(np.abs(np.stack([np.asarray(gram) for gram in grams])), 99)) or 1.0


def _heat(ax: Axes, gram, limit: float):
    bare(ax)
    return ax.imshow(np.asarray(gram, float), cmap="RdBu_r", vmin=-limit, vmax=limit)
