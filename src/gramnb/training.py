"""Training: a configuration in, a finished `Run` out; and a run's network read back and asked.

How many devices there are is settled before the run is named: it changes the numbers. Each epoch
ends with a checkpoint, one file renamed into place whole, so that a run killed at any moment goes
on from the last epoch that finished. Reported metrics always come from the saved model, loaded
again on one device: the replicas' batch-normalisation statistics drift apart.
"""

import io
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from gramnb import evaluation, shipped
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

CHECKPOINT = "checkpoint.npz"


def train(config: TrainConfig, folder: str | Path = "runs/demo", progress: bool = True) -> Run:
    """Train one variant, or finish what was begun, and return its run below `folder`.

    Raises:
        ValueError, FileNotFoundError: one line that says what is wrong and what to do, before any
            long work: an empty or one-class split, missing image files, a damaged checkpoint, a
            run that another process trains.
    """
    table = manifests.kept(manifests.read(resolve(config.manifest))).reset_index(drop=True)
    rows = splits(table, config)  # which refuses empty ones
    check_files(table, config.manifest)
    run = run_of(config, folder)
    config = config.resolved(available())
    if not run.complete:
        write_json(run.path / "config.json", config.record(available()))
        with run.held():
            if not run.complete:  # by now: another process may have held it
                strategy(config.replicas)  # which is settled before TensorFlow first runs
                epochs = _Epochs(run, config)
                inputs = prepare_inputs(table, config, progress, training=True)
                if len(epochs.history) < config.epochs:
                    _fit(inputs, rows, epochs, progress)
                _finish(inputs, rows, epochs)
    for left in (run.path / CHECKPOINT, *run.path.glob(".*")):  # with what a killed one wrote
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
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "centres"])
    compiled = {"auto": "auto", "on": True, "off": False}[config.xla]
    # what makes its variables in the first step would have it traced twice
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=[accuracy], jit_compile=compiled
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _fit(inputs: Inputs, rows: dict, epochs: "_Epochs", progress: bool) -> None:
    """Train the epochs that are not done."""
    config, done = inputs.config, len(epochs.history)
    scope = strategy(config.replicas)
    # Keras builds what it compiles from the first batch, and fails if its parts are not equal
    even = {split: len(own) - len(own) % config.replicas for split, own in rows.items()}
    size, checked = (min(config.global_batch, max(even[split], 1)) for split in ("train", "val"))
    watched = inputs.batches(rows["val"], checked) if config.validation else None
    steps = -(-len(rows["train"]) // size)
    keras.utils.set_random_seed(config.seed)
    with quiet(), scope.scope(), policy(config.precision):
        model = _build(inputs, config.epochs * steps)
        epochs.restore(model)
    bar = tqdm(total=config.epochs * steps, initial=done * steps, unit="step", disable=not progress)
    with bar, scope.scope():
        epochs.bar = bar
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


class _Epochs(keras.callbacks.Callback):
    """A run's epochs: the history, the checkpoint that holds it, and dropout's own masks."""

    def __init__(self, run: Run, config: TrainConfig):
        """Begin where the checkpoint ends, if there is one."""
        super().__init__()
        self.run, self.config, self.history = run, config, pd.DataFrame()
        self.arrays = []  # weights of the epoch that counts; as read, then all of the last one
        if (run.path / CHECKPOINT).exists():
            try:
                with np.load(run.path / CHECKPOINT) as saved:
                    history, *self.arrays = saved.values()
                self.history = pd.DataFrame(history)
            except Exception as error:  # NumPy and zipfile raise a handful of types
                raise ValueError(
                    f"{run.path.name}/{CHECKPOINT}: damaged ({error}); remove the run's directory "
                    "to train it anew"
                ) from None

    def restore(self, model: keras.Model) -> None:
        """Set a new model to where the last epoch left it."""
        state = _state(model)
        for variable, value in zip(state, self.arrays[-len(state) :], strict=bool(self.arrays)):
            variable.assign(value)

    def kept(self) -> int:
        """Return the epoch whose weights count: first of best validation accuracy, or the last."""
        best = self.config.evaluate == "best"
        return int(self.history["val_accuracy"].idxmax()) + 1 if best else len(self.history)

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
        network = getattr(self.model, "classifier", self.model)  # without centres
        now = self.kept() == epoch + 1
        self.arrays = network.get_weights() if now else self.arrays[: len(network.weights)]
        state = [variable.numpy() for variable in _state(self.model)]
        with atomic(self.run.path / CHECKPOINT) as temporary:
            np.savez(temporary, self.history.to_records(index=False), *self.arrays, *state)
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in logs.items()})

    def _check(self, loss: float) -> None:
        if not np.isfinite(float(loss)):
            raise ValueError(
                f"the loss of epoch {len(self.history) + 1} is {float(loss)}: learning_rate "
                f"{self.config.learning_rate:g} is too large for this network and batch"
            )


