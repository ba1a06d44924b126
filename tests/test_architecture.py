"""Stages, layer counts and costs of the built networks, against closed forms and known figures."""

import pytest

from gramnb._keras import keras
from gramnb.architecture import beside_paper, convolutions, costs, multiply_adds
from gramnb.backbones import build_backbone
from gramnb.layers import GramBank, SecondOrderPooling

D, C, POSITIONS = 1408, 56, 32 * 32  # of EfficientNetV2B2 at 256 pixels


@pytest.fixture(autouse=True)
def no_weights():
    """Build networks without filling their weights: only shapes are read."""
    with keras.StatelessScope(initialize_variables=False):
        yield


@pytest.mark.parametrize(
    "shape, layer, expected",
    [
        ((8, 6, 3), keras.layers.Conv2D(5, 3, strides=2, padding="same"), 4 * 3 * 3 * 3 * 3 * 5),
        ((8, 6, 4), keras.layers.Conv2D(6, 3, groups=2, padding="same"), 8 * 6 * 3 * 3 * 2 * 6),
        ((8, 6, 3), keras.layers.DepthwiseConv2D(3, padding="same"), 8 * 6 * 3 * 3 * 3),
        ((8, 6, 3), GramBank(4, units=5), 8 * 6 * 9 + 9 * 20 + 8 * 6 * 3 * 20),
    ],
)
def test_multiply_adds_of_one_layer(shape, layer, expected):
    assert multiply_adds(keras.Sequential([keras.Input(shape), layer])) == expected


def test_what_is_not_counted_is_refused():
    model = keras.Sequential([keras.Input((8, 6, 5)), SecondOrderPooling()])
    with pytest.raises(ValueError, match="multiply-adds of SecondOrderPooling are not known"):
        multiply_adds(model)


def test_published_multiply_adds():
    """Tan and Le 2021, Table 10: 1.7 billion, with ImageNet's classifier."""
    b2 = build_backbone("EfficientNetV2B2", 260, "none")
    assert round((multiply_adds(b2) + D * 1000) / 1e9, 1) == 1.7


def test_costs_of_b2_are_those_of_its_layers():
    table = costs(ks=(1, 4))
    body = build_backbone("EfficientNetV2B2", 256, "none")
    bare = table["multiply-adds"] - multiply_adds(body)
    for k in (0, 1, 4):
        width = (k or 3) * C
        gram = bool(k) * POSITIONS * C**2  # once, however many modules read it
        side = k * C**3 + POSITIONS * C * k * C  # dense on G, 1x1 convolution
        assert bare[k] == D * width + gram + side + 2 * width
    # compression and softmax with their offsets; dense, convolution, four of normalisation
    head = D * C + C + 2 * C + 2 + C**3 + C + C**2 + C + 4 * C
    assert table["parameters"][1] == body.count_params() + head


def test_stages_of_b2_stand_beside_table_2():
    table = beside_paper(2)
    assert table["channels", "Keras"].tolist()[:7] == [32, 16, 32, 56, 104, 120, 208]
    assert table["differences"].iloc[2].startswith("Fused-MBConv4, not MBConv4")
    counts = convolutions("EfficientNetV2B2")
    assert counts["all"] == counts[:4].sum()
