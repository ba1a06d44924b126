"""Keep the tables of finished runs below `results`, and make one summary of all records.

    python -m studies.record     makes results/summary.csv of all recorded studies

`make study` and `make record` call the rest. Recorded are tables, neither images nor models.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml
from studies.experiment import STUDY, Experiment

from gramnb import evaluation
from gramnb.data import manifest
from gramnb.runs import Run, atomic, commit, labels, resolve, write_json

SUMMARY = "results/summary.csv"
RESAMPLES = 200


def record(study: Experiment, allow_dirty: bool = False) -> None:
    """Write the tables of a study's runs beside its file; FileNotFoundError if one is missing."""
    from studies import runs  # TensorFlow, which a summary does not need

    found = [(row, run) for row, pairs in runs.found(study).items() for _, run in pairs]
    if unfinished := [run for _, run in found if not runs.done(study, run)]:
        raise FileNotFoundError(
            f"{study.name}: {len(unfinished)} runs are not finished, {unfinished[0].path.name} "
            f"first; make study STUDY={study.name} goes on with them"
        )
    write(study.name, found, allow_dirty, study)


def record_folder(folder: str, name: str, allow_dirty: bool = False) -> None:
    """Write the tables of all finished runs below a folder, a profile's say, as a study."""
    write(name, [(label, run) for run, label in labels(folder).items()], allow_dirty)


def check_commits(commits: Iterable[str]) -> None:
    """Raise ValueError, with the way out, unless each is a clean git commit.

    A record from files that no commit holds cannot be traced back to the code that made it.
    """
    if unclean := [name for name in commits if name == "unknown" or name.endswith("-dirty")]:
        raise ValueError(
            f"recording needs a clean commit, {len(unclean)} are not ({unclean[0]}): commit the "
            "changes and train again, or give ALLOW_DIRTY=1, which is written into runs.json"
        )


def write(
    name: str, found: list[tuple[str, Run]], allow_dirty: bool, study: Experiment | None = None
) -> None:
    """Write the tables of runs, each with the name of its row, into a study's folder.

    `predictions.parquet` (`runs.predictions`, `variant` being the row's name; of a study's splits
    and data sets alone), `metrics.csv` (one row a run and data set), `history.csv`, and
    `runs.json`: configuration and environment, what all runs share once; `recorded` by which
    commit; `drawn`, whether the images are the package's own drawings.

    Raises:
        ValueError: as `check_commits`, of the runs' commits and the present one.
    """
    if not allow_dirty:
        check_commits([commit(), *(run.environment["commit"] for _, run in found)])
    folder = resolve(STUDY.format(name)).parent
    frame = pd.concat([run.predictions.assign(variant=row) for row, run in found])
    if study:
        datasets = ["own", *study.others]
        frame = frame[frame["split"].isin(study.splits) & frame["dataset"].isin(datasets)]
    frame = frame.round({"p_sadness": 5})
    with atomic(folder / "predictions.parquet") as temporary:
        names = [name for name in frame if name != "p_sadness"]  # its values are no names
        small = {"compression": "zstd", "compression_level": 19, "use_dictionary": names}
        frame.to_parquet(temporary, index=False, **small)
    names = ["backbone", "k", "seed", "fold"]
    keys = [(row, *(run.config[name] for name in names)) for row, run in found]
    history = pd.concat([run.history for _, run in found], keys=keys, names=["variant", *names])
    history = history.reset_index(["variant", *names])
    metrics = evaluation.by_seed(frame[frame["split"] == "test"])
    write_table(folder / "metrics.csv", metrics)
    write_table(folder / "history.csv", history)
    runs = {run.path.name: run.config | run.environment for _, run in found}
    first = next(iter(runs.values()))
    shared = {k: v for k, v in first.items() if all(each.get(k) == v for each in runs.values())}
    own = {run: {k: v for k, v in each.items() if k not in shared} for run, each in runs.items()}
    files = {each["manifest"] for each in runs.values()}
    drawn = all(manifest.read(file).attrs["recipe"].get("source") == "demo" for file in files)
    recorded = {"commit": commit(), "allow_dirty": allow_dirty}
    content = {"recorded": recorded, "drawn": drawn, "all": shared, "runs": own}
    write_json(folder / "runs.json", content)


def write_table(path: str | Path, table: pd.DataFrame, numbers: str = "%.6g") -> None:
    """Write a table without its index as CSV, relative to the project root, atomically."""
    with atomic(resolve(path)) as temporary:
        table.to_csv(temporary, index=False, float_format=numbers)


def summarise() -> pd.DataFrame:
    """Return `evaluation.estimate` of every recorded study, row and metric, as one table.

    Left out: studies of drawn images, which measure no quality, and images under both labels.
    Own images stand in `data` under the name in the study's file.

    Columns study, data, backbone, variant, k, metric, mean, sd (over seeds), low, high (95 %, over
    runs and images), n (seeds).
    """
    tables = []
    for file in sorted(resolve("results").glob("*/predictions.parquet")):
        study = file.with_name("study.yaml")
        stated = yaml.safe_load(study.read_text("utf-8")) if study.exists() else {}
        if json.loads(file.with_name("runs.json").read_text("utf-8"))["drawn"]:
            continue
        frame = pd.read_parquet(file).query("split == 'test'")
        frame = frame.replace({"dataset": {"own": stated.get("data", file.parent.name)}})
        once = ["dataset", "variant", "seed", "fold", "image_id"]
        frame = frame.drop_duplicates(once, keep=False)  # no answer is right under both labels
        frame = frame.rename(columns={"dataset": "data"}).assign(study=file.parent.name)
        names = ["study", "data", "backbone", "variant", "k"]
        for key, part in frame.groupby(names, sort=False):
            known = {**dict(zip(names, key, strict=True)), "metric": evaluation.METRICS}
            values = evaluation.estimate(part, evaluation.METRICS, resamples=RESAMPLES)
            tables.append(pd.DataFrame({**known, **values}))
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    write_table(SUMMARY, summarise())
