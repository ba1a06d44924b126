import os
import re
import resource
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from gramnb import features, training
from gramnb._keras import keras
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.data.images import read_image
from gramnb.models import build_classifier
from gramnb.runs import Run, list_runs
from gramnb.training import CHECKPOINT, _build, load_network, splits, train

BACKBONE = "EfficientNetLite0"


def kept(config):
    return manifests.kept(manifests.read(config.manifest)).reset_index(drop=True)


def model_of(run):
    return keras.models.load_model(run.path / "model.keras", compile=False)


def assert_same_weights(*models):
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def assert_says_what_was_recorded(network, run, config, atol):
    """Ask a whole network about the tested pictures themselves."""
    test = run.predictions.query("split == 'test'").set_index("image_id").head(8)
    paths = kept(config).set_index("image_id")["path"]
    images = np.stack([read_image(paths[i], config.image_size) for i in test.index])
    assert np.asarray(network(images))[:, 1] == pytest.approx(test["p_sadness"], abs=atol)


@pytest.fixture
def eager():
    """Networks are not traced, which takes longer than a few steps of theirs."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_a_run_holds_what_it_should(run, config):
    """Its metrics are those of the saved model at its best epoch."""
    assert TrainConfig.of(run) == config.resolved(1)
    assert list(run.history["epoch"]) == [1, 2, 3]
    assert run.environment["augmentation"] == "none"
    own, sizes = run.predictions.query("dataset == 'own'"), kept(config)["split"].value_counts()
    assert run.metrics["sizes"] == sizes.to_dict() and len(own) == sizes["val"] + sizes["test"]
    groups = own.set_index("image_id")["group"]
    assert groups.to_dict() == kept(config).set_index("image_id")["group"][groups.index].to_dict()
    test = own.query("split == 'test'")
    accuracy = ((test["p_sadness"] > 0.5) == test["y"]).mean()
    assert run.metrics["test"]["accuracy"] == pytest.approx(accuracy)
    assert run.metrics["epoch"] == run.history["val_accuracy"].idxmax() + 1
    assert run.metrics["val"]["accuracy"] == pytest.approx(run.history["val_accuracy"].max())
    assert_says_what_was_recorded(load_network(run), run, config, 0.01)  # taps are in float16


def test_a_finished_run_is_not_trained_again_and_is_named_by_its_data(run, config):
    """The same manifest under another name gives the same run; other content another."""
    before = (run.path / "model.keras").stat().st_mtime_ns
    other = Path(config.manifest).with_name("copy.parquet")
    shutil.copy(config.manifest, other)
    moved = config.replace(manifest=str(other))
    assert train(moved, run.path.parent, progress=False) == run
    assert (run.path / "model.keras").stat().st_mtime_ns == before
    manifests.write(manifests.read(other).assign(fold=0), other, {})
    assert Run.of(run.path.parent, moved.record(1)) != run


def test_the_loop_of_the_chapter_is_what_train_does(config, tmp_path, small, eager):
    """On one device: the same weights after the same steps, on images augmented alike."""
    size, batch = 32, 8
    whole = config.replace(
        k=1, frozen=False, image_size=size, epochs=1, train_share=0.3, batch_size=batch,
        optimizer="adagrad", learning_rate=0.002, evaluate="last", validation=False, augment=(1, 7),
    )  # fmt: skip
    run = train(whole, tmp_path, progress=False)
    assert run.environment["augmentation"] == "RandAugment N = 1, M = 7"
    used = splits(kept(config), whole)["train"]

    keras.utils.set_random_seed(0)
    model = build_classifier(BACKBONE, k=1, image_size=size, options=config.head)
    start = model.get_weights()
    model.compile(keras.optimizers.Adagrad(0.002), "sparse_categorical_crossentropy")
    states = [v for v in model.variables if v.name == "seed_generator_state"]
    for i, state in enumerate(states):  # dropout's masks of the first epoch
        state.assign(np.random.SeedSequence((0, 0, i)).generate_state(2))
    order = features.shuffled(len(used), 0, range(1))
    batches = features.images(kept(config).iloc[used], size, batch, order, augment=(1, 7))
    model.fit(batches, verbose=0)

    moved = [np.abs(a - b).max() for a, b in zip(model.get_weights(), start, strict=True)]
    assert np.mean(np.array(moved) > 0) > 0.9
    assert_same_weights(model, model_of(run))


def test_a_loss_that_is_no_number_ends_the_run(config, tmp_path, monkeypatch, eager):
    ended = []
    monkeypatch.setattr(training._Epochs, "on_epoch_end", lambda *_, **__: ended.append(1))
    with pytest.raises(ValueError, match="the loss of epoch 1 is .*: learning_rate 1e.30 is too"):
        train(config.replace(learning_rate=1e30), tmp_path, progress=False)
    assert not ended, "it went on to the end of the epoch"


# Interrupted


class Killed(BaseException):
    """The end of a life."""


class Life:
    """Ends once in an epoch and at each kind of write below `folder`, as by SIGKILL.

    Nothing is written after.
    """

    def __init__(self, folder):
        self.folder, self.over, self.seen = folder, False, set()

    def watch(self, event, arguments):
        if self.folder is None or event not in ("open", "os.rename", "os.remove", "step"):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if str(arguments[0]).startswith(str(self.folder)):
            kind = event, re.sub(r"\d+", "#", str(arguments[0]))
            if self.over or kind not in self.seen:
                self.over = True
                self.seen.add(kind)
                raise Killed


def assert_same_run(run, other):
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    np.testing.assert_allclose(run.history[columns], other.history[columns], rtol=1e-3)
    assert_same_weights(model_of(run), model_of(other))
    assert sorted(os.listdir(run.path)) == sorted(os.listdir(other.path))


def test_killed_in_an_epoch_or_at_any_write_or_short_of_disk_it_goes_on(
    config, tmp_path, monkeypatch, run, eager
):
    """The end is that of an undisturbed run.

    The checkpoint has the centres, where the schedule stands and by what half precision scales its
    loss; a finished run has none.
    """
    hard = config.replace(epochs=2, centre_loss=0.5, schedule="cosine",
                          weight_decay=30.0, precision="mixed_float16")  # fmt: skip
    whole = train(hard, tmp_path / "whole", progress=False)
    bank = model_of(whole).get_layer("gram1")
    assert bank.convolution.compute_dtype == "float16" and bank.dense.compute_dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert b"entre" not in zipfile.ZipFile(whole.path / "model.keras").read("config.json")
    assert whole.metrics["parameters"] == run.metrics["parameters"]

    def step(epochs, batch, logs=None):
        begun.append(len(epochs.history))
        if batch and begun[-1]:  # in the second epoch
            sys.audit("step", tmp_path / "killed")
        taken(epochs, batch, logs)

    taken, begun = training._Epochs.on_train_batch_end, []
    monkeypatch.setattr(training._Epochs, "on_train_batch_end", step)
    life, lives, ended = Life(tmp_path / "killed"), 0, None
    sys.addaudithook(life.watch)
    while not ended:
        monkeypatch.setattr(os, "getpid", lambda: 9_000_000 + lives)  # noqa: B023
        life.over = False
        try:
            ended = train(hard, tmp_path / "killed", progress=False)
        except Killed:
            lives += 1
            assert lives < 60
    life.folder = None  # for good: a hook cannot be removed
    assert lives > 15 and "step" in {event for event, _ in life.seen}
    assert begun == sorted(begun), "an epoch that had finished was lost"
    assert_same_run(ended, whole)

    sizes = sorted({path.stat().st_size for path in whole.path.iterdir()})
    soft, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (100, sizes[1], sizes[-2]):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
            with pytest.raises(OSError, match="File too large") as error:
                train(hard, tmp_path / "full", progress=False)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, most))
        assert error.value.filename and "\n" not in str(error.value)
    assert_same_run(train(hard, tmp_path / "full", progress=False), whole)


def test_a_damaged_checkpoint_is_named_with_the_way_out(config, tmp_path):
    checkpoint = Run.of(tmp_path, config.record(1)).path / CHECKPOINT
    checkpoint.parent.mkdir()
    np.savez(checkpoint, np.ones(500))
    whole = checkpoint.read_bytes()
    middle = len(whole) // 2
    for content in (b"", b"PK", whole[:middle], whole[:middle] + b"damaged" + whole[middle + 7 :]):
        checkpoint.write_bytes(content)
        with pytest.raises(ValueError, match=f"/{CHECKPOINT}: damaged .*; remove the") as error:
            train(config, tmp_path, progress=False)
        assert "\n" not in str(error.value)


def test_a_second_process_is_told_who_trains(config, tmp_path, python, eager):
    begun = Run.of(tmp_path, config.record(1))
    begun.path.mkdir()
    with begun.held(), pytest.raises(ValueError, match=f": held by process {os.getpid()} on .*; w"):
        train(config, tmp_path, progress=False)
    killed = "import os, sys; from gramnb.runs import *; Run(Path(sys.argv[1])).held().__enter__()"
    python(killed, begun.path)  # and leaves its note
    assert begun.path.joinpath(".lock").exists()
    run = train(config, tmp_path, progress=False)
    assert run.complete and not [path for path in run.path.iterdir() if path.name[0] == "."]


# Steps, decay and devices


def test_weight_decay_shrinks_kernels_alone(config):
    """Without a gradient (no weight on any image), a step is the decay and nothing else."""
    decayed = config.replace(weight_decay=5.0, optimizer="adagrad", learning_rate=0.01,
                             centre_loss=0.1, schedule="constant", xla="off")  # fmt: skip
    random = np.random.default_rng(0)
    inputs = [random.normal(size=shape).astype("float32") for shape in ((8, 12), (8, 4, 4, 3))]
    model = _build(features.Inputs(pd.DataFrame(), decayed.resolved(2), inputs), 10)
    assert not model.jit_compile
    assert float(model.optimizer.learning_rate) == pytest.approx(0.02)  # of two replicas
    model.set_weights([random.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    before = [np.asarray(weight) for weight in model.trainable_weights]
    model.train_on_batch(inputs, np.arange(8) % 2, sample_weight=np.zeros(8))
    names = {weight.name for weight in model.trainable_weights}
    assert names == {"kernel", "bias", "gamma", "beta", "centres"}
    for weight, old in zip(model.trainable_weights, before, strict=True):
        factor = 1 - 0.02 * 5.0 if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(weight, factor * old, rtol=1e-5)


TRAIN = """
import sys
from gramnb import TrainConfig, train
train(TrainConfig.model_validate_json(sys.argv[1]), sys.argv[2], progress=False)
"""


def test_two_replicas_train_on_splits_that_do_not_divide(config, tmp_path, python):
    """Validation has an odd number of images."""
    table = manifests.read(config.manifest)
    val = table.index[(table["split"] == "val") & (table["sadness"] == 0)]
    odd = (table["split"] == "val").sum() % 2
    table.loc[val[: 1 - odd], "split"] = "train"
    manifests.write(table, tmp_path / "odd.parquet", {})
    uneven = config.replace(manifest=str(tmp_path / "odd.parquet"), epochs=1, replicas=2)
    python(TRAIN, uneven.model_dump_json(), tmp_path / "runs")
    (run,) = list_runs(tmp_path / "runs")
    assert run.config["replicas"] == len(run.environment["devices"]) == 2
    assert run.config["global_batch"] == 2 * config.batch_size
    assert run.config["learning_rate"] == 2 * config.learning_rate
    assert np.isfinite(run.history["loss"]).all()


# What is trained on


def test_another_picture_under_the_old_name_is_named_before_anything_is_built(config, tmp_path):
    table, file = manifests.read(config.manifest), tmp_path / "photo.jpg"
    index = manifests.kept(table).index
    shutil.copy(table.loc[index[0], "path"], file)
    table.loc[index[5], "path"] = str(file)
    manifests.write(table, tmp_path / "m.parquet", {})
    message = rf"row {index[5]}: photo.jpg: changed since curation \(1 of {len(index)} im"
    with pytest.raises(ValueError, match=message):
        train(config.replace(manifest=str(tmp_path / "m.parquet")), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest": "absent.parquet"}, "absent.parquet: no such manifest"),
        ({"train_share": 0.001}, "split 'train' holds only images with sadness = ."),
        ({"fold": 99}, "fold 99: the manifest has [0-9]*; curate it with more folds"),
        ({"replicas": 2}, "2 replicas on one CPU must be asked for before"),  # of `run`'s process
    ],
)
def test_a_run_that_cannot_be_trained_is_one_line(run, config, tmp_path, change, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        train(config.replace(**change), tmp_path, progress=False)
    assert "\n" not in str(error.value) and not list(tmp_path.glob("*/metrics.json"))


def test_a_fold_is_tested_on_the_next_one_validates_and_none_may_be_empty():
    table = pd.DataFrame({"fold": np.repeat([0, 1, 2], 2), "sadness": [0, 1] * 3})
    found = {name: rows.tolist() for name, rows in splits(table, TrainConfig(fold=2)).items()}
    assert found == {"train": [2, 3], "val": [0, 1], "test": [4, 5]}
    with pytest.raises(ValueError, match="split 'val' holds no image"):
        splits(table.query("fold != 1"), TrainConfig(fold=0))


def test_a_share_is_drawn_by_the_seed_and_holds_every_smaller_one():
    split = ["val", "test"] * 4 + ["train"] * 200
    table = pd.DataFrame({"split": split, "sadness": np.arange(208) // 2 % 2})

    def share(of, seed=7):
        return splits(table, TrainConfig(train_share=of, seed=seed))["train"]

    shares = [share(of) for of in (0.1, 0.25, 0.9, 1.0)]
    assert [len(each) for each in shares] == [20, 50, 180, 200]
    for smaller, larger in zip(shares, shares[1:], strict=False):
        assert set(smaller) < set(larger)
        assert (np.diff(larger) > 0).all()  # in the table's order
    assert set(share(0.25, seed=8)) != set(shares[1])


def test_without_validation_all_other_folds_train_and_emotions_are_classes(config, tmp_path, eager):
    path, table = tmp_path / "folds.parquet", manifests.read(config.manifest)
    manifests.write(table.assign(fold=table["group"] % 3), path, {})
    config = config.replace(manifest=str(path), fold=0, classes=("others", "sadness", "joy"))
    config = config.replace(evaluate="last", validation=False, epochs=1)
    run = train(config, tmp_path / "runs", progress=False)
    table = kept(config)
    tested = (table["fold"] == 0).sum()
    assert run.metrics["sizes"] == {"train": len(table) - tested, "val": 0, "test": tested}
    assert set(run.predictions["split"]) == {"test"} and "val_loss" not in run.history
    assert model_of(run).output_shape == (None, 3)
    classes = features.class_indices(table, config.classes)
    assert (classes[table["sadness"] == 1] == 1).all()
    assert (classes[table["emotion"] == "joy"] == 2).all() and set(classes) == {0, 1, 2}
    with pytest.raises(ValueError, match="emotions .*joy.* are none of the classes"):
        features.class_indices(table, ("anger", "sadness"))


def test_a_network_trained_above_a_layer_keeps_what_is_below(config, tmp_path, small, eager):
    cut = "block3b_project_bn"
    config = config.replace(frozen=False, trained_from=cut, epochs=1)
    run = train(config, tmp_path / "runs", progress=False)
    network = load_network(run)
    below = True
    for layer in (each for each in small(BACKBONE, config.image_size).layers if each.weights):
        trained = network.get_layer("backbone").get_layer(layer.name).weights
        same = [np.array_equal(*pair) for pair in zip(layer.weights, trained, strict=True)]
        assert all(same) if below else not any(same), layer.name
        below = below and layer.name != cut
    assert_says_what_was_recorded(network, run, config, 1e-5)
