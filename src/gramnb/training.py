"""Training a variant: a configuration in, a finished `Run` out.

How many devices there are is settled before the run is named: it changes the numbers. Each epoch
ends with a checkpoint, a folder renamed into place whole, so that a run killed at any moment goes
on from the last epoch that finished. Reported metrics always come from the saved model, loaded
again on one device: the replicas' batch-normalisation statistics drift apart.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
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
from gramnb.runs import Run, atomic, environment, resolve, write_json
from gramnb.variants import WithCentres, build_multilevel_resnet50


def train(config: TrainConfig, folder: str | Path = "runs/demo", progress: bool = True) -> Run:
    """Train one variant, or finish what was begun, and return its run below `folder`.

    Raises:
        ValueError, FileNotFoundError: one line that says what is wrong and what to do, before any
            long work: an empty or one-class split, missing image files, a damaged checkpoint, a
            run that another process trains.
    """
    table = manifests.kept(manifests.read(resolve(config.manifest))).reset_index(drop=True)
    splits(table, config)  # which refuses empty ones
    check_files(table, config.manifest)
    run = run_of(config, folder)
    config = config.resolved(available())
    if not run.complete:
        write_json(run.path / "config.json", config.record(available()))
        with run.held():
            if not run.complete:  # by now: another process may have held it
                strategy(config.replicas)  # which is settled before TensorFlow first runs
                history = _history(run)
                inputs = prepare_inputs(table, config, progress, training=True)
                if len(history) < config.epochs:
                    history = _fit(run, inputs, history, progress)
                _finish(run, inputs, history)
    _remove_checkpoints(run)
    for left in run.path.glob(".*"):  # what a killed process was writing, and who it was
        left.unlink(missing_ok=True)
    return run


def run_of(config: TrainConfig, folder: str | Path = "runs/demo") -> Run:
    """Return the run that `train` makes of a configuration on this machine, begun or not."""
    return Run.of(folder, config.record(available()))


def splits(table: pd.DataFrame, config: TrainConfig) -> dict[str, np.ndarray]:
    """Return the row positions of train, val and test among a manifest's kept rows.

    By the column `split`, or by `config.fold`: that one is tested on, and the next one validates.
    Without `config.validation` what would validate trains. A share of what trains is drawn by the
    seed, a smaller one within a larger one.

    Raises:
        ValueError: a split is empty or holds one class only, or there is no such fold.
    """
    if config.fold < 0:
        names = table["split"].to_numpy()
    else:
        folds = int(table["fold"].max()) + 1
        if config.fold >= folds:
            raise ValueError(
                f"fold {config.fold}: the manifest has {folds}; curate it with more folds"
            )
        chosen = [table["fold"] == config.fold, table["fold"] == (config.fold + 1) % folds]
        names = np.select(chosen, ["test", "val"], "train")
    if not config.validation:
        names = np.where(names == "val", "train", names)
    found = {split: np.flatnonzero(names == split) for split in SPLITS}
    drawn = np.random.default_rng(config.seed).permutation(found["train"])
    found["train"] = np.sort(drawn[: max(round(config.train_share * len(drawn)), 1)])
    for split in SPLITS if config.validation else ("train", "test"):
        classes = table["sadness"].iloc[found[split]].unique()
        if len(classes) < 2:
            held = f"only images with sadness = {classes[0]}" if len(classes) else "no image"
            raise ValueError(f"split {split!r} holds {held}; each split needs both classes")
    return found


def check_files(table: pd.DataFrame, name: str) -> None:
    """Raise ValueError, naming the first row, if an image is gone, unreadable or another one now.

    Files that curation has seen and that have not changed since are not read again.
    """
    now = inspect_all(table, progress=False)
    changed = (now["dropped"] == "") & (now["image_id"] != table["image_id"])
    problems = now["dropped"].mask(changed, "changed since curation")
    problems = problems[problems != ""]
    if len(problems):
        row, path = table.loc[problems.index[0], ["row", "path"]]
        raise ValueError(
            f"{name}: row {row}: {os.path.basename(path)}: {problems.iloc[0]} "
            f"({len(problems)} of {len(table)} images); curate again or restore the images"
        )


def classifier(config: TrainConfig) -> keras.Model:
    """Return the untrained classifier of some settings, whole: images to probabilities."""
    where = (config.image_size, config.weights, config.taps or None)
    return build_classifier(config.backbone, config.k, *where, config.head, len(config.classes))


def _network(inputs: Inputs) -> keras.Model:
    """Return what is trained: of a run on cached features the head, or what is above a layer."""
    config = inputs.config
    if config.network == "multilevel":
        return build_multilevel_resnet50(config.image_size, config.weights)
    if inputs.arrays is None:
        return classifier(config)
    features, *taps = inputs.arrays
    # without Gram modules the branch's width still follows from the tap's channels
    shapes = [tap.shape[1:] for tap in taps] or [(1, 1, BACKBONES[config.backbone].tap_channels)]
    more = (shapes, config.head, len(config.classes))
    if not config.trained_from:
        return build_head(config.k, features.shape[-1], *more)
    body = build_backbone(config.backbone, config.image_size, config.weights, ())
    trunk = above(body, config.trained_from)
    head = build_head(config.k, trunk.output_shape[-1], *more)
    return join(trunk, head, [keras.Input(shape) for shape in shapes if config.k])


def _build(inputs: Inputs, steps: int) -> keras.Model:
    """Return the compiled model of a resolved configuration, to be trained in so many steps."""
    config = inputs.config
    model = _network(inputs)
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


def _decay_kernels_only(optimizer: keras.Optimizer) -> None:
    """Name what weight decay leaves alone; a saved optimizer forgets it."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "centres"])


