"""The demo images: always the same, true to their truth, neither trivial nor hopeless."""

import pandas as pd
import pytest

from gramnb.data import demo
from gramnb.data.duplicates import difference_hash, near_pairs
from gramnb.data.images import ImageError, read_image

COUNT = 200


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with the first of the data sets, its truth, and which are originals and whole."""
    folder = demo.draw_dataset(tmp_path_factory.mktemp("demo"), count=COUNT, progress=False)
    truth = demo.read_truth(folder)
    truth["sad"] = truth["emotion"] == "sadness"
    return folder, truth, truth[(truth["duplicate_of"] == "") & (truth["broken"] == "")]


def draw(folder, count=10, name="demo"):
    return demo.draw_dataset(folder, name, count, progress=False)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_bytes_are_drawn_again_and_for_another_set_others(tmp_path):
    first, second = contents(draw(tmp_path / "a")), contents(draw(tmp_path / "b"))
    assert len(first) == 12 and first == second  # ten pictures, the truth and the settings
    assert not {*first.values()} & {*contents(draw(tmp_path / "c", name="demo-unbiased")).values()}


def test_counts_and_shares_are_those_documented(drawn):
    folder, truth, own = drawn
    spec = demo.DATASETS["demo"]
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
    assert on_disk == set(truth["file"]) and len(truth) == COUNT
    assert set(truth["emotion"]) == set(demo.MOODS)
    assert truth["sad"].sum() == round(spec["sadness"] * COUNT)
    copies = truth[truth["duplicate_of"] != ""]
    originals = own.set_index("file").loc[copies["duplicate_of"]]  # none is a copy or broken
    conflicts = (originals["emotion"].to_numpy() != copies["emotion"].to_numpy()).sum()
    assert len(copies) == round(spec["duplicates"] * COUNT)
    assert conflicts == round(spec["conflicts"] * len(copies)) > 0
    for sad, part in own.groupby("sad"):
        flipped = (part["drawn"] == "sadness") != sad
        assert flipped.sum() == round(spec["flipped"] * COUNT / 2) > 0
        assert (part["caption"] != "").sum() == round(spec["captions"][sad] * len(part))


def test_broken_files_are_broken_and_no_others(drawn):
    folder, truth, _ = drawn
    reasons = {"truncated": "truncated", "empty": "empty file", "html": "not an image"}
    assert (truth["broken"] != "").sum() == round(demo.DATASETS["demo"]["broken"] * COUNT)
    for file, flaw in truth.set_index("file")["broken"].items():
        if flaw:
            with pytest.raises(ImageError, match=reasons[flaw]):
                read_image(folder / file)
        else:
            assert read_image(folder / file).shape == (160, 160, 3)


def test_near_copies_are_found_and_hardly_anything_else(drawn):
    folder, truth, _ = drawn
    whole = truth[truth["broken"] == ""].set_index("file")
    hashes = pd.Series({file: difference_hash(read_image(folder / file)) for file in whole.index})
    different = hashes.drop_duplicates()
    pairs = different.index.to_numpy()[near_pairs(different.tolist(), 6)]
    found = {frozenset(pair) for pair in pairs}
    planted = {frozenset(pair) for pair in whole["duplicate_of"].items() if pair[1]}
    missed = [pair for pair in planted - found if hashes[[*pair]].nunique() == 2]
    assert (hashes != "").all()
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
    taken = [(tmp_path, {}), (tmp_path / "photo.jpg", {}), (tmp_path / "a", {"count": 11})]
    for folder, other in taken:
        with pytest.raises(ValueError, match="neither empty nor drawn with .*; remove it or ch"):
            draw(folder, **other)
    assert contents(tmp_path) == {f"a/{k}": v for k, v in whole.items()} | {"photo.jpg": b"mine"}
