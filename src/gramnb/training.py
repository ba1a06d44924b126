"""Training a variant: a configuration in, a finished `Run` out.

How many devices there are is settled before the run is named: it changes the numbers. Each epoch
ends with a checkpoint, a folder renamed into place whole, so that a run killed at any moment goes
on from the last epoch that finished. Reported metrics always come from the saved model, loaded
again on one device: the replicas' batch-normalisation statistics drift apart.
"""

import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from gramnb import evaluation
from gramnb._keras import keras, load_model, policy, quiet
from gramnb.backbones import above, build_backbone
from gramnb.choices import BACKBONES
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.data.curation import SPLITS
from gramnb.data.inspection import inspect_all
from gramnb.features import Inputs, prepare_inputs
from gramnb.models import build_classifier, build_head, join
from gramnb.replicas import available, device_names, strategy
from gramnb.runs import Run, atomic, environment, naming, resolve, write_json
from gramnb.variants import WithCentres, build_multilevel_resnet50


def train(config: TrainConfig, folder: str | Path = "runs/demo", progress: bool = True) -> Run:
    """Train one variant, or finish what was begun, and return its run.

    Args:
        config: what to train, on what.
        folder: where the run's directory goes; relative to the project root.
        progress: whether to show a progress bar.

    Raises:
        ValueError, FileNotFoundError: one line that says what is wrong and what to do, before any
            long work: an empty or one-class split, missing image files, another configuration in
            the run's directory, or the same begun on other devices, a damaged checkpoint, a run
            that another process trains.
    """
    table = manifests.kept(manifests.read(resolve(config.manifest))).reset_index(drop=True)
    rows = splits(table, config.fold, config.validation)
    check_files(table, config.manifest)
    if config.train_share < 1:
        rows["train"] = share_of(rows["train"], config.train_share, config.seed)
        _check_classes(table, f"train, {config.train_share:g} of it", rows["train"])
    _check_replicas(folder, config)
    config = config.resolved(available())
    run = Run.open(folder, config.record(config.replicas))
    if not run.complete:
        with run.held():
            if not run.complete:  # by now: another process may have held it
                history = _last(run, config)
                inputs = prepare_inputs(table, config, progress, training=True)
                scope = strategy(config.replicas)
                if len(history) < config.epochs:
                    history = _fit(run, inputs, rows, scope, progress, history)
                _finish(run, inputs, rows, scope, history)
    _remove_checkpoints(run)
    for left in run.path.glob(".*"):  # what a killed process was writing, and who it was
        left.unlink(missing_ok=True)
    return run


def run_of(config: TrainConfig, folder: str | Path = "runs/demo") -> Run:
    """Return the run that `train` makes of a configuration on this machine, begun or not."""
    return Run.of(folder, config.record(available()))


def _check_replicas(folder: str | Path, config: TrainConfig) -> None:
    """Raise ValueError if what is asked was begun on other devices: it would quietly start anew."""
    here = config.resolved(available())
    for file in sorted(resolve(folder).glob("*/config.json")):
        begun = Run(file.parent)
        replicas = begun.config.get("replicas", 0) or here.replicas
        if begun.complete or replicas == here.replicas or config.global_batch % replicas:
            continue
        if Run.of(folder, config.resolved(replicas).record(replicas)) == begun:
            raise ValueError(
                f"{begun.path.name}: begun on {replicas} replicas, here are {here.replicas}: set "
                f"replicas={replicas} to go on with it, or remove its directory to start anew"
            )


