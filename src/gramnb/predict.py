"""Asking a trained network: one photograph, a folder of them, or another data set.

`SadnessClassifier` is what the command line and the artwork notebook use: the model that ships with
the package (`shipped/`, made by `studies/ship.py`), or a run's. `transfer` keeps a run's
predictions of another data set beside the run.
"""

import json
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
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
from gramnb.evaluation import Calibration, log_odds
from gramnb.features import prepare_inputs
from gramnb.models import join
from gramnb.runs import Run, resolve
from gramnb.training import check_files

SHIPPED = Path(__file__).parent / "shipped"


def load_network(run: Run) -> keras.Model:
    """Return a run's network from images (0-255) to probabilities, a head on its backbone."""
    return _whole(run.path / "model.keras", TrainConfig.of(run))


def _whole(file: Path, config: TrainConfig) -> keras.Model:
    model = load_model(file)
    if not config.frozen:
        return model
    body = build_backbone(
        config.backbone, config.image_size, config.weights or None, config.taps or None
    )
    return join(body, model)


def card() -> dict:
    """Return what is known of the shipped model: network, calibration, threshold, data, metrics."""
    return json.loads((SHIPPED / "card.json").read_text(encoding="utf-8"))


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files named, and what looks like a picture below the folders named, sorted.

    Pictures of formats that are not read, and folders that may not be listed, are among them, so
    that whoever asks hears of each.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no image.
    """
    found = []
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise FileNotFoundError(f"{path}: no such file or folder")
            found.append(path)
            continue
        listing = find_pictures(path)
        inside = sorted(map(Path, listing.pictures + listing.unread + listing.closed))
        if not inside:
            raise FileNotFoundError(
                f"{path}: no image in it ({len(listing.others)} files that are none)"
            )
        found += inside
    return found


@dataclass(frozen=True)
class SadnessClassifier:
    """A network, how its images are made, and how its answers are read.

    Attributes:
        network: from images (B, S, S, 3), values 0-255, to probabilities of others and sadness.
        image_size: side S of its images, in pixels.
        calibration: from the network's log-odds to the probability that is reported.
        threshold: sadness is what has a reported probability above it.
        name: the model in words.
    """

    network: keras.Model
    image_size: int
    calibration: Calibration = Calibration()
    threshold: float = 0.5
    name: str = ""

    @classmethod
    def load(cls, run: str | Path | None = None) -> "SadnessClassifier":
        """Load the model that ships with the package, or the network of a finished run.

        The shipped model is calibrated; a run's probabilities are as its network says them.

        Args:
            run: the run's directory, relative to the project root; None means the shipped model.

        Raises:
            FileNotFoundError: the directory holds no finished run.
        """
        if run is None:
            known = card()
            config = TrainConfig.model_validate(known["network"], extra="ignore")
            with quiet():
                network = _whole(SHIPPED / "head.keras", config)
            name = f"shipped model ({config.backbone}; {known['row']}), calibrated"
            calibration = Calibration(**known["calibration"])
            return cls(network, config.image_size, calibration, known["threshold"], name)
        found = Run(resolve(run))
        if not found.complete:
            raise FileNotFoundError(
                f"{run}: no finished run there; train one with notebook 03 and give its directory"
            )
        with quiet():
            network = load_network(found)
        image_size = TrainConfig.of(found).image_size
        return cls(network, image_size, name=f"run {found.path.name}, not calibrated")

    def predict(
        self, paths: Iterable[str | Path], batch_size: int = 32, progress: bool = True
    ) -> pd.DataFrame:
        """Return one row a file: file, p_sadness (NaN if unreadable), conveys, problem.

        `conveys` is "sadness" where p_sadness is above the threshold, else "others". A file that
        cannot be read stays in the table with its reason; nothing is lost. A batch's files are read
        in parallel.
        """
        files = find_images(paths)
        tables = []
        with (
            ThreadPoolExecutor() as pool,
            tqdm(total=len(files), unit="image", disable=not progress) as bar,
        ):
            for start in range(0, len(files), batch_size):
                tables.append(self._batch(files[start : start + batch_size], pool))
                bar.update(len(tables[-1]))
        return pd.concat(tables, ignore_index=True)

    def _read(self, file: Path) -> np.ndarray | str:
        """Return a file's pixels, or why there are none."""
        try:
            return read_image(file, self.image_size)
        except ImageError as error:
            return "folder cannot be read" if file.is_dir() else error.reason

    def _batch(self, files: list[Path], pool: Executor) -> pd.DataFrame:
        found = list(pool.map(self._read, files))
        images = [each for each in found if isinstance(each, np.ndarray)]
        problems = [each if isinstance(each, str) else "" for each in found]
        readable = np.array([not problem for problem in problems])
        p = np.full(len(files), np.nan)
        if images:
            with quiet():
                others, sadness = self.network.predict_on_batch(np.stack(images)).T
            p[readable] = self.calibration(log_odds(sadness, others))
        conveys = np.where(p > self.threshold, "sadness", "others")
        return pd.DataFrame(
            {
                "file": [str(file) for file in files],
                "p_sadness": p,
                "conveys": np.where(readable, conveys, ""),
                "problem": problems,
            }
        )


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
