"""Every number in the README's results is recomputed from the recorded predictions."""

import re
from pathlib import Path

import pandas as pd
import pytest

from gramnb import evaluation, paper, runs
from gramnb.data.text import TEXT_THRESHOLD

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text().replace("\n", " ")
ROWS = re.findall(
    r"\| ((?:k|means) [^|]*) \|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|",
    README[README.index("## Res") :],
)


@pytest.fixture(scope="module")
def versus():
    answers = runs.predictions(ROOT / "results" / "frozen").query("split == 'test'")
    assert f"{answers['image_id'].nunique():,} photographs" in README
    assert (answers["seed"].nunique(), answers["fold"].nunique()) == (5, 5)
    return {m: evaluation.versus(answers, "k = 0", m) for m in ("accuracy", "auc")}


def test_the_table(versus):
    assert len(ROWS) == 6
    for name, *cells in ROWS:
        found = []
        for metric, table in versus.items():
            row = table.loc[name]
            found.append(evaluation.plus_minus(row[metric], row["sd"], 1))
            found.append("" if name == "k = 0" else evaluation.with_interval(row))
        assert [cell.strip() for cell in cells] == found, name


def test_modules_are_not_seen_to_help_nor_gram_matrices_to_be_needed(versus):
    for table in versus.values():
        assert table.loc["k = 4", "low"] < 0 < table.loc["k = 4", "high"]
        assert table.loc["k = 4, means", "difference"] > table.loc["k = 4", "difference"] - 0.05
        assert table.loc["k = 0, decay", "difference"] > table.loc["k = 4", "difference"]


def test_the_confirmation():
    answers = runs.predictions(ROOT / "results" / "confirm").query("split == 'test'")
    images = pd.read_csv(ROOT / "results" / "states_curation" / "images.csv")
    groups = images[images["dropped"].isna()].set_index("image_id")["group"]
    answers = answers.assign(group=answers["image_id"].map(groups))
    ours = "linear, means, taps of stages 3 to 5, decay 10"
    for baseline, text in (
        ("k = 0", "AUC {:+.1f} points over the baseline ({:+.1f} to {:+.1f})"),
        ("k = 0, cosine, last epoch, decay 10", "{:+.1f} ({:+.1f} to {:+.1f}) over a plain head"),
    ):
        row = evaluation.versus(answers, baseline, "auc", "bootstrap").loc[ours]
        assert text.format(*row[["difference", "low", "high"]]) in README
        assert row["low"] > 0
    bank = evaluation.versus(answers, "k = 0", "auc", "bootstrap").loc["k = 4"]
    text = "the published bank gains there too, {:+.1f} ({:+.1f} to {:+.1f})"
    assert text.format(*bank[["difference", "low", "high"]]) in README
    folds = runs.predictions(ROOT / "results" / "frozen").query("split == 'test'")
    strict = evaluation.versus(folds, "k = 0, decay", "auc").loc["means of 3 taps, decay"]
    said = f"our variant {evaluation.with_interval(strict)} over that plain head"
    assert said in README and strict["low"] < 0


def test_elsewhere_and_trained_whole():
    answers = runs.predictions(ROOT / "results" / "transfer").query("dataset == 'happysad'")
    row = against_baseline(answers, seeds=5).loc["means of 3 taps, decay"]
    assert f"it differs from the baseline by {evaluation.with_interval(row)} points" in README
    answers = runs.predictions(ROOT / "results" / "finetuned").query("split == 'test'")
    row = against_baseline(answers, seeds=3).loc["k = 4"]
    assert f"four modules differ from none by {evaluation.with_interval(row)} points" in README


def against_baseline(answers, seeds):
    """Compare the variants that have so many seeds with k = 0, near-duplicates kept together."""
    images = pd.read_csv(ROOT / "results" / "states_curation" / "images.csv")
    groups = images[images["dropped"].isna()].set_index("image_id")["group"]
    group = answers["image_id"].map(groups)
    answers = answers if group.isna().any() else answers.assign(group=group)
    same = answers.groupby("variant")["seed"].transform("nunique") == seeds
    return evaluation.versus(answers[same], "k = 0", method="bootstrap")


def test_the_papers_numbers():
    table = paper.table3()
    said = f"{table.loc[0, 'accuracy']:.2f} for its baseline and {table.loc[4, 'accuracy']:.2f}"
    assert said in README
    assert f"a gain of {table.loc[4, 'gain']:.2f} points" in README
    assert f"standard error of {table.loc[4, 'error']:.2f}" in README


def test_the_text_filter():
    folder = ROOT / "results" / "text_labels"
    eyes = pd.read_csv(folder / "labels.csv").merge(pd.read_csv(folder / "scores.csv"))
    eyes = eyes[eyes["half"] == "report"]
    right = ((eyes["text_fraction"] > TEXT_THRESHOLD) == eyes["text"]).sum()
    low, high = evaluation.wilson(right, len(eyes))
    share = f"{100 * right / len(eyes):.1f} % agreement ({100 * low:.1f} to {100 * high:.1f})"
    assert f"on {len(eyes)} photographs" in README and share in README
