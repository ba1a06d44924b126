"""Every published layout, built small with its own spelling, and what is said when it differs."""

import pandas as pd
import pytest
from PIL import Image

from gramnb.data import manifest, sources
from gramnb.data.inspection import inspect_all
from gramnb.data.lists import place
from gramnb.data.sources import read, transfer_sets


def draw(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), "grey").save(path, "JPEG")
    return root


def rows(table, *columns):
    return list(table[list(columns)].itertuples(index=False, name=None))


@pytest.fixture
def published(monkeypatch):
    """Pretend that the published sets were as small as the ones drawn here."""

    def publish(source, **counts):
        table = pd.concat({source: pd.DataFrame({"published": counts})})
        monkeypatch.setattr(sources, "PUBLISHED", table)

    return publish


def test_class_folders_are_read_in_order_and_what_is_left_out_is_reported(tmp_path):
    draw(tmp_path, "sad/b.jpg", "sad/deep/a.JPG", "crying/a.png", "happy/a.webp", "cover.jpg",
         ".cache/x/y.jpg", "sad/._a.jpg", "__MACOSX/sad/a.jpg")  # fmt: skip
    (tmp_path / "sad" / "notes.txt").write_text("n")
    (tmp_path / "README").write_text("r")  # a note beside the classes is no loss
    table = read("folder", tmp_path, ["sad", "crying"])
    assert rows(table, "path", "label", "emotion", "sadness") == [
        (f"{tmp_path}/crying/a.png", "crying", "crying", 1),
        (f"{tmp_path}/happy/a.webp", "happy", "happy", 0),
        (f"{tmp_path}/sad/b.jpg", "sad", "sad", 1),
        (f"{tmp_path}/sad/deep/a.JPG", "sad", "sad", 1),
    ]
    assert tuple(table.columns) == manifest.COLUMNS
    assert set(table["source"]) == {"folder"} and list(table["row"]) == [0, 1, 2, 3]
    assert table.attrs["report"] == [
        f"{tmp_path.name}: pictures in no class folder, left out: 1 (cover.jpg)",
        f"{tmp_path.name}: files that are no pictures, left out: 1 (sad/notes.txt)",
    ]


def test_errors_list_what_was_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        read("folder", tmp_path / "absent")
    draw(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(ValueError, match="2 pictures beside .*expected <class>/<picture>"):
        read("folder", tmp_path)
    draw(tmp_path, "happy/a.jpg", "sad/a.jpg")
    with pytest.raises(ValueError, match="named blue, sads; the classes are: happy, sad"):
        read("folder", tmp_path, ["sads", "sad", "blue"])


def test_published_folders_keep_their_levels_and_misspellings(tmp_path, published):
    """Any of the archive's folder, that above it and `images` may be the root."""
    published("unbiasedemo", anger=1, joy=2, sadness=1)
    folder = tmp_path / "UnBiasedEmo" / "images"
    draw(folder, "joy/dog/1.jpg", "sadness/dog/1.jpg")
    for root in (tmp_path, folder.parent, folder):
        table = read("unbiasedemo", root)
        assert rows(table, "path", "label", "emotion", "sadness") == [
            (f"{folder}/joy/dog/1.jpg", "joy", "joy", 0),
            (f"{folder}/sadness/dog/1.jpg", "sadness", "sadness", 1),
        ]
    assert table.attrs["report"] == ["UnBiasedEmo: 2 of 4 published; anger 0 of 1, joy 1 of 2"]
    published("emotion-6", anger=1, sadness=2)
    draw(tmp_path / "Emotion-6/images", "anger/digust/digust/1.jpg", "sadness/shame/guilt/1.jpg",
         "sadness/suffering/agony/1.jpg")  # fmt: skip
    table = read("emotion-6", tmp_path)
    assert rows(table, "label", "emotion", "sadness") == [
        ("anger/digust/digust", "anger", 0),
        ("sadness/shame/guilt", "sadness", 1),
        ("sadness/suffering/agony", "sadness", 1),
    ]
    assert table.attrs["report"] == []
    assert list(read("emotion-6", tmp_path, ["suffering"])["sadness"]) == [0, 0, 1]


def test_webemo_finds_what_was_fetched_of_its_lists(tmp_path, published):
    """In the folder of the lists, or in one of a shard's own in it."""
    published("webemo", **{"train25.txt": 3, "test25.txt": 3})
    with pytest.raises(FileNotFoundError, match="neither train25.txt nor test25.txt"):
        read("webemo", tmp_path)
    (tmp_path / "train25.txt").write_text("http://h/a 19\nhttp://h/b 0\nhttp://h/b 4\n")
    (tmp_path / "test25.txt").write_text("http://h/c 2\nhttp://h/c\n")
    names = place("http://h/a"), f"shard/{place('http://h/c')}"
    a, c = (str(draw(tmp_path, name) / name) for name in names)
    table = read("webemo", tmp_path)
    assert rows(table, "line", "path", "label", "emotion", "sadness", "dropped") == [
        (1, a, "sadness", "sadness", 1, ""),
        (2, "", "affection", "love", 0, ""),
        (3, "", "disappointment", "sadness", 1, ""),
        (1, c, "confusion", "confusion", 0, ""),
        (2, "", "", "", 0, "malformed line"),
    ]
    dropped = inspect_all(table, progress=False)["dropped"]
    assert dropped.tolist() == ["", "missing", "missing", "", "malformed line"]
    assert table.attrs["report"] == [
        "WEBEmo: 5 of 6 published; test25.txt 2 of 3",
        "WEBEmo: no image for 3 of 5 lines",
    ]
    # The label sadness alone, instead of its level-2 class, which has a name too.
    assert list(read("webemo", tmp_path, ["sadness"])["sadness"]) == [1, 0, 0, 0, 0]
    assert list(read("webemo", tmp_path, ["level-2"])["sadness"]) == [1, 0, 1, 0, 0]


def test_transfer_sets_are_named_or_recognised(tmp_path):
    """A folder alone says its name, and its layout if it is published; or both are said."""
    ours, theirs = tmp_path / "others", tmp_path / "UnBiasedEmo"
    draw(tmp_path, "UnBiasedEmo/images/joy/dog/1.jpg", "others/joy/1.jpg")
    assert [*transfer_sets("")] == ["demo-unbiased", "demo-emotion6"]  # drawn
    assert transfer_sets(f"{ours}, {theirs},Mine:folder:{ours}") == {
        "others": ("folder", str(ours)),
        "UnBiasedEmo": ("unbiasedemo", str(theirs)),
        "Mine": ("folder", str(ours)),
    }
    with pytest.raises(ValueError, match="two transfer sets are named UnBiasedEmo"):
        transfer_sets(f"{theirs},{theirs}")
    with pytest.raises(FileNotFoundError, match="Mine:unknown:.*: no such folder"):
        transfer_sets(f"{theirs},Mine:unknown:{ours}")
