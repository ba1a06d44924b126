"""What is recorded follows from the recorded predictions, by the commands that wrote it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gramnb import evaluation, runs, study

RESULTS = Path(__file__).parents[1] / "results"
RECORDED = sorted(file.parent.name for file in RESULTS.glob("*/metrics.csv"))
COLUMNS = ["variant", "backbone", "k", "seed", "dataset", "image_id", "split", "fold", "y",
           "p_sadness"]  # fmt: skip


def test_everything_recorded_is_small():
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 15e6


@pytest.mark.parametrize("name", RECORDED)
class TestStudy:
    def test_predictions_have_the_columns_of_a_run(self, name):
        assert list(runs.predictions(RESULTS / name)) == COLUMNS

    def test_metrics_follow_from_the_predictions(self, name):
        answers = runs.predictions(RESULTS / name).query("split == 'test'")
        written = pd.read_csv(RESULTS / name / "metrics.csv")
        again = evaluation.by_seed(answers)
        pd.testing.assert_frame_equal(again, written, rtol=1e-5, check_dtype=False)

    def test_every_configuration_of_the_study_is_there_once(self, name):
        if not (RESULTS / name / "study.yaml").exists():
            pytest.skip("a profile's runs, recorded without a study's file")
        said = study.Study.read(name)
        wanted = {
            (row, config.k, config.seed, config.fold)
            for row, configs in said.rows.items()
            for config in configs
        }
        written = pd.read_csv(RESULTS / name / "metrics.csv").query("dataset == 'own'")
        found = list(written[["variant", "k", "seed", "fold"]].itertuples(index=False, name=None))
        assert set(found) == wanted and len(found) == len(wanted)

    def test_the_configurations_are_kept_with_versions_and_commit(self, name):
        kept = runs.Run(RESULTS / name)._json("runs.json")
        history = pd.read_csv(RESULTS / name / "history.csv")
        runs_ = {run: {**kept["all"], **own} for run, own in kept["runs"].items()}
        assert all({"packages", "commit", "cores", "data", "k"} <= set(r) for r in runs_.values())
        assert history.groupby(["variant", "seed", "fold"]).ngroups == len(runs_)


def test_the_summary_follows_from_the_predictions():
    written = pd.read_csv(RESULTS / "summary.csv")
    again = study.summarise()
    keys = ["study", "data", "backbone", "variant", "k", "metric", "n"]
    assert written[keys].equals(again[keys])
    numbers = ["mean", "sd", "low", "high"]
    np.testing.assert_allclose(written[numbers], again[numbers], rtol=1e-4, atol=1e-6)
    assert (written["low"] <= written["mean"]).all() and (written["mean"] <= written["high"]).all()


def versus(name, baseline, metric="accuracy", method="resampled t"):
    answers = runs.predictions(RESULTS / name).query("split == 'test' and dataset == 'own'")
    return evaluation.versus(answers, baseline, metric, method)


def test_what_chapter_2_says_of_width():
    """The bank lies above the plain head with as many weights, and no interval leaves out zero."""
    for k in (1, 2, 3, 4, 5, 8):
        row = versus("width", f"plain, weights of k = {k}").loc[f"k = {k}"]
        assert row["low"] < 0 < row["difference"]


def test_what_chapter_2_says_of_time():
    """About twice the time for V2S; a bank is faster than modules; a step hardly longer with it."""
    names = ("bank", "steps", "backbones")
    timed = pd.concat([pd.read_csv(RESULTS / "benchmarks" / f"{name}.csv") for name in names])
    ratio = timed.set_index(["timed", "against"])["ratio"]
    assert 1.5 < ratio["EfficientNetV2S", "EfficientNetV2B2"] < 2.5
    assert ratio["4 separate modules", "bank, k = 4"] >= 1.3
    assert ratio[["k = 4", "means of 3 taps"]].max() <= 1.05
    assert (timed["low"] <= timed["ratio"]).all() and (timed["ratio"] <= timed["high"]).all()


@pytest.mark.parametrize(
    ("change", "matters"),
    {"folds at random": True, "folds unstratified": False, "one label": True,
     "without faces": False, "cropped": False}.items(),
)  # fmt: skip
def test_what_chapter_4_says_of_data(change, matters):
    """A leak and one label move the area under the curve; strata, faces and squares do not."""
    images = pd.read_csv(RESULTS / "states_curation" / "images.csv").dropna(subset="cropped")
    whole = images.set_index("cropped")["image_id"]
    answers = runs.predictions(RESULTS / "data").query("split == 'test'")
    image = answers["image_id"].map(whole).fillna(answers["image_id"])
    answers, method = answers.assign(image_id=image), "resampled t"
    if "folds" in change:  # there is none over folds that differ
        answers, method = answers[answers["seed"] == 0].assign(fold=-1), "bootstrap"
    answers["group"] = image.map(images.set_index("image_id")["group"])
    for name in ("k = 0", "k = 4"):
        pair = answers[answers["variant"].isin([name, f"{name}, {change}"])]
        counted = pair.groupby("image_id")[["variant", "y"]].transform("nunique")
        pair = pair[(counted["variant"] == 2) & (counted["y"] == 1)]
        row = evaluation.versus(pair, name, "auc", method).loc[f"{name}, {change}"]
        assert (row["low"] > 0 or row["high"] < 0) == matters


def test_what_the_results_page_says():
    """Neither modules nor G are seen to help; the search's winner is, on images it had not seen."""
    for metric in ("accuracy", "auc"):
        table = versus("frozen", "k = 0", metric)
        assert table.loc["k = 4", "low"] < 0 < table.loc["k = 4", "high"]
        assert table.loc["k = 4, decay", "low"] < 0 < table.loc["k = 4, decay", "high"]
        assert table.loc["k = 4, means", "difference"] > table.loc["k = 4", "difference"] - 0.05
        assert table.loc["k = 0, decay", "difference"] > table.loc["k = 4", "difference"]
    calibration = versus("frozen", "k = 0", "ece")
    assert calibration.loc[[f"k = {k}" for k in (1, 2, 3, 4, 5, 8)], "low"].min() > 0
    assert calibration.loc["k = 4, decay", "high"] < 0
    trials = versus("search", "k = 0", "auc")
    winner = trials["auc"].idxmax()
    assert "means" in winner
    for baseline in ("k = 0", "k = 0, cosine, last epoch, decay 10"):
        assert versus("confirm", baseline, "auc", "bootstrap").loc[winner, "low"] > 0
    assert versus("confirm", "k = 0", "auc", "bootstrap").loc["k = 4", "low"] > 0
    bank = versus("confirm", "k = 4, cosine, last epoch, decay 10", "auc", "bootstrap")
    assert bank.loc[winner, "low"] < 0 < bank.loc[winner, "high"]
    strict = versus("frozen", "k = 0, decay", "auc").loc["means of 3 taps, decay"]
    assert strict["low"] < 0 < strict["high"]
