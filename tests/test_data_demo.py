"""The demo images: the same for one seed, true to their truth, neither trivial nor hopeless."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter, ImageStat
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gramnb.data import demo
from gramnb.data.duplicates import difference_hash, near_pairs
from gramnb.data.text import text_fractions
from gramnb.features import extract

COUNT = 240


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with the first of the data sets, and its truth."""
    folder = demo.draw_dataset(tmp_path_factory.mktemp("demo"), count=COUNT, progress=False)
    return folder, demo.read_truth(folder)


@pytest.fixture(scope="module")
def plain(drawn):
    """What is true of the pictures that are whole, no copies, and without a caption."""
    folder, truth = drawn
    table = truth[(truth[["broken", "duplicate_of", "caption"]] == "").all(axis=1)]
    paths = [str(folder / file) for file in table["file"]]
    ids = [hashlib.sha256(file.encode()).hexdigest()[:16] for file in table["file"]]
    return table.assign(path=paths, image_id=ids, sadness=(table["emotion"] == "sadness") * 1)


def draw(folder, count=10, size=48, **settings):
    return demo.draw_dataset(folder, count=count, size=size, progress=False, **settings)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_one_seed_gives_the_same_bytes_and_another_other_pictures(tmp_path):
    first, second = contents(draw(tmp_path / "a")), contents(draw(tmp_path / "b"))
    assert len(first) == 12 and first == second  # ten pictures, the truth and the settings
    for n, other in enumerate(({"seed": 1}, {"name": "demo-unbiased"})):
        assert not set(first.values()) & set(contents(draw(tmp_path / str(n), **other)).values())


def test_counts_and_shares_are_those_documented(drawn):
    folder, truth = drawn
    spec = demo.DATASETS["demo"]
    on_disk = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    assert on_disk == sorted(truth["file"]) and len(truth) == COUNT
    for emotion, files in truth.groupby("emotion")["file"]:
        assert list(files) == [f"{emotion}/{n + 1:04d}.jpg" for n in range(len(files))]
    assert set(truth["emotion"]) == set(demo.EMOTIONS)
    assert (truth["emotion"] == "sadness").sum() == round(spec.sadness * COUNT)
    assert (truth["broken"] != "").sum() == round(spec.broken * COUNT)
    copies = truth[truth["duplicate_of"] != ""]
    originals = truth.set_index("file").loc[copies["duplicate_of"]]
    conflicts = (originals["emotion"].to_numpy() != copies["emotion"].to_numpy()).sum()
    assert len(copies) == round(spec.duplicates * COUNT)
    assert (originals[["duplicate_of", "broken"]] == "").all(axis=None)
    assert conflicts == round(spec.conflicts * len(copies)) > 0
    own = truth[(truth["duplicate_of"] == "") & (truth["broken"] == "")]
    for side in (True, False):
        part = own[(own["emotion"] == "sadness") == side]
        assert part["flipped"].sum() == round(spec.flipped * COUNT / 2) > 0
        assert ((part["sadness_drawn"] == side) == (part["flipped"] == 0)).all()
        assert (part["caption"] != "").sum() == round(spec.captions[side] * len(part))
    assert 0 < own["everyday"].mean() < 0.12


def test_near_copies_are_found_and_hardly_anything_else(drawn):
    folder, truth = drawn
    whole = truth[truth["broken"] == ""].set_index("file")
    hashes = pd.Series({file: difference_hash(np.asarray(Image.open(folder / file)))
                        for file in whole.index})  # fmt: skip
    planted = whole["duplicate_of"][whole["duplicate_of"] != ""]
    different = hashes.drop_duplicates()
    pairs = different.index.to_numpy()[near_pairs(different.tolist(), 6)]
    found = {frozenset(pair) for pair in pairs}
    equal = hashes[planted.index].to_numpy() == hashes[planted].to_numpy()
    missed = {frozenset(pair) for pair in planted[~equal].items()} - found
    assert len(missed) <= 0.1 * len(planted) and (hashes != "").all()
    assert len(found - {frozenset(pair) for pair in planted.items()}) <= 1
    contents = [(folder / a).read_bytes() != (folder / b).read_bytes() for a, b in planted.items()]
    assert all(contents)  # copies, not the same file twice


def test_broken_files_are_broken_and_no_others(drawn):
    folder, truth = drawn
    starts = {"truncated": b"\xff\xd8\xff", "empty": b"", "html": b"<!DOCTYPE html>"}
    assert set(truth["broken"]) == {"", *starts}
    for row in truth.itertuples():
        if row.broken:
            with pytest.raises(OSError):  # UnidentifiedImageError is one
                Image.open(folder / row.file).load()
            content = (folder / row.file).read_bytes()
            assert content.startswith(starts[row.broken]) and bool(content) == (
                row.broken != "empty"
            )
        else:
            assert np.asarray(Image.open(folder / row.file)).shape == (160, 160, 3)


def test_captions_can_be_read_and_nothing_else(drawn, plain, tmp_path):
    folder, truth = drawn
    captioned = truth[(truth["caption"] != "") & (truth["duplicate_of"] == "")]
    captioned = captioned[captioned["broken"] == ""].head(24)
    assert captioned["caption_area"].between(0.005, 0.4).all()
    assert set(captioned["caption_text"].str.lower()) <= set(demo.CAPTIONS)
    files = [*captioned["file"], *plain["file"].head(24)]
    found = text_fractions([str(folder / file) for file in files], files,
                           cache=tmp_path / "text.sqlite", progress=False)  # fmt: skip
    assert (found[:24] > 0.02).sum() >= 23 and (found[24:] > 0.02).sum() <= 1


