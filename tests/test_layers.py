"""The Gram matrix in closed form, and the bank against the modules it holds."""

import json

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from gramnb._keras import keras, ops
from gramnb.choices import FUSIONS, SCALINGS
from gramnb.layers import (
    FusedBatchNormalization,
    GramBank,
    GramMatrix,
    GramModule,
    SecondOrderPooling,
    matrix_square_root,
)

SHAPES = [(1, 1, 1, 1), (2, 3, 5, 4), (3, 8, 8, 16), (2, 32, 32, 56)]


def draw(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def gram_in_float64(features):
    rows = features.astype("float64").reshape(len(features), -1, features.shape[-1])
    return np.einsum("bpi,bpj->bij", rows, rows)


@pytest.mark.parametrize("shape", SHAPES)
def test_gram_is_equation_1(shape):
    features = draw(0, shape)
    expected = gram_in_float64(features)
    positions = shape[1] * shape[2]
    root = expected / np.sqrt(np.abs(expected) + 1e-3)
    for scaling, wanted in zip(SCALINGS, (expected, expected / positions, root), strict=True):
        result = np.asarray(GramMatrix(scaling)(features))
        tolerance = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=tolerance)


def test_gram_is_symmetric_positive_semidefinite_and_blind_to_positions():
    rng = np.random.default_rng(0)  # of whole numbers, so that no order of summation rounds
    features = rng.integers(-8, 9, (2, 64, 12)).astype("float32")
    shuffled = rng.permutation(features, axis=1)
    gram, again = (GramMatrix()(x.reshape(2, 8, 8, 12)).numpy() for x in (features, shuffled))
    np.testing.assert_array_equal(gram, gram.transpose(0, 2, 1))
    np.testing.assert_array_equal(gram, again)
    assert np.linalg.eigvalsh(gram.astype(float)).min() > 0 and (features != shuffled).any()


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


def module(**options):
    """Return options of a module or bank, its output's width and its weights' number."""
    width = options.get("k", 1) * options.get("units", 6)
    inputs = 6 if options.get("statistic") == "mean" else 36
    trainable = (inputs + 1) * width + (6 + 1) * width + 2 * width
    sides = 2 if options.get("fusion") == "concatenate" else 1
    return (
        GramBank if "k" in options else GramModule,
        options,
        (sides * width,),
        (trainable, 2 * width),
    )


def count(weights):
    """Return how many numbers the weights hold."""
    return sum(int(np.prod(w.shape)) for w in weights)


@pytest.mark.parametrize(
    ("layer_class", "options", "output", "weights"),
    [
        (GramMatrix, {"scaling": "signed_sqrt"}, (6, 6), (0, 0)),
        module(units=5, statistic="mean"),
        module(k=3),
        module(k=2, units=4, fusion="concatenate"),
        module(k=2, statistic="mean", fusion="concatenate", activation=False),
        (SecondOrderPooling, {"scaling": "none"}, (21,), (0, 0)),
        *((SecondOrderPooling, {"scaling": s, "rank": 4, "centred": True}, (10,), (24, 0))
          for s in ("signed_sqrt_l2", "matrix_sqrt")),
    ],
)  # fmt: skip
def test_every_layer(layer_class, options, output, weights):
    """Its configuration, numbers of weights (trainable, not), shapes, dtypes, and one `fit`."""
    inputs = np.random.default_rng(0).uniform(0, 100, (4, 32, 32, 6)).astype("float32")
    layer = layer_class(**options)
    config = json.loads(json.dumps(layer.get_config()))
    again = layer_class.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    assert options.items() <= config.items()

    symbolic, eager = layer(keras.KerasTensor((None, 32, 32, 6))), layer(inputs)
    assert symbolic.shape == (None, *output) and tuple(eager.shape) == (4, *output)
    assert symbolic.dtype == keras.backend.standardize_dtype(eager.dtype) == "float32"
    assert (count(layer.trainable_weights), count(layer.non_trainable_weights)) == weights

    for policy in ("mixed_float16", "bfloat16"):
        half = layer_class(**options, dtype=policy)
        result = half(ops.cast(inputs, half.compute_dtype))
        assert keras.backend.standardize_dtype(result.dtype) == "float32", policy
        assert np.isfinite(result).all(), policy

    inner = layer_class(**options)
    model = keras.Sequential([keras.Input((32, 32, 6)), inner, keras.layers.Flatten()])
    model.add(keras.layers.Dense(1))
    model.compile(keras.optimizers.Adagrad(0.01), "mse")
    before = model.get_weights()
    loss = model.fit(inputs, np.zeros((4, 1)), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    kernels = [pair for pair in zip(before, model.get_weights(), strict=True) if pair[0].ndim > 1]
    assert kernels and all((old != new).any() for old, new in kernels)


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


def built_modules(k, shape, **options):
    modules = [GramModule(**options) for _ in range(k)]
    for seed, module in enumerate(modules):
        module.build(shape)
        rng = np.random.default_rng(seed)
        module.set_weights([rng.uniform(0.5, 1.5, w.shape) * (w + 0.1) for w in module.weights])
    return modules


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        *({"fusion": f} for f in FUSIONS),
        {"scaling": "signed_sqrt"},
        {"statistic": "mean", "units": 7},
    ],
)
def test_bank_is_its_modules(options, training):
    features = tf.constant(draw(8, (5, 6, 6, 4)))
    modules = built_modules(3, features.shape, **options)
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


