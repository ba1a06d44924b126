"""From listing to split: every step as arithmetic on random tables, and whole, twice, on files."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gramnb.data import curation, inspection, manifest, sources
from gramnb.data.curation import Recipe

EASY = Recipe(source="folder", text_threshold=None, sadness_share=None, fractions=(0.5, 0.25, 0.25))


def listing(sadness, groups=None, **columns):
    """A manifest of images that need no files; rows with the same number in `groups` look alike."""
    count = len(sadness)
    groups = np.arange(count) if groups is None else np.asarray(groups)
    words = np.random.default_rng(0).integers(0, 2**63, (groups.max(initial=0) + 1, 2))
    return manifest.new(
        {
            "image_id": [f"{i:016x}" for i in range(count)],
            "dhash": [f"{a:016x}{b:016x}" for a, b in words[groups]],
            "sadness": sadness,
            "group": groups,
        }
        | columns
    )


def random_listing(seed):
    """Groups of one class each, most of one image and a few of many."""
    random = np.random.default_rng(seed)
    sizes = np.minimum(random.geometric(0.6, random.integers(60, 400)), 9)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    sadness = (random.random(len(sizes)) < random.uniform(0.2, 0.8)).astype(int)
    order = random.permutation(len(groups))
    return listing(sadness[groups][order], groups[order])


def change(**values):
    return dataclasses.replace(EASY, **values)


# The recipe


@pytest.mark.parametrize(
    "values, message",
    [
        ({"source": "flickr"}, "source must be one of demo, .*got 'flickr'"),
        ({"conflicts": "vote"}, "conflicts must be one of drop, majority, keep, got 'vote'"),
        ({"duplicate_distance": -1}, "duplicate_distance must be from 0 to 16, got -1"),
        ({"text_threshold": 1.5}, "text_threshold must be None or from 0"),
        ({"sadness_share": 0}, "sadness_share must be None or between 0 and 1, got 0"),
        ({"fractions": (0.8, 0.1)}, "fractions must be three shares"),
        ({"fractions": (0.8, 0.1, 0.2)}, "fractions must be three shares"),
        ({"fractions": (1.2, -0.1, -0.1)}, "fractions must be three shares"),
        ({"folds": 1}, "folds must be 0 or at least 2, got 1"),
    ],
)
def test_a_recipe_checks_itself(values, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**values)


def test_a_recipe_takes_what_profiles_and_commands_give():
    given = Recipe(sadness="sad, crying", fractions=[0.7, 0.2, 0.1])
    assert given == Recipe(sadness=["sad", "crying"], fractions=(0.7, 0.2, 0.1))
    assert given.record()["sadness"] == ["sad", "crying"]


# Duplicates and conflicts


def test_one_of_the_same_bytes_is_kept_for_each_class():
    table = listing([0, 0, 1, 0, 1], image_id=["a", "a", "a", "b", ""])
    done = curation.drop_duplicates(table, EASY)
    assert list(done["dropped"]) == ["", "duplicate", "", "", ""]
    assert list(done["group"]) == [0, 0, 0, 3, 4]


@pytest.mark.parametrize(
    "policy, dropped",
    [
        # group 0: sadness 2 of 3; group 1: 1 of 2; group 2: others only
        ("drop", [1, 1, 1, 1, 1, 0, 0]),
        ("majority", [0, 0, 1, 1, 1, 0, 0]),
        ("keep", [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_conflicts_by_policy(policy, dropped):
    table = listing([1, 1, 0, 0, 1, 0, 0], groups=[0, 0, 0, 1, 1, 2, 2])
    done = curation.drop_conflicts(table, change(conflicts=policy))
    assert list(done["dropped"] == "label conflict") == [bool(x) for x in dropped]
    assert done["sadness"].equals(table["sadness"])


def test_every_row_listed_has_a_vote():
    """An address listed as sadness, as others, and as others again: two against one."""
    table = listing([1, 0, 0, 1], url=["u", "u", "u", "v"], image_id=["a", "a", "", "b"])
    table = manifest.drop(table, [0, 0, 1, 0], "missing")
    for policy, dropped in {
        "drop": ["label conflict", "label conflict", "missing", ""],
        "majority": ["label conflict", "", "missing", ""],
    }.items():
        recipe = change(conflicts=policy)
        done = curation.drop_conflicts(curation.drop_duplicates(table, recipe), recipe)
        assert list(done["dropped"]) == dropped


def test_near_duplicates_of_another_manifest_are_excluded(tmp_path):
    other = manifest.drop(listing([0, 1, 1], [0, 1, 2]), [0, 0, 1], "text")
    path = manifest.write(other, tmp_path / "other.parquet", {})
    table = listing([0, 0, 1, 1], [0, 3, 1, 2], image_id=list("wxyz"))
    done = curation.drop_excluded(table, change(exclude=str(path)))
    assert list(done["dropped"]) == ["excluded", "", "excluded", ""]  # 2 was not kept there
    assert curation.drop_excluded(table, EASY).equals(table)


# Undersampling and splitting, as arithmetic


@pytest.mark.parametrize("seed", range(12))
def test_undersampling_reaches_the_share_within_one_group(seed):
    table = random_listing(seed)
    largest = table["group"].value_counts().max()
    before = table["sadness"].sum()
    for share in (0.3, 0.46, 0.9):
        done = manifest.kept(curation.undersample(table, change(sadness_share=share)))
        assert done["sadness"].sum() == before
        others = len(done) - before
        wanted = min(len(table) - before, round(before * (1 / share - 1)))
        assert wanted - largest < others <= wanted
        whole = table.groupby("group").size().loc[done["group"].unique()].sum()
        assert whole == len(done)


def test_undersampling_leaves_a_set_with_enough_sadness_alone():
    table = listing([1] * 6 + [0] * 4)
    assert curation.undersample(table, change(sadness_share=0.46)).equals(table)
    done = curation.undersample(table, change(sadness_share=0.75))
    assert manifest.attrition(done).loc["kept"].tolist() == [2, 6, 8]


@pytest.mark.parametrize("seed", range(12))
def test_splits_hold_their_share_of_each_class_and_no_group_straddles(seed):
    table = random_listing(seed)
    recipe = change(fractions=(0.8, 0.1, 0.1), folds=4)
    done = curation.split(table, recipe)
    assert (done.groupby("group")[["split", "fold"]].nunique() == 1).all(axis=None)
    for value in (0, 1):
        of_class = done[done["sadness"] == value]
        largest = of_class["group"].value_counts().max()
        for name, fraction in zip(curation.SPLITS, recipe.fractions, strict=True):
            count = (of_class["split"] == name).sum()
            assert abs(count - fraction * len(of_class)) <= largest
        for fold in range(4):
            assert abs((of_class["fold"] == fold).sum() - len(of_class) / 4) <= largest
    assert set(done["fold"]) == set(range(4)) and done["fold"].dtype == np.int16


def test_single_images_split_exactly():
    done = curation.split(listing([0] * 60 + [1] * 40), change(fractions=(0.8, 0.1, 0.1)))
    counts = done.groupby(["split", "sadness"]).size().to_dict()
    assert counts == {("train", 0): 48, ("val", 0): 6, ("test", 0): 6,
                      ("train", 1): 32, ("val", 1): 4, ("test", 1): 4}  # fmt: skip


def test_only_what_is_kept_is_split():
    table = manifest.drop(listing([0, 1] * 10), [1] * 4 + [0] * 16, "text")
    done = curation.split(table, change(folds=2))
    assert set(done["split"][:4]) == {""} and set(done["fold"][:4]) == {-1}
    assert "" not in set(done["split"][4:]) and -1 not in set(done["fold"][4:])


def test_chance_follows_the_seed_and_the_image_not_the_row():
    table = random_listing(0)
    done = curation.split(table, EASY).set_index("image_id")["split"]
    shuffled = manifest.new(table.sample(frac=1, random_state=1))
    again = curation.split(shuffled, EASY).set_index("image_id")["split"]
    assert again.loc[done.index].equals(done)
    other = curation.split(table, change(seed=1)).set_index("image_id")["split"]
    assert (other != done).mean() > 0.3


def test_mixed_groups_stay_whole_when_conflicts_are_kept():
    random = np.random.default_rng(0)
    table = listing(random.integers(0, 2, 300), np.arange(300) // 3)
    recipe = change(conflicts="keep", sadness_share=0.6)
    done = manifest.kept(curation.split(curation.undersample(table, recipe), recipe))
    assert (done.groupby("group")["split"].nunique() == 1).all()
    assert done["sadness"].sum() == table["sadness"].sum()
    assert (done.groupby("group").size() == 3).all()


def test_a_transfer_set_is_all_test():
    done = curation.split(listing([0, 1, 1]), change(fractions=(0, 0, 1)))
    assert set(done["split"]) == {"test"}


def test_a_split_without_a_class_is_refused_in_one_line():
    with pytest.raises(ValueError, match="train would hold no sadness: 0 images of sadness are"):
        curation.split(listing([0] * 9), EASY)
    with pytest.raises(ValueError, match="would hold no sadness: 6 .* in 1 groups of"):
        curation.split(listing([0] * 9 + [1] * 6, [*range(9)] + [9] * 6), EASY)
    with pytest.raises(ValueError, match="fold 0 would hold no others"):
        curation.split(listing([0, 1, 1]), change(fractions=(0, 0, 1), folds=2))


# All of it, on files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve distinct pictures a class, and beside them what the steps are for."""
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "photos"
    random = np.random.default_rng(0)
    for name in ("happy", "sad", "crying"):
        (root / name).mkdir(parents=True)
        for i in range(12):
            coarse = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8))
            coarse.resize((96, 72), Image.Resampling.BICUBIC).save(root / name / f"{i:02}.jpg")
    happy, sad, crying = root / "happy", root / "sad", root / "crying"
    (happy / "broken.jpg").write_bytes((happy / "00.jpg").read_bytes()[:400])
    (sad / "page.jpg").write_bytes(b"<html></html>")
    (sad / "same.jpg").write_bytes((sad / "00.jpg").read_bytes())
    Image.open(sad / "01.jpg").resize((60, 45)).save(crying / "smaller.jpg")
    Image.open(sad / "02.jpg").resize((60, 45)).save(happy / "conflict.jpg")
    return root


