"""The Gram matrix in closed form, and the bank against the modules it holds.

Chapter 2 shows, and is tested to show, that G is symmetric and blind to positions.
"""

import json

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from gramnb._keras import keras, ops
from gramnb.choices import FUSIONS
from gramnb.layers import (
    FusedBatchNormalization,
    GramBank,
    GramMatrix,
    GramModule,
    SecondOrderPooling,
    matrix_square_root,
)


def draw(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def gram_in_float64(features):
    rows = features.astype("float64").reshape(len(features), -1, features.shape[-1])
    return np.einsum("bpi,bpj->bij", rows, rows)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 4), (2, 32, 32, 56)])
def test_gram_is_equation_1_and_pooling_its_upper_triangle(shape):
    features, size = draw(0, shape), shape[-1]
    gram = gram_in_float64(features)
    root = gram / np.sqrt(np.abs(gram) + 1e-3)
    length = np.sqrt((root**2).sum(axis=(1, 2), keepdims=True))
    rows = features.reshape(shape[0], -1, size).transpose(0, 2, 1)
    expected = {
        GramMatrix(): gram,
        GramMatrix("positions"): gram / (shape[1] * shape[2]),
        GramMatrix("signed_sqrt"): root,
        GramMatrix("signed_sqrt_l2"): root / length,
        GramMatrix("positions", centred=True): np.stack([np.cov(x, bias=True) for x in rows]),
        SecondOrderPooling("signed_sqrt"): root[:, *np.triu_indices(size)],
    }
    projecting = SecondOrderPooling("none", rank=2)  # the maps first
    projecting.build(shape)
    maps = features @ np.asarray(projecting.projection.kernel)
    expected[projecting] = gram_in_float64(maps)[:, *np.triu_indices(2)]
    for layer, wanted in expected.items():
        wanted = wanted.reshape(layer(features).shape)  # of one sub-map np.cov makes a number
        tolerance = 1e-5 * np.abs(wanted).max() + 1e-6
        np.testing.assert_allclose(layer(features), wanted, rtol=1e-3, atol=tolerance)


@pytest.mark.parametrize("layer", [GramMatrix("signed_sqrt"), SecondOrderPooling("matrix_sqrt")])
def test_gradients_are_finite_where_a_map_is_empty(layer):
    features = tf.Variable(np.zeros((1, 4, 4, 3), "float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(features))
    assert np.isfinite(tape.gradient(total, features)).all()


@pytest.mark.parametrize(
    ("layer_class", "options", "output", "weights"),
    [  # a unit of a module has the weights of dense layer, convolution and normalisation
        (GramMatrix, {"scaling": "signed_sqrt"}, (6, 6), 0),
        (GramModule, {"units": 5, "statistic": "mean"}, (5,), (7 + 7 + 4) * 5),
        (GramBank, {"k": 2, "units": 4, "fusion": "concatenate"}, (16,), (37 + 7 + 4) * 8),
        (SecondOrderPooling, {"scaling": "matrix_sqrt", "rank": 4, "centred": True}, (10,), 24),
    ],
)
def test_every_layer(layer_class, options, output, weights):
    """Its configuration, number of weights, shapes and dtypes."""
    inputs = np.random.default_rng(0).uniform(0, 100, (4, 32, 32, 6)).astype("float32")
    layer = layer_class(**options)
    config = json.loads(json.dumps(layer.get_config()))
    assert layer_class.from_config(config).get_config() == config
    assert {"name": layer.name, **options}.items() <= config.items()

    symbolic, eager = layer(keras.KerasTensor((None, 32, 32, 6))), layer(inputs)
    assert symbolic.shape == (None, *output) and tuple(eager.shape) == (4, *output)
    assert symbolic.dtype == keras.backend.standardize_dtype(eager.dtype) == "float32"
    assert layer.count_params() == weights

    for policy in ("mixed_float16", "bfloat16"):
        half = layer_class(**options, dtype=policy)
        result = half(ops.cast(inputs, half.compute_dtype))
        assert keras.backend.standardize_dtype(result.dtype) == "float32", policy
        assert np.isfinite(result).all(), policy  # G is beyond float16


@pytest.mark.parametrize(
    ("statistic", "activation"), [("gram", True), ("gram", False), ("mean", True)]
)
def test_module_is_figure_3(statistic, activation):
    features = draw(5, (3, 4, 4, 6))
    module = GramModule(5, statistic=statistic, activation=activation, negative_slope=0.1)
    module.build(features.shape)
    rng = np.random.default_rng(6)
    module.set_weights([rng.uniform(0.1, 1, w.shape) for w in module.weights])
    parts = module.dense, module.convolution, module.normalisation
    dense, bias, filters, shift, gamma, beta, mean, variance = (
        np.asarray(w, dtype="float64") for part in parts for w in part.weights
    )

    def leaky(values):
        return np.where(values > 0, values, 0.1 * values) if activation else values

    read = {"gram": gram_in_float64(features).reshape(3, 36), "mean": features.mean(axis=(1, 2))}
    left = leaky(read[statistic] @ dense + bias)
    left = gamma * (left - mean) / np.sqrt(variance + 1e-3) + beta
    right = leaky(features @ filters + shift).mean(axis=(1, 2))
    np.testing.assert_allclose(module(features), left * right, rtol=1e-4, atol=1e-4)


def built_module(seed, shape, **options):
    module, rng = GramModule(**options), np.random.default_rng(seed)
    module.build(shape)
    module.set_weights([rng.uniform(0.5, 1.5, w.shape) * (w + 0.1) for w in module.weights])
    return module


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        *({"fusion": f} for f in FUSIONS),
        {"scaling": "signed_sqrt", "activation": False},
        {"statistic": "mean", "units": 7},
    ],
)
def test_bank_is_its_modules(options, training):
    features = tf.constant(draw(8, (5, 6, 6, 4)))
    modules = [built_module(seed, features.shape, **options) for seed in range(2)]
    bank = GramBank.from_modules(modules)
    target = tf.constant(draw(9, tuple(bank(features).shape)))
    fresh = np.asarray(bank.normalisation.moving_mean)

    def step(layers):
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = tf.concat([layer(features, training=training) for layer in layers], axis=-1)
            loss = tf.reduce_mean((outputs - target) ** 2)
        weights = [weight.value for layer in layers for weight in layer.trainable_weights]
        return outputs, *tape.gradient(loss, [features, *weights])

    together, of_bank, *by_bank = step([bank])
    apart, of_modules, *by_modules = step(modules)
    same(together, apart)
    same(of_bank, of_modules)
    scale = max(np.abs(gradient).max() for gradient in by_modules)  # some are zero but for rounding
    for position, gradient in enumerate(by_bank):
        same(gradient, tf.concat(by_modules[position :: len(by_bank)], axis=-1), scale)
    # moving statistics have moved, or not, in the same way
    assert (np.asarray(bank.normalisation.moving_mean) != fresh).any() == training
    for held, *given in zip(bank.weights, *(m.weights for m in modules), strict=True):
        same(held, np.concatenate(given, axis=-1))


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
        limit = np.sqrt(6 / (inputs + channels))  # of glorot_uniform, for one module
        wide = np.asarray(getattr(bank, name).kernel)
        assert limit * 0.99 < np.abs(wide).max() <= limit
        assert abs(wide.std() / (limit / np.sqrt(3)) - 1) < 0.03
        assert np.abs(np.asarray(getattr(module, name).kernel)).max() <= limit
        blocks = np.split(wide, k, axis=-1)
        assert all((blocks[0] != block).any() for block in blocks[1:])