def test_sadness_is_told_as_often_as_documented(plain):
    """By a frozen network's features; of so few pictures the interval is wide."""
    sad = plain[plain["sadness"] == 1]
    others = plain[plain["sadness"] == 0].sample(len(sad), random_state=0)
    table = pd.concat([sad, others])
    features = extract(table, "EfficientNetLite0", 128, taps=(), progress=False).pooled
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=3000))
    assert 0.74 < cross_val_score(model, features, table["sadness"], cv=5).mean() < 0.94


def test_factors_differ_by_emotion_and_overlap(plain):
    sad = plain[plain["sadness_drawn"] == 1]
    for level, way in (("saturation", -1), ("warmth", -1), ("bowed", 1), ("bare", 1)):
        mine, theirs = way * sad[level], way * plain[plain["sadness_drawn"] == 0][level]
        assert mine.median() > theirs.quantile(0.75) and theirs.max() > mine.quantile(0.25)
    assert set(sad["sky"]) & set(plain[plain["emotion"] == "joy"]["sky"])
    joyful = demo.draw_factors("joy", np.random.default_rng(0), {"warmth": 5.0})
    assert joyful["warmth"] == 1.0 and joyful["sky"] in demo.SKIES


def test_every_factor_can_be_seen():
    usual = dict(zip(demo.CHOICES, ("field", "clear", "none", "one"), strict=True))
    usual |= dict.fromkeys(demo.LEVELS, 0.4)

    def picture(**changes):
        return demo.paint(usual | changes, np.random.default_rng(3), 64)

    options = {"place": ("field", "lake", "sea", "town", "forest"), "sky": demo.SKIES,
               "accent": demo.ACCENTS, "people": demo.PEOPLE}  # fmt: skip
    for factor, values in options.items():
        assert len({picture(**{factor: value}).tobytes() for value in values}) == len(values)
    grey, bright = ImageStat.Stat(picture().convert("L")), picture(luminance=0.9).convert("L")
    assert ImageStat.Stat(bright).mean[0] > grey.mean[0] + 10
    edges = [ImageStat.Stat(picture(texture=t).filter(ImageFilter.FIND_EDGES)).mean[0]
             for t in (0.0, 0.5, 1.0)]  # fmt: skip
    assert edges == sorted(edges)


def test_an_interrupted_drawing_goes_on_and_a_whole_one_is_left_alone(tmp_path, monkeypatch):
    whole = contents(draw(tmp_path))
    (tmp_path / "truth.csv").unlink()
    next(tmp_path.rglob("*.jpg")).write_bytes(b"half a pic")
    with pytest.raises(FileNotFoundError, match="truth.csv: not there; draw"):
        demo.read_truth(tmp_path)
    assert contents(draw(tmp_path)) == whole
    monkeypatch.setattr(demo, "paint", None)  # painting now would fail
    assert contents(draw(tmp_path)) == whole


def test_what_others_drew_is_never_overwritten(tmp_path, monkeypatch):
    whole = contents(draw(tmp_path / "demo"))
    for other in ({"count": 11}, {"size": 50}, {"seed": 1}, {"name": "demo-unbiased"}):
        with pytest.raises(ValueError, match="demo: not drawn with .*; remove it or choose"):
            draw(tmp_path / "demo", **other)
    monkeypatch.setattr(demo, "EDITION", demo.EDITION + 1)
    with pytest.raises(ValueError, match="not drawn with"):
        draw(tmp_path / "demo")
    assert contents(tmp_path / "demo") == whole
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"mine")
    for place in ("mine", "mine/photo.jpg"):
        with pytest.raises(ValueError, match="no empty folder; draw the demo into a new one"):
            draw(tmp_path / place)
    for settings in ({"name": "x"}, {"count": 0}, {"name": "demo-artworks", "count": 9},
                     {"size": 20}, {"seed": -1}):  # fmt: skip
        with pytest.raises(ValueError, match="unknown demo|must be"):
            draw(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_artworks_are_half_sorrowful_painted_and_listed(tmp_path):
    folder = draw(tmp_path, name="demo-artworks", count=None)
    listed, truth = pd.read_csv(folder / "artworks.csv"), demo.read_truth(folder)
    assert list(listed.columns) == ["file", "title", "artist", "year"]
    assert sorted(listed["file"]) == sorted(path.name for path in folder.glob("*.jpg"))
    assert truth["sadness_drawn"].sum() == 4 == len(listed) / 2
    painting = Image.open(folder / listed["file"][0])
    assert painting.size == (144, 144)
    scene = demo.paint(truth.iloc[0].to_dict(), np.random.default_rng(1), 160)
    strokes = demo.brushwork(scene, np.random.default_rng(0))
    small = [np.asarray(x.convert("L").resize((12, 12)), float).ravel() for x in (scene, strokes)]
    assert np.corrcoef(small)[0, 1] > 0.9 and strokes.tobytes() != scene.tobytes()
