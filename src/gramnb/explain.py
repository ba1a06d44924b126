"""Where the network looked: what each position of a feature map adds to the log-odds of sadness.

The log-odds log(p / (1 - p)) are a sum where the probability is not: biases, plus the backbone's
branch, plus the Gram modules. `grad_cam` divides the branch among the positions of the top feature
map, `gram_contributions` the modules' part among those of each tap. Both are in log-odds: positive
speaks for sadness, negative for others. Both take a classifier with the sub-models "backbone" and
"head", as `networks.load_network` returns it, and images (B, S, S, 3), values 0-255, some dozens at
once.
"""

from typing import NamedTuple

import numpy as np

from gramnb._keras import keras, ops, quiet
from gramnb.layers import GramMatrix, GramModule

with quiet():
    import tensorflow as tf


class Contribution(NamedTuple):
    """What a tap's modules add to the log-odds, divided: the sum of a map plus its constant.

    maps: (B, H, W) float32, by position; constant: (B,) float32, what is there without a picture.
    """

    maps: np.ndarray
    constant: np.ndarray


def contribution_maps(network: keras.Model, images) -> dict[str, np.ndarray]:
    """Return all maps of some images, (B, H, W) each, by the title a figure gives them.

    If the head has no modules, it is Grad-CAM alone.
    """
    maps = {"Grad-CAM": grad_cam(network, images)}
    taps = gram_contributions(network, images)
    for i, part in enumerate(taps, 1):
        maps["Gram modules" if len(taps) == 1 else f"Gram modules, tap {i}"] = part.maps
    return maps


def grad_cam(network: keras.Model, images) -> np.ndarray:
    """Return Grad-CAM of sadness on the backbone's top feature map, before its rectification.

    Sub-map c is weighted by the mean over positions of the log-odds' gradient (Selvaraju et al.
    2017, equations 1 and 2). The positive part is Grad-CAM of sadness as published, the negative
    part that of others. `build_head`'s branch is piecewise linear in the pooled map, so a map,
    (B, H, W) float32, sums to what the branch adds to the log-odds, but for its biases.
    """
    features = _features(network, images)
    with tf.GradientTape() as tape:
        tape.watch(features[0])
        embedding = _embedding(network, features)
        log_odds = ops.sum(embedding * _towards_sadness(network, features), axis=-1)
    gradient = tape.gradient(log_odds, features[0])
    weights = ops.mean(gradient, axis=(1, 2), keepdims=True)  # (B, 1, 1, D)
    return ops.convert_to_numpy(ops.sum(weights * features[0], axis=-1))  # (B, H, W)


def gram_contributions(network: keras.Model, images) -> list[Contribution]:
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
    Among several classes w is the gradient of the log-odds at this image (`_towards_sadness`).

    Returns:
        One `Contribution` a tap, none without modules. A tap's modules add w times their output to
        the log-odds; that is the sum of its map plus its constant, w D0 M0.
    """
    if not (banks := _banks(network)):
        return []
    features = _features(network, images)
    weights = ops.convert_to_numpy(_towards_sadness(network, features))  # (B, width)
    taps = features[1:]
    widths = [bank.dense.units * (2 if bank.fusion == "concatenate" else 1) for bank in banks]
    weights = weights[:, -sum(widths) :]  # the last of concatenated branches
    weights = np.split(weights, np.cumsum(widths)[:-1], axis=1)
    return [_divide(*each) for each in zip(banks, taps, weights, strict=True)]


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


def _banks(network: keras.Model) -> list[GramModule]:
    """Return a classifier's Gram modules in the order of their taps, one bank a tap."""
    head = network.get_layer("head")
    named = {layer.name: layer for layer in head.layers if isinstance(layer, GramModule)}
    return [named[f"gram{i}"] for i in range(1, len(named) + 1)]


def _towards_sadness(network: keras.Model, features: list):
    """Return the gradient of the log-odds along what the last layer reads: (B, width), constant.

    The weights of sadness minus those of the others, each by its share among the others' softmax;
    of two classes, simply the difference.
    """
    last = network.get_layer("head").get_layer("probabilities")
    embedding = _embedding(network, features)
    order = [1, 0, *range(2, last.units)]  # sadness first
    kernel = ops.take(last.kernel, order, axis=1)
    logits = (ops.matmul(embedding, kernel) + ops.take(last.bias, order))[:, 1:]
    shares = ops.exp(logits - ops.logsumexp(logits, axis=1, keepdims=True))  # (B, others)
    towards = kernel[:, 0] - ops.matmul(shares, ops.transpose(kernel[:, 1:]))
    return ops.stop_gradient(towards)


def _divide(bank: GramModule, features, weights) -> Contribution:
    """Divide `weights` times a bank's output among positions, by `gram_contributions`' equations.

    What is linear in f_p, as M_p, is f_p times its gradient; D_p is of degree 2 in the features,
    and is half of that. The derivative of a whole side along the features sums over positions.
    """
    degree = 1 if bank.gram is None else 2
    with tf.autodiff.ForwardAccumulator(features, features) as along, tf.GradientTape() as tape:
        tape.watch(features)
        if bank.gram is None:
            vector = ops.mean(features, axis=(1, 2))  # (B, C)
        else:
            gram = GramMatrix()(features)
            scale = ops.divide_no_nan(bank.gram(features), gram)  # r
            vector = gram * ops.stop_gradient(scale)
        sides = bank.dense_side(vector), bank.convolved_side(features)  # d and m, (B, U) each
        d, m = map(ops.stop_gradient, sides)
        d0, m0 = d - along.jvp(sides[0]) / degree, m - along.jvp(sides[1])
        d0, m0 = ops.stop_gradient(d0), ops.stop_gradient(m0)
        by_d = (bank.fuse(sides[0], m0) + bank.fuse(sides[0], m)) / (2 * degree)
        by_m = (bank.fuse(d0, sides[1]) + bank.fuse(d, sides[1])) / 2
        both = ops.sum(weights * (by_d + by_m))
    maps = ops.sum(features * tape.gradient(both, features), axis=-1)  # (B, H, W)
    constant = ops.sum(weights * bank.fuse(d0, m0), axis=-1)
    return Contribution(ops.convert_to_numpy(maps), ops.convert_to_numpy(constant))
