"""Asking a trained network: one photograph, a folder of them, or another data set.

Every answer is by `features.probabilities`. `SadnessClassifier` is a model that ships with the
package (`shipped/`, made by `studies/ship.py`) or a run's, with its calibration; it takes pixels.
`transfer` asks a run about another data set, as training asks it about validation and test
(`features.Inputs.predict`): a frozen head reads cached features, which many heads share.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from gramnb._keras import keras, load_model, quiet
from gramnb.backbones import build_backbone
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.data.images import ImageError, find_pictures, read_image
from gramnb.evaluation import Calibration, at_prevalence, log_odds
from gramnb.features import prepare_inputs, probabilities
from gramnb.models import join
from gramnb.runs import Run, resolve
from gramnb.training import check_files, classifier

SHIPPED = Path(__file__).parent / "shipped"
MODELS = ("best", "gram")  # that ship: the most reliable on unknown collections; the paper's kind
BATCH = 4  # images at a time: the same answers as with 8 at 93 % of its rate, below 1 GiB


def load_network(run: Run) -> keras.Model:
    """Return a run's network from images (0-255) to probabilities, a head on its backbone.

    Raises:
        ValueError: a damaged file, or a network of other shapes or of weights that are no numbers.
    """
    return _whole(run.path / "model.keras", TrainConfig.of(run))


def _whole(file: Path, config: TrainConfig) -> keras.Model:
    model = load_model(file)
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ValueError(f"{file}: holds weights that are no numbers; train the run again")
    if config.frozen:
        taps = config.taps or None
        where = (config.backbone, config.image_size, config.weights or None, taps)
        try:
            body = build_backbone(*where)
        except ValueError as error:
            raise ValueError(f"{file.with_name('config.json')}: {error}") from None
        try:
            model = join(body, model)
        except (ValueError, TypeError) as error:
            raise _other(file) from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise _other(file)
    (_, *shape), (_, *classes) = model.inputs[0].shape, model.outputs[0].shape
    if shape != [config.image_size] * 2 + [3] or classes != [len(config.classes)]:
        raise _other(file)
    return model


def _other(file: Path) -> ValueError:
    return ValueError(f"{file}: not the network that config.json beside it says; train it again")


def ask(network: keras.Model, inputs) -> np.ndarray:
    """Return the log-odds of sadness, (n,) float64; arguments as `features.probabilities`."""
    p = probabilities(network, inputs).astype(np.float64)  # (n, classes), sadness second
    return log_odds(p[:, 1], np.delete(p, 1, axis=1).sum(axis=1))


def card(name: str = MODELS[0]) -> dict:
    """Return what is known of a shipped model: network, calibration, threshold, data, metrics."""
    return json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8"))


def load_shipped(name: str = MODELS[0]) -> keras.Model:
    """Return a shipped network from images (0-255) to probabilities.

    Its file holds the weights that training has changed, as numbers, kernels in float16; the rest
    are the backbone's own. Each stands under its place in `get_weights`.

    Raises:
        ValueError: the file is not the one of its card.
    """
    known, file = card(name), SHIPPED / f"{name}.npz"
    if hashlib.sha256(file.read_bytes()).hexdigest() != known["sha256"]:
        raise ValueError(f"{file}: not the published weights; install gramnb again")
    config = TrainConfig.model_validate(known["network"], extra="ignore")
    network = classifier(config)
    weights = network.get_weights()
    with np.load(file, allow_pickle=False) as changed:
        for place in changed.files:
            weights[int(place)] = changed[place].astype(np.float32)
    network.set_weights(weights)
    return network


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files named, and what looks like a picture below the folders named, sorted.

    Pictures of formats that are not read, and folders that may not be listed, are among them, so
    that whoever asks hears of each.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no image.
    """
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        inside = [path]
        if path.is_dir():
            pictures, unread, others, closed = find_pictures(path)
            inside = sorted(map(Path, pictures + unread + closed))
        if not inside:
            raise FileNotFoundError(f"{path}: no image in it ({len(others)} files that are none)")
        found += inside
    return found


