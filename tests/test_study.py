"""A tiny study on drawn images, interrupted and continued; what an experiment's file may say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from studies import record
from studies import runs as batch
from studies.experiment import STUDY, Experiment

from gramnb import evaluation, runs, training
from gramnb.choices import HeadOptions
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests

FILE = {
    "data": "drawn",
    "baseline": "k = 0",
    "runs": "runs/tiny",
    "splits": ["val", "test"],
    "seeds": [0, 1],
    "base": {
        "manifest": "runs/images.parquet",
        "backbone": "EfficientNetLite0",
        "image_size": 48,
        "frozen": True,
        "epochs": 1,
        "batch_size": 32,
        "optimizer": "adam",
        "head": {"momentum": 0.9},
    },
    "k": [0],
    "rows": {"a bank, added": {"k": 1, "head": {"module_fusion": "add"}}},
}


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


def snakemake(**given):
    """Ask Snakemake for a study, all that is missing in one process of training."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "GRAMNB_PARTS": "1"}
    environment |= {f"GRAMNB_{name.upper()}": value for name, value in given.items()}
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", "2", "--quiet", "all",
               "--force-use-threads", "--", "study"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def project(tmp_path_factory, demo_manifest):
    """A checkout of its own, with one study: interrupted after a run, asked for, then continued.

    Its manifest does not say that the images are drawn, so that the summary counts them.
    """
    root = tmp_path_factory.mktemp("project")
    for name in ("Snakefile", "notebooks", "studies", "book", "_config.yml", "_toc.yml"):
        (root / name).symlink_to(ROOT / name)
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
        done = snakemake(study="tiny")
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
    assert set(table["variant"]) == {"k = 0", "a bank, added"}
    assert set(table["dataset"]) == {"own", "again"}
    kept_rows = manifests.kept(manifests.read("runs/images.parquet"))
    for row, pairs in batch.found(project["tiny"]).items():
        for config, run in pairs:
            mine = table[(table["variant"] == row) & (table["seed"] == config.seed)]
            answers = run.predictions
            assert len(mine) == len(answers) and set(mine["split"]) == {"val", "test"}
            np.testing.assert_array_equal(mine["image_id"], answers["image_id"])
            np.testing.assert_allclose(mine["p_sadness"], answers["p_sadness"], atol=6e-6)
            own, again = (
                part.set_index("image_id")["p_sadness"]
                for part in (mine.query("dataset == 'own'"), mine.query("dataset == 'again'"))
            )
            assert sorted(again.index) == sorted(kept_rows["image_id"])
            np.testing.assert_allclose(again[own.index], own, atol=1e-4)
    history = runs.histories("results/tiny")
    assert len(history) == 4 and set(history["variant"]) == set(table["variant"])
    kept = json.loads(runs.resolve("results/tiny/runs.json").read_text())
    done = {run.path.name: run for run in runs.list_runs("runs/tiny")}
    assert set(kept["runs"]) == set(done)
    for name, own in kept["runs"].items():  # what all runs share is written once
        assert kept["all"] | own == done[name].config | done[name].environment
        assert {"k", "seed", "head"} <= set(own) and not set(own) & set(kept["all"])


def test_a_study_records_no_answers_that_another_asked_for(project, table):
    """Studies share runs; `tiny` asks its runs about another data set, this one does not."""
    write("own", baseline="a bank, added", k=...)
    record.record(Experiment.study("own"), allow_dirty=True)
    own = table[(table["dataset"] == "own") & (table["variant"] == "a bank, added")]
    pd.testing.assert_frame_equal(runs.predictions("results/own"), own.reset_index(drop=True))


def test_the_summary_of_a_row_by_hand(project, table):
    summary = record.summarise().query("study == 'tiny'")
    assert len(summary) == 4 * len(evaluation.METRICS)  # 2 rows on 2 data sets
    row = "a bank, added"
    own = (summary["variant"] == row) & (summary["data"] == "drawn")
    (found,) = summary[own & (summary["metric"] == "accuracy")].itertuples()
    mine = table[table["variant"] == row].query("dataset == 'own' and split == 'test'")
    right = (mine["p_sadness"] > 0.5) == mine["y"]
    values = [right[mine["seed"] == seed].mean() for seed in (0, 1)]
    assert (found.study, found.backbone, found.k, found.n) == ("tiny", "EfficientNetLite0", 1, 2)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-5)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-5)
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_recording_refuses_files_that_no_commit_holds(project):
    kept = runs.resolve("results/tiny/runs.json")
    clean, head = kept.read_bytes(), git("rev-parse", "--short=12", "HEAD")
    assert json.loads(clean)["recorded"] == {"commit": head, "allow_dirty": False}
    changed = runs.resolve("pyproject.toml")
    changed.write_text("# changed")
    done = snakemake(study="tiny")
    why = runs.resolve("runs/failed.txt").read_text()
    assert done.returncode != 0
    assert re.match(rf"recording needs a clean commit, .*{head}-dirty.*ALLOW_DIRTY=1", why)
    assert kept.read_bytes() == clean
    record.record(project["tiny"], allow_dirty=True)
    recorded = {"commit": f"{head}-dirty", "allow_dirty": True}
    assert json.loads(kept.read_bytes())["recorded"] == recorded
    changed.write_text("")
    record.record(project["tiny"])
    assert kept.read_bytes() == clean
    (_, run), *_ = batch.found(project["tiny"])["k = 0"]
    environment = run.path / "environment.json"
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
    own = {"k": 2, "taps": ["block2b_project_conv"], "seeds": [7], "augment": [2, 5]}
    base = {**FILE["base"], "frozen": False, "head": {"momentum": 0.9, "dropout": 0.2}}
    rows = {"own": {**own, "head": {"momentum": 0.8}}, "plain": None}
    write("rows", base=base, rows=rows, k=[0, 4], folds=[0, 3], splits=...)
    found = Experiment.study("rows").configs()
    assert list(found) == ["k = 0", "k = 4", "own", "plain"]
    assert [(c.fold, c.seed) for c in found["k = 0"]] == [(0, 0), (0, 1), (3, 0), (3, 1)]
    shared = dict(manifest="runs/images.parquet", backbone="EfficientNetLite0", image_size=48,
                  epochs=1, batch_size=32, optimizer="adam", fold=3)  # fmt: skip
    head = HeadOptions(momentum=0.9, dropout=0.2)
    assert found["k = 0"][3] == TrainConfig(**shared, head=head, seed=1, k=0)
    changed = dict(k=2, taps=("block2b_project_conv",), augment=(2, 5), seed=7)
    head = HeadOptions(momentum=0.8, dropout=0.2)
    assert found["own"][1] == TrainConfig(**shared, **changed, head=head)


def test_what_is_not_there_is_named(project):
    with pytest.raises(FileNotFoundError, match=r"^results/absent/study.yaml: not there; .*tiny"):
        Experiment.study("absent")
    write("lost", base={**FILE["base"], "manifest": "runs/lost.parquet"})
    with pytest.raises(
        FileNotFoundError, match="^runs/lost.parquet: no such manifest; notebook 01"
    ):
        batch.train(Experiment.study("lost"))
