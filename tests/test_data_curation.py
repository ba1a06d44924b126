"""From listing to split: every step as arithmetic on random tables, and whole, twice, on files."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gramnb.data import curation, inspection, manifest
from gramnb.data.curation import Recipe

replace = Recipe.replace
EASY = Recipe(source="folder", text_threshold=None, sadness_share=None, fractions=(0.5, 0.25, 0.25))


def listing(sadness, groups=None, **columns):
    """A manifest of images that need no files; rows with the same number in `groups` look alike."""
    count = len(sadness)
    groups = np.arange(count) if groups is None else np.asarray(groups)
    words = np.random.default_rng(0).integers(0, 2**63, (groups.max(initial=0) + 1, 2))
    rows = {
        "image_id": [f"{i:016x}" for i in range(count)],
        "dhash": [f"{a:016x}{b:016x}" for a, b in words[groups]],
        "sadness": sadness,
        "group": groups,
    }
    return manifest.new(rows | columns)


def random_listing(seed):
    """Groups of one class each, most of one image and a few of many."""
    random = np.random.default_rng(seed)
    sizes = np.minimum(random.geometric(0.6, random.integers(60, 400)), 9)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    sadness = (random.random(len(sizes)) < random.uniform(0.2, 0.8)).astype(int)
    order = random.permutation(len(groups))
    return listing(sadness[groups][order], groups[order])


def test_a_recipe_checks_itself_and_takes_what_profiles_and_commands_give():
    for values, message in (
        ({"source": "flickr"}, "source must be 'demo', .*got 'flickr'"),
        ({"fractions": (0.8, 0.1)}, "fractions.2 is required"),
        ({"fractions": (0.8, 0.1, 0.2)}, "fractions must add up to 1"),
        ({"folds": 1}, "folds must be 0 or at least 2, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            Recipe(**values)
    given = Recipe(sadness="sad, crying", fractions=[0.7, 0.2, 0.1])
    assert given == Recipe(sadness=["sad", "crying"], fractions=(0.7, 0.2, 0.1))
    assert given.record()["sadness"] == ["sad", "crying"]


def test_one_of_the_same_bytes_is_kept_for_each_class():
    table = listing([0, 0, 1, 0, 1], image_id=["a", "a", "a", "b", ""])
    done = curation.drop_duplicates(table, EASY)
    assert list(done["dropped"]) == ["", "duplicate", "", "", ""]
    assert list(done["group"]) == [0, 0, 0, 3, 4]


def test_conflicts_by_policy_where_every_row_listed_has_a_vote():
    table = listing([1, 1, 0, 0, 1, 0, 0, 1, 0, 0], groups=[0, 0, 0, 1, 1, 2, 2, 3, 3, 3])
    table = manifest.drop(table, [False] * 9 + [True], "missing")
    for policy, dropped in (  # sadness is 2 of 3; 1 of 2; none of 2; and 1 of 3, one missing
        ("drop", [1, 1, 1, 1, 1, 0, 0, 1, 1, 0]),
        ("majority", [0, 0, 1, 1, 1, 0, 0, 1, 0, 0]),
        ("keep", [0] * 10),
    ):
        done = curation.drop_conflicts(table, replace(EASY, conflicts=policy))
        assert (done["dropped"] == "label conflict").tolist() == [bool(x) for x in dropped]


def test_near_duplicates_of_another_manifest_are_excluded(tmp_path):
    other = manifest.drop(listing([0, 1, 1], [0, 1, 2]), [0, 0, 1], "text")
    path = manifest.write(other, tmp_path / "other.parquet", {})
    table = listing([0, 0, 1, 1], [0, 3, 1, 2], image_id=list("wxyz"))
    recipe = replace(EASY, exclude=str(path))
    done, before = curation.drop_excluded(table, recipe), recipe.record()
    assert list(done["dropped"]) == ["excluded", "", "excluded", ""]  # 2 was not kept there
    manifest.write(other, path, {"seed": 5})
    assert recipe.record() != before  # what another one keeps is part of the recipe


@pytest.mark.parametrize("seed", range(3))
def test_undersampling_reaches_the_share_within_one_group(seed):
    table = random_listing(seed)
    largest = table["group"].value_counts().max()
    sad = table["sadness"].sum()
    for share in (0.3, 0.46, 0.9):
        done = manifest.kept(curation.undersample(table, replace(EASY, sadness_share=share)))
        others = len(done) - sad
        wanted = min(len(table) - sad, round(sad * (1 / share - 1)))
        assert done["sadness"].sum() == sad and wanted - largest < others <= wanted
        assert len(done) == table["group"].isin(done["group"]).sum()  # whole groups
    assert curation.undersample(table, replace(EASY, sadness_share=0.01)).equals(table)


@pytest.mark.parametrize("seed", range(3))
def test_splits_hold_their_share_of_each_class_and_no_group_straddles(seed):
    table = random_listing(seed)
    gone = np.random.default_rng(seed).random(len(table)) < 0.1
    recipe = replace(EASY, fractions=(0.8, 0.1, 0.1), folds=4)
    done = curation.split(manifest.drop(table, gone, "text"), recipe)
    assert set(done["split"][gone]) == {""} and set(done["fold"][gone]) == {-1}
    done = manifest.kept(done)
    assert (done.groupby("group")[["split", "fold"]].nunique() == 1).all(axis=None)
    parts = {("split", "train"): 0.8, ("split", "val"): 0.1, ("split", "test"): 0.1}
    parts |= {("fold", number): 0.25 for number in range(4)}
    for _, of_class in done.groupby("sadness"):
        largest = of_class["group"].value_counts().max()
        for (column, name), share in parts.items():
            assert abs((of_class[column] == name).sum() - share * len(of_class)) <= largest


def test_chance_follows_the_seed_and_the_image_not_the_row():
    table = random_listing(0)
    done = curation.split(table, EASY).set_index("image_id")["split"]
    shuffled = manifest.new(table.sample(frac=1, random_state=1))
    again = curation.split(shuffled, EASY).set_index("image_id")["split"]
    assert again.loc[done.index].equals(done)
    other = curation.split(table, replace(EASY, seed=1)).set_index("image_id")["split"]
    assert (other != done).mean() > 0.3


def test_a_split_without_a_class_is_refused_in_one_line():
    transfer = replace(EASY, fractions=(0, 0, 1))
    assert set(curation.split(listing([0, 1, 1]), transfer)["split"]) == {"test"}
    near = listing([0] * 9 + [1] * 6, [*range(9)] + [9] * 6)
    with pytest.raises(ValueError, match="would hold no sadness: 6 .* in 1 groups of"):
        curation.split(near, EASY)
    with pytest.raises(ValueError, match="fold 0 would hold no others"):
        curation.split(listing([0, 1, 1]), replace(transfer, folds=2))


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Of twelve distinct pictures in each of three classes, and what the steps are for."""
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    happy, sad, crying = (tmp_path / "photos" / name for name in ("happy", "sad", "crying"))
    for folder in (happy, sad, crying):
        folder.mkdir(parents=True)
        for i in range(12):
            coarse = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8))
            coarse.resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{i:02}.jpg")
    (happy / "broken.jpg").write_bytes((happy / "00.jpg").read_bytes()[:400])
    (sad / "page.jpg").write_bytes(b"<html></html>")
    (sad / "same.jpg").write_bytes((sad / "00.jpg").read_bytes())
    Image.open(sad / "01.jpg").resize((60, 45)).save(crying / "smaller.jpg")
    Image.open(sad / "02.jpg").resize((60, 45)).save(happy / "conflict.jpg")
    return replace(EASY, root=str(tmp_path / "photos"), sadness=("sad", "crying"))


