"""Layers, heads and a whole classifier on JAX, against the same weights on TensorFlow."""

import numpy as np
import pytest

from gramnb._keras import keras
from gramnb.choices import HeadOptions
from gramnb.models import build_classifier, build_head
from gramnb.variants import WithCentres

pytest.importorskip("jax")

SCRIPT = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np
from gramnb._keras import keras
import gramnb.models, gramnb.variants
assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules, "the layers and models imported TensorFlow"
folder = sys.argv[1]
data = np.load(folder + "/data.npz")
inputs, labels = [data["pooled"], data["tap"]], data["labels"]

for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    before = model.classifier.predict(inputs, verbose=0)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    model.fit(inputs, labels, batch_size=len(labels), verbose=0)
    after = model.classifier.predict(inputs, verbose=0)
    np.savez(f"{folder}/{name}.npz", before, after, *model.classifier.get_weights())

whole = keras.saving.load_model(folder + "/whole.keras", compile=False)
np.save(folder + "/whole.npy", whole.predict(data["images"], verbose=0))
"""
OPTIONS = {  # without dropout: what is drawn would differ
    "modules": {"module_fusion": "concatenate", "gram_scaling": "signed_sqrt"},
    "means": {"statistic": "mean"},
    "root": {
        "branch": "linear",
        "statistic": "covariance",
        "gram_scaling": "matrix_sqrt",
        "rank": 4,
    },
}


def test_jax_computes_the_same(tmp_path, python):
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(16, 24)).astype("float32")
    tap = (0.1 * rng.normal(size=(16, 8, 8, 6))).astype("float32")
    labels = np.arange(16) % 2
    images = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    np.savez(tmp_path / "data.npz", pooled=pooled, tap=tap, labels=labels, images=images)
    models = {}
    for name, options in OPTIONS.items():
        head = build_head(2, 24, [(8, 8, 6)], HeadOptions(dropout=0.0, **options))
        models[name] = WithCentres(head, 0.1)
        models[name].save(tmp_path / f"{name}.keras")
    keras.utils.set_random_seed(0)
    scaled = HeadOptions(gram_scaling="positions")  # raw sums of random weights decide alone
    whole = build_classifier("EfficientNetLite0", 2, 64, "none", options=scaled)
    whole.save(tmp_path / "whole.keras")
    python(SCRIPT, tmp_path, *models)

    elsewhere = np.load(tmp_path / "whole.npy")
    np.testing.assert_allclose(elsewhere, whole.predict(images, verbose=0), atol=1e-4)
    assert np.ptp(elsewhere[:, 0]) > 2e-3  # two images, two answers

    for name, model in models.items():
        before = model.classifier.predict([pooled, tap], verbose=0)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        model.fit([pooled, tap], labels, batch_size=16, verbose=0)
        after = model.classifier.predict([pooled, tap], verbose=0)
        assert np.abs(after - before).max() > 1e-3
        found = np.load(tmp_path / f"{name}.npz").values()
        here = before, after, *model.classifier.get_weights()
        for theirs, ours in zip(found, here, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)
