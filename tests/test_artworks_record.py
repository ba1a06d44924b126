"""The recorded paintings: the tables follow from the answers, the script does what it says."""

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from studies import artworks

TWO = ["untouched", "mirrored"]
FOLDER = ROOT / artworks.OUT
PAINTINGS = pd.read_csv(FOLDER / "predictions.csv")
PHOTOGRAPHS = pd.read_parquet(FOLDER / "photographs.parquet")


@pytest.mark.parametrize(
    ("answers", "picture"), [(PAINTINGS, "painting"), (PHOTOGRAPHS, "image_id")]
)
def test_every_picture_was_asked_everything(answers, picture):
    assert not answers.duplicated([picture, "intervention", "strength", "k", "seed"]).any()
    assert len(answers) == answers[picture].nunique() * len(artworks.STEPS) * 2 * 5
    networks = answers.groupby("k")["seed"].agg(set).to_dict()
    assert networks == {0: set(range(5)), 4: set(range(5))}
    p = 1 / (1 + np.exp(-answers["log_odds"].astype(float)))
    np.testing.assert_allclose(answers["p_sadness"], p, atol=3e-5)


def test_scores_follow_from_the_answers():
    """For two steps of one network; the rest is the same computation."""
    recorded = pd.read_csv(FOLDER / "scores.csv").query("k == 4 and step in @TWO")
    table = artworks.scores(PHOTOGRAPHS.query("k == 4 and intervention in @TWO"))
    assert len(recorded) == len(table) == 4
    columns = ["mean", "sd", "low", "high", "change", "change_low", "change_high"]
    np.testing.assert_allclose(recorded[columns], table[columns], atol=1e-4)
    assert table["change"].iloc[0] == 0 != table["change"].iloc[2]


def test_untouched_photographs_get_the_answers_that_the_study_records():
    """One forward pass for ten heads, and none of them mixed up."""
    study = pd.read_parquet(FOLDER.parent / "shipped" / "predictions.parquet")
    study = study[(study["split"] == "test") & study["variant"].isin(artworks.ROWS)]
    whole = PHOTOGRAPHS[PHOTOGRAPHS["intervention"] == "untouched"]
    both = whole.merge(study, on=["image_id", "k", "seed"], suffixes=("", "_study"))
    assert len(both) == len(whole) and (both["y"] == both["y_study"]).all()
    np.testing.assert_allclose(both["p_sadness"], both["p_sadness_study"], atol=1e-3)


def test_no_painting_stands_under_a_title_it_does_not_show():
    listed = pd.read_csv(FOLDER / "paintings.csv", keep_default_na=False).set_index("file")
    assert listed.loc["bedroom-in-arles.jpg", "title"] == "Cafe Terrace at Night"
    assert list(listed.index[listed["title"] == ""]) == ["cafe-terrace-at-night.jpg"]
    kept = listed[listed["title"] != ""].set_index("painting")["title"]
    assert kept.is_unique
    asked = set(zip(PAINTINGS["painting"], PAINTINGS["title"], strict=True))
    assert asked == set(kept.items())
