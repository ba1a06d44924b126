"""Where the network looked: what each position of a feature map adds to the log-odds of sadness.

The log-odds log(p / (1 - p)) are a sum where the probability is not: biases, plus the backbone's
branch, plus the Gram modules. `grad_cam` divides the branch among the positions of the top feature
map, `gram_contributions` the modules' part among those of each tap. Both are in log-odds: positive
speaks for sadness, negative for others. Both take a classifier with the sub-models "backbone" and
"head", as `training.load_network` returns it, and images (B, S, S, 3), values 0-255, some dozens at
once.
"""

import numpy as np

from gramnb._keras import keras, ops, quiet
from gramnb.layers import GramMatrix, GramModule

with quiet():
    import tensorflow as tf


def contribution_maps(network: keras.Model, images) -> dict[str, np.ndarray]:
    """Return all maps of some images, (B, H, W) each, by the title a figure gives them.

    If the head has no modules, it is Grad-CAM alone.
    """
    maps = {"Grad-CAM": grad_cam(network, images)}
    taps = gram_contributions(network, images)
    for i, (of_tap, _) in enumerate(taps, 1):
        maps["Gram modules" if len(taps) == 1 else f"Gram modules, tap {i}"] = of_tap
    return maps


def grad_cam(network: keras.Model, images) -> np.ndarray:
    """Return Grad-CAM of sadness on the backbone's top feature map, before its rectification.

    Sub-map c is weighted by the mean over positions of the log-odds' gradient (Selvaraju et al.
    2017, equations 1 and 2). The positive part is Grad-CAM of sadness as published, the negative
    part that of others. `build_head`'s branch is piecewise linear in the pooled map, so a map,
    (B, H, W) float32, sums to what the branch adds to the log-odds, but for its biases.
    """
    top, *taps = _features(network, images)
    with tf.GradientTape() as tape:
        tape.watch(top)
        log_odds = _log_odds(network, _embedding(network, [top, *taps]))
    weights = ops.mean(tape.gradient(log_odds, top), axis=(1, 2), keepdims=True)  # (B, 1, 1, D)
    return ops.convert_to_numpy(ops.sum(weights * top, axis=-1))  # (B, H, W)


def gram_contributions(network: keras.Model, images) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what each position of each tap adds to the log-odds through the Gram modules.

    With f_p the features at position p of P, the two sides of a module (Figure 3) are sums:

        G = r * sum_p f_p f_p^T                            r: how each cell of G is scaled
        d = D0 + sum_p D_p,   D_p = g s K^T vec(r * f_p f_p^T),   D0 = g s b + h
        m = M0 + sum_p M_p,   M_p = s_p k^T f_p / P,              M0 = sum_p s_p c / P

    K, b are the dense layer's weights, k, c the convolution's, s and s_p the slopes of their leaky
    ReLUs, and batch normalisation maps x to g x + h. Slopes and r are held at this image's values,
    where leaky ReLU(x) = s x exactly. With w the last layer's weights, sadness minus others,

        w d m = w D0 M0 + sum_p w (D_p (M0 + m) + M_p (D0 + d)) / 2

    which gives half of each product D_p M_q to p and half to q: the Shapley values of the
    positions. The other fusions are sums already. Where f_p is zero, the contribution is.
    Among several classes w is the gradient of the log-odds at this image.

    Returns:
        Of each tap maps (B, H, W) and the constant w D0 M0 (B,), which together sum to what its
        modules add; none without modules.
    """
    head = network.get_layer("head")
    named = {layer.name: layer for layer in head.layers if isinstance(layer, GramModule)}
    if not named:
        return []
    banks = [named[f"gram{i}"] for i in range(1, len(named) + 1)]
    features = _features(network, images)
    embedding = _embedding(network, features)
    with tf.GradientTape() as tape:
        tape.watch(embedding)
        log_odds = _log_odds(network, embedding)
    weights = ops.convert_to_numpy(tape.gradient(log_odds, embedding))  # (B, width)
    widths = [bank.dense.units * (2 if bank.fusion == "concatenate" else 1) for bank in banks]
    weights = weights[:, -sum(widths) :]  # the last of concatenated branches
    weights = np.split(weights, np.cumsum(widths)[:-1], axis=1)
    return [_divide(*each) for each in zip(banks, features[1:], weights, strict=True)]


def _features(network: keras.Model, images) -> list:
    """Return the top feature map and the taps that the head reads, float32."""
    maps = keras.tree.flatten(network.get_layer("backbone")(images, training=False))
    return [ops.cast(map_, "float32") for map_ in maps[: len(network.get_layer("head").inputs)]]


def _embedding(network: keras.Model, features: list):
    """Return what the last layer reads, (B, width)."""
    head = network.get_layer("head")
    top, *taps = features
    read = ops.mean(top, axis=(1, 2)) if len(head.inputs[0].shape) == 2 else top
    embed = keras.Model(head.inputs, head.get_layer("probabilities").input)
    return embed([read, *taps], training=False)


def _log_odds(network: keras.Model, embedding):
    """Return the log-odds of sadness against all other classes, (B,)."""
    last = network.get_layer("head").get_layer("probabilities")
    logits = ops.matmul(embedding, last.kernel) + last.bias
    others = ops.concatenate([logits[:, :1], logits[:, 2:]], axis=1)
    return logits[:, 1] - ops.logsumexp(others, axis=1)


def _divide(bank: GramModule, features, weights) -> tuple[np.ndarray, np.ndarray]:
    """Divide `weights` times a bank's output among positions, by `gram_contributions`' equations.

    What is linear in f_p, as M_p, is f_p times its gradient; D_p is of degree 2 in the features,
    and is half of that. The derivative of a whole side along the features sums over positions.
    """
    degree = 2 if bank.statistic == "gram" else 1
    with tf.autodiff.ForwardAccumulator(features, features) as along, tf.GradientTape() as tape:
        tape.watch(features)
        gram = bank.gram(features)
        if degree == 2:
            raw = GramMatrix()(features)
            gram = raw * ops.stop_gradient(ops.divide_no_nan(gram, raw))  # r * F F^T
        sides = bank.dense_side(gram), bank.convolved_side(features)  # d and m, (B, U) each
        d, m = map(ops.stop_gradient, sides)
        d0, m0 = d - along.jvp(sides[0]) / degree, m - along.jvp(sides[1])
        d0, m0 = ops.stop_gradient(d0), ops.stop_gradient(m0)
        by_d = (bank.fuse(sides[0], m0) + bank.fuse(sides[0], m)) / (2 * degree)
        by_m = (bank.fuse(d0, sides[1]) + bank.fuse(d, sides[1])) / 2
        both = ops.sum(weights * (by_d + by_m))
    maps = ops.sum(features * tape.gradient(both, features), axis=-1)  # (B, H, W)
    constant = ops.sum(weights * bank.fuse(d0, m0), axis=-1)
    return ops.convert_to_numpy(maps), ops.convert_to_numpy(constant)
