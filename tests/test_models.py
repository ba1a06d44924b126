"""The network of Figure 2: exact parameter counts, every option, saving."""

import numpy as np
import pytest
from scipy.special import softmax

from gramnb._keras import keras
from gramnb.choices import HeadOptions
from gramnb.layers import GramMatrix, GramModule, SecondOrderPooling
from gramnb.models import build_head

D, C = 1408, 56  # B2's pooled channels and its tap's


def bank_count(k, inputs=C**2):
    """Dense on G, batch normalisation with its moving statistics, 1x1 convolution."""
    return (inputs + 1 + 4 + C + 1) * k * C


def head_count(k, width, fused=None):
    """Compression, k modules, softmax over two classes."""
    return (D + 1) * width + bank_count(k) + 2 * (fused or width) + 2


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


@pytest.mark.parametrize(
    "k, changes, count",
    [
        (0, {}, 237_050),
        (4, {}, 1_032_418),
        (0, {"head_units": 500}, head_count(0, 500)),
        (2, {"head_units": 500, "pooled_units": 1408}, head_count(2, 112) + (D + 1) * 1408),
        (2, {"module_fusion": "concatenate"}, head_count(2, 224)),
        (2, {"branch_fusion": "concatenate"}, head_count(2, 112, fused=224)),
        (2, {"statistic": "mean"}, head_count(2, 112) - bank_count(2) + bank_count(2, inputs=C)),
    ],
)
def test_options_change_what_they_say(k, changes, count):
    options = HeadOptions(**changes)
    assert HeadOptions.model_validate_json(options.model_dump_json()) == options
    head = build_head(k, D, [(4, 4, C)], options)
    assert head.count_params() == count and len(head.inputs) == 1 + bool(k)
    inputs = draw(0, (3, D), (3, 4, 4, C))[: len(head.inputs)]
    np.testing.assert_allclose(np.asarray(head(inputs)).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("activation", ["before", "after"])
@pytest.mark.parametrize("fusion", ["add", "concatenate"])
def test_head_is_figure_2(activation, fusion):
    """And its options reach their layers."""
    modules = {"scaling": "positions", "fusion": "average", "activation": False, "momentum": 0.9}
    reached = {"gram_scaling": "positions", "module_fusion": "average", "module_activation": False}
    more = {"negative_slope": 0.1, "momentum": 0.9, "dropout": 0.25}
    options = HeadOptions(activation=activation, branch_fusion=fusion, **reached, **more)
    head = build_head(2, 16, [(4, 4, 3)], options)
    said = head.get_layer("gram1").get_config()
    assert (modules | {"k": 2, "statistic": "gram", "negative_slope": 0.1}).items() <= said.items()
    assert head.get_layer("dropout").rate == 0.25
    pooled, tap = draw(1, (5, 16), (5, 4, 4, 3))
    kernel, bias = head.get_layer("compression").get_weights()

    def leaky(values):
        return np.where(values > 0, values, 0.1 * values)

    branch = leaky(pooled) @ kernel + bias if activation == "before" else leaky(pooled @ kernel)
    modules = np.asarray(head.get_layer("gram1")(tap))
    fused = branch + modules if fusion == "add" else np.concatenate([branch, modules], axis=1)
    kernel, bias = head.get_layer("probabilities").get_weights()
    expected = softmax(fused @ kernel + bias, axis=1)
    np.testing.assert_allclose(head([pooled, tap]), expected, rtol=1e-3, atol=1e-6)


LINEAR = [{"branch": "linear", **more} for more in ({}, {"rank": 4}, {"statistic": "mean"})]


@pytest.mark.parametrize("options", [{}, *LINEAR])
def test_several_taps_are_read_side_by_side(options):
    shapes = [(8, 8, 6), (4, 4, 10)]
    head = build_head(3, 16, shapes, HeadOptions(**options))
    pooled, *maps = draw(2, (2, 16), *[(2, *shape) for shape in shapes])
    read = keras.Model(head.inputs, head.get_layer("taps").output)
    apart = [head.get_layer(f"gram{i}")(tap) for i, tap in enumerate(maps, 1)]
    together = np.concatenate([np.asarray(part) for part in apart], axis=1)
    np.testing.assert_allclose(read.predict_on_batch([pooled, *maps]), together, rtol=1e-4)


def test_linear_branch_compresses_the_standardised_triangle():
    """In place of the modules: statistic, normalisation, dense; the rest is Figure 2's."""
    options = HeadOptions(branch="linear", gram_scaling="positions", dropout=0.25)
    head = build_head(2, 16, [(4, 4, 3)], options)
    width, entries = 2 * 3, 3 * 4 // 2
    assert head.count_params() == 17 * width + 4 * entries + (entries + 1) * width + 2 * width + 2
    assert head.get_layer("statistics_dropout").rate == 0.25
    rng = np.random.default_rng(7)
    head.set_weights([rng.uniform(0.1, 1, w.shape) for w in head.get_weights()])
    pooled, tap = draw(7, (5, 16), (5, 4, 4, 3))
    upper = np.asarray(SecondOrderPooling("positions")(tap))
    gamma, beta, mean, variance = head.get_layer("standardisation").get_weights()
    vector = gamma * (upper - mean) / np.sqrt(variance + 1e-3) + beta
    kernel, bias = head.get_layer("statistics_compression").get_weights()
    read = keras.Model(head.inputs, [head.get_layer(x).output for x in ("compression", "fusion")])
    left, fused = (np.asarray(x) for x in read([pooled, tap]))
    np.testing.assert_allclose(fused, left + vector @ kernel + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: build_head(-2, 8, [(4, 4, 3)]), "k must be 0 or more, got -2"),
        (lambda: HeadOptions(statistic="mean", gram_scaling="positions"), "'mean' has none"),
        (lambda: HeadOptions(rank=8), "rank and statistic 'covariance' are of branch='linear'"),
        (lambda: HeadOptions(branch="linear", module_fusion="add"), "are of modules"),
    ],
)
def test_bad_values_say_what_is_valid(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_what_was_saved_loads_again(tmp_path):
    options = HeadOptions(module_fusion="concatenate", branch_fusion="concatenate", pooled_units=64)
    pooled, *maps = draw(6, (2, 16), (2, 8, 8, 6), (2, 4, 4, 10))
    tap = keras.Input((8, 8, 6))
    read = [GramMatrix("positions"), GramModule(units=3, statistic="mean"),
            SecondOrderPooling("signed_sqrt", rank=2)]  # fmt: skip
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(layer(tap)) for layer in read])
    head = build_head(2, 16, [tap.shape[1:] for tap in maps], options)
    for model, inputs in ((head, [pooled, *maps]), (keras.Model(tap, flat), maps[0])):
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(again(inputs), model(inputs), rtol=1e-4)
