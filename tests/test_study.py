"""A tiny study on drawn images, interrupted and continued; what an experiment's file may say."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import checkout, snakemake
from studies import record
from studies import runs as batch
from studies.experiment import STUDY, Experiment

from gramnb import runs, training
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests

FILE = {
    "data": "drawn",
    "baseline": "k = 0",
    "runs": "runs/tiny",
    "splits": ["val", "test"],
    "seeds": [0, 1],
    "base": {
        "manifest": "runs/images.parquet", "backbone": "EfficientNetLite0", "image_size": 48,
        "frozen": True, "epochs": 1, "batch_size": 32, "optimizer": "adam",
        "head": {"momentum": 0.9},
    },
    "k": [0],
    "rows": {"a bank, added": {"k": 1, "head": {"module_fusion": "add"}}},
}  # fmt: skip


def write(name, **changes):
    """Write a study's file into the project around the working directory."""
    file = runs.resolve(STUDY.format(name))
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {key: value for key, value in (FILE | changes).items() if value is not ...}
    file.write_text(yaml.safe_dump(content))


def git(*arguments):
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@localhost"]
    done = subprocess.run(["git", *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def project(tmp_path_factory, demo_manifest):
    """A checkout of its own, with one study: interrupted after a run, asked for, then continued.

    Its manifest does not say that the images are drawn, so that the summary counts them.
    """
    root = tmp_path_factory.mktemp("project")
    checkout(root)
    (root / "src" / "gramnb").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / ".gitignore").write_text("runs/\n.snakemake/\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        git("init", "-q")
        git("add", ".")
        git("commit", "-q", "-m", "Begin")
        manifests.write(manifests.read(demo_manifest), "runs/images.parquet", {"source": "folder"})
        write("tiny", transfer={"again": "runs/images.parquet"})
        tiny = Experiment.study("tiny")
        with pytest.MonkeyPatch.context() as stop:
            train, begun = training.train, []

            def once(config, folder, progress):
                if begun:
                    raise KeyboardInterrupt
                return begun.append(config) or train(config, folder, progress)

            stop.setattr(training, "train", once)
            with pytest.raises(KeyboardInterrupt):
                batch.train(tiny)
        half = {run.path: files(run) for run in runs.list_runs("runs/tiny")}
        with pytest.raises(FileNotFoundError, match="tiny: 3 runs are not finished, .* STUDY=tiny"):
            record.record(tiny)
        given = {"GRAMNB_PARTS": "1", "GRAMNB_STUDY": "tiny"}  # one process of training
        done = snakemake(".", "--force-use-threads", "--", "study", **given)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count(" s\n") == 3 and "Recorded in results/tiny" in done.stdout
        yield {"half": half, "tiny": tiny}


def files(run):
    return {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}


@pytest.fixture
def table(project):
    return runs.predictions("results/tiny")


def test_an_interrupted_study_goes_on_and_does_nothing_twice(project, monkeypatch):
    assert len(project["half"]) == 1 and len(runs.list_runs("runs/tiny")) == 4
    assert runs.resolve("runs/studies/tiny/parts/1-of-1.txt").exists()
    for path, before in project["half"].items():
        assert files(runs.Run(path)) == before
    monkeypatch.setattr(training, "train", None)  # would fail if called
    names = [set(batch.train(project["tiny"], part, 3)) for part in (1, 2, 3)]
    assert len(set.union(*names)) == sum(map(len, names)) == 8  # each run, and its other answers


def test_the_record_is_what_the_runs_say(project, table):
    done = {run.path.name: (row, run) for row, pairs in batch.found(project["tiny"]).items()
            for _, run in pairs}  # fmt: skip
    answers = [run.predictions.assign(variant=row) for row, run in done.values()]
    pd.testing.assert_frame_equal(table, pd.concat(answers, ignore_index=True), atol=6e-6)
    assert set(table["variant"]) == {"k = 0", "a bank, added"}
    assert set(table["split"]) == {"val", "test"}

    asked = table.pivot(index=["variant", "seed", "image_id"], columns="dataset")["p_sadness"]
    both = asked.dropna()
    assert len(both) and np.abs(both["again"] - both["own"]).max() < 1e-4

    history = runs.histories("results/tiny")
    assert len(history) == 4 and set(history["variant"]) == set(table["variant"])
    recorded = json.loads(runs.resolve("results/tiny/runs.json").read_text())
    assert set(recorded["runs"]) == set(done)
    for name, own in recorded["runs"].items():  # what all runs share is written once
        _, run = done[name]
        assert recorded["all"] | own == run.config | run.environment
        assert {"k", "seed", "head"} <= set(own) and not set(own) & set(recorded["all"])


def test_a_study_records_no_answers_that_another_asked_for(project, table):
    """Studies share runs; `tiny` asks its runs about another data set, this one does not."""
    write("own", baseline="a bank, added", k=...)
    record.record(Experiment.study("own"), allow_dirty=True)
    own = table[(table["dataset"] == "own") & (table["variant"] == "a bank, added")]
    pd.testing.assert_frame_equal(runs.predictions("results/own"), own.reset_index(drop=True))


def test_recording_refuses_files_that_no_commit_holds(project):
    kept = runs.resolve("results/tiny/runs.json")
    clean, head = kept.read_bytes(), git("rev-parse", "--short=12", "HEAD")
    assert json.loads(clean)["recorded"] == {"commit": head, "allow_dirty": False}
    changed = runs.resolve("pyproject.toml")
    changed.write_text("# changed")
    with pytest.raises(ValueError, match=f"a clean commit, .*{head}-dirty.*ALLOW_DIRTY=1"):
        record.record(project["tiny"])
    assert kept.read_bytes() == clean
    record.record(project["tiny"], allow_dirty=True)
    recorded = {"commit": f"{head}-dirty", "allow_dirty": True}
    assert json.loads(kept.read_bytes())["recorded"] == recorded
    changed.write_text("")
    record.record(project["tiny"])
    assert kept.read_bytes() == clean
    environment = runs.list_runs("runs/tiny")[0].path / "environment.json"
    content = environment.read_text()
    environment.write_text(content.replace(head, f"{head}-dirty"))  # trained before the commit
    with pytest.raises(ValueError, match="1 are not .*-dirty"):
        record.record(project["tiny"])
    environment.write_text(content)


def test_a_folder_of_runs_is_recorded_under_its_variants(project, table):
    record.record_folder("runs/tiny", "folder")
    recorded = runs.predictions("results/folder")
    assert set(recorded["variant"]) == {"k = 0, frozen", "k = 1, frozen, module_fusion add"}
    first, second = (t.sort_values(list(t.columns[1:])) for t in (recorded, table))
    np.testing.assert_array_equal(first["p_sadness"], second["p_sadness"])


def test_rows_are_settings_over_the_shared_ones_by_seed_and_fold(project):
    own = {"k": 2, "taps": ["block2b_project_conv"], "augment": [2, 5]}
    base = {**FILE["base"], "frozen": False, "head": {"momentum": 0.9, "dropout": 0.2}}
    rows = {"own": {**own, "seeds": [7], "head": {"momentum": 0.8}}, "plain": None}
    write("rows", base=base, rows=rows, k=[0, 4], folds=[0, 3], splits=...)
    found = Experiment.study("rows").configs()
    assert list(found) == ["k = 0", "k = 4", "own", "plain"]
    assert [(c.fold, c.seed) for c in found["k = 0"]] == [(0, 0), (0, 1), (3, 0), (3, 1)]
    shared = {**base, "fold": 3}
    assert found["k = 0"][3] == TrainConfig(**shared, seed=1, k=0)
    changed = {**own, "seed": 7, "head": {"momentum": 0.8, "dropout": 0.2}}
    assert found["own"][1] == TrainConfig(**shared | changed)


def test_what_is_not_there_is_named(project):
    with pytest.raises(FileNotFoundError, match=r"^results/absent/study.yaml: not there; .*tiny"):
        Experiment.study("absent")
    write("lost", base={**FILE["base"], "manifest": "runs/lost.parquet"})
    with pytest.raises(FileNotFoundError, match="^runs/lost.parquet: no such manifest; notebook"):
        batch.train(Experiment.study("lost"))