def _fit(run: Run, inputs: Inputs, history: pd.DataFrame, progress: bool) -> pd.DataFrame:
    """Train the epochs after those in the history and return all of it."""
    config, done = inputs.config, len(history)
    rows, scope = splits(inputs.table, config), strategy(config.replicas)
    # Keras builds what it compiles from the first batch, and fails if its parts are not equal
    even = {split: len(own) - len(own) % config.replicas for split, own in rows.items()}
    size, checked = (min(config.global_batch, max(even[split], 1)) for split in ("train", "val"))
    watched = inputs.batches(rows["val"], checked) if config.validation else None
    steps = -(-len(rows["train"]) // size)
    keras.utils.set_random_seed(config.seed)
    with quiet(), scope.scope(), policy(config.precision):
        if done:
            with _reading(run, done) as checkpoint:
                model = load_model(checkpoint / "state.keras", compile=True)
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
        self.seconds = time.perf_counter() - self.began  # without validation
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
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


def _checkpoints(run: Run) -> dict[int, Path]:
    """Return the folders of all epochs that are there; what is named otherwise is not ours."""
    named = {path.name.removeprefix("checkpoint-"): path for path in run.path.glob("checkpoint-*")}
    return {int(epoch): path for epoch, path in named.items() if epoch.isdecimal()}


@contextmanager
def _reading(run: Run, epoch: int) -> Iterator[Path]:
    """Yield an epoch's checkpoint; what is wrong with it becomes one line with the way out."""
    checkpoint = _checkpoint(run, epoch)
    try:
        yield checkpoint
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"{run.path.name}/{checkpoint.name}: damaged ({error}); remove the run's directory to "
            "train it anew"
        ) from None


def _history(run: Run) -> pd.DataFrame:
    """Return the history of the epochs that are finished, a row each."""
    epoch = max(_checkpoints(run), default=0)
    if not epoch:
        return pd.DataFrame()
    with _reading(run, epoch) as folder:
        history = pd.read_csv(folder / "history.csv")
        if history["epoch"].tolist() != [*range(1, epoch + 1)] or history.isna().any(axis=None):
            raise ValueError("its history is not that of its epochs")
    return history


def _best(history: pd.DataFrame, evaluate: str) -> int:
    """Return the epoch whose weights count: the first of best validation accuracy, or the last."""
    return int(history["val_accuracy"].idxmax()) + 1 if evaluate == "best" else len(history)


def _save(run: Run, model: keras.Model, history: pd.DataFrame, evaluate: str) -> None:
    """Write the checkpoint of the epoch that ends the history, then remove the one before it."""
    epoch = len(history)
    with atomic(_checkpoint(run, epoch)) as folder:
        folder.mkdir()
        model.save(folder / "state.keras")
        now = _best(history, evaluate) == epoch
        best = folder / "state.keras" if now else _checkpoint(run, epoch - 1) / "best.keras"
        os.link(best, folder / "best.keras")
        history.to_csv(folder / "history.csv", index=False)
    _remove_checkpoints(run, keep=epoch)


def _remove_checkpoints(run: Run, keep: int = 0) -> None:
    """Remove all checkpoints but one, and what a killed process was writing of another."""
    left = [folder for epoch, folder in _checkpoints(run).items() if epoch != keep]
    for folder in (*left, *run.path.glob(".checkpoint-*")):
        shutil.rmtree(folder, ignore_errors=True)


def _finish(run: Run, inputs: Inputs, history: pd.DataFrame) -> None:
    """Write the run's tables from the saved model, metrics last."""
    config = inputs.config
    rows = splits(inputs.table, config)
    with _reading(run, config.epochs) as checkpoint:
        model = load_model(checkpoint / "best.keras")
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
    augmented = config.augment and "RandAugment N = {}, M = {}".format(*config.augment)
    how = {
        "devices": device_names(strategy(config.replicas)),
        "seconds": round(seconds, 1),
        "images_per_second": round(len(rows["train"]) * len(history) / seconds, 1),
        "augmentation": augmented or "none",
    }
    write_json(run.path / "environment.json", {**environment(), **how})
    metrics = {split: evaluation.report(t["y"], t["p_sadness"]) for split, t in tables.items()}
    known = {
        "sizes": {split: len(rows[split]) for split in SPLITS},
        "epoch": _best(history, config.evaluate),
        "parameters": model.count_params(),
        "trained": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
    }
    write_json(run.path / "metrics.json", {**metrics, **known})


def _whole(model: keras.Model, config: TrainConfig) -> keras.Model:
    """Return the classifier of what was trained above a layer, and what was not below it."""
    where = (config.backbone, config.image_size, config.weights, config.taps or None)
    body = build_backbone(*where)
    for layer in model.get_layer("trunk").layers:
        if layer.weights:
            body.get_layer(layer.name).set_weights(layer.get_weights())
    return join(body, model.get_layer("head"))
