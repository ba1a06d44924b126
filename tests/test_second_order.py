"""The triangle of the Gram matrix, in closed form and as a layer."""

import numpy as np
import pytest
import tensorflow as tf
from layer_checks import check_layer

from gramnb._keras import keras, ops
from gramnb.layers import SCALINGS, GramMatrix
from gramnb.second_order import SecondOrderPooling


def draw(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 4), (3, 8, 8, 16)])
def test_pooling_is_the_upper_triangle_row_by_row(scaling, shape):
    features = draw(0, shape)
    gram = np.asarray(GramMatrix(scaling)(features))
    side = shape[-1]
    entries = [gram[:, i, j] for i in range(side) for j in range(i, side)]
    pooled = SecondOrderPooling(scaling)(features)
    np.testing.assert_allclose(pooled, np.stack(entries, axis=1), rtol=1e-5, atol=1e-5)


def test_pooling_of_known_maps():
    maps = np.stack([np.ones((4, 4)), np.full((4, 4), 2.0), np.zeros((4, 4))], axis=-1)[None]
    np.testing.assert_array_equal(SecondOrderPooling("none")(maps), [[16, 32, 0, 64, 0, 0]])
    roots = np.sign([16, 32, 0]) * np.sqrt([16, 32, 0])
    np.testing.assert_allclose(SecondOrderPooling()(maps)[0, :3], roots, rtol=1e-4)


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


def test_gradients_are_finite_where_a_map_is_empty():
    features = tf.Variable(np.zeros((1, 4, 4, 3), "float32"))
    with tf.GradientTape() as tape:
        total = ops.sum(SecondOrderPooling()(features))
    assert np.isfinite(tape.gradient(total, features)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank must be 1 or more, or None for no projection; got 0"),
        ({"scaling": "sqrt"}, "scaling must be one of none, positions, signed_sqrt; got 'sqrt'"),
    ],
)
def test_bad_options_say_what_is_valid(options, message):
    with pytest.raises(ValueError, match=message):
        SecondOrderPooling(**options)