def recipe_for(root, **values):
    return change(root=str(root), sadness=("sad", "crying"), **values)


def test_curation_end_to_end(folder, tmp_path):
    table = curation.prepare(tmp_path / "m.parquet", recipe_for(folder), progress=False)
    lost = table[table["dropped"] != ""]
    names = lost["path"].str.removeprefix(f"{folder}/")
    assert dict(zip(names, lost["dropped"], strict=True)) == {
        "happy/broken.jpg": "truncated",
        "sad/page.jpg": "not an image",
        "sad/same.jpg": "duplicate",
        "happy/conflict.jpg": "label conflict",
        "sad/02.jpg": "label conflict",
    }
    assert manifest.attrition(table).loc["kept"].tolist() == [12, 24, 36]
    near = table[table["path"].str.endswith(("sad/01.jpg", "crying/smaller.jpg"))]
    assert near["group"].nunique() == 1 and near["split"].nunique() == 1
    assert table.attrs["recipe"] == recipe_for(folder).record()


def test_the_same_recipe_gives_the_same_bytes_anywhere(folder, tmp_path, monkeypatch):
    recipe = recipe_for(folder, sadness_share=0.8, folds=3)
    path = tmp_path / "m.parquet"
    curation.prepare(path, recipe, progress=False)
    first = path.read_bytes()
    path.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "another cache"))
    curation.prepare(path, recipe, progress=False)
    assert path.read_bytes() == first
    curation.prepare(path, dataclasses.replace(recipe, seed=1), progress=False)
    assert path.read_bytes() != first


