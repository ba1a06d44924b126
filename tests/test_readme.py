"""Every number in the README's results is recomputed from the recorded predictions."""

import re
from pathlib import Path

import pandas as pd
import pytest

from gramnb import evaluation, paper, runs
from gramnb.data.text import TEXT_THRESHOLD

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text().replace("\n", " ")
SETS = {"own": "drawn test set", "demo-unbiased": "demo-unbiased", "demo-emotion6": "demo-emotion6"}


@pytest.fixture(scope="module")
def answers():
    return runs.predictions(ROOT / "results" / "demo").query("split == 'test'")


@pytest.mark.parametrize(("k", "label"), [(0, "baseline"), (4, "Gram modules")])
def test_the_table(answers, k, label):
    cells = []
    for name, title in SETS.items():
        part = answers[(answers["k"] == k) & (answers["dataset"] == name)]
        found = evaluation.estimate(part)
        cells.append(evaluation.plus_minus(100 * found["mean"], 100 * found["sd"], 1))
        assert f"{title} ({part['image_id'].nunique()}" in README
    (row,) = re.findall(rf"\| k = {k}[ ,]+(?:{label}) \|([^|]*)\|([^|]*)\|([^|]*)\|", README)
    assert [cell.strip() for cell in row] == cells


def test_the_difference(answers):
    own = answers[answers["dataset"] == "own"]
    found = evaluation.compare(own, "k = 0, frozen").xs("accuracy", level="metric").iloc[0] * 100
    said = f"{found['estimate']:+.1f} points with a 95 % interval from {found['low']:.1f} to "
    assert said + f"{found['high']:+.1f}" in README


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
