"""What Keras really builds, beside what the paper prints, and what each network costs.

Everything is read off built models: blocks from the names Keras gives their layers, parameters from
the weights, multiply-adds from the shapes of kernels and feature maps. Nothing runs.
"""

import re
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from math import prod

import pandas as pd

from gramnb._keras import keras
from gramnb.backbones import build_backbone
from gramnb.layers import GramMatrix, GramModule, SecondOrderPooling
from gramnb.models import build_head
from gramnb.paper import SETTINGS, STAGES

COMPARED = ("operation", "stride", "channels", "layers")
_BLOCK = re.compile(r"(?:block\d[a-z])?")  # stage and block of a layer; empty outside
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
_NORMALISATIONS = (keras.layers.BatchNormalization, keras.layers.Normalization)


def beside_paper(table: int) -> pd.DataFrame:
    """Return the paper's Table 1 (V2S) or Table 2 (B2) beside the network that Keras builds.

    Indexed by stage: operation, stride, channels and layers, each (..., "printed") and (...,
    "Keras"), and the differences in words, empty where there are none. Cells that the text at hand
    has lost are empty and not compared, nor are pooling and the fully connected layer, which come
    after the backbone (`models.build_head`).
    """
    printed = STAGES[STAGES["table"] == table].set_index("stage")
    paper = printed[list(COMPARED)].astype(object)
    built = _stages(printed["backbone"].iloc[0])
    sides = pd.concat({"printed": paper.where(paper.notna(), ""), "Keras": built}, axis=1)
    sides = sides.swaplevel(axis=1)[[(c, side) for c in COMPARED for side in ("printed", "Keras")]]
    return sides.assign(differences=sides.apply(_differences, axis=1))


def _stages(backbone: str) -> pd.DataFrame:
    """Return the stages of an EfficientNet as Keras builds it, in the notation of Tables 1 and 2.

    A block with a depthwise convolution is an MBConv, one without a Fused-MBConv. The number after
    it is the expansion, SE the squeeze-and-excitation's narrowest width as a share of the input's.
    """
    blocks = []
    for name, block in groupby(_convolutions(backbone), lambda layer: _BLOCK.match(layer.name)[0]):
        layers = list(block)
        depthwise = [c for c in layers if isinstance(c, keras.layers.DepthwiseConv2D)]
        kernel = "x".join(map(str, (depthwise or layers)[0].kernel_size))
        operation = f"Conv{kernel}"
        if name:
            inputs, expanded = layers[0].input.shape[-1], layers[-1].input.shape[-1]
            operation = f"{'' if depthwise else 'Fused-'}MBConv{expanded // inputs}, k{kernel}"
            squeezed = [c.filters / inputs for c in layers if c.name.endswith("se_reduce")]
            operation += "".join(f", SE{share:.2f}" for share in squeezed)
        stride, channels = max(c.strides[0] for c in layers), layers[-1].output.shape[-1]
        blocks.append([name[:6] or layers[0].name, operation, stride, channels])
    blocks = pd.DataFrame(blocks, columns=["stage", *COMPARED[:3]], dtype=object)
    grouped = blocks.groupby("stage", sort=False)
    table = grouped.first().assign(layers=grouped.size().astype(object))
    return table.reset_index(drop=True).rename_axis("stage")


@cache
def _outline(backbone: str, image_size: int = 32) -> keras.Model:
    """Return a backbone whose weights hold no numbers, which makes the large ones quick."""
    with keras.StatelessScope(initialize_variables=False):
        return build_backbone(backbone, image_size, "none")


def _convolutions(backbone: str) -> list[keras.Layer]:
    return [layer for layer in _outline(backbone).layers if isinstance(layer, _CONVOLUTIONS)]


def _differences(cells: pd.Series) -> str:
    """Say what Keras builds where that is not what is printed."""
    printed, built = cells["operation"]
    found = []
    if built not in printed.split(" & "):
        one, other = (operation.split(",")[0] for operation in (built, printed))
        found.append(f"{one}, not {other}" if "MBConv" in printed else f"{one} is not printed")
    for column in COMPARED[1:]:
        given, has = cells[column]
        if given not in ("", has):
            found.append(f"{column} {has}, not {given}")
    return "; ".join(found)


def convolutions(backbone: str) -> pd.Series:
    """Count convolutional layers: ordinary, pointwise (1x1), depthwise, squeeze-excite, all."""

    def kind(layer: keras.Layer) -> str:
        if "_se_" in layer.name:
            return "squeeze-excite"
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            return "depthwise"
        return "pointwise" if layer.kernel_size == (1, 1) else "ordinary"

    kinds = ["ordinary", "pointwise", "depthwise", "squeeze-excite"]
    counts = pd.Series(map(kind, _convolutions(backbone))).value_counts()
    counts = counts.reindex(kinds, fill_value=0)
    return pd.concat([counts, pd.Series({"all": counts.sum()})]).rename(backbone)


def costs(
    backbone: str = SETTINGS.backbone,
    image_size: int = SETTINGS.image_size,
    ks: Iterable[int] = range(1, 9),
) -> pd.DataFrame:
    """Return what the baseline (k = 0, always first) and networks with k Gram modules cost.

    Indexed by k: parameters (moving statistics included) and multiply-adds of one image, and what k
    adds to either, in percent of the baseline.
    """
    body = _outline(backbone, image_size)
    top, *maps = (tuple(output.shape[1:]) for output in body.outputs)
    rows = {}
    for k in (0, *(k for k in ks if k)):
        parts = body, build_head(k, top[-1], maps)
        rows[k] = sum(part.count_params() for part in parts), sum(map(multiply_adds, parts))
    table = pd.DataFrame(rows, ["parameters", "multiply-adds"]).T.rename_axis("k")
    added = 100 * (table / table.loc[0] - 1)
    return table.join(added.add_suffix(" added, %"))


def multiply_adds(model: keras.Model) -> int:
    """Return the multiplications, each with its addition, of one image through a model.

    Counted are convolutions, dense layers and the Gram product; normalisations, activations,
    pooling and additions are not, as is usual. Padded positions count. The Gram product takes
    H * W * C * C: its symmetry, which would save almost half, is not used.

    Raises:
        ValueError: a layer of another kind that has weights, or a linear branch's pooling.
    """
    return sum(map(_multiply_adds, model.layers))


def _multiply_adds(layer: keras.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, (*_CONVOLUTIONS, keras.layers.Dense)):  # a kernel at every position
        return prod(layer.kernel.shape) * prod(layer.output.shape[1:-1])
    if isinstance(layer, GramMatrix | GramModule) and not isinstance(layer, SecondOrderPooling):
        positions, channels = prod(layer.input.shape[1:3]), layer.input.shape[-1]
        gram = positions * channels**2
        if isinstance(layer, GramMatrix):
            return gram
        dense, convolution = (prod(x.kernel.shape) for x in (layer.dense, layer.convolution))
        return gram * (layer.statistic == "gram") + dense + positions * convolution
    uncounted = layer.weights and not isinstance(layer, _NORMALISATIONS)
    if uncounted or isinstance(layer, SecondOrderPooling):
        raise ValueError(f"{layer.name}: multiply-adds of {type(layer).__name__} are not known")
    return 0