def test_prepare_works_only_when_something_changed(folder, tmp_path, monkeypatch):
    path, recipe, runs = tmp_path / "m.parquet", recipe_for(folder), []
    real = curation.curate
    monkeypatch.setattr(curation, "curate", lambda *a, **k: runs.append(1) or real(*a, **k))
    made = curation.prepare(path, recipe, progress=False)
    pd.testing.assert_frame_equal(curation.prepare(path, recipe, progress=False), made)
    assert len(runs) == 1
    (folder / "happy" / "00.jpg").unlink()
    assert len(curation.prepare(path, recipe, progress=False)) == len(made) - 1
    curation.prepare(path, dataclasses.replace(recipe, conflicts="keep"), progress=False)
    assert len(runs) == 3


def test_what_is_excluded_is_part_of_the_recipe(folder, tmp_path):
    train = tmp_path / "train.parquet"
    curation.prepare(train, recipe_for(folder), progress=False)
    recipe = recipe_for(folder, exclude=str(train), fractions=(0, 0, 1))
    with pytest.raises(ValueError, match="one of 1 parts would hold no others: 0 images"):
        curation.prepare(tmp_path / "test.parquet", recipe, progress=False)
    before = recipe.record()
    curation.prepare(train, recipe_for(folder, seed=5), progress=False)
    assert recipe.record() != before
    with pytest.raises(FileNotFoundError, match="absent.parquet"):
        recipe_for(folder, exclude=str(tmp_path / "absent.parquet")).record()