def _state(model: keras.Model) -> list[keras.Variable]:
    return [*model.weights, *model.optimizer.variables]


def _finish(inputs: Inputs, rows: dict, epochs: _Epochs) -> None:
    """Write the run's tables from the saved model, metrics last."""
    config, run, history = inputs.config, epochs.run, epochs.history
    with quiet(), policy(config.precision):
        model = _network(inputs)
        model.set_weights(epochs.arrays[: len(model.weights)])
        if config.trained_from:  # what was not trained below it
            body = _backbone(config)
            for layer in model.get_layer("trunk").layers[1:]:  # after its input
                body.get_layer(layer.name).set_weights(layer.get_weights())
            model = join(body, model.get_layer("head"))
            inputs = replace(inputs, arrays=None)  # as it will be asked: about images
    with atomic(run.path / "model.keras") as temporary:
        model.save(temporary)
    with atomic(run.path / "history.csv") as temporary:
        history.to_csv(temporary, index=False)
    model = load_model(run.path / "model.keras")
    asked = [split for split in ("val", "test") if len(rows[split])]
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
    write_json(run.path / "environment.json", environment() | how)
    metrics = {split: evaluation.report(t["y"], t["p_sadness"]) for split, t in tables.items()}
    known = {
        "sizes": {split: len(found) for split, found in rows.items()},
        "epoch": epochs.kept(),
        "parameters": model.count_params(),
        "trained": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
    }
    write_json(run.path / "metrics.json", metrics | known)


# Networks, made and read back


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
    trunk = above(_backbone(config), config.trained_from)
    head = build_head(config.k, trunk.output_shape[-1], *more)
    return join(trunk, head, [keras.Input(shape) for shape in shapes if config.k])


def _backbone(config: TrainConfig) -> keras.Model:
    return build_backbone(config.backbone, config.image_size, config.weights, config.taps or None)


def load_network(run: Run) -> keras.Model:
    """Return a run's network from images (0-255) to probabilities, a head on its backbone.

    Raises:
        ValueError: a damaged file, or a network of other shapes or of weights that are no numbers.
    """
    file, config = run.path / "model.keras", TrainConfig.of(run)
    with quiet():
        model = load_model(file)
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ValueError(f"{file}: holds weights that are no numbers; train the run again")
    try:
        if config.frozen:
            model = join(_backbone(config), model)
        shapes = [tensor.shape[1:] for tensor in (*model.inputs, *model.outputs)]
        if shapes != [(config.image_size, config.image_size, 3), (len(config.classes),)]:
            raise ValueError(f"inputs and outputs have shapes {shapes}")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file}: not the network that config.json beside it says ({error}); train it again"
        ) from error
    return model


def load_shipped(name: str = shipped.MODELS[0]) -> keras.Model:
    """Return a shipped network from images (0-255) to probabilities.

    Its file holds the weights that training has changed, as numbers, kernels in float16; the rest
    are the backbone's own. Each stands under its place in `get_weights`.

    Raises:
        ValueError: the file is not the one of its card.
    """
    data = shipped.content(name, "npz")
    config = TrainConfig.model_validate(shipped.card(name)["network"], extra="ignore")
    with quiet():
        network = classifier(config)
    weights = network.get_weights()
    with np.load(io.BytesIO(data), allow_pickle=False) as changed:
        for place in changed.files:
            weights[int(place)] = changed[place].astype(np.float32)
    network.set_weights(weights)
    return network


def transfer(
    run: Run, others: Mapping[str, str | Path], progress: bool = True
) -> dict[str, pd.DataFrame]:
    """Predict other data sets' kept rows with a run's network and keep the answers in the run.

    others: manifests, relative to the project root, by the name that a data set's predictions get.
    Returned is of each image_id, split ("test"), fold, group, y, p_sadness.
    """
    config, answers = TrainConfig.of(run), {}
    with quiet():
        model = load_model(run.path / "model.keras")
    for dataset, manifest in others.items():
        table = manifests.kept(manifests.read(resolve(manifest))).reset_index(drop=True)
        check_files(table, str(manifest))
        inputs = prepare_inputs(table, config, progress)
        answers[dataset] = inputs.predict(model, np.arange(len(table)), "test")
        run.write_predictions(answers[dataset], dataset)
    return answers
