"""What the README says of the recorded studies is what a command makes of them."""

from pathlib import Path

import pytest
from studies import pages

from gramnb import evaluation, paper, runs

README = Path(__file__).parents[1] / "README.md"


def test_the_results_are_what_the_command_writes():
    said = README.read_text(encoding="utf-8")
    assert pages.filled(said, {"results": pages.results()}) == said
    assert len(said.splitlines()) < 120


def test_a_page_without_its_place_is_refused():
    with pytest.raises(ValueError, match="0 places for 'metrics'"):
        pages.filled("<!-- model: -->\n<!-- end -->", {"model": "x", "metrics": "y"})


@pytest.mark.parametrize("name", pages.ROWS)
def test_no_evidence_and_no_refutation(name):
    """What the words say of k = 4: its interval holds zero, and the paper's gain."""
    frozen = runs.predictions("results/frozen").query("split == 'test'")
    found = evaluation.compare(frozen, {name: (name, pages.ROWS[name])})
    assert (found["low"] < 0).all() and (found["high"] > 0).all()
    gain = paper.table3()["gain"].loc[4] / 100
    row = found.loc[(name, "accuracy")]
    assert row["low"] < gain < row["high"] and row["detectable"] > gain