def test_text_and_faces_above_the_threshold_are_dropped(folder, monkeypatch):
    """Only what is still there is measured, faces only where text does not settle it."""
    asked = {"text": 0, "face": 0}

    def reader(name, part):
        def read(pixels):
            asked[name] += 1
            return float(pixels[part].mean() / 255)

        return lambda: read

    for name, part in (("text", np.s_[:36]), ("face", np.s_[36:])):
        monkeypatch.setitem(inspection.READERS, name, (name, reader(name, part)))
    recipe = recipe_for(folder, text_threshold=0.5, face_threshold=0.55)
    listed = sources.read("folder", folder, recipe.sadness)
    table = curation.curate(listed, recipe, progress=False)
    text, face = ((table["dropped"] == name) for name in ("text", "face"))
    assert asked["text"] == 36 and asked["face"] == 36 - text.sum()
    assert 0 < text.sum() < 36 and 0 < face.sum()
    kept = manifest.kept(table)
    assert table["text_fraction"][text].min() > 0.5 >= kept["text_fraction"].max()
    assert table["face_fraction"][face].min() > 0.55 >= kept["face_fraction"].max()
    assert table["face_fraction"][text].isna().all()
    assert table.loc[table["dropped"] == "truncated", "text_fraction"].isna().all()


def test_too_few_images_are_refused_before_any_is_opened(tmp_path, monkeypatch):
    for name in ("happy", "sad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(b"never opened")
    monkeypatch.setattr(curation, "inspect_all", lambda *_: pytest.fail("opened"))
    with pytest.raises(ValueError, match="one of 3 parts would hold no others: 1 images of others"):
        recipe = Recipe(source="folder", root=str(tmp_path), sadness="sad")
        curation.prepare(tmp_path / "m.parquet", recipe, progress=False)


def test_too_few_groups_are_refused_before_text_is_read(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(curation, "measure", lambda *_: pytest.fail("read"))
    with pytest.raises(ValueError, match="one of 13 parts would hold no others: 12 images"):
        curation.prepare(tmp_path / "m.parquet", recipe_for(folder, folds=13), progress=False)
