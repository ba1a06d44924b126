"""What the studies of data compare the photographs with is what `curate.py` says it is."""

import pandas as pd
import pytest
from studies import curate

from gramnb.data import curation, manifest


@pytest.fixture(scope="module")
def table():
    """Forty kept images, the first eight in two groups, and a dropped one."""
    groups = [0] * 4 + [1] * 4 + list(range(2, 35))
    rows = pd.DataFrame({"group": groups, "sadness": [0, 1] * 20 + [1], "label": "sad"})
    rows["image_id"] = [f"{n:016x}" for n in range(len(rows))]
    return manifest.new(rows.assign(dropped=[""] * 40 + ["text"]))


def test_folds_without_strata_hold_whole_groups_of_all_images(table):
    folded = curate.unstratified(table, curation.Recipe(folds=5))
    assert folded["fold"].iloc[-1] == -1 and set(folded["fold"].iloc[:-1]) == set(range(5))
    assert (manifest.kept(folded).groupby("group")["fold"].nunique() == 1).all()
    assert manifest.kept(folded).groupby("fold").size().between(6, 10).all()
    assert folded.drop(columns="fold").equals(table.drop(columns="fold"))
    assert curate.unstratified(table, curation.Recipe(folds=5)).equals(folded)
