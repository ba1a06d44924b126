import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gramnb import checkpoints
from gramnb._keras import keras
from gramnb.backbones import build_backbone
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.data.images import read_image
from gramnb.models import HeadOptions
from gramnb.predict import load_network
from gramnb.runs import Run, list_runs
from gramnb.training import described, even_batch, splits, train

SMALL = TrainConfig(
    backbone="EfficientNetLite0",
    k=2,
    image_size=64,
    epochs=3,
    batch_size=16,
    optimizer="adam",
    learning_rate=0.001,
    frozen=True,
)


MULTILEVEL = {"network": "multilevel", "backbone": "ResNet50", "k": 0, "frozen": False}


@pytest.fixture(scope="module")
def config(demo_manifest):
    return replace(SMALL, manifest=str(demo_manifest))


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    return train(config, tmp_path_factory.mktemp("runs"), progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": -1}, "k must be 0 or more, got -1"),
        ({"backbone": "VGG16"}, "backbone must be one of EfficientNet"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"optimizer": "sgdd"}, "optimizer must be one of adagrad, adam"),
        ({"evaluate": "worst"}, "evaluate must be one of best, last; got 'worst'"),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine; got 'linear'"),
        ({"network": "resnet"}, "network must be one of gram, multilevel; got 'resnet'"),
        ({"weight_decay": -1}, "weight_decay must be 0 or more, got -1"),
        ({"train_share": 0.0}, r"train_share must be in \(0, 1\], got 0.0"),
        ({"train_share": 1.5}, r"train_share must be in \(0, 1\], got 1.5"),
        ({"network": "multilevel"}, "network 'multilevel' is ResNet50 with its own"),
        ({**MULTILEVEL, "head": HeadOptions(dropout=0.1)}, "trained whole: .*head=HeadOptions"),
        ({"frozen": True, "weights": "none"}, "a frozen backbone needs trained weights"),
        ({"fold": -2}, "fold must be -1 or more"),
        ({"centre_loss": -0.1}, "centre_loss must be 0 or more, got -0.1"),
    ],
)
def test_a_configuration_checks_itself(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_a_frozen_run_has_no_augmentation_and_a_variant_says_what_differs():
    assert SMALL.augment is None
    assert TrainConfig().augment == (3, 7)
    assert SMALL.variant == "k = 2, frozen"
    changed = replace(SMALL, frozen=False, head=HeadOptions(gram_scaling="positions"))
    assert changed.variant == "k = 2, fine-tuned, gram_scaling positions"
    assert replace(SMALL, centre_loss=0.1).variant == "k = 2, frozen, centre_loss 0.1"
    assert replace(SMALL, **MULTILEVEL).variant == "multilevel, fine-tuned"
    linear = replace(SMALL, head=HeadOptions(branch="linear", rank=8))
    assert linear.variant == "k = 2, frozen, branch linear, rank 8"


def test_a_run_holds_what_it_should(run, config):
    names = {path.name for path in run.path.iterdir()}
    assert names == {
        "config.json", "history.csv", "predictions.parquet", "metrics.json", "environment.json",
        "model.keras",
    }  # fmt: skip
    assert TrainConfig.load(run.config) == config.resolved(1)
    assert list(run.history["epoch"]) == [1, 2, 3]
    assert run.environment["augmentation"] == "none"
    table = manifests.kept(manifests.read(config.manifest))
    sizes = table["split"].value_counts().to_dict()
    assert run.metrics["sizes"] == sizes
    assert len(run.predictions) == sizes["val"] + sizes["test"]
    assert set(run.predictions["n_train"]) == {sizes["train"]}
    groups = run.predictions.set_index("image_id")["group"]
    assert groups.to_dict() == table.set_index("image_id")["group"][groups.index].to_dict()


def test_metrics_are_those_of_the_written_predictions(run):
    test = run.predictions.query("split == 'test'")
    accuracy = ((test["p_sadness"] > 0.5) == test["y"]).mean()
    assert run.metrics["test"]["accuracy"] == pytest.approx(accuracy)
    best = run.history["val_accuracy"].idxmax() + 1
    assert run.metrics["epoch"] == best


def test_the_evaluated_epoch_is_the_best_of_validation(run):
    """Reloaded on one device, the saved weights give the validation accuracy of their epoch."""
    split = [name for name in run.metrics if name.startswith("val")][0]
    best = run.history["val_accuracy"].max()
    assert run.metrics[split]["accuracy"] == pytest.approx(best)


def test_a_finished_run_is_not_trained_again(run, config):
    before = (run.path / "model.keras").stat().st_mtime_ns
    assert train(config, run.path.parent, progress=False).path == run.path
    assert (run.path / "model.keras").stat().st_mtime_ns == before


def test_a_head_joined_to_its_backbone_says_what_the_run_said(run, config):
    table = manifests.kept(manifests.read(config.manifest)).set_index("image_id")
    said = run.predictions.query("split == 'test'").set_index("image_id").head(8)
    images = np.stack([read_image(table.loc[i, "path"], config.image_size) for i in said.index])
    p = load_network(run).predict_on_batch(images)[:, 1]
    assert p == pytest.approx(said["p_sadness"], abs=0.01)  # taps are cached as float16


def test_the_last_epoch_can_be_evaluated_instead(config, tmp_path):
    run = train(replace(config, evaluate="last", k=0), tmp_path, progress=False)
    assert run.metrics["epoch"] == 3


def test_centres_train_and_stay_behind(config, tmp_path, run):
    """Interrupted after its first epoch, with the centres in the checkpoint, and resumed."""
    centred = replace(config, centre_loss=0.5, epochs=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "remove", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(centred, tmp_path / "stopped", progress=False)
    (path,) = (tmp_path / "stopped").iterdir()
    with zipfile.ZipFile(path / "checkpoint-001" / "state.keras") as archive:
        assert "WithCentres" in archive.read("config.json").decode()
    resumed = train(centred, tmp_path / "stopped", progress=False)
    undisturbed = train(centred, tmp_path / "undisturbed", progress=False)
    columns = ["loss", "accuracy", "val_loss", "val_accuracy"]
    np.testing.assert_allclose(resumed.history[columns], undisturbed.history[columns], rtol=1e-3)
    assert resumed.history["loss"][0] > run.history["loss"][0] + 0.01  # the centres' part

    with zipfile.ZipFile(resumed.path / "model.keras") as archive:
        assert "entre" not in archive.read("config.json").decode()
    assert resumed.metrics["parameters"] == run.metrics["parameters"]
    table = manifests.kept(manifests.read(config.manifest)).set_index("image_id")
    said = resumed.predictions.query("split == 'test'").set_index("image_id").head(8)
    images = np.stack([read_image(table.loc[i, "path"], config.image_size) for i in said.index])
    p = load_network(resumed).predict_on_batch(images)[:, 1]
    assert p == pytest.approx(said["p_sadness"], abs=0.01)


def stopped(*_, **__):
    raise KeyboardInterrupt


def test_the_whole_network_trains_with_augmentation(config, tmp_path):
    whole = replace(config, frozen=False, image_size=32, epochs=1, augment=(3, 7))
    run = train(whole, tmp_path, progress=False)
    assert run.environment["augmentation"] == "RandAugment N = 3, M = 7"
    assert run.predictions["p_sadness"].between(0, 1).all()
    trained = keras.models.load_model(run.path / "model.keras", compile=False)
    start = build_backbone(whole.backbone, whole.image_size)
    moved = [np.abs(a - b).max() for a, b in zip(
        trained.get_layer("backbone").get_weights(), start.get_weights(), strict=True)]  # fmt: skip
    assert np.mean(np.array(moved) > 0) > 0.9


TRAIN = """
import json, sys
from gramnb.config import TrainConfig
from gramnb.training import train
config = TrainConfig.load(json.loads(sys.argv[1]))
run = train(config, sys.argv[2], progress=False)
print(run.path)
"""


def recorded(config):
    return json.dumps(asdict(config))


def test_killed_in_an_epoch_and_started_again(config, tmp_path, python):
    """SIGKILL loses at most the epoch under way; the end is that of an undisturbed run."""
    slow = replace(config, epochs=8, batch_size=1)
    command = [sys.executable, "-c", TRAIN, recorded(slow), str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 240
    while not list((tmp_path / "killed").glob("*/checkpoint-002")):
        assert process.poll() is None and time.monotonic() < deadline, "no second epoch to kill in"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (path,) = (tmp_path / "killed").iterdir()
    assert not Run(path).complete
    (checkpoint,) = path.glob("checkpoint-0*")
    before = pd.read_csv(checkpoint / "history.csv")

    python(TRAIN, recorded(slow), tmp_path / "killed")
    history = Run(path).history
    assert list(history["epoch"]) == list(range(1, 9))
    pd.testing.assert_frame_equal(history.head(len(before)), before)
    assert not list(path.glob("*checkpoint*"))

    python(TRAIN, recorded(slow), tmp_path / "undisturbed")
    (undisturbed,) = list_runs(tmp_path / "undisturbed")
    columns = ["loss", "val_loss", "val_accuracy"]
    np.testing.assert_allclose(history[columns], undisturbed.history[columns], rtol=1e-3)


REPLICAS = """
import json, sys
import numpy as np
from gramnb import checkpoints
from gramnb._keras import keras
from gramnb.backbones import build_backbone
from gramnb.replicas import strategy
scope = strategy(2)
from gramnb.models import HeadOptions, build_head
import tensorflow as tf

random = np.random.default_rng(0)
x = random.normal(size=(16, 12)).astype("float32")
y = random.integers(0, 2, 16)
options = HeadOptions(dropout=0.0)
keras.utils.set_random_seed(0)
one = build_head(0, 12, [(4, 4, 5)], options)
with tf.GradientTape() as tape:
    p = one(x, training=True)
    loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, p))
expected = tape.gradient(loss, one.trainable_variables)
with scope.scope():
    two = build_head(0, 12, [(4, 4, 5)], options)
    two.set_weights(one.get_weights())
    two.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    two.fit(x, y, batch_size=16, verbose=0)
worst = max(float(np.abs(before - after - gradient.numpy()).max()) for before, after, gradient
            in zip(one.get_weights(), two.get_weights(), expected))
size = max(float(np.abs(g.numpy()).max()) for g in expected)
print(json.dumps({"replicas": scope.num_replicas_in_sync, "worst": worst, "size": size}))
"""


def test_two_replicas_have_the_gradient_of_one_device(python):
    """On a network without batch normalisation, at the same global batch."""
    found = json.loads(python(REPLICAS).splitlines()[-1])
    assert found["replicas"] == 2
    assert found["size"] > 0.01
    assert found["worst"] < 1e-6


@pytest.mark.parametrize(("count", "batch"), [(100, 64), (64, 64), (29, 28), (30, 30), (1, 1)])
def test_the_first_batch_divides_among_the_replicas(count, batch):
    assert even_batch(count, 64, replicas=2) == batch
    assert even_batch(count, 64, replicas=1) == min(count, 64)


def test_training_runs_on_two_replicas(config, tmp_path, python):
    table = manifests.read(config.manifest)
    val = table.index[(table["split"] == "val") & (table["sadness"] == 0)]
    odd = (table["split"] == "val").sum() % 2  # make it odd: one image more or less in validation
    table.loc[val[: 1 - odd], "split"] = "train"
    manifests.write(table, tmp_path / "odd.parquet", {})
    uneven = replace(config, manifest=str(tmp_path / "odd.parquet"), replicas=2)
    python(TRAIN, recorded(uneven), tmp_path)
    (run,) = list_runs(tmp_path)
    assert len(run.environment["devices"]) == 2
    given = [run.config[name] for name in ("replicas", "global_batch", "learning_rate")]
    assert given == [2, 2 * config.batch_size, 2 * config.learning_rate]
    assert np.isfinite(run.history["loss"]).all()
    assert run.predictions["p_sadness"].between(0, 1).all()


def test_replicas_asked_for_too_late_are_refused(run, config, tmp_path):
    with pytest.raises(ValueError, match="2 replicas on one CPU must be asked for before"):
        train(replace(config, replicas=2), tmp_path, progress=False)


def test_a_global_batch_and_its_rate_are_the_same_on_any_number_of_devices(config):
    whole = replace(config, global_batch=128, learning_rate=0.004)
    for replicas, held in ((1, 128), (2, 64), (4, 32)):
        found = whole.resolved(replicas)
        assert (found.global_batch, found.learning_rate, found.batch_size) == (128, 0.004, held)
        assert found.resolved(8) == found  # nothing is left to the machine
        scaled = config.resolved(replicas)  # as the paper scales both
        assert (scaled.global_batch, scaled.learning_rate) == (16 * replicas, 0.001 * replicas)
    with pytest.raises(ValueError, match="global_batch 128 does not divide among 3 replicas"):
        whole.resolved(3)


def test_a_run_begun_on_other_devices_is_not_quietly_started_anew(config, tmp_path):
    """Two devices began it; here is one. Its settings say so, and so does the refusal."""
    begun = Run.open(tmp_path, described(config.resolved(2)))
    with pytest.raises(ValueError, match=rf"{begun.path.name}: begun on 2 replicas, 32 images"):
        train(config, tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == [begun.path.name]


def test_a_run_is_named_by_its_manifests_content(run, config):
    """The same manifest under another name gives the same run; nothing is trained."""
    other = Path(config.manifest).with_name("copy.parquet")
    other.write_bytes(Path(config.manifest).read_bytes())
    again = train(replace(config, manifest=str(other)), run.path.parent, progress=False)
    assert again == run and again.config["manifest"] == config.manifest
    manifests.write(manifests.read(other).assign(fold=0), other, {})
    assert Run.of(run.path.parent, described(replace(config, manifest=str(other)))) != run


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "missing"), (b"<html>404</html>", "not an image"), (..., "changed since curation")],
)
def test_bad_files_are_named_before_anything_is_built(config, tmp_path, content, problem):
    table = manifests.read(config.manifest)
    kept = manifests.kept(table)
    row, file = kept.index[5], tmp_path / "photo.jpg"
    if content is ...:  # another picture under the old name
        file.write_bytes(Path(kept["path"].iloc[0]).read_bytes())
    elif content:
        file.write_bytes(content)
    table.loc[row, "path"] = str(file)
    manifests.write(table, tmp_path / "manifest.parquet", {})
    with pytest.raises(ValueError, match=rf"row {row}: photo.jpg: {problem} \(1 of {len(kept)} im"):
        train(replace(config, manifest=str(tmp_path / "manifest.parquet")), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("sadness", "message"),
    [([0, 0, 0], "split 'test' holds only images with sadness = 0"), ([], "holds no image")],
)
def test_a_split_needs_both_classes(sadness, message):
    split = ["train"] * 2 + ["val"] * 2 + ["test"] * len(sadness)
    table = pd.DataFrame({"split": split, "sadness": [0, 1, 0, 1, *sadness]})
    with pytest.raises(ValueError, match=message):
        splits(table)


def test_a_fold_is_tested_on_and_the_next_one_validates():
    table = pd.DataFrame({"fold": np.repeat([0, 1, 2], 2), "sadness": [0, 1] * 3})
    found = splits(table, fold=2)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "train": [2, 3], "val": [0, 1], "test": [4, 5],
    }  # fmt: skip
    with pytest.raises(ValueError, match="fold 3: the manifest has 3"):
        splits(table, fold=3)
