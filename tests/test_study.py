"""A tiny study on drawn images, interrupted and continued, and what a study's file may say."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gramnb import evaluation, runs, study
from gramnb.config import TrainConfig
from gramnb.data import manifest as manifests
from gramnb.models import HeadOptions
from gramnb.study import Study

ROOT = Path(__file__).parents[1]
SAID = {
    "data": "drawn",
    "baseline": "k = 0",
    "runs": "runs/tiny",
    "splits": ["val", "test"],
    "seeds": [0, 1],
    "folds": [-1],
    "base": {
        "backbone": "EfficientNetLite0",
        "image_size": 52,
        "frozen": True,
        "epochs": 1,
        "batch_size": 32,
        "optimizer": "adam",
        "head": {"momentum": 0.9},
    },
    "rows": {"k = 0": {"k": 0}, "a bank, added": {"k": 1, "head": {"module_fusion": "add"}}},
}


def write(name, **changes):
    """Write a study's file into the project around the working directory."""
    file = runs.resolve(study.FILE.format(name))
    file.parent.mkdir(parents=True, exist_ok=True)
    said = {key: value for key, value in (SAID | changes).items() if value is not ...}
    file.write_text(yaml.safe_dump(said))


def stopped_after_one(futures):
    """`as_completed`, interrupted as soon as one run is finished."""
    yield next(completed(futures))
    raise KeyboardInterrupt


