"""What is recorded follows from the recorded predictions, by the commands that wrote it."""

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
STATES = ("choices", "confirm", "finetuned", "frozen", "shipped", "width")
IMAGES = pd.read_csv(RESULTS / "states_curation" / "images.csv")
IMAGES = IMAGES[IMAGES["dropped"].isna()].set_index("image_id")


def test_everything_recorded_is_small():
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 20e6


@pytest.mark.parametrize("name", RECORDED)
class TestStudy:
    def test_metrics_follow_from_the_predictions(self, name):
        answers = runs.predictions(RESULTS / name)
        assert list(answers) == runs.COLUMNS
        written = pd.read_csv(RESULTS / name / "metrics.csv")
        again = evaluation.by_seed(answers.query("split == 'test'"))
        pd.testing.assert_frame_equal(again, written, rtol=1e-5, check_dtype=False)

    def test_the_configurations_are_kept_with_versions_and_commit(self, name):
        kept = runs.Run(RESULTS / name)._json("runs.json")
        history = pd.read_csv(RESULTS / name / "history.csv")
        runs_ = {run: {**kept["all"], **own} for run, own in kept["runs"].items()}
        assert history.groupby(["variant", "seed", "fold"]).ngroups == len(runs_)
        for known in runs_.values():
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
    if name not in RECORDED:
        return
    wanted = {(row, c.k, c.seed, c.fold) for row, each in rows.items() for c in each}
    written = pd.read_csv(RESULTS / name / "metrics.csv").query("dataset == 'own'")
    found = list(written[["variant", "k", "seed", "fold"]].itertuples(index=False, name=None))
    assert set(found) == wanted and len(found) == len(wanted)


@pytest.mark.parametrize("name", STATES)
def test_groups_and_counts_are_those_of_the_manifest(name):
    """Of five folds one is tested on and the one after it withheld; else the manifest's split."""
    answers = own_test(name)
    assert answers["group"].tolist() == IMAGES.loc[answers["image_id"], "group"].tolist()
    if (answers["fold"] < 0).all():
        sizes = IMAGES["split"].value_counts()
        assert set(answers["n_train"]) == {sizes["train"]}
        assert set(answers["n_test"]) == {sizes["test"]}
        return
    sizes = IMAGES["fold"].value_counts()
    for fold, part in answers.groupby("fold"):
        tested, withheld = sizes[fold], sizes[(fold + 1) % 5]
        assert set(part["n_test"]) == {tested}
        assert set(part["n_train"]) == {sizes.sum() - tested - withheld}


def test_the_summary_recomputes_to_the_same_bytes(tmp_path):
    record.summarise().to_csv(tmp_path / "again.csv", index=False, float_format="%.6g")
    written = (RESULTS / "summary.csv").read_bytes()
    assert (tmp_path / "again.csv").read_bytes() == written
    summary = pd.read_csv(RESULTS / "summary.csv")
    assert not set(summary["study"]) & {"demo", "systems"}  # drawn images are no result
    assert (summary["low"] <= summary["mean"]).all() and (summary["mean"] <= summary["high"]).all()


def own_test(name):
    return runs.predictions(RESULTS / name).query("split == 'test' and dataset == 'own'")


def differences(name, baseline, metric, method=""):
    return evaluation.difference_table(own_test(name), baseline, metric, method)


def test_what_the_pages_say_of_calibration():
    table = differences("frozen", "k = 0", "ece")
    assert table.loc["k = 4", "low"] > 0 > table.loc["k = 4, decay", "high"]
    split = evaluation.compare(own_test("shipped"), {"": ("k = 4", "k = 0")}, ("ece",))
    assert (split["low"] < 0).all() and (split["high"] > 0).all()


def test_what_the_pages_say_of_the_search():
    """Its winner reads means; on images it had not seen the bank trained alike does as well."""
    trials = differences("search", "k = 0", "auc")
    winner, tuned = trials["auc"].idxmax(), "cosine, last epoch, decay 10"
    assert "means" in winner
    against = differences("confirm", f"k = 0, {tuned}", "auc", "bootstrap")
    assert against.loc[[winner, f"k = 4, {tuned}"], "low"].min() > 0
    assert against["auc"].idxmax() == f"k = 4, {tuned}"
    strict = differences("frozen", "k = 0, decay", "auc").loc["means of 3 taps, decay"]
    assert strict["low"] < 0 < strict["high"]
