"""The recorded paintings: the tables follow from the answers, the script does what it says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from studies import artworks

TWO = ["untouched", "mirrored"]
FOLDER = Path(__file__).parents[1] / "results" / "artworks"


@pytest.fixture(scope="module")
def paintings():
    return pd.read_csv(FOLDER / "predictions.csv")


@pytest.fixture(scope="module")
def photographs():
    return pd.read_parquet(FOLDER / "photographs.parquet")


@pytest.mark.parametrize("name", ["paintings", "photographs"])
def test_every_picture_was_asked_everything(name, request):
    answers = request.getfixturevalue(name)
    picture = "painting" if name == "paintings" else "image_id"
    key = [picture, "intervention", "strength", "k", "seed"]
    assert not answers.duplicated(key).any()
    pictures = answers[picture].nunique()
    assert len(answers) == pictures * len(artworks.STEPS) * 2 * 5
    assert set(zip(answers["k"], answers["seed"], strict=True)) == {
        (k, seed) for k in (0, 4) for seed in range(5)
    }
    p = 1 / (1 + np.exp(-answers["log_odds"].astype(float)))
    np.testing.assert_allclose(answers["p_sadness"], p, atol=3e-5)


def test_scores_follow_from_the_answers(photographs):
    """For two steps of one network; the rest is the same computation."""
    recorded = pd.read_csv(FOLDER / "scores.csv").query("k == 4 and step in @TWO")
    table = artworks.scores(photographs.query("k == 4 and intervention in @TWO"))
    assert len(recorded) == len(table) == 4
    columns = ["mean", "sd", "low", "high", "change", "change_low", "change_high"]
    np.testing.assert_allclose(recorded[columns], table[columns], atol=1e-4)
    assert table["change"].iloc[0] == 0 != table["change"].iloc[2]


def test_untouched_photographs_get_the_answers_that_the_study_records(photographs):
    """One forward pass for ten heads, and none of them mixed up."""
    study = pd.read_parquet(FOLDER.parent / "shipped" / "predictions.parquet")
    study = study[(study["split"] == "test") & study["variant"].isin(("k = 0", "k = 4"))]
    whole = photographs[photographs["intervention"] == "untouched"]
    both = whole.merge(study, on=["image_id", "k", "seed"], suffixes=("", "_study"))
    assert len(both) == len(whole) and (both["y"] == both["y_study"]).all()
    np.testing.assert_allclose(both["p_sadness"], both["p_sadness_study"], atol=1e-3)


def test_no_painting_stands_under_a_title_it_does_not_show(paintings):
    listed = pd.read_csv(FOLDER / "paintings.csv", keep_default_na=False).set_index("file")
    assert listed.loc["bedroom-in-arles.jpg", "title"] == "Cafe Terrace at Night"
    left_out = listed[listed["title"] == ""]
    assert list(left_out.index) == ["cafe-terrace-at-night.jpg"]
    assert left_out["reason"].str.contains("27 x 27").all()
    kept = listed[listed["title"] != ""]
    assert kept["title"].is_unique and "The Bedroom" not in set(kept["title"])
    assert set(zip(paintings["painting"], paintings["title"], strict=True)) == set(
        zip(kept["painting"], kept["title"], strict=True)
    )


def test_the_record_is_small_and_names_no_path():
    files = [file for file in FOLDER.iterdir() if file.is_file()]
    assert {"paintings.jpg", "maps.jpg", "interventions.jpg"} <= {file.name for file in files}
    assert all(file.stat().st_size < 450_000 for file in files)
    for file in FOLDER.glob("*.csv"):
        assert "/" not in file.read_text(), file.name


def test_titles_are_the_lists_unless_the_picture_says_otherwise(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for name, side in {"a.png": 80, "b.png": 80, "c.png": 80, "icon.png": 27}.items():
        pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    listed = "file,title\na.png,Barn\nb.png,Bedroom\nicon.png,Terrace\n"
    (tmp_path / "artworks.csv").write_text(listed)
    before = artworks.listed_paintings(tmp_path).set_index("file")
    assert before["title"].tolist() == ["Barn", "Bedroom", "c", ""]
    assert "27 x 27 pixels; left out" in before.loc["icon.png", "reason"]

    known = {before.loc["b.png", "painting"]: ("Bedroom", "Terrace"),
             before.loc["a.png", "painting"]: ("Another title", "Terrace")}  # fmt: skip
    monkeypatch.setattr(artworks, "WRONG_TITLES", known)
    after = artworks.listed_paintings(tmp_path).set_index("file")
    assert after["title"].tolist() == ["Barn", "Terrace", "c", ""]
    assert after.loc["b.png", "listed"] == "Bedroom"
    assert after.loc["b.png", "reason"] == "shows Terrace"


def test_pictures_keep_their_order_and_runs_their_rows():
    answers = pd.DataFrame(
        {"painting": ["b", "a"] * 4, "k": [0] * 4 + [4] * 4, "seed": [1, 1, 0, 0] * 2,
         "log_odds": [0.0, 9, 0, 9, 2, 1, 3, 1], "p_sadness": np.arange(8) / 10}
    )  # fmt: skip
    assert artworks.in_order(answers) == ["b", "a"]  # of k = 4, where a is the lower
    found = artworks.by_network(answers, "painting", ["b", "a"])
    np.testing.assert_array_equal(found["k = 0"], [[0.2, 0.3], [0.0, 0.1]])
    np.testing.assert_array_equal(found["k = 4"], [[0.6, 0.7], [0.4, 0.5]])
