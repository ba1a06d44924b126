"""Train the runs of an experiment, several in one process: TensorFlow's start is paid once.

Snakemake calls this part by part (see Snakefile). What is done is skipped, so whatever was
interrupted goes on when it is called again. Studies that share a configuration share its run.
"""

import gc
import time
from pathlib import Path

from studies.experiment import Experiment

from gramnb import features, training
from gramnb._keras import keras, quiet
from gramnb.choices import BACKBONES
from gramnb.config import TrainConfig
from gramnb.data import manifest
from gramnb.runs import Run, resolve


def found(experiment: Experiment) -> dict[str, list[tuple[TrainConfig, Run]]]:
    """Return each row's configurations with their runs, whether these have begun or not."""
    with quiet():
        return {
            row: [(config, training.run_of(config, experiment.runs)) for config in configs]
            for row, configs in experiment.configs().items()
        }


def files(experiment: Experiment, run: Run) -> list[Path]:
    """Return what a run has written when it is finished and has answered every other data set."""
    answers = [run.path / "transfer" / f"{name}.parquet" for name in experiment.others]
    return [run.path / "metrics.json", *answers]


def done(experiment: Experiment, run: Run) -> bool:
    return all(file.exists() for file in files(experiment, run))


def in_order(experiment: Experiment) -> list[tuple[str, TrainConfig, Run]]:
    """Return every run once, with its row's name; those that share features and fold meet."""
    rows = found(experiment).items()
    runs = {run.path: (row, config, run) for row, pairs in rows for config, run in pairs}
    shared = ("manifest", "backbone", "image_size", "fold")
    return sorted(runs.values(), key=lambda each: [getattr(each[1], name) for name in shared])


def train(experiment: Experiment, part: int = 1, parts: int = 1) -> list[Path]:
    """Train what is missing of one part of the runs; return its files.

    Raises:
        ValueError, FileNotFoundError: as `training.train`.
    """
    runs = in_order(experiment)
    own = runs[len(runs) * (part - 1) // parts : len(runs) * part // parts]
    for row, config, run in own:
        if done(experiment, run):
            continue
        began = time.perf_counter()
        run = training.train(config, experiment.runs, progress=False)
        if experiment.others:
            training.transfer(run, experiment.others, progress=False)
        keras.backend.clear_session()
        gc.collect()
        where = f", fold {config.fold}" if config.fold >= 0 else ""
        seconds = time.perf_counter() - began
        print(f"{row}, seed {config.seed}{where}: {seconds:.0f} s", flush=True)
    return [file for _, _, run in own for file in files(experiment, run)]


def compute_features(experiment: Experiment) -> None:
    """Fill the cache for the frozen runs that are missing, every tap of a backbone in one pass."""
    wanted: dict[tuple, list[str]] = {}
    for _, config, run in in_order(experiment):
        first = features.POOLED if config.frozen else config.trained_from
        if not first or done(experiment, run):
            continue
        taps = (config.taps or (BACKBONES[config.backbone].tap,)) if config.k else ()
        for file in (config.manifest, *experiment.others.values()):
            key = (file, config.backbone, config.image_size, config.weights)
            wanted.setdefault(key, []).extend((first, *taps))
    for (file, backbone, image_size, weights), layers in wanted.items():
        table = manifest.kept(manifest.read(resolve(file))).reset_index(drop=True)
        training.check_files(table, file)
        features.compute(table, backbone, image_size, weights or None, tuple(dict.fromkeys(layers)))
