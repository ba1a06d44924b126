"""Stages, layer counts and costs of the built networks, against closed forms and known figures."""

import numpy as np
import pandas as pd
import pytest

from gramnb._keras import keras
from gramnb.backbones import build_backbone
from gramnb.fidelity import beside_paper, convolutions, costs, multiply_adds, stages
from gramnb.layers import GramBank, GramMatrix, GramModule
from gramnb.models import build_classifier, build_head
from gramnb.paper import SETTINGS, TABLE2
from gramnb.second_order import SecondOrderPooling

D, C, POSITIONS = 1408, 56, 32 * 32  # of EfficientNetV2B2 at 256 pixels


def sequential(shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.fixture(scope="module")
def table1():
    return beside_paper(1)


@pytest.fixture(scope="module")
def table2():
    return beside_paper(2)


def test_stages_of_b2():
    fused, plain = "Fused-MBConv", "MBConv"
    expected = [
        ("Conv", "3x3", 2, 32, 1),
        (f"{fused}1", "3x3", 1, 16, 2),
        (f"{fused}4", "3x3", 2, 32, 3),
        (f"{fused}4", "3x3", 2, 56, 3),
        (f"{plain}4, SE0.25", "3x3", 2, 104, 4),
        (f"{plain}6, SE0.25", "3x3", 1, 120, 6),
        (f"{plain}6, SE0.25", "3x3", 2, 208, 10),
        ("Conv", "1x1", 1, 1408, 1),
    ]
    built = stages("EfficientNetV2B2")
    assert list(built.itertuples(index=False, name=None)) == expected
    assert list(built.index) == list(range(8))


def test_stages_of_lite0_as_it_is_asked_for():
    built = stages("EfficientNetLite0")  # other blocks: no squeeze, 5x5 kernels, no fused ones
    assert list(built["kernel"][1:8]) == [f"{side}x{side}" for side in (3, 3, 5, 3, 5, 5, 3)]
    assert list(built["layers"][1:8]) == [1, 2, 2, 3, 3, 4, 1]
    assert list(built["operation"][1:8]) == ["MBConv1", *["MBConv6"] * 6]
    assert list(built["stride"][1:8]) == [1, 2, 2, 2, 1, 2, 1]


def test_a_network_of_other_blocks_is_refused():
    with pytest.raises(ValueError, match="ResNet50 is not built of MBConv blocks"):
        stages("ResNet50")
    with pytest.raises(ValueError, match="Tables 1 and 2, not 3"):
        beside_paper(3)


def test_table_1_has_no_differences(table1):
    assert (table1["differences"] == "").all()
    assert list(table1["layers", "Keras"]) == [1, 2, 4, 4, 6, 9, 15, 1]
    assert list(table1["layers", "printed"]) == ["", 2, 4, "", 6, "", 15, ""]


def test_table_2_prints_fused_stages_as_mbconv(table2):
    differences = table2["differences"]
    assert list(differences[differences != ""].index) == [2, 3, 7]
    assert set(differences[[2, 3]]) == {"Fused-MBConv4, not MBConv4"}
    assert differences[7] == "Conv1x1 is not printed"
    assert list(table2["operation", "printed"]) == [stage.operation for stage in TABLE2]
    assert table2.loc[5, ("operation", "Keras")] == table2.loc[5, ("operation", "printed")]


def test_a_wrong_number_would_be_a_difference(monkeypatch):
    changed = (TABLE2[0]._replace(stride=1), *TABLE2[1:6], TABLE2[6]._replace(layers=9), TABLE2[7])
    monkeypatch.setitem(beside_paper.__globals__["_TABLES"], 2, ("EfficientNetV2B2", changed))
    differences = beside_paper(2)["differences"]
    assert (differences[0], differences[6]) == ("stride 2, not 1", "layers 10, not 9")


def test_the_papers_tap_is_in_the_stage_it_names(table2):
    stage = int(SETTINGS.tap[len("block")])
    assert table2.loc[stage, ("channels", "Keras")] == SETTINGS.tap_channels == C
    assert table2["channels", "Keras"].iloc[-1] == SETTINGS.features == D


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
    ],
)
def test_multiply_adds_of_one_layer(shape, layer, expected):
    assert multiply_adds(sequential(shape, layer)) == expected


def test_multiply_adds_of_second_order_pooling():
    """G at every position; with a rank the projection too, and a smaller G."""
    assert multiply_adds(sequential((8, 6, 5), SecondOrderPooling())) == 48 * 25
    assert multiply_adds(sequential((8, 6, 5), SecondOrderPooling(rank=3))) == 48 * (5 * 3 + 9)


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


def test_costs_of_b2():
    table = costs()
    assert list(table.index) == list(range(9))
    body = build_backbone("EfficientNetV2B2", 256, "none")
    bare = table["multiply-adds"] - multiply_adds(body)
    for k in table.index:
        width = (k or 3) * C
        gram = bool(k) * POSITIONS * C**2
        side = k * C**3 + POSITIONS * C * k * C  # dense on G, 1x1 convolution
        assert bare[k] == D * width + gram + side + 2 * width
        head = build_head(k, D, [(32, 32, C)])
        assert table["parameters"][k] == body.count_params() + head.count_params()
    # every further module adds the same: Gram's product is shared
    assert set(np.diff(bare)[1:]) == {D * C + C**3 + POSITIONS * C**2 + 2 * C}


def test_costs_are_those_of_the_classifier_and_percents_of_the_baseline():
    table = costs("EfficientNetV2B0", 64, ks=(2,))
    for k in (0, 2):
        classifier = build_classifier("EfficientNetV2B0", k, 64, "none")
        assert table["parameters"][k] == classifier.count_params()
        assert table["multiply-adds"][k] == multiply_adds(classifier)
    for column in ("parameters", "multiply-adds"):
        added = 100 * (table[column][2] - table[column][0]) / table[column][0]
        expected = pd.Series({0: 0.0, 2: added})
        np.testing.assert_allclose(table[f"{column} added, %"], expected)
