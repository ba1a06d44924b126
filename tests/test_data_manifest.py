"""The table of every data set: types, paths that move along, same bytes, and where rows went."""

import shutil

import numpy as np
import pandas as pd
import pytest

from gramnb.data import manifest


def table(folder):
    """Six images of alternating classes, the first without a file."""
    return manifest.new(
        {
            "path": [""] + [str(folder / "pictures" / f"{i}.jpg") for i in range(1, 6)],
            "image_id": [f"{i:016x}" for i in range(6)],
            "sadness": [0, 1] * 3,
            "text_fraction": [np.nan] + [0.25] * 5,
        }
    )


def test_what_is_written_is_read_and_moves_with_its_images(tmp_path):
    made = table(tmp_path / "a")
    recipe = {"seed": 3, "fractions": [0.8, 0.1, 0.1], "sadness": ["crying"]}
    path = manifest.write(made, tmp_path / "a" / "m.parquet", recipe)
    read = manifest.read(path)
    pd.testing.assert_frame_equal(read, made)
    assert read.attrs["recipe"] == recipe
    turned = dict(reversed(recipe.items()))
    again = manifest.write(made, tmp_path / "a" / "n.parquet", turned).read_bytes()
    other = manifest.write(made, tmp_path / "a" / "n.parquet", recipe | {"seed": 4}).read_bytes()
    assert path.read_bytes() == again != other  # the same table and recipe, the same bytes
    shutil.move(tmp_path / "a", tmp_path / "b")
    read = manifest.read(tmp_path / "b" / "m.parquet")
    assert list(read["path"][:2]) == ["", str(tmp_path / "b" / "pictures" / "1.jpg")]


def test_no_row_is_tested_that_is_trained_on_and_none_is_left_out(tmp_path):
    good = table(tmp_path).assign(split=["train"] * 4 + ["test"] * 2, group=range(6))
    path = manifest.write(good, tmp_path / "m.parquet", {})
    assert len(manifest.read(path)) == 6
    for change, message in (
        ({"image_id": list("abcdae")}, "row 0: its image_id .*another split too, 2 r"),
        ({"group": [0, 1, 2, 3, 4, 3]}, "row 3: its group stands in another split"),
        ({"split": ["train", "", "train", "train", "test", "test"]}, "row 1: split is ''"),
        ({"split": ["train"] * 5 + ["tset"]}, "row 5: split is 'tset'"),
        ({"dropped": ["", "because", *[""] * 4]}, "row 1: dropped is 'because'"),
        ({"fold": [0, 1, 0, 1, 0, -1]}, "row 5: fold is '-1'"),
        ({"fold": [0, 1, 0, 1, 0, 1], "group": [0, 0, 1, 2, 3, 4]}, "row 0: .* another fold"),
    ):
        manifest.write(good.assign(**change), path, {})
        with pytest.raises(ValueError, match=f"m.parquet: not a manifest: {message}"):
            manifest.read(path)
        if "group" in change:  # what is dropped, or in no group, may stand anywhere
            manifest.write(good.assign(**change, dropped="text"), path, {})
            manifest.write(good.assign(group=-1), path, {})
            assert len(manifest.read(path)) == 6


def test_attrition_adds_up_in_the_order_of_curation(tmp_path):
    dropped = manifest.drop(table(tmp_path), [0, 0, 0, 0, 0, 1], "text")
    steps = manifest.attrition(manifest.drop(dropped, [1, 0, 1, 0, 0, 1], "empty file"))
    assert steps.index.name == "step" and list(steps.columns) == ["others", "sadness", "total"]
    assert dict(zip(steps.index, steps.to_numpy().tolist(), strict=True)) == {
        "listed": [3, 3, 6], "empty file": [2, 0, 2], "text": [0, 1, 1], "kept": [1, 2, 3]
    }  # fmt: skip
    assert manifest.attrition(manifest.new([]))["total"].tolist() == [0, 0]
