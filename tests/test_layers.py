"""The Gram matrix in closed form, and the bank against the modules it holds."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from layer_checks import check_layer

from gramnb._keras import keras
from gramnb.layers import FUSIONS, SCALINGS, GramBank, GramMatrix, GramModule, SecondOrderPooling

SHAPES = [(1, 1, 1, 1), (2, 3, 5, 4), (3, 8, 8, 16), (2, 32, 32, 56)]


def draw(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def gram_in_float64(features):
    rows = features.astype("float64").reshape(len(features), -1, features.shape[-1])
    return np.einsum("bpi,bpj->bij", rows, rows)


@pytest.mark.parametrize("seed, shape", list(itertools.product(range(3), SHAPES)))
def test_gram_is_equation_1(seed, shape):
    features = draw(seed, shape)
    expected = gram_in_float64(features)
    positions = shape[1] * shape[2]
    root = expected / np.sqrt(np.abs(expected) + 1e-3)
    for scaling, wanted in zip(SCALINGS, (expected, expected / positions, root), strict=True):
        result = np.asarray(GramMatrix(scaling)(features))
        tolerance = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=tolerance)


def test_gram_of_known_maps():
    one_and_two = np.stack([np.ones((4, 4)), np.full((4, 4), 2.0)], axis=-1)[None]
    np.testing.assert_array_equal(GramMatrix()(one_and_two), [[[16, 32], [32, 64]]])
    apart = np.zeros((1, 2, 2, 2))
    apart[0, 0, 0, 0] = apart[0, 1, 1, 1] = 3.0  # never in the same place
    np.testing.assert_array_equal(GramMatrix()(apart), [[[9, 0], [0, 9]]])


@pytest.mark.parametrize("scaling", SCALINGS)
def test_gram_is_symmetric_and_blind_to_positions(scaling):
    # whole numbers, so that the order of summation rounds nothing
    features = np.random.default_rng(0).integers(-8, 9, (2, 8, 8, 12)).astype("float32")
    gram = np.asarray(GramMatrix(scaling)(features))
    np.testing.assert_array_equal(gram, gram.transpose(0, 2, 1))
    order = np.random.default_rng(1).permutation(64)
    shuffled = features.reshape(2, 64, 12)[:, order].reshape(features.shape)
    assert (shuffled != features).any()
    np.testing.assert_array_equal(GramMatrix(scaling)(shuffled), gram)


@pytest.mark.parametrize("shape", SHAPES)
def test_gram_is_positive_semidefinite(shape):
    gram = np.asarray(GramMatrix()(draw(4, shape)), dtype="float64")
    smallest = np.linalg.eigvalsh(gram).min()
    assert smallest > -1e-5 * np.trace(gram, axis1=1, axis2=2).max()
    assert np.linalg.matrix_rank(gram[0]) <= shape[1] * shape[2]


@pytest.mark.parametrize("layer", [*map(GramMatrix, SCALINGS), SecondOrderPooling()])
def test_gradients_are_finite_where_a_map_is_empty(layer):
    features = tf.Variable(np.zeros((1, 4, 4, 3), "float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(features))
    assert np.isfinite(tape.gradient(total, features)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gram_keeps_float32_whatever_comes_in(dtype):
    features = np.random.default_rng(0).uniform(0, 100, (2, 32, 32, 8))
    rounded = tf.cast(features, dtype)
    expected = gram_in_float64(tf.cast(rounded, tf.float64).numpy())
    assert expected.max() > np.finfo("float16").max
    layer = GramMatrix(dtype=f"mixed_{dtype}")
    np.testing.assert_allclose(layer(rounded), expected, rtol=1e-5)
    whole = features.astype("float32")  # is not rounded on the way in
    np.testing.assert_allclose(layer(whole), gram_in_float64(whole), rtol=1e-5)


def test_gram_matrix_as_a_layer():
    for scaling in SCALINGS:
        check_layer(GramMatrix, {"scaling": scaling}, (4, 32, 32, 6), (4, 6, 6), (0, 0))


@pytest.mark.parametrize(
    "layer_class, options",
    [
        (GramModule, {}),
        (GramModule, {"units": 5, "statistic": "mean"}),
        (GramBank, {"k": 3}),
        *[(GramBank, {"k": 2, "units": 4, "fusion": fusion}) for fusion in FUSIONS],
        (GramBank, {"k": 2, "statistic": "mean", "fusion": "concatenate", "activation": False}),
    ],
)
def test_module_and_bank_as_layers(layer_class, options):
    width = options.get("k", 1) * options.get("units", 6)
    inputs = 6 if options.get("statistic") == "mean" else 36
    trainable = (inputs + 1) * width + (6 + 1) * width + 2 * width
    sides = 2 if options.get("fusion") == "concatenate" else 1
    shapes = (4, 32, 32, 6), (4, sides * width)
    check_layer(layer_class, options, *shapes, weights=(trainable, 2 * width))


@pytest.mark.parametrize("activation", [True, False])
def test_module_is_figure_3(activation):
    features = draw(5, (3, 4, 4, 6))
    module = GramModule(units=5, activation=activation, negative_slope=0.1)
    module.build(features.shape)
    rng = np.random.default_rng(6)
    module.set_weights([rng.uniform(0.1, 1, w.shape) for w in module.weights])
    parts = module.dense, module.convolution, module.normalisation
    dense, bias, filters, shift, gamma, beta, mean, variance = (
        np.asarray(w, dtype="float64") for part in parts for w in part.weights
    )

    def leaky(values):
        return np.where(values > 0, values, 0.1 * values) if activation else values

    left = leaky(gram_in_float64(features).reshape(3, 36) @ dense + bias)
    left = gamma * (left - mean) / np.sqrt(variance + 1e-3) + beta
    right = leaky(features @ filters + shift).mean(axis=(1, 2))
    np.testing.assert_allclose(module(features), left * right, rtol=1e-4, atol=1e-4)


def test_mean_statistic_reads_first_order_only():
    features = draw(7, (2, 4, 4, 3))
    centred = features - features.mean(axis=(1, 2), keepdims=True)
    module = GramModule(statistic="mean", fusion="add")
    module.build(features.shape)
    module.convolution.kernel.assign(np.zeros((3, 3)))
    np.testing.assert_allclose(module(centred), np.zeros((2, 3)), atol=1e-6)
    assert np.abs(module(features)).max() > 1e-3


def built_modules(k, shape, **options):
    modules = [GramModule(**options) for _ in range(k)]
    for seed, module in enumerate(modules):
        module.build(shape)
        rng = np.random.default_rng(seed)
        module.set_weights([rng.uniform(0.5, 1.5, w.shape) * (w + 0.1) for w in module.weights])
    return modules


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    "options", [{}, {"units": 7}, {"scaling": "signed_sqrt"}, {"statistic": "mean"}]
)
def test_bank_is_its_modules(fusion, options, training):
    features = tf.constant(draw(8, (5, 6, 6, 4)))
    modules = built_modules(3, features.shape, fusion=fusion, **options)
    bank = GramBank.from_modules(modules)
    target = tf.constant(draw(9, tuple(bank(features).shape)))
    fresh = np.asarray(bank.normalisation.moving_mean)

    def step(call, weights):
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = call(features)
            loss = tf.reduce_mean((outputs - target) ** 2)
        return outputs, *tape.gradient(loss, [features, *(w.value for w in weights)])

    def side_by_side(x):
        return tf.concat([m(x, training=training) for m in modules], axis=-1)

    together, of_bank, *by_bank = step(lambda x: bank(x, training=training), bank.trainable_weights)
    each = [w for m in modules for w in m.trainable_weights]
    apart, of_modules, *by_modules = step(side_by_side, each)
    same(together, apart)
    same(of_bank, of_modules)
    scale = max(np.abs(gradient).max() for gradient in by_modules)  # some are zero but for rounding
    for position, gradient in enumerate(by_bank):
        same(gradient, tf.concat(by_modules[position :: len(by_bank)], axis=-1), scale)
    # moving statistics have moved, or not, in the same way
    assert (np.asarray(bank.normalisation.moving_mean) != fresh).any() == training
    for held, *given in zip(bank.weights, *(m.weights for m in modules), strict=True):
        same(held.value, tf.concat([w.value for w in given], axis=-1))


def same(one, other, scale=None):
    one, other = np.asarray(one), np.asarray(other)
    scale = np.abs(other).max() if scale is None else scale
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * scale)


def test_fresh_bank_is_distributed_as_fresh_modules():
    keras.utils.set_random_seed(0)
    channels, k = 16, 8
    bank, module = GramBank(k), GramModule()
    for layer in (bank, module):
        layer.build((None, 4, 4, channels))
    for name, inputs in (("dense", channels**2), ("convolution", channels)):
        limit = np.sqrt(6 / (inputs + channels))
        wide = np.asarray(getattr(bank, name).kernel)
        assert limit * 0.99 < np.abs(wide).max() <= limit
        assert abs(wide.std() / (limit / np.sqrt(3)) - 1) < 0.03
        assert np.abs(np.asarray(getattr(module, name).kernel)).max() <= limit
        blocks = np.split(wide, k, axis=-1)
        assert all((blocks[0] != block).any() for block in blocks[1:])
    narrow = np.asarray(keras.initializers.GlorotUniform(0)((256, k * channels)))
    assert np.abs(narrow).max() < 0.9 * np.abs(np.asarray(bank.dense.kernel)).max()


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 4), (3, 8, 8, 16)])
def test_pooling_is_the_upper_triangle_row_by_row(scaling, shape):
    features = draw(0, shape)
    gram = np.asarray(GramMatrix(scaling)(features))
    side = shape[-1]
    entries = [gram[:, i, j] for i in range(side) for j in range(i, side)]
    pooled = SecondOrderPooling(scaling)(features)
    np.testing.assert_allclose(pooled, np.stack(entries, axis=1), rtol=1e-5, atol=1e-5)


def test_rank_projects_the_maps_first():
    """The Gram matrix of P-projected maps is P' G P."""
    features = draw(1, (3, 4, 5, 6))
    layer = SecondOrderPooling("none", rank=2)
    assert layer(features).shape == (3, 3)
    (kernel,) = (np.asarray(weight) for weight in layer.weights)
    assert kernel.shape == (6, 2)
    rows = features.reshape(3, 20, 6)
    gram = kernel.T @ (rows.transpose(0, 2, 1) @ rows) @ kernel
    expected = np.stack([gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]], axis=1)
    np.testing.assert_allclose(layer(features), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("rank", [None, 3])
def test_pooling_keeps_float32_whatever_comes_in(dtype, rank):
    rounded = tf.cast(np.random.default_rng(0).uniform(0, 100, (2, 32, 32, 4)), dtype)
    layer = SecondOrderPooling("none", rank, dtype=f"mixed_{dtype}")
    maps = tf.cast(rounded, "float64").numpy().reshape(2, -1, 4)
    pooled = layer(rounded)
    if rank:
        maps = maps @ np.asarray(layer.projection.kernel, "float64")
    gram = maps.transpose(0, 2, 1) @ maps
    upper = gram[:, *np.triu_indices(rank or 4)]
    assert keras.backend.standardize_dtype(pooled.dtype) == "float32"
    assert np.abs(upper).max() > np.finfo("float16").max
    np.testing.assert_allclose(pooled, upper, rtol=1e-4, atol=1e-5 * np.abs(upper).max())


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("rank", "width", "weights"), [(None, 21, 0), (1, 1, 6), (4, 10, 24)])
def test_pooling_as_a_layer(scaling, rank, width, weights):
    options = {"scaling": scaling, "rank": rank}
    check_layer(SecondOrderPooling, options, (4, 32, 32, 6), (4, width), (weights, 0))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GramBank(0), "k must be 1 or more in a bank, got 0"),
        (lambda: GramModule(units=0), "units must be 1 or more"),
        (lambda: GramModule(fusion="max"), "multiply, add, concatenate, average; got 'max'"),
        (lambda: GramMatrix("sqrt"), "none, positions, signed_sqrt, .*; got 'sqrt'"),
        (lambda: GramModule(statistic="var"), "gram, mean; got 'var'"),
        (lambda: SecondOrderPooling(rank=0), "rank must be 1 or more, or None for no projection"),
        (lambda: GramModule(statistic="mean", scaling="positions"), "scaling must be one of none;"),
        (lambda: GramModule()(np.zeros((2, 8))), r"reads feature maps .* got shape \(2, 8\)"),
        (lambda: GramBank.from_modules([]), "built modules"),
        (lambda: GramBank.from_modules([GramModule()]), "built modules"),
        (
            lambda: GramBank.from_modules(
                built_modules(1, (1, 2, 2, 3)) + built_modules(1, (1, 2, 2, 4))
            ),
            "same options and channels",
        ),
    ],
)
def test_bad_options_say_what_is_valid(make, message):
    with pytest.raises(ValueError, match=message):
        make()
