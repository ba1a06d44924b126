"""Where the network looked: what each position of a feature map adds to the log-odds of sadness.

The log-odds log(p / (1 - p)) are a sum where the probability is not: biases, plus the backbone's
branch, plus the Gram modules. `contributions` divides the branch among the positions of the top
feature map, and the modules' part among those of each tap.
"""

import numpy as np

from gramnb._keras import keras, ops, quiet
from gramnb.layers import GramMatrix, GramModule

with quiet():
    import tensorflow as tf


def contribution_maps(network: keras.Model, images) -> dict[str, np.ndarray]:
    """Return the maps of `contributions` alone, (B, H, W) each."""
    return {title: maps for title, (maps, _) in contributions(network, images).items()}


def contributions(network: keras.Model, images) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return what positions add to the log-odds of sadness; below zero they speak for others.

    Grad-CAM: sub-map c of the top feature map is weighted by the mean over positions of the
    log-odds' gradient (Selvaraju et al. 2017, equations 1 and 2). The positive part is Grad-CAM of
    sadness as published, the negative part that of others. `build_head`'s branch is piecewise
    linear in the pooled map, so a map sums to what the branch adds, but for its biases.

    Gram modules: with f_p the features at position p of P, the two sides of a module (Figure 3)
    are sums:

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

    Args:
        network: with the sub-models "backbone" and "head", as `training.load_network` returns it.
        images: (B, S, S, 3), values 0-255, some dozens at once.

    Returns:
        By the title a figure gives them, Grad-CAM first and then each tap that modules read: maps
        (B, H, W), and a constant (B,), w D0 M0, with which they sum to what the modules add.
    """
    head, body = network.get_layer("head"), network.get_layer("backbone")
    maps = keras.tree.flatten(body(images, training=False))[: len(head.inputs)]
    top, *taps = (ops.cast(each, "float32") for each in maps)
    last = head.get_layer("probabilities")
    embed = keras.Model(head.inputs, last.input)
    with tf.GradientTape() as tape:
        tape.watch(top)
        read = ops.mean(top, axis=(1, 2)) if len(head.inputs[0].shape) == 2 else top
        embedding = embed([read, *taps], training=False)
        logits = ops.matmul(embedding, last.kernel) + last.bias
        others = ops.concatenate([logits[:, :1], logits[:, 2:]], axis=1)
        log_odds = logits[:, 1] - ops.logsumexp(others, axis=1)
    slopes, weights = map(ops.convert_to_numpy, tape.gradient(log_odds, [top, embedding]))
    cam = (slopes.mean(axis=(1, 2), keepdims=True) * ops.convert_to_numpy(top)).sum(axis=-1)
    found = {"Grad-CAM": (cam, np.zeros(len(cam)))}
    banks = [layer for layer in head.layers if isinstance(layer, GramModule)]
    banks.sort(key=lambda bank: int(bank.name.removeprefix("gram")))
    widths = [bank.dense.units * (2 if bank.fusion == "concatenate" else 1) for bank in banks]
    start = weights.shape[1] - sum(widths)  # the modules' are the last of concatenated branches
    for i, (bank, tap, width) in enumerate(zip(banks, taps, widths, strict=False), 1):
        title = "Gram modules" if len(banks) == 1 else f"Gram modules, tap {i}"
        found[title] = _divide(bank, tap, weights[:, start : start + width])
        start += width
    return found


def _divide(bank: GramModule, features, weights) -> tuple[np.ndarray, np.ndarray]:
    """Divide `weights` times a bank's output among positions, by `contributions`' equations.

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