completed = study.as_completed


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
    (root / "src" / "gramnb").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / ".gitignore").write_text("runs/\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        git("init", "-q")
        git("add", ".")
        git("commit", "-q", "-m", "Begin")
        manifests.write(manifests.read(demo_manifest), "runs/images.parquet", {"source": "folder"})
        base = {**SAID["base"], "manifest": "runs/images.parquet"}
        write("tiny", base=base, transfer={"again": "runs/images.parquet"})
        patch.setattr(study, "as_completed", stopped_after_one)
        with pytest.raises(SystemExit, match="interrupted; the same command goes on"):
            study.main(["tiny", "--jobs", "1"])
        patch.setattr(study, "as_completed", completed)
        half = {run.path: files(run) for run in runs.list_runs("runs/tiny")}
        with pytest.raises(FileNotFoundError, match=message_of_unfinished(4 - len(half))):
            study.record(Study.read("tiny"))
        recorded = sorted(path.name for path in runs.resolve("results/tiny").iterdir())
        study.main(["tiny", "--jobs", "1"])
        yield {"half": half, "recorded": recorded}


def files(run):
    return {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}


def message_of_unfinished(count):
    return rf"tiny: {count} runs are not finished, .* python -m gramnb.study tiny goes on with them"


@pytest.fixture
def table(project):
    return runs.predictions("results/tiny")


def test_an_interrupted_study_records_nothing_and_goes_on(project):
    assert 1 <= len(project["half"]) < 4
    assert project["recorded"] == ["study.yaml"]
    assert len(runs.list_runs("runs/tiny")) == 4
    for path, before in project["half"].items():
        assert files(runs.Run(path)) == before  # what was done was not done again


def test_what_is_done_is_skipped(project, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(study, "ProcessPoolExecutor", refused)
    study.train(Study.read("tiny"), progress=False)


def test_the_record_is_what_the_runs_say(project, table):
    held = [path.name for path in runs.resolve("results/tiny").iterdir()]
    tables = ["history.csv", "metrics.csv", "predictions.parquet", "runs.json", "study.yaml"]
    assert sorted(held) == tables
    assert set(table["variant"]) == {"k = 0", "a bank, added"}
    assert set(table["dataset"]) == {"own", "again"}
    for row, pairs in Study.read("tiny").found().items():
        for config, run in pairs:
            mine = table[(table["variant"] == row) & (table["seed"] == config.seed)]
            said = run.predictions
            assert len(mine) == len(said) and set(mine["split"]) == {"val", "test"}
            np.testing.assert_array_equal(mine["image_id"], said["image_id"])
            np.testing.assert_allclose(mine["p_sadness"], said["p_sadness"], atol=6e-6)
            own, again = (mine[mine["dataset"] == name] for name in ("own", "again"))
            answers = again.set_index("image_id")["p_sadness"]
            np.testing.assert_allclose(answers[own["image_id"]], own["p_sadness"], atol=2e-3)

    metrics = pd.read_csv(runs.resolve("results/tiny/metrics.csv"))
    assert len(metrics) == 8  # 2 rows, 2 seeds, 2 data sets
    for said in metrics.itertuples():
        known = (table["variant"] == said.variant) & (table["seed"] == said.seed)
        mine = table[known & (table["dataset"] == said.dataset) & (table["split"] == "test")]
        right = ((mine["p_sadness"] > 0.5) == mine["y"]).mean()
        assert said.accuracy == pytest.approx(right, abs=1e-5) and said.n == len(mine)

    history = runs.histories("results/tiny")
    assert len(history) == 4 and set(history["variant"]) == set(table["variant"])
    assert {"backbone", "k", "seed", "fold", "epoch", "loss", "val_accuracy"} <= set(history)


def test_a_study_records_no_answers_that_another_asked_for(project, table):
    """Studies share runs; `tiny` asks its runs about another data set, this one does not."""
    write("own", base={**SAID["base"], "manifest": "runs/images.parquet"})
    study.main(["own"])
    own = table[table["dataset"] == "own"].reset_index(drop=True)
    pd.testing.assert_frame_equal(runs.predictions("results/own"), own)
    shutil.rmtree(runs.resolve("results/own"))


def test_what_all_runs_share_is_said_once(project):
    said = json.loads(runs.resolve("results/tiny/runs.json").read_text())
    found = {run.path.name: run for run in runs.list_runs("runs/tiny")}
    assert set(said["runs"]) == set(found)
    assert said["all"]["backbone"] == "EfficientNetLite0" and "packages" in said["all"]
    for name, own in said["runs"].items():
        assert said["all"] | own == found[name].config | found[name].environment
        assert {"k", "seed", "head"} <= set(own) and not set(own) & set(said["all"])


def test_the_summary_of_a_row_by_hand(project, table):
    study.main(["--summary"])
    summary = pd.read_csv(runs.resolve(study.SUMMARY))
    assert len(summary) == 4 * len(evaluation.METRICS)  # 2 rows on 2 data sets
    row = "a bank, added"
    known = (summary["variant"] == row) & (summary["data"] == "drawn")
    (said,) = summary[known & (summary["metric"] == "accuracy")].itertuples()
    mine = table[(table["variant"] == row) & (table["dataset"] == "own")]
    mine = mine[mine["split"] == "test"]
    right = (mine["p_sadness"] > 0.5) == mine["y"]
    values = [right[mine["seed"] == seed].mean() for seed in (0, 1)]
    assert (said.study, said.backbone, said.k, said.n) == ("tiny", "EfficientNetLite0", 1, 2)
    assert said.mean == pytest.approx(np.mean(values), abs=1e-5)
    assert said.sd == pytest.approx(np.std(values, ddof=1), abs=1e-5)
    assert 0 <= said.low <= said.mean <= said.high <= 1


def test_the_summary_leaves_drawn_images_out(project, demo_manifest):
    rows = {"k = 0": {"k": 0}}
    write("drawn", base={**SAID["base"], "manifest": str(demo_manifest)}, rows=rows, seeds=[0])
    study.main(["drawn"])
    assert len(runs.predictions("results/drawn"))
    assert set(study.summarise()["study"]) == {"tiny"}


def test_recording_refuses_files_that_no_commit_holds(project):
    record = runs.resolve("results/tiny/runs.json")
    clean, head = record.read_bytes(), git("rev-parse", "--short=12", "HEAD")
    assert json.loads(clean)["recorded"] == {"commit": head, "allow_dirty": False}
    changed = runs.resolve("pyproject.toml")
    changed.write_text("# changed")
    with pytest.raises(SystemExit, match=rf"needs a clean commit, .*{head}-dirty.*--allow-dirty"):
        study.main(["tiny"])
    assert record.read_bytes() == clean
    study.main(["tiny", "--allow-dirty"])
    recorded = {"commit": f"{head}-dirty", "allow_dirty": True}
    assert json.loads(record.read_bytes())["recorded"] == recorded
    changed.write_text("")
    study.main(["tiny"])
    assert record.read_bytes() == clean
    (_, run), *_ = Study.read("tiny").found()["k = 0"]
    environment = run.path / "environment.json"
    said = environment.read_text()
    environment.write_text(said.replace(head, f"{head}-dirty"))  # trained before the commit
    with pytest.raises(SystemExit, match="1 are not .*-dirty"):
        study.main(["tiny"])
    environment.write_text(said)


def test_a_folder_of_runs_is_recorded_under_its_variants(project, table):
    study.record_folder("runs/tiny", "folder")
    recorded = runs.predictions("results/folder")
    assert set(recorded["variant"]) == {"k = 0, frozen", "k = 1, frozen, module_fusion add"}
    first, second = (t.sort_values(list(t.columns[1:])) for t in (recorded, table))
    np.testing.assert_array_equal(first["p_sadness"], second["p_sadness"])
    tests = (frame[frame["split"] == "test"] for frame in (recorded, table))
    one, other = (evaluation.by_seed(frame)["accuracy"].sort_values() for frame in tests)
    np.testing.assert_array_equal(one, other)


def test_rows_are_settings_over_the_shared_ones_by_seed_and_fold(project):
    own = {"k": 2, "taps": ["block2b_project_conv"], "seeds": [7], "augment": [2, 5]}
    base = {**SAID["base"], "frozen": False, "head": {"momentum": 0.9, "dropout": 0.2}}
    rows = {"k = 0": None, "own": {**own, "head": {"momentum": 0.8}}}
    write("rows", base=base, rows=rows, folds=[0, 3], splits=...)
    found = Study.read("rows")
    assert found.splits == ("test",) and found.transfer == {} and found.data == "drawn"
    assert [(c.fold, c.seed) for c in found.rows["k = 0"]] == [(0, 0), (0, 1), (3, 0), (3, 1)]
    shared = dict(backbone="EfficientNetLite0", image_size=52, epochs=1, batch_size=32)
    first = TrainConfig(**shared, optimizer="adam", head=HeadOptions(momentum=0.9, dropout=0.2),
                        seed=1, fold=3)  # fmt: skip
    assert found.rows["k = 0"][3] == first
    changed = dict(k=2, taps=("block2b_project_conv",), augment=(2, 5), seed=7, fold=3)
    last = TrainConfig(**shared, **changed, optimizer="adam",
                       head=HeadOptions(momentum=0.8, dropout=0.2))  # fmt: skip
    assert found.rows["own"][1] == last


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": {"k = 0": {"epoch": 3}}}, "row 'k = 0': TrainConfig has no setting epoch"),
        ({"rows": {"a": {"head": {"droput": 0}}}}, "row 'a': HeadOptions has no setting head"),
        ({"rows": {"a": {"k": -1}}}, "row 'a': k must be a whole number of 0 or more, got -1"),
        ({"rows": {"a": {"head": {"rank": 4}}}}, "row 'a': rank is of the linear branch"),
        ({"rows": {"a": {"backbone": "VGG16"}}}, "row 'a': backbone must be one of Efficient"),
        ({"rows": {"a": {"seed": 3}}}, "row 'a': .*multiple values for keyword argument 'seed'"),
        ({"rows": {"k = 1": {}}}, "the baseline 'k = 0' is no row"),
        ({"seeds": ..., "data": ...}, "lacks data, seeds"),
    ],
)
def test_wrong_settings_are_named_in_one_line(project, changes, message):
    write("wrong", **changes)
    with pytest.raises(ValueError, match=rf"results/wrong/study.yaml: {message}") as error:
        Study.read("wrong")
    assert "\n" not in str(error.value)
    with pytest.raises(SystemExit, match="error: results/wrong/study.yaml"):
        study.main(["wrong"])