def spd(seed, size, count=3):
    """Random symmetric positive definite matrices whose eigenvalues lie between 1 and 5."""
    rng = np.random.default_rng(seed)
    rotations = np.linalg.qr(rng.normal(size=(count, size, size)))[0]
    values = rng.uniform(1, 5, (count, 1, size))
    return ((rotations * values) @ rotations.transpose(0, 2, 1)).astype("float32")


def test_matrix_square_root_and_its_gradient():
    """If S S = A and L = sum(W S), then dL/dA is the X of S X + X S = W, for symmetric W."""
    matrices, weights = spd(1, 4), spd(2, 4)
    a = tf.Variable(matrices)
    with tf.GradientTape() as tape:
        roots = matrix_square_root(tf.identity(a), iterations=20)
        loss = tf.reduce_sum(weights * roots)
    found, few = tape.gradient(loss, a).numpy(), matrix_square_root(tf.identity(a))
    for i, (gradient, matrix, weight) in enumerate(zip(found, matrices, weights, strict=True)):
        root = scipy.linalg.sqrtm(matrix.astype(float))
        np.testing.assert_allclose(roots[i], root, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(few[i], root, rtol=0.2, atol=0.4)
        exact = scipy.linalg.solve_continuous_lyapunov(root, weight.astype(float))
        np.testing.assert_allclose((gradient + gradient.T) / 2, exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GramBank(0), "k must be 1 or more in a bank, got 0"),
        (lambda: GramModule(fusion="max"), "multiply, add, concatenate, average; got 'max'"),
        (lambda: GramModule(statistic="mean", scaling="positions"), "scaling must be one of none;"),
        (lambda: GramModule()(np.zeros((2, 8))), "expected ndim=4, found ndim=2"),
        (lambda: GramBank.from_modules([built_module(0, (1, 2, 2, c)) for c in (3, 4)]), "same"),
    ],
)
def test_bad_options_say_what_is_valid(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_fused_batch_normalization_is_keras_s():
    rng = np.random.default_rng(0)
    features = ops.convert_to_tensor(rng.normal(3, 2, (4, 5, 6, 7)).astype("float32"))
    sides = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.8, epsilon=1e-2, gamma_initializer=keras.initializers.Constant(2))
        with tf.GradientTape() as tape:
            tape.watch(features)
            answer = layer(features, training=True)
            loss = ops.sum(answer**3)
        slopes = tape.gradient(loss, [features, layer.gamma, layer.beta])
        held = [layer.moving_mean, layer.moving_variance, layer(features, training=False)]
        layer.trainable = False
        frozen = layer(features, training=True)
        sides.append([answer, *slopes, *held, frozen])
    for fused, plain in zip(*sides, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)
    layer = FusedBatchNormalization(dtype="mixed_float16")
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(features).graph
    assert "FusedBatchNormV3" in {operation.type for operation in graph.get_operations()}
    half = layer(rng.uniform(0, 100, (4, 8, 8, 7)), training=True)
    assert keras.backend.standardize_dtype(half.dtype) == "float16"
    np.testing.assert_allclose(np.mean(half, axis=(0, 1, 2), dtype=float), 0, atol=0.01)
    np.testing.assert_allclose(layer.moving_mean, 0.5, atol=0.05)  # 1 % of the mean of the inputs
