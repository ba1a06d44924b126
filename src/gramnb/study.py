"""A study: named rows of one experiment, each trained with every seed on every fold, and recorded.

`results/<study>/study.yaml` says what is compared. Its runs stand in one folder, where studies that
share a configuration share the run; several are trained side by side, what is done is skipped, and
an interrupted study goes on where it stopped. Recorded are tables, neither images nor models:

    python -m gramnb.study frozen            trains what is missing, then records it
    python -m gramnb.study frozen --jobs 4   four runs side by side, each on its share of the cores
    python -m gramnb.study --summary         makes results/summary.csv of all recorded studies
"""

import argparse
import gc
import itertools
import json
import multiprocessing
import os
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass

import pandas as pd
import yaml
from tqdm import tqdm

from gramnb import evaluation
from gramnb.config import TrainConfig
from gramnb.data import manifest
from gramnb.runs import Run, atomic, commit, labels, resolve, write_json

FILE = "results/{}/study.yaml"
SAID = ("data", "baseline", "runs", "seeds", "folds", "base", "rows")  # what a file has to say
SUMMARY = "results/summary.csv"
RESAMPLES = 200
RUNS_A_PROCESS = 10  # TensorFlow keeps some memory of every network it has trained


@dataclass(frozen=True)
class Study:
    """What a `study.yaml` says.

    Attributes:
        name: of its folder below `results`.
        data: what the images are, in words.
        baseline: the row that the others are compared with.
        runs: folder of the runs, relative to the project root.
        splits: whose predictions are recorded: "test", or "val" and "test".
        transfer: other data sets that every run answers: name to manifest.
        rows: each row's name and its configurations, one a seed and fold.
    """

    name: str
    data: str
    baseline: str
    runs: str
    splits: tuple[str, ...]
    transfer: dict[str, str]
    rows: dict[str, tuple[TrainConfig, ...]]

    @classmethod
    def read(cls, name: str) -> "Study":
        """Return the study of this name.

        In its file `base` holds the settings of `TrainConfig` that all rows share (`head` those of
        `HeadOptions`), `rows` what each changes; `seeds` and `folds` stand beside `base`, or in a
        row that wants others.

        Raises:
            FileNotFoundError, ValueError: no such study, or a setting that there is not.
        """
        file = FILE.format(name)
        if not resolve(file).exists():
            there = sorted(path.parent.name for path in resolve("results").glob("*/study.yaml"))
            raise FileNotFoundError(f"{file}: not there; studies: {', '.join(there)}")
        said = yaml.safe_load(resolve(file).read_text(encoding="utf-8"))
        if lacking := [key for key in SAID if key not in said]:
            raise ValueError(f"{file}: lacks {', '.join(lacking)}")
        shared, rows = {"seeds": said["seeds"], "folds": said["folds"], **said["base"]}, {}
        for row, own in said["rows"].items():
            try:
                rows[row] = _configs(shared, own or {})
            except (TypeError, ValueError) as error:
                raise ValueError(f"{file}: row {row!r}: {error}") from None
        if said["baseline"] not in rows:
            raise ValueError(f"{file}: the baseline {said['baseline']!r} is no row")
        splits = tuple(said.get("splits", ["test"]))
        transfer = said.get("transfer", {})
        return cls(name, said["data"], said["baseline"], said["runs"], splits, transfer, rows)

    def found(self) -> dict[str, list[tuple[TrainConfig, Run]]]:
        """Return each row's configurations with their runs, whether these have begun or not."""
        from gramnb.training import run_of

        return {
            row: [(config, run_of(config, self.runs)) for config in configs]
            for row, configs in self.rows.items()
        }

    def done(self, run: Run) -> bool:
        """Return whether a run is finished and has answered every other data set."""
        answers = (run.path / "transfer" / f"{name}.parquet" for name in self.transfer)
        return run.complete and all(file.exists() for file in answers)


def _configs(shared: Mapping, own: Mapping) -> tuple[TrainConfig, ...]:
    """Return a row's configurations: its own settings over the shared ones, by seed and fold."""
    settings = {**shared, **own, "head": {**shared.get("head", {}), **own.get("head", {})}}
    seeds, folds = settings.pop("seeds"), settings.pop("folds")
    return tuple(
        TrainConfig(**settings, seed=seed, fold=fold)
        for fold, seed in itertools.product(folds, seeds)
    )


