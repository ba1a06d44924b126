"""Several collections as one data set: a picture belongs to the first that shows it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from conftest import ROOT
from studies import curate, pool

from gramnb.data import curation
from gramnb.data import manifest as manifests


def test_copies_stay_with_the_first_collection_and_conflicts_go(
    demo_manifest, tmp_path, monkeypatch
):
    """Drawn pictures in two collections, three of them in both, one under both labels."""
    drawn = manifests.kept(manifests.read(demo_manifest)).groupby("group").first()
    sad, others = (drawn.loc[drawn["sadness"] == n, "path"].tolist() for n in (1, 0))
    content = {
        "b/sad": sad[:4], "b/happy": others[:4],
        "a/sad": [*sad[:2], *sad[4:6], others[0]], "a/happy": others[4:6],
    }  # fmt: skip
    for folder, paths in content.items():
        (tmp_path / folder).mkdir(parents=True)
        for n, path in enumerate(paths):
            shutil.copy(path, tmp_path / folder / f"{n}{Path(path).suffix}")
    lines = [f"{name},{each}" for name in "ba" for each in ("sad,sadness,1", "happy,happy,0")]
    classes = "\n".join(["collection,label,emotion,sadness", *lines])
    (tmp_path / "collections.csv").write_text(classes)
    monkeypatch.setattr(pool, "COLLECTIONS", str(tmp_path / "collections.csv"))
    recipe = curation.Recipe(source="folder", text_threshold=None, sadness_share=None)
    table = pool.curated(pool.listed(tmp_path), recipe)

    steps = table.groupby(["source", "dropped"]).size().to_dict()
    conflicts = {("b", "label conflict"): 1, ("a", "label conflict"): 1}
    assert steps == {("b", ""): 7, ("a", ""): 4, ("a", "duplicate"): 2, **conflicts}
    assert set(table["emotion"]) == {"sadness", "happy"}

    folds = pool.by_collection(table)  # in the order of the file
    kept = manifests.kept(folds)
    assert kept.groupby("source")["fold"].unique().explode().to_dict() == {"b": 0, "a": 1}
    assert (folds.loc[folds["dropped"] != "", "fold"] == -1).all()


def test_no_recorded_picture_is_kept_by_two_collectors_or_under_two_labels():
    images = pd.read_csv(ROOT / pool.RECORD, keep_default_na=False)
    groups = images[images["dropped"] == ""].groupby("group")
    assert (groups["source"].nunique() == 1).all() and (groups["sadness"].nunique() == 1).all()
    assert np.sort(images["row"]).tolist() == list(range(len(images)))


def test_folds_without_strata_hold_whole_groups_of_all_images():
    """Of forty kept images, the first eight in two groups, and a dropped one."""
    groups = [0] * 4 + [1] * 4 + list(range(2, 35))
    rows = pd.DataFrame({"group": groups, "sadness": [0, 1] * 20 + [1], "label": "sad"})
    rows["image_id"] = [f"{n:016x}" for n in range(len(rows))]
    grouped = manifests.new(rows.assign(dropped=[""] * 40 + ["text"]))
    folded = curate.unstratified(grouped, curation.Recipe(folds=5))
    kept = manifests.kept(folded)
    assert folded["fold"].iloc[-1] == -1 and set(kept["fold"]) == set(range(5))
    assert (kept.groupby("group")["fold"].nunique() == 1).all()
    assert kept.groupby("fold").size().between(6, 10).all()
