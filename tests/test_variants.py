"""Contrastive-centre loss: its definition, training with `fit`."""

import numpy as np
import pytest

from gramnb._keras import keras
from gramnb.models import build_head
from gramnb.variants import WithCentres


def definition(embeddings, labels, centres):
    """Qi and Su's equation, term by term, halved and averaged."""
    total = 0.0
    for x, y in zip(embeddings, labels, strict=True):
        squared = [float(((x - c) ** 2).sum()) for c in centres]
        total += squared[y] / (sum(squared) - squared[y] + 1)
    return total / (2 * len(labels))


RANDOM = np.random.default_rng(0)
LABELS = np.arange(64) % 2
POOLED = RANDOM.normal(size=(64, 12)) + LABELS[:, None]
INPUTS = [POOLED.astype("float32"), RANDOM.normal(size=(64, 4, 4, 3)).astype("float32")]


def wrapped(weight, classes=2):
    keras.utils.set_random_seed(0)
    model = WithCentres(build_head(2, 12, [(4, 4, 3)], classes=classes), weight)
    model.compile("adagrad", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize("classes", [2, 5])
def test_total_is_cross_entropy_plus_weighted_loss(classes):
    model = wrapped(0.25, classes)
    total, accuracy = model.evaluate(INPUTS, LABELS, verbose=0)
    head = model.classifier
    probabilities = head.predict(INPUTS, verbose=0)
    embedding = keras.Model(head.inputs, head.get_layer("probabilities").input)
    embedded = embedding.predict(INPUTS, verbose=0)
    added = definition(embedded, LABELS, np.asarray(model.centres))
    entropy = -np.log(probabilities[np.arange(64), LABELS]).mean()
    np.testing.assert_allclose(total, entropy + 0.25 * added, rtol=1e-4)
    assert accuracy == (probabilities.argmax(axis=1) == LABELS).mean()


def test_fit_moves_centres_and_leaves_a_classifier_without_them():
    model = wrapped(0.5)
    before = model.get_weights()
    logs = model.fit(INPUTS, LABELS, epochs=4, validation_data=(INPUTS, LABELS), verbose=0).history
    assert logs["loss"][-1] < logs["loss"][0]
    assert {"accuracy", "val_accuracy", "val_loss"} <= set(logs)
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    head = model.classifier
    centres = 2 * head.get_layer("fusion").output.shape[-1]
    assert head.count_params() == model.count_params() - centres
    expected = model.predict(INPUTS, verbose=0)[0]
    np.testing.assert_allclose(head.predict(INPUTS, verbose=0), expected, rtol=1e-5)
