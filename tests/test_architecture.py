"""Stages, layer counts and costs of the built networks, against closed forms and known figures."""

import numpy as np
import pytest

from gramnb import architecture
from gramnb._keras import keras
from gramnb.architecture import beside_paper, convolutions, costs, multiply_adds
from gramnb.backbones import build_backbone
from gramnb.layers import GramBank, GramMatrix, GramModule, SecondOrderPooling
from gramnb.models import build_classifier
from gramnb.paper import SETTINGS, STAGES

D, C, POSITIONS = 1408, 56, 32 * 32  # of EfficientNetV2B2 at 256 pixels


@pytest.fixture(autouse=True)
def no_weights():
    """Build networks without filling their weights: only shapes are read."""
    with keras.StatelessScope(initialize_variables=False):
        yield


def sequential(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def test_table_1_has_no_differences():
    table = beside_paper(1)
    assert (table["differences"] == "").all()
    assert list(table["layers", "Keras"]) == [1, 2, 4, 4, 6, 9, 15, 1]
    assert list(table["layers", "printed"]) == ["", 2, 4, "", 6, "", 15, ""]


def test_table_2_prints_fused_stages_as_mbconv():
    table = beside_paper(2)
    conv, fused, mbconv = "Conv", "Fused-MBConv", "MBConv"
    expected = [
        (f"{conv}3x3", 2, 32, 1),
        (f"{fused}1, k3x3", 1, 16, 2),
        (f"{fused}4, k3x3", 2, 32, 3),
        (f"{fused}4, k3x3", 2, 56, 3),
        (f"{mbconv}4, k3x3, SE0.25", 2, 104, 4),
        (f"{mbconv}6, k3x3, SE0.25", 1, 120, 6),
        (f"{mbconv}6, k3x3, SE0.25", 2, 208, 10),
        (f"{conv}1x1", 1, 1408, 1),
    ]
    built = table.xs("Keras", axis=1, level=1)
    assert list(built.itertuples(index=False, name=None)) == expected
    assert list(table["operation", "printed"]) == list(STAGES.query("table == 2")["operation"])
    fused = "Fused-MBConv4, not MBConv4"
    wanted = ["", "", fused, fused, "", "", "", "Conv1x1 is not printed"]
    assert list(table["differences"]) == wanted
    stage = int(SETTINGS.tap[len("block")])
    assert table.loc[stage, ("channels", "Keras")] == SETTINGS.tap_channels == C
    assert table["channels", "Keras"].iloc[-1] == SETTINGS.features == D


def test_a_wrong_number_would_be_a_difference(monkeypatch):
    changed = STAGES.set_index(["table", "stage"])
    changed.loc[(2, 0), "stride"], changed.loc[(2, 6), "layers"] = 1, 9
    monkeypatch.setattr(architecture, "STAGES", changed.reset_index())
    differences = beside_paper(2)["differences"]
    assert (differences[0], differences[6]) == ("stride 2, not 1", "layers 10, not 9")


def test_convolutional_layers():
    b0, b2 = (convolutions(f"EfficientNetV2B{i}") for i in (0, 2))
    assert list(b2) == [9, 47, 20, 40, 116]
    # no sum of kinds is the paper's 91, which is what B0 has in all
    subsets = (np.array(mask) @ b2[:4] for mask in np.ndindex(2, 2, 2, 2))
    assert SETTINGS.convolutional_layers not in set(subsets)
    assert b0["all"] == SETTINGS.convolutional_layers


@pytest.mark.parametrize(
    "shape, layer, expected",
    [
        ((8, 6, 3), keras.layers.Conv2D(5, 3, padding="same"), 8 * 6 * 3 * 3 * 3 * 5),
        ((8, 6, 3), keras.layers.Conv2D(5, 3, strides=2, padding="same"), 4 * 3 * 3 * 3 * 3 * 5),
        ((8, 6, 3), keras.layers.Conv2D(5, 3), 6 * 4 * 3 * 3 * 3 * 5),
        ((8, 6, 4), keras.layers.Conv2D(6, 3, groups=2, padding="same"), 8 * 6 * 3 * 3 * 2 * 6),
        ((8, 6, 3), keras.layers.DepthwiseConv2D(3, padding="same"), 8 * 6 * 3 * 3 * 3),
        ((7,), keras.layers.Dense(5), 7 * 5),
        ((8, 6, 3), keras.layers.Dense(5), 8 * 6 * 3 * 5),
        ((8, 6, 3), keras.layers.BatchNormalization(), 0),
        ((8, 6, 3), GramMatrix(), 8 * 6 * 3 * 3),
        ((8, 6, 3), GramModule(), 8 * 6 * 9 + 9 * 3 + 8 * 6 * 3 * 3),
        ((8, 6, 3), GramModule(statistic="mean"), 3 * 3 + 8 * 6 * 3 * 3),
        ((8, 6, 3), GramBank(4, units=5), 8 * 6 * 9 + 9 * 20 + 8 * 6 * 3 * 20),
        ((8, 6, 5), SecondOrderPooling(), 48 * 25),
        ((8, 6, 5), SecondOrderPooling(rank=3), 48 * (5 * 3 + 9)),  # projection, smaller G
    ],
)
def test_multiply_adds_of_one_layer(shape, layer, expected):
    assert multiply_adds(sequential(shape, layer)) == expected


def test_multiply_adds_of_models_within_models():
    inner = sequential((8, 6, 3), keras.layers.Conv2D(5, 1))
    outer = sequential((8, 6, 3), inner, keras.layers.Flatten(), keras.layers.Dense(2))
    assert multiply_adds(outer) == 8 * 6 * 3 * 5 + 8 * 6 * 5 * 2


def test_a_layer_that_cannot_be_counted_is_named():
    with pytest.raises(ValueError, match="LSTM are not known"):
        multiply_adds(sequential((4, 3), keras.layers.LSTM(2)))


def test_published_multiply_adds():
    """Howard et al. 2017, Table 4; Tan and Le 2021, Table 10: 569 million, 1.7 billion."""
    assert round(multiply_adds(keras.applications.MobileNet(weights=None)) / 1e6) == 569
    b2 = build_backbone("EfficientNetV2B2", 260, "none")
    assert round((multiply_adds(b2) + D * 1000) / 1e9, 1) == 1.7  # with ImageNet's classifier


def test_costs_of_b2_are_those_of_the_classifier():
    table = costs(ks=(1, 2, 4))
    body = build_backbone("EfficientNetV2B2", 256, "none")
    bare = table["multiply-adds"] - multiply_adds(body)
    for k in (0, 1, 2, 4):
        width = (k or 3) * C
        gram = bool(k) * POSITIONS * C**2  # once, however many modules read it
        side = k * C**3 + POSITIONS * C * k * C  # dense on G, 1x1 convolution
        assert bare[k] == D * width + gram + side + 2 * width
    classifier = build_classifier("EfficientNetV2B2", 2, 256, "none")
    assert table["parameters"][2] == classifier.count_params()
    assert table["multiply-adds"][2] == multiply_adds(classifier)
    for column in ("parameters", "multiply-adds"):
        added = 100 * (table[column] - table[column][0]) / table[column][0]
        np.testing.assert_allclose(table[f"{column} added, %"], added)
