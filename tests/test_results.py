"""What is recorded follows from the recorded predictions, by the commands that wrote it."""

import json
import re

import pandas as pd
import pytest
from conftest import ROOT
from studies import record
from studies.experiment import Experiment

from gramnb import evaluation, runs
from gramnb.config import TrainConfig

RESULTS = ROOT / "results"
RECORDED = sorted(file.parent.name for file in RESULTS.glob("*/metrics.csv"))
STUDIES = sorted(file.parent.name for file in RESULTS.glob("*/study.yaml"))


def test_everything_recorded_is_small():
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 20e6


@pytest.mark.parametrize("name", RECORDED)
def test_metrics_and_configurations_are_those_of_the_predictions(name):
    answers = runs.predictions(RESULTS / name)
    assert list(answers) == runs.COLUMNS
    written = pd.read_csv(RESULTS / name / "metrics.csv")
    again = evaluation.by_seed(answers.query("split == 'test'"))
    pd.testing.assert_frame_equal(again, written, rtol=1e-5, check_dtype=False)
    kept = json.loads((RESULTS / name / "runs.json").read_bytes())
    history = pd.read_csv(RESULTS / name / "history.csv")
    assert history.groupby(["variant", "seed", "fold"]).ngroups == len(kept["runs"])
    for own in kept["runs"].values():
        known = {**kept["all"], **own}
        assert {"packages", "commit", "cores", "data", "k"} <= set(known)
        config = TrainConfig.model_validate(known, extra="ignore")
        assert config.k == known["k"] and config.variant == known["variant"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_what_its_file_says(name):
    """Each configuration is recorded once, on a manifest below `runs`; no two are the same run."""
    rows = Experiment.study(name).configs()
    configs = [config for each in rows.values() for config in each]
    assert all(re.fullmatch(r"runs/[-\w/.]+", config.manifest) for config in configs)
    assert len(set(map(repr, configs))) == len(configs), "two rows are the same run"
    if name in RECORDED:
        wanted = sorted((row, c.k, c.seed, c.fold) for row, each in rows.items() for c in each)
        written = pd.read_csv(RESULTS / name / "metrics.csv").query("dataset == 'own'")
        found = written[["variant", "k", "seed", "fold"]].itertuples(index=False, name=None)
        assert sorted(found) == wanted


@pytest.mark.parametrize("name", ["frozen", "shipped"])
def test_groups_and_counts_are_those_of_the_manifest(name):
    """Of five folds one is tested on and the one after it withheld; else the manifest's split."""
    images = pd.read_csv(RESULTS / "states_curation" / "images.csv")
    images = images[images["dropped"].isna()].set_index("image_id")
    answers = runs.predictions(RESULTS / name).query("split == 'test' and dataset == 'own'")
    assert answers["group"].tolist() == images.loc[answers["image_id"], "group"].tolist()
    sizes = images["fold"].value_counts()
    for fold, part in answers.groupby("fold"):
        if fold < 0:
            counts = images["split"].value_counts()[["train", "test"]]
        else:
            counts = sizes.sum() - sizes[fold] - sizes[(fold + 1) % 5], sizes[fold]
        assert (part[["n_train", "n_test"]] == [*counts]).all(axis=None)


def test_the_summary_recomputes_to_the_same_bytes(tmp_path, monkeypatch):
    """Of a study on folds, one on a split, and one on several data sets; all have their rows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for name in ("confirm", "shipped", "transfer"):
        (tmp_path / "results" / name).symlink_to(RESULTS / name)
    again = record.summarise().to_csv(index=False, float_format="%.6g").splitlines()
    kept = (RESULTS / "summary.csv").read_text().splitlines()
    assert again == [line for line in kept if re.match("study|confirm|shipped|transfer", line)]
    summary = pd.read_csv(RESULTS / "summary.csv")
    assert set(RECORDED) - set(summary["study"]) == {"control", "demo"}  # of drawn images
    assert (summary["low"] <= summary["mean"]).all() and (summary["mean"] <= summary["high"]).all()
