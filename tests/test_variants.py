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


@pytest.mark.parametrize("classes", [2, 5])
def test_centres_are_fitted_and_leave_a_classifier_without_them(classes):
    """The total is cross-entropy plus the weighted loss."""
    keras.utils.set_random_seed(0)
    head = build_head(2, 12, [(4, 4, 3)], classes=classes)
    model = WithCentres(head, 0.25)
    loss = "sparse_categorical_crossentropy"
    model.compile("adagrad", loss, metrics=["accuracy"], run_eagerly=True)
    before = model.get_weights()
    logs = model.fit(INPUTS, LABELS, epochs=2, validation_data=(INPUTS, LABELS), verbose=0).history
    assert logs["loss"][-1] < logs["loss"][0]
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    embedding = keras.Model(head.inputs, head.get_layer("probabilities").input)(INPUTS)
    assert head.count_params() == model.count_params() - classes * embedding.shape[-1]
    probabilities = np.asarray(head(INPUTS))
    np.testing.assert_allclose(probabilities, model(INPUTS)[0], rtol=1e-5)
    added = definition(np.asarray(embedding), LABELS, np.asarray(model.centres))
    entropy = -np.log(probabilities[np.arange(64), LABELS]).mean()
    assert logs["val_loss"][-1] == pytest.approx(entropy + 0.25 * added, rel=1e-4)
    assert logs["val_accuracy"][-1] == (probabilities.argmax(axis=1) == LABELS).mean()
