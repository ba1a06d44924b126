"""Runs: one directory a training run, and studies: many runs in one small, recorded folder.

Every file is written beside its place and renamed onto it, and `metrics.json` comes last, so a run
that has one is whole. A study (`results/<study>/`) holds the same tables of many runs, without
models. Notebooks read either through `predictions`.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow as pa

PACKAGES = ("gramnb", "tensorflow", "keras", "keras-cv", "numpy", "pandas", "scikit-learn")
VARIANT = ["variant", "backbone", "k", "seed"]
COLUMNS = [
    *VARIANT, "dataset", "image_id", "split", "fold", "group", "n_train", "n_test", "y", "p_sadness"
]  # fmt: skip


def project_root() -> Path:
    """Return the checkout around the working directory, or outside of any that directory itself.

    It is looked for upwards, since nbval runs a notebook in the notebook's own directory.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "src" / "gramnb").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


def resolve(path: str | Path) -> Path:
    """Return `path` as an absolute path; a relative one is relative to the project root."""
    return Path(os.path.normpath(project_root() / Path(path).expanduser()))


def cache_dir() -> Path:
    """Create and return the folder of what can be computed again: GRAMNB_CACHE, or `runs/cache`."""
    folder = resolve(os.environ.get("GRAMNB_CACHE", "runs/cache"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, of a file or a folder, and rename it if all went well.

    The suffix is kept, since Keras and pandas choose a format by it. After a failure nothing is
    left behind, and an older file at `path` is untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:  # as that of a full disk
            error.filename = str(path)
        raise
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: Mapping) -> None:
    """Write a mapping as indented JSON, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def fingerprint(content: Mapping) -> str:
    """Return 8 hexadecimal digits that name a configuration, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def commit() -> str:
    """Return the checkout's git commit, twelve digits; "unknown" where there is none.

    With "-dirty" if a file differs from it, outside of `results` (what records are written to).
    """
    git = ["git", "-C", str(project_root()), "status", "--porcelain=v2", "--branch"]
    asked = [*git, "--", ".", ":(exclude)results"]
    try:
        lines = subprocess.check_output(asked, stderr=subprocess.DEVNULL, text=True).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    name = lines[0].removeprefix("# branch.oid ")[:12]
    return name if all(line.startswith("#") for line in lines) else f"{name}-dirty"


def environment() -> dict:
    """Return versions, git commit, system and number of cores: what a rerun would have to match."""
    return {
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "commit": commit(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }


@dataclass(frozen=True)
class Run:
    """One run's directory; the properties read what has been written so far."""

    path: Path

    @classmethod
    def of(cls, folder: str | Path, record: Mapping) -> "Run":
        """Return the run of a record (`config.TrainConfig.record`) below `folder`, begun or not.

        It is named `<backbone>-k<k>-s<seed>-<8 hex of the record>`, whatever the manifest's place.
        """
        content = {name: value for name, value in record.items() if name != "manifest"}
        name = "{backbone}-k{k}-s{seed}-".format(**record) + fingerprint(content)
        return cls(resolve(folder) / name)

    @property
    def config(self) -> dict:
        """What `config.TrainConfig.record` gave."""
        return self._json("config.json")

    @property
    def metrics(self) -> dict:
        """The reloaded model's metrics of val and test; images of each split (`sizes`), the
        `epoch` kept, `parameters` and, of these, `trained`: all but moving statistics.
        """
        return self._json("metrics.json")

    @property
    def environment(self) -> dict:
        """Versions, commit, devices, seconds and images a second."""
        return self._json("environment.json")

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: epoch, loss, accuracy, val_loss, val_accuracy, seconds."""
        return pd.read_csv(self._file("history.csv"))

    @property
    def predictions(self) -> pd.DataFrame:
        """One row an image, as `predictions` describes it."""
        files = [self._file("predictions.parquet"), *sorted(self.path.glob("transfer/*.parquet"))]
        names = ["own", *(file.stem for file in files[1:])]
        try:
            known = {name: self.config[name] for name in VARIANT}
            known |= {f"n_{split}": self.metrics["sizes"][split] for split in ("train", "test")}
            frames = [
                pd.read_parquet(file).assign(**known, dataset=name)[COLUMNS]
                for name, file in zip(names, files, strict=True)
            ]
        except (pa.ArrowException, KeyError) as error:
            raise ValueError(
                f"{self.path.name}: predictions damaged, or of an earlier version "
                f"({str(error).splitlines()[0]}); remove the directory and train again"
            ) from None
        return pd.concat(frames, ignore_index=True)

    @property
    def complete(self) -> bool:
        """Whether the run is whole; its metrics are written last."""
        return (self.path / "metrics.json").exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the run from other processes meanwhile; the hold of one that died ends with it.

        Raises:
            ValueError: another process holds it: which, and on what machine.
        """
        with open(self.path / ".lock", "a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise ValueError(
                    f"{self.path.name}: held by {lock.read() or 'another process'}, which "
                    "trains it; wait until it has ended, or end it, and call again"
                ) from None
            except OSError:  # a file system without locks
                pass
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {platform.node()}")
            lock.flush()
            yield

    def write_predictions(self, table: pd.DataFrame, dataset: str = "own") -> None:
        """Write predictions on the run's own data, or on the named transfer data set."""
        name = "predictions.parquet" if dataset == "own" else f"transfer/{dataset}.parquet"
        with atomic(self.path / name) as temporary:
            table.to_parquet(temporary, index=False)

    def _file(self, name: str) -> Path:
        file = self.path / name
        if not file.is_file():  # a pipe would wait
            raise FileNotFoundError(f"{self.path.name}/{name}: not there; the run is not finished")
        return file

    def _json(self, name: str) -> dict:
        try:
            content = json.loads(self._file(name).read_bytes())
        except (ValueError, RecursionError):  # no JSON, or no text
            content = None
        if not isinstance(content, dict):
            raise ValueError(
                f"{self.path.name}/{name}: damaged; remove the directory and train again"
            )
        return content


def list_runs(folder: str | Path, **wanted) -> list[Run]:
    """Return the finished runs directly below `folder`, by name, whose settings are as wanted."""
    found = [Run(file.parent) for file in sorted(resolve(folder).glob("*/config.json"))]
    finished = [run for run in found if run.complete]
    return [run for run in finished if all(run.config.get(n) == v for n, v in wanted.items())]


def predictions(folder: str | Path) -> pd.DataFrame:
    """Return the predictions of a recorded study, or of every finished run below a folder.

    `COLUMNS`: dataset is "own" or a transfer data set's name, n_train and n_test count the images
    that the run was trained and tested on, near-duplicates share a group, y = 1 is sadness.

    Raises:
        FileNotFoundError: there is neither.
    """
    recorded = resolve(folder) / "predictions.parquet"
    if recorded.exists():
        return pd.read_parquet(recorded)
    frames = [run.predictions.assign(variant=label) for run, label in labels(folder).items()]
    return pd.concat(frames, ignore_index=True)


def histories(folder: str | Path) -> pd.DataFrame:
    """Return the learning curves of a recorded study, or of every finished run below a folder."""
    recorded = resolve(folder) / "history.csv"
    if recorded.exists():
        return pd.read_csv(recorded)
    frames = [
        run.history.assign(**{name: run.config[name] for name in VARIANT} | {"variant": label})
        for run, label in labels(folder).items()
    ]
    return pd.concat(frames, ignore_index=True)


def labels(folder: str | Path) -> dict[Run, str]:
    """Return the finished runs below a folder and the name of each one's variant.

    Runs of one name that differ in a setting get that setting added to it; seed, fold and backbone
    may differ.

    Raises:
        FileNotFoundError: there is none.
    """
    if not (found := list_runs(folder)):
        unfinished = len(list(resolve(folder).glob("*/config.json")))
        raise FileNotFoundError(
            f"{folder}: no recorded study and no finished run there ({unfinished} unfinished); "
            f"train one with papermill notebooks/03_training.ipynb out.ipynb -p runs {folder}"
        )
    settings = [{**run.config, **run.config.get("head", {})} for run in found]
    table = pd.DataFrame(settings, dtype=object)
    table = table.where(table.notna(), None).astype(str)  # what is lacking is None
    table[["seed", "fold", "head", "backbone"]] = ""  # may differ
    differ = table.groupby("variant", sort=False).transform("nunique") > 1  # (runs, settings)
    named = {}
    for run, own, (_, row) in zip(found, settings, differ.iterrows(), strict=True):
        differing = [f"{name} {own[name]}" for name in own if row.get(name, False)]
        named[run] = ", ".join([own["variant"], *differing])
    return named
