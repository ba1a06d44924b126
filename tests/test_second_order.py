"""The matrix square root and the covariance, in closed form."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from layer_checks import check_layer

from gramnb._keras import ops
from gramnb.layers import GramMatrix, SecondOrderPooling, matrix_square_root


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
    root = matrix_square_root(ops.convert_to_tensor(matrices), iterations=20)
    np.testing.assert_allclose(root, exact, rtol=1e-4, atol=1e-4)
    few = matrix_square_root(ops.convert_to_tensor(matrices))
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


@pytest.mark.parametrize("scaling", ["signed_sqrt_l2", "matrix_sqrt"])
def test_pooling_of_whole_matrices_as_a_layer(scaling):
    options = {"scaling": scaling, "rank": 4, "centred": True}
    check_layer(SecondOrderPooling, options, (2, 8, 8, 6), (2, 10), (24, 0))


def test_signed_square_root_with_l2_has_length_one():
    features = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
    found = np.asarray(GramMatrix("signed_sqrt_l2")(features))
    np.testing.assert_allclose((found**2).sum(axis=(1, 2)), 1, rtol=1e-4)
