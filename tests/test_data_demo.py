"""The demo images: always the same bytes, and copies among them that are told from the others.

How many of each kind there are is in the tables of chapter 1.
"""

import pandas as pd
import pytest

from gramnb.data import demo
from gramnb.data.duplicates import difference_hash, near_pairs
from gramnb.data.images import read_image


def draw(folder, count=10, name="demo"):
    return demo.draw_dataset(folder, name, count, progress=False)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_bytes_are_drawn_again_and_for_another_set_others(tmp_path):
    first, second = contents(draw(tmp_path / "a")), contents(draw(tmp_path / "b"))
    assert len(first) == 12 and first == second  # ten pictures, the truth and the settings
    assert not {*first.values()} & {*contents(draw(tmp_path / "c", name="demo-unbiased")).values()}


def test_near_copies_are_found_and_hardly_anything_else(tmp_path):
    folder = draw(tmp_path, count=120)
    truth = demo.read_truth(folder)
    whole = truth[truth["broken"] == ""].set_index("file")
    hashes = pd.Series({file: difference_hash(read_image(folder / file)) for file in whole.index})
    different = hashes.drop_duplicates()
    pairs = different.index.to_numpy()[near_pairs(different.tolist(), 6)]
    found = {frozenset(pair) for pair in pairs}
    planted = {frozenset(pair) for pair in whole["duplicate_of"].items() if pair[1]}
    missed = [pair for pair in planted - found if hashes[[*pair]].nunique() == 2]
    assert (hashes != "").all() and len(planted) > 5
    assert len(missed) <= 0.1 * len(planted) and len(found - planted) <= 1
    assert all(len({(folder / file).read_bytes() for file in pair}) == 2 for pair in planted)


def test_an_interrupted_drawing_goes_on_and_nothing_else_is_overwritten(tmp_path, monkeypatch):
    whole = contents(draw(tmp_path / "a"))
    (tmp_path / "a" / "truth.csv").unlink()
    next(tmp_path.rglob("*.jpg")).write_bytes(b"half a pic")
    assert contents(draw(tmp_path / "a")) == whole
    monkeypatch.setattr(demo, "paint", None)  # painting now would fail
    assert contents(draw(tmp_path / "a")) == whole
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    for folder, count in ((tmp_path, 10), (tmp_path / "photo.jpg", 10), (tmp_path / "a", 11)):
        with pytest.raises(ValueError, match="neither empty nor drawn with .*; remove it or ch"):
            draw(folder, count)
    assert contents(tmp_path) == {f"a/{k}": v for k, v in whole.items()} | {"photo.jpg": b"mine"}