@dataclass(frozen=True)
class SadnessClassifier:
    """A network, how its images are made, and how its answers are read."""

    network: keras.Model  # from images (B, S, S, 3), 0-255, to probabilities of others and sadness
    image_size: int  # side S of its images, in pixels
    calibration: Calibration = Calibration()  # from log-odds to the probability that is reported
    threshold: float = 0.5  # sadness is what has a reported probability above it
    name: str = ""  # the model in words
    learned: float = 0.5  # the share of sadness in what it learned from
    prevalence: float | None = None  # the share where it is asked; None: as it learned

    @classmethod
    def load(
        cls, run: str | Path | None = None, prevalence: float | None = None
    ) -> "SadnessClassifier":
        """Load a model that ships with the package, or the network of a finished run.

        Shipped models are calibrated; a run's probabilities are as its network says them.

        Args:
            run: "best" or "gram", the models that ship (None means "best"), or a run's directory,
                relative to the project root.
            prevalence: the share of sadness among the images it will be asked about, above 0 and
                below 1, if that is known: the probabilities move with it (`at_prevalence`).

        Raises:
            FileNotFoundError: the directory holds no finished run.
            ValueError: as `load_network`; a prevalence out of range.
        """
        if prevalence is not None:
            at_prevalence(0.5, 0.5, prevalence)  # refused before anything is loaded
        if run is None or run in MODELS:
            known = card(run or MODELS[0])
            with quiet():
                network = load_shipped(run or MODELS[0])
            name = f"shipped model {run or MODELS[0]} ({known['row']}), calibrated"
            how = (Calibration(**known["calibration"]), known["threshold"], name)
            return cls(network, network.input_shape[1], *how, known["learned"], prevalence)
        found = Run(resolve(run))
        if not found.complete:
            raise FileNotFoundError(
                f"{run}: no finished run there (and models that ship are {' and '.join(MODELS)}); "
                "train one with notebook 03 and give its directory"
            )
        with quiet():
            network = load_network(found)
        return cls(
            network,
            network.input_shape[1],
            name=f"run {found.path.name}, not calibrated",
            learned=found.predictions.query("dataset == 'own'")["y"].mean(),
            prevalence=prevalence,
        )

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Return the reported probabilities of sadness, (B,), of images (B, S, S, 3), 0-255."""
        p = self.calibration(ask(self.network, images))
        if self.prevalence is None:
            return p
        return at_prevalence(p, self.learned, self.prevalence)

    def predict(
        self, paths: Iterable[str | Path], batch_size: int = BATCH, progress: bool = True
    ) -> pd.DataFrame:
        """Return one row a file: file, p_sadness (NaN if unreadable), conveys, problem.

        `conveys` is "sadness" where p_sadness is above the threshold, else "others". A file that
        cannot be read stays in the table with its reason; nothing is lost. Files are read in
        parallel, two batches ahead of the network.
        """
        files = find_images(paths)
        p, problems = np.full(len(files), np.nan), [""] * len(files)
        size, rows, batch = min(batch_size, len(files)), [], []
        with tqdm(total=len(files), unit="image", disable=not progress) as bar:
            for row, (image, problem) in enumerate(self._pictures(files, 2 * size)):
                problems[row] = problem
                if image is not None:
                    rows, batch = [*rows, row], [*batch, image]
                if batch and (len(batch) == size or row == len(files) - 1):
                    full = batch + batch[:1] * (size - len(batch))  # another size: traced anew
                    p[rows] = self.ask(np.stack(full))[: len(rows)]
                    rows, batch = [], []
                bar.update()
        table = pd.DataFrame({"file": map(str, files), "p_sadness": p, "problem": problems})
        nothing = table["p_sadness"].isna() & (table["problem"] == "")
        table.loc[nothing, "problem"] = f"the answer of {self.name} is no number"
        conveys = np.where(p > self.threshold, "sadness", np.where(np.isnan(p), "", "others"))
        table.insert(2, "conveys", conveys)
        return table

    def _pictures(self, files: list[Path], ahead: int) -> Iterator[tuple[np.ndarray | None, str]]:
        """Yield each file's pixels and problem, in order; so many are read ahead, not more."""
        waiting = deque()
        with ThreadPoolExecutor() as pool:
            for file in files:
                waiting.append(pool.submit(self._read, file))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _read(self, file: Path) -> tuple[np.ndarray | None, str]:
        """Return a file's pixels, or none and why there are none."""
        try:
            return read_image(file, self.image_size), ""
        except ImageError as error:
            if file.is_dir():
                link = "link to a folder, not followed: give the folder's own name"
                return None, link if file.is_symlink() else "folder cannot be read"
            return None, error.detail.lower() if error.reason == "missing" else error.reason


def transfer(run: Run, manifest: str | Path, dataset: str, progress: bool = True) -> pd.DataFrame:
    """Predict another data set's kept rows with a run's network and keep them in the run.

    Args:
        run: a finished run.
        manifest: the data set's manifest; relative to the project root.
        dataset: the name its predictions get in the run and in tables.
        progress: whether to show a progress bar.

    Returns:
        image_id, split ("test"), fold, group, y, p_sadness.
    """
    table = manifests.kept(manifests.read(resolve(manifest))).reset_index(drop=True)
    check_files(table, str(manifest))
    inputs = prepare_inputs(table, TrainConfig.of(run), progress)
    with quiet():
        model = load_model(run.path / "model.keras")
    predicted = inputs.predict(model, np.arange(len(table)), "test")
    run.write_predictions(predicted, dataset)
    return predicted
