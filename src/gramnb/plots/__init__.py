"""The book's figures: each function takes frames or arrays and returns a Figure, in one look.

The first paragraph of each docstring is the alt text.
"""

from gramnb.plots.data import class_balance, funnel, text_threshold
from gramnb.plots.images import (
    artworks,
    augmentations,
    ensembles,
    explanations,
    gram_comparison,
    gram_matrix,
    image_grid,
)
from gramnb.plots.interactive import forest, threshold
from gramnb.plots.results import (
    by_size,
    confusion,
    differences,
    effects,
    estimates,
    learning_curves,
    reliability,
    roc,
    table3_plot,
)
from gramnb.plots.style import alt_text, save_svg