def share_of(rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return a share of the rows, drawn by the seed; a smaller share lies within a larger one."""
    drawn = np.random.default_rng(seed).permutation(rows)
    return np.sort(drawn[: max(round(share * len(rows)), 1)])


def splits(table: pd.DataFrame, fold: int = -1, validation: bool = True) -> dict[str, np.ndarray]:
    """Return the row positions of train, validation and test among a manifest's kept rows.

    fold: -1 uses the column `split`; otherwise this fold is tested on, and the next one validates.
    validation: whether it does; if not, it trains, and no row validates.

    Raises:
        ValueError: a split is empty or holds one class only, or there is no such fold.
    """
    if fold < 0:
        names = table["split"].to_numpy()
    else:
        folds = int(table["fold"].max()) + 1
        if fold >= folds:
            raise ValueError(f"fold {fold}: the manifest has {folds}; curate it with more folds")
        chosen = [table["fold"] == fold, table["fold"] == (fold + 1) % folds]
        names = np.select(chosen, ["test", "val"], "train")
    if not validation:
        names = np.where(names == "val", "train", names)
    found = {split: np.flatnonzero(names == split) for split in SPLITS}
    for split in SPLITS if validation else ("train", "test"):
        _check_classes(table, split, found[split])
    return found


def _check_classes(table: pd.DataFrame, split: str, rows: np.ndarray) -> None:
    classes = np.unique(table["sadness"].to_numpy()[rows])
    if len(classes) < 2:
        held = f"only images with sadness = {classes[0]}" if len(rows) else "no image"
        raise ValueError(f"split {split!r} holds {held}; each split needs both classes")


def check_files(table: pd.DataFrame, name: str) -> None:
    """Raise ValueError, naming the first row, if an image is gone, unreadable or another one now.

    Files that curation has seen and that have not changed since are not read again.
    """
    now = inspect_all(table, progress=False)
    problem = now["dropped"].mask(now["image_id"] != table["image_id"], "changed since curation")
    problem = problem.where(now["dropped"] == "", now["dropped"])
    if (problem != "").any():
        first = (problem != "").idxmax()
        file = os.path.basename(table.loc[first, "path"])
        raise ValueError(
            f"{name}: row {table.loc[first, 'row']}: {file}: {problem[first]} "
            f"({(problem != '').sum()} of {len(table)} images); curate again or restore the images"
        )


def _build(inputs: Inputs, steps: int) -> keras.Model:
    """Return the compiled model of a resolved configuration: of a frozen run the head alone."""
    config = inputs.config
    if config.network == "multilevel":
        model = build_multilevel_resnet50(config.image_size, config.weights or None)
    elif inputs.arrays is not None:
        pooled, *taps = inputs.arrays
        # without Gram modules the branch's width still follows from the tap's channels
        shapes = [t.shape[1:] for t in taps] or [(1, 1, BACKBONES[config.backbone].tap_channels)]
        trunk = _trunk(config) if config.trained_from else None
        channels = trunk.output_shape[-1] if trunk else pooled.shape[-1]
        model = build_head(config.k, channels, shapes, config.head, len(config.classes))
        if trunk:
            model = join(trunk, model, [keras.Input(shape) for shape in shapes if config.k])
    else:
        model = classifier(config)
    if config.centre_loss:
        model = WithCentres(model, config.centre_loss)
    rate = config.learning_rate
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    kind = {"adagrad": keras.optimizers.Adagrad, "adam": keras.optimizers.Adam}[config.optimizer]
    optimizer = kind(rate, weight_decay=config.weight_decay or None)
    _decay_kernels_only(optimizer)
    compiled = {"auto": "auto", "on": True, "off": False}[config.xla]
    # what makes its variables in the first step would have it traced twice
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=[accuracy], jit_compile=compiled
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _trunk(config: TrainConfig) -> keras.Model:
    body = build_backbone(config.backbone, config.image_size, config.weights or None, ())
    return above(body, config.trained_from)


def classifier(config: TrainConfig) -> keras.Model:
    """Return the untrained classifier of some settings, whole: images to probabilities."""
    where = (config.image_size, config.weights or None, config.taps or None)
    return build_classifier(config.backbone, config.k, *where, config.head, len(config.classes))


def _whole(model: keras.Model, config: TrainConfig) -> keras.Model:
    """Return the classifier of what was trained above a layer, and what was not below it."""
    whole = classifier(config)
    body = whole.get_layer("backbone")
    for layer in model.get_layer("trunk").layers:
        if layer.weights:
            body.get_layer(layer.name).set_weights(layer.get_weights())
    whole.get_layer("head").set_weights(model.get_layer("head").get_weights())
    return whole


def _decay_kernels_only(optimizer: keras.Optimizer) -> None:
    """Name what weight decay leaves alone; a saved optimizer forgets it."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "centres"])


def _fit(
    run: Run, inputs: Inputs, rows: dict, scope: tf.distribute.Strategy, progress: bool,
    history: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """Train the epochs after those in the history and return all of it."""
    config, done = inputs.config, len(history)
    size, checked = (
        even_batch(len(rows[split]), config.global_batch, config.replicas)
        for split in ("train", "val")
    )
    watched = inputs.batches(rows["val"], checked) if config.validation else None
    steps = -(-len(rows["train"]) // size)
    keras.utils.set_random_seed(config.seed)
    with quiet(), scope.scope(), policy(config.precision):
        if done:
            model = _load(run, done, "state.keras", compile=True)
            _decay_kernels_only(model.optimizer)
        else:
            model = _build(inputs, config.epochs * steps)
    bar = tqdm(total=config.epochs * steps, initial=done * steps, unit="step", disable=not progress)
    with bar, scope.scope():
        epochs = _Epochs(run, config, history, bar)
        model.fit(
            inputs.batches(rows["train"], size, epochs=range(done, config.epochs)),
            initial_epoch=done,
            epochs=config.epochs,
            steps_per_epoch=steps,
            validation_data=watched,
            shuffle=False,
            verbose=0,
            callbacks=[epochs],
        )
    return epochs.history


def even_batch(count: int, global_batch: int, replicas: int) -> int:
    """Return the batch over all replicas, such that the first one of `count` images divides evenly.

    Keras builds what it compiles from the first batch, and fails if its parts are not equal.
    """
    return min(global_batch, max(count - count % replicas, 1))


class _Epochs(keras.callbacks.Callback):
    """What happens around an epoch: dropout's own masks, the history's row, the checkpoint."""

    def __init__(self, run: Run, config: TrainConfig, history: pd.DataFrame, bar: tqdm):
        super().__init__()
        self.run, self.config, self.history, self.bar = run, config, history, bar

    def on_epoch_begin(self, epoch, logs=None):
        """Seed the random layers by the epoch: checkpoints do not hold their state."""
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for i, state in enumerate(states):
            state.assign(np.random.SeedSequence((self.config.seed, epoch, i)).generate_state(2))
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._check(logs["loss"])
        self.bar.update()

    def on_test_begin(self, logs=None):
        self.seconds = time.perf_counter() - self.began

    def on_epoch_end(self, epoch, logs=None):
        if not self.config.validation:
            self.on_test_begin()
        self._check(sum(logs.values()))
        row = pd.DataFrame([{"epoch": epoch + 1, **logs, "seconds": self.seconds}])
        self.history = pd.concat([self.history, row], ignore_index=True)
        _save(self.run, self.model, self.history, self.config.evaluate)
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in logs.items()})

    def _check(self, loss: float) -> None:
        if not np.isfinite(float(loss)):
            raise ValueError(
                f"the loss of epoch {len(self.history) + 1} is {float(loss)}: learning_rate "
                f"{self.config.learning_rate:g} is too large for this network and batch"
            )


def _checkpoint(run: Run, epoch: int) -> Path:
    """Return the folder of an epoch, counted from 1: state.keras, best.keras and history.csv."""
    return run.path / f"checkpoint-{epoch:03d}"


def _last(run: Run, config: TrainConfig) -> pd.DataFrame:
    """Return the history of the epochs that are finished, a row each."""
    epoch = max(map(_epoch, run.path.glob("checkpoint-*")), default=0)
    if not epoch:
        return pd.DataFrame()
    folder = _checkpoint(run, epoch)
    measured = ["loss", "seconds", *(["val_accuracy"] if config.validation else [])]
    try:
        history = pd.read_csv(folder / "history.csv")
        known = np.isfinite(history[measured].to_numpy(float)).all()
        if history["epoch"].tolist() != list(range(1, epoch + 1)) or not known:
            raise ValueError("its history is not that of its epochs")
        if lost := {"state.keras", "best.keras"} - {path.name for path in folder.iterdir()}:
            raise ValueError(f"it lacks {', '.join(sorted(lost))}")
    except (ValueError, KeyError, OSError) as error:
        raise _damaged(folder, error) from None
    return history


def _epoch(checkpoint: Path) -> int:
    """Return the epoch whose checkpoint a folder is, or 0 if it is none of ours."""
    named = re.fullmatch(r"checkpoint-(\d{3,})", checkpoint.name)
    return int(named[1]) if named else 0


def _load(run: Run, epoch: int, name: str, compile: bool = False) -> keras.Model:
    """Return a model of an epoch's checkpoint."""
    try:
        return load_model(_checkpoint(run, epoch) / name, compile=compile)
    except ValueError as error:
        raise _damaged(_checkpoint(run, epoch), error) from None


def _damaged(checkpoint: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{checkpoint.parent.name}/{checkpoint.name}: damaged ({error}); remove the run's "
        "directory to train it anew"
    )


def _chosen(history: pd.DataFrame, evaluate: str) -> int:
    """Return the epoch whose weights count: the first of best validation accuracy, or the last."""
    return int(history["val_accuracy"].idxmax()) + 1 if evaluate == "best" else len(history)


def _save(run: Run, model: keras.Model, history: pd.DataFrame, evaluate: str) -> None:
    """Write the checkpoint of the epoch that ends the history, then remove the one before it."""
    epoch = len(history)
    building = run.path / ".checkpoint"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    with naming(building / "state.keras"):
        model.save(building / "state.keras")
    now = _chosen(history, evaluate) == epoch
    best = building / "state.keras" if now else _checkpoint(run, epoch - 1) / "best.keras"
    os.link(best, building / "best.keras")
    with naming(building / "history.csv"):
        history.to_csv(building / "history.csv", index=False)
    building.rename(_checkpoint(run, epoch))
    _remove_checkpoints(run, keep=epoch)


def _remove_checkpoints(run: Run, keep: int = 0) -> None:
    for older in run.path.glob("checkpoint-*"):
        if _epoch(older) not in (0, keep):
            shutil.rmtree(older, ignore_errors=keep == 0)


def _finish(
    run: Run, inputs: Inputs, rows: dict, scope: tf.distribute.Strategy, history: pd.DataFrame
) -> None:
    """Write the run's tables from the saved model, metrics last."""
    config = inputs.config
    model = _load(run, config.epochs, "best.keras")
    if isinstance(model, WithCentres):
        model = model.classifier
    if config.trained_from:
        with quiet():
            model = _whole(model, config)
        inputs = replace(inputs, arrays=None)  # as it will be asked: about images
    with atomic(run.path / "model.keras") as temporary:  # without centres and optimizer
        model.save(temporary)
    with atomic(run.path / "history.csv") as temporary:
        history.to_csv(temporary, index=False)
    model = load_model(run.path / "model.keras")
    asked = SPLITS[1:] if config.validation else SPLITS[2:]
    tables = {split: inputs.predict(model, rows[split], split) for split in asked}
    run.write_predictions(pd.concat(tables.values(), ignore_index=True))
    seconds = history["seconds"].sum()
    augmentation = "RandAugment N = {}, M = {}".format(*config.augment or "--")
    how = {
        "devices": device_names(scope),
        "seconds": round(seconds, 1),
        "images_per_second": round(len(rows["train"]) * len(history) / seconds, 1),
        "augmentation": augmentation if config.augment else "none",
        "features": "cached, frozen backbone" if config.frozen else "trained",
    }
    write_json(run.path / "environment.json", {**environment(), **how})
    metrics = {split: evaluation.report(t["y"], t["p_sadness"]) for split, t in tables.items()}
    known = {
        "sizes": {split: len(rows[split]) for split in SPLITS},
        "epoch": _chosen(history, config.evaluate),
        "parameters": model.count_params(),
        "trained": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
    }
    write_json(run.path / "metrics.json", {**metrics, **known})
