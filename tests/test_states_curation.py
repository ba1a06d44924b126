"""What the studies of data compare the photographs with is what `curate.py` says it is."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from studies import curate

from gramnb.data import curation, images, manifest


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


def test_central_squares_are_cut_from_the_middle(tmp_path):
    random = np.random.default_rng(0)
    wide, tall = random.integers(0, 256, (30, 41, 3)), random.integers(0, 256, (50, 20, 3))
    for name, pixels in (("wide", wide), ("tall", tall)):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in ("wide", "tall", "missing")]
    listed = manifest.new(pd.DataFrame({"path": paths, "dropped": ["", "", "text"]}))
    cut = curate.cropped(listed, tmp_path / "squares")
    assert cut.loc[2].equals(listed.loc[2])
    for row, middle in ((0, wide[:, 5:35]), (1, tall[15:35])):
        square = Image.fromarray(middle.astype(np.uint8))
        expected = np.asarray(square.resize((curate.SIDE, curate.SIDE), Image.Resampling.BILINEAR))
        path = cut.loc[row, "path"]
        np.testing.assert_array_equal(images.read_image(path, curate.SIDE), expected)
        assert cut.loc[row, "image_id"] == images.image_id(images.read_bytes(path))
        assert tuple(cut.loc[row, ["width", "height"]]) == expected.shape[:2]