def test_what_is_not_there_is_named(project, capsys):
    with pytest.raises(SystemExit, match=r"error: results/absent/study.yaml: not there; .*tiny"):
        study.main(["absent"])
    write("lost", base={**SAID["base"], "manifest": "runs/lost.parquet"})
    with pytest.raises(SystemExit, match="error: runs/lost.parquet: no such manifest; notebook 01"):
        study.main(["lost"])
    with pytest.raises(SystemExit):
        study.main([])
    assert "name a study, or ask for the --summary" in capsys.readouterr().err


def test_a_missing_image_is_named_before_its_features_are_computed(project, demo_manifest):
    images = manifests.read(demo_manifest)
    row = manifests.kept(images).index[3]
    images.loc[row, "path"] = str(runs.resolve("gone.jpg"))
    manifests.write(images, runs.resolve("runs/gone.parquet"), {})
    write("gone", base={**SAID["base"], "manifest": "runs/gone.parquet"})
    found = Study.read("gone")
    configs = [config for pairs in found.found().values() for config, _ in pairs]
    with pytest.raises(ValueError, match=f"runs/gone.parquet: row {row}: gone.jpg: missing"):
        study._compute_features(found, configs, progress=False)


@pytest.mark.parametrize(
    "name", sorted(file.parent.name for file in ROOT.glob("results/*/study.yaml"))
)
def test_every_study_of_the_repository_reads(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = Study.read(name)
    assert found.baseline in found.rows and all(found.rows.values())
    assert set(found.splits) <= {"val", "test"} and found.data
    for path in (found.runs, *(config.manifest for row in found.rows.values() for config in row)):
        assert re.fullmatch(r"runs/[\w/.]+", path), path
    described = [repr(config) for row in found.rows.values() for config in row]
    assert len(set(described)) == len(described), "two rows are the same run"