def train(study: Study, jobs: int = 0, progress: bool = True) -> None:
    """Train what is missing, `jobs` runs side by side; 0 means one a core.

    Every run computes on its share of the cores. A frozen backbone's features are computed first,
    by one process on all of them.

    Raises:
        ValueError, FileNotFoundError: as `training.train`.
    """
    cores = os.cpu_count() or 1
    jobs = jobs or cores
    found = [pair for row in study.found().values() for pair in row]
    missing = {run.path: config for config, run in found if not study.done(run)}
    bar = tqdm(total=len({run.path for _, run in found}), unit="run", desc=study.name,
               disable=not progress)  # fmt: skip
    bar.update(bar.total - len(missing))
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with bar:
        if frozen := [config for config in missing.values() if config.frozen]:
            with ProcessPoolExecutor(1, context, _limit, (cores,)) as pool:
                pool.submit(_compute_features, study, frozen, progress).result()
        waiting = list(missing.values())
        for start in range(0, len(waiting), jobs * RUNS_A_PROCESS):
            part = waiting[start : start + jobs * RUNS_A_PROCESS]
            with ProcessPoolExecutor(jobs, context, _limit, (max(cores // jobs, 1),)) as pool:
                begun = [pool.submit(_train, config, study) for config in part]
                try:
                    for done in as_completed(begun):
                        done.result()
                        bar.update()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise


def _limit(threads: int) -> None:
    """Give a process its share of the cores, before TensorFlow counts them itself."""
    from gramnb._keras import quiet

    with quiet():
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(max(threads, 1))


def _train(config: TrainConfig, study: Study) -> None:
    from gramnb import predict, training
    from gramnb._keras import keras

    run = training.train(config, study.runs, progress=False)
    for name, file in study.transfer.items():
        predict.transfer(run, file, name, progress=False)
    keras.backend.clear_session()
    gc.collect()


def _compute_features(study: Study, configs: list[TrainConfig], progress: bool) -> None:
    """Fill the cache for all runs, every tap of a backbone in one pass."""
    from gramnb import features, training
    from gramnb.backbones import BACKBONES

    taps: dict[tuple, dict[str, None]] = {}
    for config in configs:
        own = (config.taps or (BACKBONES[config.backbone].tap,)) if config.k else ()
        for file in (config.manifest, *study.transfer.values()):
            key = (file, config.backbone, config.image_size, config.weights)
            taps.setdefault(key, {}).update(dict.fromkeys(own))
    for (file, backbone, image_size, weights), layers in taps.items():
        table = manifest.kept(manifest.read(resolve(file))).reset_index(drop=True)
        training.check_files(table, file)
        features.compute(table, backbone, image_size, weights or None, tuple(layers), progress)


def record(study: Study, allow_dirty: bool = False) -> None:
    """Write the tables of the study's runs beside its `study.yaml`.

    Raises:
        FileNotFoundError: a run is not finished.
        ValueError: as `check_commits`.
    """
    found = [(row, run) for row, pairs in study.found().items() for _, run in pairs]
    if unfinished := [run for _, run in found if not study.done(run)]:
        raise FileNotFoundError(
            f"{study.name}: {len(unfinished)} runs are not finished, {unfinished[0].path.name} "
            f"first; python -m gramnb.study {study.name} goes on with them"
        )
    wanted = {"split": study.splits, "dataset": ("own", *study.transfer)}
    write(study.name, found, wanted, allow_dirty)


def record_folder(folder: str, name: str, allow_dirty: bool = False) -> None:
    """Write the tables of all finished runs below a folder, a profile's say, as a study.

    Raises:
        ValueError: as `check_commits`.
    """
    found = [(label, run) for run, label in labels(folder).items()]
    write(name, found, {"split": ("val", "test")}, allow_dirty)


def check_commits(commits: Iterable[str]) -> None:
    """Raise ValueError, with the way out, unless each is a clean git commit.

    A record from files that no commit holds cannot be traced back to the code that made it.
    """
    if unclean := [name for name in commits if name == "unknown" or name.endswith("-dirty")]:
        raise ValueError(
            f"recording needs a clean commit, {len(unclean)} are not ({unclean[0]}): commit the "
            "changes and train again, or say --allow-dirty, which is written into runs.json"
        )


def write(
    name: str, found: list[tuple[str, Run]], wanted: Mapping[str, tuple], allow_dirty: bool = False
) -> None:
    """Write the tables of runs, each with the name of its row, into a study's folder.

    `predictions.parquet` (the columns of `runs.predictions`, `variant` being the row's name; of
    columns in `wanted` these values alone), `metrics.csv` (one row a run and data set),
    `history.csv`, and `runs.json`: configuration and environment, what all runs share said once;
    `recorded` by which commit, and `drawn`, whether the images are the package's own drawings.

    Raises:
        ValueError: as `check_commits`, of the runs' commits and the present one.
    """
    if not allow_dirty:
        check_commits([commit(), *(run.environment["commit"] for _, run in found)])
    folder = resolve(FILE.format(name)).parent
    frame = pd.concat([run.predictions.assign(variant=row) for row, run in found])
    frame = frame[frame[[*wanted]].isin(wanted).all(axis="columns")].round({"p_sadness": 5})
    with atomic(folder / "predictions.parquet") as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")
    metrics = evaluation.by_seed(frame[frame["split"] == "test"])
    history = pd.concat([_history(row, run) for row, run in found])
    for file, table in {"metrics.csv": metrics, "history.csv": history}.items():
        with atomic(folder / file) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
    described = {run.path.name: run.config | run.environment for _, run in found}
    first = next(iter(described.values()))
    shared = {k: v for k, v in first.items() if all(d.get(k) == v for d in described.values())}
    own = {run: {k: v for k, v in d.items() if k not in shared} for run, d in described.items()}
    manifests = {d["manifest"] for d in described.values()}
    recipes = [manifest.read(file).attrs["recipe"] for file in manifests]
    drawn = all(recipe.get("source") == "demo" for recipe in recipes)
    recorded = {"commit": commit(), "allow_dirty": allow_dirty}
    about = {"recorded": recorded, "drawn": drawn}
    write_json(folder / "runs.json", {**about, "all": shared, "runs": own})


def _history(row: str, run: Run) -> pd.DataFrame:
    known = {"variant": row, **{c: run.config[c] for c in ("backbone", "k", "seed", "fold")}}
    return run.history.assign(**known)[[*known, *run.history.columns]]


def summarise() -> pd.DataFrame:
    """Return `evaluation.estimate` of every recorded study, row and metric, as one table.

    Left out: studies of drawn images, which measure no quality, and images under both labels.

    Columns study, data (own images under the name in the study's file), backbone, variant, k,
    metric, mean, sd, low, high, n: mean over runs, SD over seeds, a 95 % interval that covers runs
    and images, number of seeds.
    """
    tables = []
    for file in sorted(resolve("results").glob("*/predictions.parquet")):
        stated = file.with_name("study.yaml")
        said = yaml.safe_load(stated.read_text("utf-8")) if stated.exists() else {}
        if json.loads(file.with_name("runs.json").read_text("utf-8"))["drawn"]:
            continue
        frame = pd.read_parquet(file).query("split == 'test'")
        frame = frame.replace({"dataset": {"own": said.get("data", file.parent.name)}})
        once = ["dataset", "variant", "seed", "fold", "image_id"]
        frame = frame.drop_duplicates(once, keep=False)  # no answer is right under both labels
        for (data, backbone, variant, k), part in frame.groupby(
            ["dataset", "backbone", "variant", "k"], sort=False
        ):
            known = {"study": file.parent.name, "data": data, "backbone": backbone,
                     "variant": variant, "k": k}  # fmt: skip
            for metric in evaluation.METRICS:
                values = evaluation.estimate(part, metric, resamples=RESAMPLES)
                tables.append({**known, "metric": metric, **values})
    return pd.DataFrame(tables)


def main(arguments: list[str] | None = None) -> None:
    """Train and record a study, or make the summary of all."""
    parser = argparse.ArgumentParser("python -m gramnb.study", description="Train and record.")
    parser.add_argument("study", nargs="?", help="a folder of results that holds a study.yaml")
    parser.add_argument(
        "--jobs", type=int, default=0, help="runs side by side; default: one a core"
    )
    parser.add_argument(
        "--allow-dirty", action="store_true", help="record although files differ from the commit"
    )
    parser.add_argument("--summary", action="store_true", help=f"make {SUMMARY}")
    given = parser.parse_args(arguments)
    if not (given.study or given.summary):
        parser.error("name a study, or ask for the --summary")
    try:
        if given.study:
            study = Study.read(given.study)
            if not given.allow_dirty:
                check_commits([commit()])
            train(study, given.jobs)
            record(study, given.allow_dirty)
        if given.summary:
            with atomic(resolve(SUMMARY)) as temporary:
                summarise().to_csv(temporary, index=False, float_format="%.6g")
    except (ValueError, FileNotFoundError, BrokenExecutor) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on where it stopped")


if __name__ == "__main__":
    main()
