"""Explanations add up to what they explain, and are what their equations say."""

import numpy as np
import pytest

from gramnb._keras import keras, ops
from gramnb.choices import HeadOptions
from gramnb.explain import contribution_maps, contributions
from gramnb.models import build_head, join

CHOICES = [
    {"module_fusion": "multiply"},
    {"module_fusion": "concatenate", "branch_fusion": "concatenate"},
    {"statistic": "mean", "module_fusion": "add"},
    {"module_fusion": "add", "module_activation": False},
    {"gram_scaling": "signed_sqrt", "activation": "after", "pooled_units": 7},
]


def network(k=2, taps=1, seed=0, **options):
    """Return a classifier whose backbone only pools, so that feature maps are known: the image.

    All weights of its head are random, but for the biases of the backbone's branch, which are 0.
    """
    image = keras.Input((8, 8, 3))
    top = keras.layers.AveragePooling2D(4)(image)  # (2, 2, 3)
    maps = [keras.layers.Identity()(image), keras.layers.AveragePooling2D(2)(image)][:taps]
    backbone = keras.Model(image, [top, *maps], name="backbone")
    head = build_head(k, 3, [m.shape[1:] for m in maps], HeadOptions(**options))
    rng = np.random.default_rng(seed)
    for weight in head.weights:
        if "gram" in weight.path or "kernel" in weight.path:
            high = 0.1 if "probabilities" in weight.path else 1  # so that p is not 0 or 1
            low = 0.5 if "variance" in weight.path else -high
            weight.assign(rng.uniform(low, high, weight.shape))
    return join(backbone, head)


def draw(count=3, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 8, 8, 3)).astype("float32")


def log_odds(classifier, images):
    p = np.asarray(classifier(images), float)
    return np.log(p[:, 1] / p[:, 0])


@pytest.mark.parametrize("options", CHOICES, ids=lambda each: "-".join(map(str, each.values())))
def test_contributions_sum_to_the_log_odds(options):
    classifier, images = network(taps=2, **options), draw()
    images[:, 2:5, 3:] = 0
    found = contributions(classifier, images)
    assert [*found] == ["Grad-CAM", "Gram modules, tap 1", "Gram modules, tap 2"]
    maps, constants = zip(*found.values(), strict=True)
    assert [each.shape for each in maps] == [(3, 2, 2), (3, 8, 8), (3, 4, 4)]
    assert (maps[1][:, 2:5, 3:] == 0).all()  # where the feature map is zero
    whole = [each.sum(axis=(1, 2)) for each in maps]
    assert np.abs(whole).min(axis=1).max() > 0.001  # nothing is explained by being zero
    summed = max(np.abs(each).sum(axis=(1, 2)).max() for each in maps)  # what rounding is of
    expected = log_odds(classifier, images)
    np.testing.assert_allclose(sum(whole) + sum(constants), expected, atol=1e-6 * (1 + summed))


def test_contributions_are_those_of_the_equations():
    """Of four positions, from the weights, in float64."""
    classifier = network(k=1)
    image = np.zeros((1, 8, 8, 3))
    where = [(0, 0), (0, 7), (5, 2), (7, 7)]
    f = np.random.default_rng(3).normal(size=(4, 3))
    image[0, *np.transpose(where)] = f
    bank = classifier.get_layer("head").get_layer("gram1")
    kernel, bias, kernel1, bias1, *normal = (np.asarray(w, float) for w in bank.get_weights())
    gamma, beta, mean, variance = normal
    last = np.asarray(classifier.get_layer("head").get_layer("probabilities").kernel, float)
    gain = gamma / np.sqrt(variance + bank.normalisation.epsilon)

    before = kernel.T @ (f.T @ f).ravel() + bias
    slope = gain * np.where(before > 0, 1, 0.2)
    d_p = slope * (np.einsum("pi,pj->pij", f, f).reshape(4, 9) @ kernel)
    d0 = slope * bias + beta - gain * mean
    maps = f @ kernel1 + bias1
    m_p = np.where(maps > 0, 1, 0.2) * (f @ kernel1) / 64
    m0 = (np.where(maps > 0, 1, 0.2) * bias1).sum(axis=0) / 64  # and of the 60 that are zero:
    m0 += 60 * np.where(bias1 > 0, 1, 0.2) * bias1 / 64

    d, m, w = d0 + d_p.sum(axis=0), m0 + m_p.sum(axis=0), last[:, 1] - last[:, 0]
    expected = (d_p * (m0 + m) + m_p * (d0 + d)) @ w / 2
    shares, constant = contributions(classifier, image)["Gram modules"]
    np.testing.assert_allclose(shares[0, *np.transpose(where)], expected, rtol=1e-4)
    np.testing.assert_allclose(constant, (d0 * m0) @ w, rtol=1e-5)


def test_grad_cam_is_its_definition():
    """A sub-map's weight is what raising all of it changes, by position."""
    classifier, images = network(k=0), draw()
    changes = [
        log_odds(classifier, images + step) - log_odds(classifier, images - step)
        for step in 0.001 * np.eye(3)
    ]
    weights = np.transpose(changes) / 0.002 / 4  # 4 positions
    top = images.reshape(3, 2, 4, 2, 4, 3).mean(axis=(2, 4))
    expected = np.einsum("bc,bhwc->bhw", weights, top)
    found = contribution_maps(classifier, images)["Grad-CAM"]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.001)
    last = classifier.get_layer("head").get_layer("probabilities")
    last.kernel.assign(np.asarray(last.kernel) * 1e4)
    assert np.asarray(classifier(images)).max() == 1  # sure of it: its gradient is zero
    surer = contribution_maps(classifier, images)["Grad-CAM"]
    np.testing.assert_allclose(surer, 1e4 * found, rtol=1e-4)


def test_maps_by_title():
    """Without modules there is nothing to divide, and distinct entries have no map of their own."""
    images, linear = draw(), network(branch="linear", gram_scaling="positions")
    for classifier in (network(k=0), linear):
        assert list(contribution_maps(classifier, images)) == ["Grad-CAM"]
    assert list(contribution_maps(network(), images)) == ["Grad-CAM", "Gram modules"]


@pytest.mark.parametrize("k", [0, 2])
def test_among_several_classes_maps_sum_to_the_slope_of_the_log_odds(k):
    """Sadness against the rest; scaling the top map alone changes them by the sum of Grad-CAM."""
    head = build_head(k, 3, [(8, 8, 3)], classes=4)
    backbone = network(k=k).get_layer("backbone")
    several, images = join(backbone, head), draw() / 4
    top, *taps = backbone(images)

    def against_the_rest(scale):
        pooled = ops.mean(top, axis=(1, 2)) * scale
        p = np.asarray(head([pooled, *taps][: len(head.inputs)]), float)[:, 1]
        return np.log(p / (1 - p))

    slope = (against_the_rest(1.01) - against_the_rest(0.99)) / 0.02
    maps = contribution_maps(several, images)
    np.testing.assert_allclose(maps["Grad-CAM"].sum(axis=(1, 2)), slope, rtol=0.01, atol=1e-4)
    assert [*maps] == ["Grad-CAM", *(["Gram modules"] if k else [])]
