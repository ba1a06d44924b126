"""The paper's network (Figure 2) and its baseline.

A classifier is a backbone, global average pooling and a head, the first and the last as sub-models
named "backbone" and "head": a head trained on cached features is joined to its backbone later. The
head computes in float32 whatever the dtype policy; it is too small to gain from less.
"""

from collections.abc import Sequence
from pathlib import Path

from gramnb._keras import keras
from gramnb.backbones import build_backbone
from gramnb.choices import HeadOptions
from gramnb.layers import GramBank, SecondOrderPooling

DEFAULTS = HeadOptions()


def build_head(
    k: int,
    pooled_channels: int,
    tap_shapes: Sequence[tuple[int, int, int]],
    options: HeadOptions = DEFAULTS,
    classes: int = 2,
) -> keras.Model:
    """Return the part of Figure 2 after the backbone, as a model named "head".

    From [(B, D), (B, H, W, C) a tap], of the baseline from [(B, D)], to softmax probabilities
    (B, classes): of others and sadness, or of several emotions, sadness second.

    Args:
        k: number of parallel Gram modules on each tap, or of modules as wide as the linear branch;
            0 is the baseline.
        pooled_channels: length D of the pooled top feature map.
        tap_shapes: (H, W, C) of each tap; the baseline takes its width from their channels.

    Raises:
        ValueError: k is negative.
    """
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    channels = sum(shape[-1] for shape in tap_shapes)
    sides = 2 if options.module_fusion == "concatenate" else 1
    width = sides * k * channels or options.head_units or 3 * channels

    pooled = keras.Input((pooled_channels,), name="pooled")
    maps = [keras.Input(shape, name=f"tap{i}") for i, shape in enumerate(tap_shapes, 1) if k]
    branch = _backbone_branch(pooled, width, options)  # (B, width)
    if k:
        gram = _gram_branch(maps, k, options)  # (B, width)
        fuse = keras.layers.Add if options.branch_fusion == "add" else keras.layers.Concatenate
        branch = fuse(name="fusion", dtype="float32")([branch, gram])
    return keras.Model([pooled, *maps], probabilities(branch, classes), name="head")


def _backbone_branch(pooled, width: int, options: HeadOptions):
    """Dropout, leaky ReLU, compression, in the order of Section 4.2: (B, D) -> (B, width)."""
    leaky = keras.layers.LeakyReLU(options.negative_slope, dtype="float32", name="activation")
    compress = keras.layers.Dense(width, dtype="float32", name="compression")
    x = pooled
    if options.pooled_units:
        x = keras.layers.Dense(options.pooled_units, dtype="float32", name="stage7")(x)
    x = keras.layers.Dropout(options.dropout, dtype="float32", name="dropout")(x)
    return compress(leaky(x)) if options.activation == "before" else leaky(compress(x))


def _gram_branch(maps: list, k: int, options: HeadOptions):
    """What is read off each tap, side by side: (B, H, W, C) a tap -> (B, k * sum of C).

    The linear branch compresses the taps' statistics as pooled features are.
    """
    vectors = [_reader(k, options, f"gram{i}")(tapped) for i, tapped in enumerate(maps, 1)]
    x = side_by_side(vectors, "taps")
    if options.branch == "modules":
        return x
    x = keras.layers.BatchNormalization(
        momentum=options.momentum, dtype="float32", name="standardisation"
    )(x)
    x = keras.layers.Dropout(options.dropout, dtype="float32", name="statistics_dropout")(x)
    width = k * sum(tapped.shape[-1] for tapped in maps)
    return keras.layers.Dense(width, dtype="float32", name="statistics_compression")(x)


def _reader(k: int, options: HeadOptions, name: str) -> keras.Layer:
    """What makes a vector of a tap: k modules, (B, k * C); or its statistic alone."""
    if options.branch == "modules":
        return GramBank(
            k,
            statistic=options.statistic,
            scaling=options.gram_scaling,
            activation=options.module_activation,
            fusion=options.module_fusion,
            negative_slope=options.negative_slope,
            momentum=options.momentum,
            name=name,
        )
    if options.statistic == "mean":
        return keras.layers.GlobalAveragePooling2D(dtype="float32", name=name)  # (B, C)
    centred = options.statistic == "covariance"
    return SecondOrderPooling(options.gram_scaling, options.rank, centred, name=name)


def side_by_side(vectors: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Concatenate vectors in float32; one alone stays as it is."""
    if len(vectors) == 1:
        return vectors[0]
    return keras.layers.Concatenate(dtype="float32", name=name)(vectors)


def probabilities(embedding: keras.KerasTensor, classes: int = 2) -> keras.KerasTensor:
    """Softmax over others and sadness, or more: (B, width) -> (B, classes) float32."""
    dense = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")
    return dense(embedding)


def build_classifier(
    backbone: str = "EfficientNetV2B2",
    k: int = 4,
    image_size: int = 256,
    weights: str | Path | None = None,
    taps: Sequence[str] | None = None,
    options: HeadOptions = DEFAULTS,
    classes: int = 2,
) -> keras.Model:
    """Return the network of Figure 2, or with k = 0 the paper's baseline.

    From images (B, S, S, 3), values 0-255, S being `image_size`, to probabilities (B, classes) of
    others and sadness. Arguments and errors are those of `build_backbone` and `build_head`.
    """
    body = build_backbone(backbone, image_size, weights, taps)
    top, *maps = body.outputs
    shapes = [tapped.shape[1:] for tapped in maps]
    return join(body, build_head(k, top.shape[-1], shapes, options, classes))


def join(
    backbone: keras.Model, head: keras.Model, taps: Sequence[keras.KerasTensor] | None = None
) -> keras.Model:
    """Return the classifier made of a backbone, or the trunk of one, and a head on its features.

    The top feature map is averaged over its positions unless the head reads the map itself. Of a
    trunk (`backbones.above`), which taps nothing, `taps` are inputs for the maps of the taps. Keras
    raises ValueError if the head was built for other features than the backbone gives.
    """
    image = keras.Input(backbone.input_shape[1:], name="image")
    top, *maps = [*keras.tree.flatten(backbone(image)), *(taps or ())]
    if len(head.inputs[0].shape) == 2:
        top = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pooling")(top)
    given = [top, *maps][: len(head.inputs)]  # the baseline reads no tap
    return keras.Model(image if taps is None else [image, *taps], head(given), name="classifier")
