"""Asking a trained network about photographs: a file, or a folder of them.

A model that ships with the package (`shipped`) answers by ONNX Runtime, which starts at once; a
run's answers in Keras (`training`), which is imported when it is needed.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pandas as pd
from PIL import Image
from tqdm import tqdm

from gramnb import shipped
from gramnb.data.images import ImageError, find_pictures, read_image
from gramnb.evaluation.metrics import Calibration, at_prevalence, of_sadness
from gramnb.runs import Run, resolve

if TYPE_CHECKING:
    from gramnb._keras import keras

BLANK = 2  # levels of 256 by which the values of a picture of one colour may differ


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files named, and what looks like a picture below the folders named, sorted.

    Pictures of formats that are not read, and folders that may not be listed, are among them, so
    that whoever asks hears of each.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no image.
    """
    return _find(paths)[0]


def _find(paths: Iterable[str | Path]) -> tuple[list[Path], list[str]]:
    """Return what `find_images` does, and the other files of the folders."""
    found, left = [], []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder")
        if not path.is_dir():
            found.append(path)
            continue
        pictures, others, closed = find_pictures(path)
        if not (inside := sorted(map(Path, pictures + closed))):
            raise FileNotFoundError(f"{path}: no image in it ({len(others)} files that are none)")
        found += inside
        left += others
    return found, left


def _onnx(model: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Return what answers by ONNX Runtime: each thread that asks computes its own answer."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options)
    except Exception as error:  # of ONNX Runtime's own types
        raise MemoryError if "bad_alloc" in str(error) else error from None
    return lambda images: session.run(None, {"image": images.astype(np.float32)})[0]


@dataclass(frozen=True)
class SadnessClassifier:
    """A network, how its images are made, and how its answers are read."""

    # from images (B, S, S, 3), 0-255, to probabilities (B, classes), sadness second
    answer: Callable[[np.ndarray], np.ndarray]
    image_size: int  # side S of its images, in pixels
    calibration: Calibration = Calibration()  # from log-odds to the probability that is reported
    threshold: float = 0.5  # sadness is what has a reported probability above it
    name: str = ""  # the model in words
    learned: float = 0.5  # the share of sadness in what it learned from
    prevalence: float | None = None  # the share where it is asked; None: as it learned
    in_keras: "keras.Model | str" = ""  # the same network in Keras, or its name if it ships

    @classmethod
    def load(cls, run: str | Path = "best", prevalence: float | None = None) -> "SadnessClassifier":
        """Load a model that ships with the package, or the network of a finished run.

        Shipped models are calibrated; a run's probabilities are as its network says them.

        Args:
            run: "best" or "gram", the models that ship, or a run's directory, relative to the
                project root.
            prevalence: the share of sadness among the images it will be asked about, above 0 and
                below 1, if that is known: the probabilities move with it (`at_prevalence`).

        Raises:
            FileNotFoundError: the directory holds no finished run.
            ValueError: a file that is damaged, or not the published one; a prevalence out of range.
        """
        if prevalence is not None:
            at_prevalence(0.5, 0.5, prevalence)  # refused before anything is loaded
        if run in shipped.MODELS:
            card = shipped.card(run)
            return cls(
                _onnx(shipped.content(run, "onnx")),
                card["network"]["image_size"],
                Calibration(**card["calibration"]),
                card["threshold"],
                f"shipped model {run} ({card['row']}), calibrated",
                card["learned"],
                prevalence,
                run,
            )
        found = Run(resolve(run))
        if not found.complete:
            names = " and ".join(shipped.MODELS)
            raise FileNotFoundError(
                f"{run}: no finished run there (and models that ship are {names}); "
                "train one with notebook 03 and give its directory"
            )
        from gramnb.features import probabilities  # TensorFlow's start takes seconds
        from gramnb.training import load_network

        network = load_network(found)
        return cls(
            partial(probabilities, network),
            network.input_shape[1],
            name=f"run {found.path.name}, not calibrated",
            learned=found.predictions.query("dataset == 'own'")["y"].mean(),
            prevalence=prevalence,
            in_keras=network,
        )

    @cached_property
    def network(self) -> "keras.Model":
        """The network in Keras, from images (B, S, S, 3), 0-255, to probabilities."""
        if not isinstance(self.in_keras, str):
            return self.in_keras
        from gramnb.training import load_shipped

        return load_shipped(self.in_keras)

    def ask(self, images: np.ndarray) -> np.ndarray:
        """Return the reported probabilities of sadness, (B,), of images (B, S, S, 3), 0-255."""
        p = self.calibration(of_sadness(self.answer(images)))
        return p if self.prevalence is None else at_prevalence(p, self.learned, self.prevalence)

    def predict(self, paths: Iterable[str | Path], progress: bool = True) -> pd.DataFrame:
        """Return one row a file: file, p_sadness (NaN if there is none), conveys, problem.

        `conveys` is "sadness" where p_sadness is above the threshold, else "others". A file that
        cannot be read, or is of one colour, stays in the table with its reason; nothing is lost.
        `attrs["others"]` names the files of the folders that are no pictures.
        Each thread, one a core, reads a file and asks the network.
        """
        files, others = _find(paths)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = pool.map(self._answered, files)
            answers = list(tqdm(answers, total=len(files), unit="image", disable=not progress))
        p = np.array([p for p, _ in answers], float)
        table = pd.DataFrame({
            "file": [*map(str, files)],
            "p_sadness": p,
            "conveys": np.where(p > self.threshold, "sadness", np.where(p >= 0, "others", "")),
            "problem": [problem for _, problem in answers],
        })  # fmt: skip
        table.attrs["others"] = others
        return table

    def _answered(self, file: Path) -> tuple[float, str]:
        """Return the probability that a file conveys sadness, or NaN, and why there is none."""
        try:
            image = read_image(file, self.image_size)
        except ImageError as error:
            if file.is_dir():
                link = "link to a folder, not followed: give the folder's own name"
                return np.nan, link if file.is_symlink() else "folder cannot be read"
            return np.nan, error.detail.lower() if error.reason == "missing" else error.reason
        if all(high - low <= BLANK for low, high in Image.fromarray(image).getextrema()):
            return np.nan, "one colour only: nothing to judge"
        p = float(self.ask(image[None])[0])
        return p, f"the answer of {self.name} is no number" if np.isnan(p) else ""