def test_pooling_is_the_upper_triangle_row_by_row():
    features = draw(0, (3, 8, 8, 16))
    gram = np.asarray(GramMatrix("signed_sqrt")(features))
    entries = [gram[:, i, j] for i in range(16) for j in range(i, 16)]
    pooled = SecondOrderPooling("signed_sqrt")(features)
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


# Second order: the matrix square root and the covariance


def spd(seed, size, count=3):
    """Random symmetric positive definite matrices whose eigenvalues lie between 1 and 5."""
    rng = np.random.default_rng(seed)
    rotations = np.linalg.qr(rng.normal(size=(count, size, size)))[0]
    values = rng.uniform(1, 5, (count, 1, size))
    return ((rotations * values) @ rotations.transpose(0, 2, 1)).astype("float32")


@pytest.mark.parametrize("size", [1, 3, 8])
def test_matrix_square_root_is_the_eigendecompositions(size):
    matrices = spd(0, size)
    values, vectors = np.linalg.eigh(matrices.astype(float))
    exact = (vectors * np.sqrt(values)[:, None]) @ vectors.transpose(0, 2, 1)
    root = matrix_square_root(keras.ops.convert_to_tensor(matrices), iterations=20)
    np.testing.assert_allclose(root, exact, rtol=1e-4, atol=1e-4)
    few = matrix_square_root(keras.ops.convert_to_tensor(matrices))
    np.testing.assert_allclose(few, exact, rtol=0.2, atol=0.1 * size)


def test_matrix_square_root_s_gradient_solves_lyapunov_s_equation():
    """If S S = A and L = sum(W S), then dL/dA is the X of S X + X S = W, for symmetric W."""
    matrices, weights = spd(1, 4), spd(2, 4)
    a = tf.Variable(matrices)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(weights * matrix_square_root(tf.identity(a), iterations=20))
    found = tape.gradient(loss, a).numpy()
    for gradient, matrix, weight in zip(found, matrices, weights, strict=True):
        root = scipy.linalg.sqrtm(matrix.astype(float))
        exact = scipy.linalg.solve_continuous_lyapunov(root, weight.astype(float))
        np.testing.assert_allclose((gradient + gradient.T) / 2, exact, rtol=1e-3, atol=1e-4)


def test_centred_gram_by_positions_is_the_covariance():
    features = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    found = GramMatrix("positions", centred=True)(features)
    for one, rows in zip(found, features.reshape(2, 30, 4), strict=True):
        np.testing.assert_allclose(one, np.cov(rows.T, bias=True), rtol=1e-3, atol=1e-3)


def test_signed_square_root_with_l2_has_length_one():
    features = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    found = np.asarray(GramMatrix("signed_sqrt_l2")(features))
    np.testing.assert_allclose((found**2).sum(axis=(1, 2)), 1, rtol=1e-4)


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


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's")
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
    layer = FusedBatchNormalization()
    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(features).graph
    assert "FusedBatchNormV3" in {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_fused_batch_normalization_follows_the_policy(policy):
    layer = FusedBatchNormalization(dtype=policy)
    normalised = layer(np.random.default_rng(0).uniform(0, 100, (4, 8, 8, 3)), training=True)
    assert keras.backend.standardize_dtype(normalised.dtype) == layer.compute_dtype
    np.testing.assert_allclose(np.mean(normalised, axis=(0, 1, 2), dtype=float), 0, atol=0.01)
    np.testing.assert_allclose(layer.moving_mean, 0.5, atol=0.05)  # 1 % of the mean of the inputs
