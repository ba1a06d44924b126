"""What README and book say is what a command makes of it; what is promised has its test."""

import re

import pandas as pd
from conftest import ROOT
from studies import pages, scale

from gramnb import paper, runs

README = ROOT / "README.md"


def test_the_results_are_what_the_command_writes():
    said = README.read_text(encoding="utf-8")
    assert pages.filled(said, "pages", **pages.results()) == said
    assert len(said.splitlines()) < 120


def test_the_answer_is_what_the_studies_say():
    """What README and intro say: zero and the paper's gain lie within; its file is recomputed."""
    found = pages.answer()
    recorded = pd.read_csv(runs.resolve(pages.ANSWER), index_col="name")
    pd.testing.assert_frame_equal(found, recorded, atol=1e-4, check_index_type=False)
    for name in ("frozen Lite0", "average, frozen", "means instead of G"):
        assert found.loc[name, "low"] < 0 < paper.table3()["gain"].loc[4] < found.loc[name, "high"]
    assert found.loc["paper", "low"] > 0
    drawn = runs.resolve(pages.DRAWING).read_text(encoding="utf-8")
    assert all(name in drawn for name in found.index)


def test_every_promise_has_a_test():
    promises = re.findall(r"^\| [A-Z].*", (ROOT / "book/promises.md").read_text(), re.MULTILINE)[1:]
    assert len(promises) > 20
    for promise in promises:
        file, name = re.search(r"`(tests/\S+\.py)::(test_\w+)`", promise).groups()
        assert f"\ndef {name}(" in (ROOT / file).read_text(), promise


def test_the_scale_is_what_the_command_computes():
    said = (ROOT / scale.PAGE).read_text(encoding="utf-8")
    assert pages.filled(said, "scale", **scale.scale()) == said
