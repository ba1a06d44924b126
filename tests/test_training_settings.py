"""Settings that the paper does not have: another network, a schedule, decay, fewer images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gramnb import checkpoints
from gramnb._keras import keras
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.features import Inputs
from gramnb.models import build_head
from gramnb.runs import fingerprint
from gramnb.training import _build, _decay_kernels_only, described, some, train


@pytest.fixture(scope="module")
def config(demo_manifest):
    return TrainConfig(
        manifest=str(demo_manifest),
        backbone="EfficientNetLite0",
        k=2,
        image_size=64,
        batch_size=16,
        optimizer="adam",
        learning_rate=0.001,
        frozen=True,
    )


def test_the_multilevel_network_trains(config, tmp_path):
    few = replace(config, network="multilevel", backbone="ResNet50", weights="none", k=0, epochs=1,
                  frozen=False, augment=None, train_share=0.2, optimizer="adagrad")  # fmt: skip
    run = train(few, tmp_path, progress=False)
    assert run.path.name.startswith("ResNet50-k0-s0-")
    assert run.predictions["p_sadness"].between(0, 1).all()
    reduced, units = (256 + 1 + 512 + 1) * 64, (2 * 64**2 + 1) * 2048 + (2048 + 1) * 2048
    assert run.metrics["parameters"] == 23_587_712 + reduced + units + 2 * 2048 + 2
    assert run.metrics["parameters"] - run.metrics["trained"] == 53_120  # moving statistics


def test_a_setting_is_one_however_it_is_written(config):
    """A run is named by its settings: 10 and 10.0 are the same one."""
    whole = described(replace(config, weight_decay=10, train_share=1, centre_loss=0))
    broken = described(replace(config, weight_decay=10.0, train_share=1.0, centre_loss=0.0))
    assert fingerprint(whole) == fingerprint(broken)


@pytest.mark.parametrize("fold, said", [(-1, {-1}), (1, {0, 1, 2})])
def test_only_a_run_by_folds_names_an_images_fold(config, demo_manifest, fold, said):
    table = manifests.kept(manifests.read(demo_manifest)).head(6).assign(fold=[0, 1, 2] * 2)
    pooled = np.random.default_rng(0).random((6, 5), dtype=np.float32)
    inputs = Inputs(table, replace(config, k=0, fold=fold), [pooled])
    head = build_head(0, 5, [(1, 1, 4)])
    assert set(inputs.predict(head, np.arange(6), "test")["fold"]) == said


def test_a_share_is_drawn_by_the_seed_and_holds_every_smaller_one():
    rows = np.arange(3, 203)
    shares = [some(rows, share, seed=7) for share in (0.001, 0.1, 0.25, 0.9, 1.0)]
    assert [len(share) for share in shares] == [1, 20, 50, 180, 200]
    for smaller, larger in zip(shares, shares[1:], strict=False):
        assert set(smaller) < set(larger) <= set(rows)
        assert (np.diff(larger) > 0).all()  # in the table's order
    np.testing.assert_array_equal(some(rows, 0.25, 7), shares[2])
    assert set(some(rows, 0.25, 8)) != set(shares[2])


def test_a_share_of_one_class_is_refused(config, tmp_path):
    with pytest.raises(ValueError, match="split 'train, 0.001 of it' holds only images with sadn"):
        train(replace(config, train_share=0.001), tmp_path / "runs", progress=False)
    assert not (tmp_path / "runs").exists()


def test_cosine_ends_at_zero_after_the_last_step_of_the_share(config, tmp_path):
    """The last checkpoint's optimizer has made every step, and has no learning rate left."""
    half = replace(config, schedule="cosine", train_share=0.5, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "remove", lambda *_, **__: None)
        run = train(half, tmp_path, progress=False)
    optimizers = [
        keras.models.load_model(checkpoints.folder(run, epoch) / "state.keras").optimizer
        for epoch in (1, 2)
    ]
    table = manifests.kept(manifests.read(config.manifest))
    steps = -(-round(0.5 * (table["split"] == "train").sum()) // config.batch_size)
    assert [int(optimizer.iterations) for optimizer in optimizers] == [steps, 2 * steps]
    rates = [float(optimizer.learning_rate) for optimizer in optimizers]
    assert rates == pytest.approx([config.learning_rate / 2, 0.0], abs=1e-9)


def head_of(config, steps=10):
    """The compiled head of a frozen run, its weights drawn away from 0 and 1."""
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape).astype("float32") for shape in ((8, 12), (8, 4, 4, 3))]
    inputs = Inputs(pd.DataFrame(), config, arrays[: 1 + bool(config.k)])
    model = _build(inputs, steps)
    model.set_weights([random.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model, arrays


def test_the_schedule_starts_at_the_rate_of_the_whole_batch(config):
    for schedule in ("constant", "cosine"):
        model, _ = head_of(replace(config, schedule=schedule).resolved(2))
        assert float(model.optimizer.learning_rate) == pytest.approx(2 * config.learning_rate)


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_weight_decay_shrinks_kernels_alone(config, optimizer, tmp_path):
    """Without a gradient (no weight on any image), a step is the decay and nothing else."""
    decayed = replace(config, weight_decay=5.0, optimizer=optimizer, learning_rate=0.01,
                      centre_loss=0.1)  # fmt: skip
    model, inputs = head_of(decayed)
    for again in (False, True):
        if again:  # as an interrupted run goes on: a saved optimizer knows of no exception
            model.save(tmp_path / "state.keras")
            model = keras.models.load_model(tmp_path / "state.keras")
            _decay_kernels_only(model.optimizer)
        before = {w.path: np.asarray(w) for w in model.trainable_weights}
        model.train_on_batch(inputs, np.arange(8) % 2, sample_weight=np.zeros(8))
        names = {path.split("/")[-1] for path in before}
        assert names == {"kernel", "bias", "gamma", "beta", "centres"}
        for weight in model.trainable_weights:
            factor = 1 - 0.01 * 5.0 if weight.name == "kernel" else 1.0
            np.testing.assert_allclose(weight, factor * before[weight.path], rtol=1e-5)


def stopped(*_, **__):
    raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_with_its_decay_and_schedule(config, tmp_path):
    settings = replace(config, schedule="cosine", weight_decay=30.0, epochs=2, evaluate="last")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "remove", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "stopped", progress=False)
    weights = []
    for folder in ("stopped", "undisturbed"):
        run = train(settings, tmp_path / folder, progress=False)
        model = keras.models.load_model(run.path / "model.keras", compile=False)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