@pytest.fixture
def curate(tmp_path):
    def curate(recipe, name="m"):
        return curation.curate(tmp_path / f"{name}.parquet", recipe, progress=False)

    return curate


def test_curation_end_to_end(recipe, curate):
    table = curate(recipe)
    lost = table[table["dropped"] != ""]
    names = lost["path"].str.removeprefix(f"{recipe.root}/")
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
    assert table.attrs == {"recipe": recipe.record(), "report": []}


def test_the_same_recipe_gives_the_same_bytes_anywhere(recipe, curate, tmp_path, monkeypatch):
    recipe, path = replace(recipe, sadness_share=0.8, folds=3), tmp_path / "m.parquet"
    curate(recipe)
    first = path.read_bytes()
    path.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "another cache"))
    curate(recipe)
    assert path.read_bytes() == first
    curate(replace(recipe, seed=1))
    assert path.read_bytes() != first


def test_curation_works_only_when_something_changed(recipe, curate, tmp_path, monkeypatch):
    runs, real = [], curation.inspect_all
    monkeypatch.setattr(curation, "inspect_all", lambda *a: runs.append(1) or real(*a))
    made = curate(recipe)
    pd.testing.assert_frame_equal(curate(recipe), made)
    assert len(runs) == 1
    (tmp_path / "photos" / "happy" / "00.jpg").unlink()
    assert len(curate(recipe)) == len(made) - 1
    curate(replace(recipe, conflicts="keep"))
    assert len(runs) == 3


def test_text_and_faces_above_the_threshold_are_dropped(recipe, curate, monkeypatch):
    for name, part in (("text", np.s_[:36]), ("face", np.s_[36:])):
        read = name, lambda pixels, part=part: pixels[part].mean() / 255
        monkeypatch.setitem(inspection.READERS, name, read)
    table = curate(replace(recipe, text_threshold=0.5, face_threshold=0.55))
    text, face, kept = (table[table["dropped"] == reason] for reason in ("text", "face", ""))
    assert len(text) and len(face) and text["face_fraction"].isna().all()
    assert text["text_fraction"].min() > 0.5 >= kept["text_fraction"].max()
    assert face["face_fraction"].min() > 0.55 >= kept["face_fraction"].max()
    assert table.loc[table["dropped"] == "truncated", "text_fraction"].isna().all()


def test_too_few_images_are_refused_early(recipe, curate, monkeypatch):
    monkeypatch.setattr(curation, "measure", lambda *_: pytest.fail("text was read"))
    with pytest.raises(ValueError, match="fold .* would hold no others: 12 images"):
        curate(replace(recipe, folds=13))
    monkeypatch.setattr(curation, "inspect_all", lambda *_: pytest.fail("a file was opened"))
    with pytest.raises(ValueError, match="fold .* would hold no others: 14 images"):
        curate(replace(recipe, folds=15))
