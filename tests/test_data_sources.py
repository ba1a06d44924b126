"""Every published layout, built small with its own spelling, and what is said when it differs."""

import pandas as pd
import pytest
from PIL import Image

from gramnb.data import manifest, sources
from gramnb.data.sources import read, transfer_sets


def draw(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), "grey").save(path, "JPEG")
    return root


def rows(table, root, *columns):
    table = table.assign(path=[p.removeprefix(f"{root}/") for p in table["path"]])
    return list(table[list(columns)].itertuples(index=False, name=None))


@pytest.fixture
def published(monkeypatch):
    """Pretend that the published sets were as small as the ones drawn here."""

    def pretend(source, **counts):
        monkeypatch.setitem(sources.PUBLISHED, source, counts)

    return pretend


def test_class_folders_are_read_in_order(tmp_path):
    draw(tmp_path, "sad/b.jpg", "sad/deep/a.JPG", "crying/a.png", "happy/a.webp", ".cache/x/y.jpg")
    table = read("folder", tmp_path, ["sad", "crying"])
    assert rows(table, tmp_path, "path", "label", "emotion", "sadness") == [
        ("crying/a.png", "crying", "crying", 1),
        ("happy/a.webp", "happy", "happy", 0),
        ("sad/b.jpg", "sad", "sad", 1),
        ("sad/deep/a.JPG", "sad", "sad", 1),
    ]
    assert tuple(table.columns) == manifest.COLUMNS
    assert set(table["source"]) == {"folder"} and list(table["row"]) == [0, 1, 2, 3]
    assert table.attrs["report"] == []


def test_what_is_left_out_is_reported(tmp_path):
    draw(tmp_path, "sad/a.jpg", "happy/a.jpg", "cover.jpg", "sad/._a.jpg", "__MACOSX/sad/a.jpg")
    (tmp_path / "sad" / "notes.txt").write_text("n")
    (tmp_path / "README").write_text("r")  # a note beside the classes is no loss
    table = read("folder", tmp_path, ["sad"])
    assert len(table) == 2
    assert table.attrs["report"] == [
        f"{tmp_path.name}: pictures in no class folder, left out: 1 (cover.jpg)",
        f"{tmp_path.name}: files that are no pictures, left out: 1 (sad/notes.txt)",
    ]


def test_errors_list_what_was_found(tmp_path):
    with pytest.raises(ValueError, match="no source is named 'flickr'.*webemo"):
        read("flickr", tmp_path)
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        read("folder", tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no root was given"):
        read("folder")
    draw(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(ValueError, match="2 pictures beside .*expected <class>/<picture>"):
        read("folder", tmp_path)
    draw(tmp_path, "happy/a.jpg", "sad/a.jpg")
    with pytest.raises(ValueError, match="named blue, sads; the classes are: happy, sad"):
        read("folder", tmp_path, ["sads", "sad", "blue"])
    with pytest.raises(ValueError, match="no class is named sadness; .*: happy, sad"):
        read("folder", tmp_path)


def test_unbiasedemo(tmp_path, published):
    published("unbiasedemo", joy=2, sadness=1)
    folder = tmp_path / "UnBiasedEmo" / "images"
    draw(folder, "joy/dog/2.jpg", "joy/car/1.jpg", "sadness/dog/1.jpg")
    table = read("unbiasedemo", tmp_path)
    assert rows(table, folder, "path", "emotion", "sadness") == [
        ("joy/car/1.jpg", "joy", 0),
        ("joy/dog/2.jpg", "joy", 0),
        ("sadness/dog/1.jpg", "sadness", 1),
    ]
    assert table.attrs["report"] == []
    for inner in (folder.parent, folder):  # any of the three may be the root
        assert read("unbiasedemo", inner)["path"].equals(table["path"])
    published("unbiasedemo", anger=1, joy=3, sadness=1)
    assert read("unbiasedemo", tmp_path).attrs["report"] == [
        "UnBiasedEmo: 3 of 5 images; anger 0 of 1, joy 2 of 3"
    ]


def test_emotion_6_keeps_its_levels_and_misspellings(tmp_path, published):
    published("emotion-6", anger=2, sadness=2)
    draw(
        tmp_path / "Emotion-6/images",
        "anger/digust/digust/1.jpg",
        "anger/irritation/irritabilty/1.jpg",
        "sadness/suffering/agony/1.jpg",
        "sadness/shame/guilt/1.jpg",
    )
    table = read("emotion-6", tmp_path)
    assert rows(table, tmp_path, "label", "emotion", "sadness") == [
        ("anger/digust/digust", "anger", 0),
        ("anger/irritation/irritabilty", "anger", 0),
        ("sadness/shame/guilt", "sadness", 1),
        ("sadness/suffering/agony", "sadness", 1),
    ]
    assert table.attrs["report"] == []
    assert list(read("emotion-6", tmp_path, ["suffering"])["sadness"]) == [0, 0, 0, 1]


HEADER = "[image_filename]\t[valence]\t[arousal]\t[prob. anger]\t...\n"
VOTES = {
    "disgust/1.jpg": "2.5\t3.8\t0.1\t0.7\t0\t0.1\t0.1\t0\t0",
    "sadness/1.jpg": "4\t5\t0\t0\t0.2\t0\t0.4\t0\t0.4",  # a tie: the keyword wins
    "sadness/2.jpg": "4\t5\t0\t0\t0\t0\t0.1\t0\t0.9",  # found as sadness, seen as neutral
    "joy/1.jpg": "4\t5\t0\t0\t0\t0\t1\t0\t0",  # found as joy, seen as sadness
}


def emotion6(root, votes):
    folder = draw(root / "Emotion6" / "images", *VOTES)
    lines = [f"{name}\t{shares}\n" for name, shares in votes.items()]
    (folder.parent / "ground_truth.txt").write_text(HEADER + "".join(lines) + "\n")


def test_emotion6_is_labelled_by_its_votes(tmp_path, published):
    published("emotion6", disgust=1, joy=1, sadness=2)
    emotion6(tmp_path, VOTES)
    table = read("emotion6", tmp_path)
    assert rows(table, tmp_path, "label", "emotion", "sadness") == [
        ("disgust", "disgust", 0),
        ("joy", "sadness", 1),
        ("sadness", "sadness", 1),
        ("sadness", "neutral", 0),
    ]
    assert table.attrs["report"] == []
    assert list(read("emotion6", tmp_path, ["sadness"])["sadness"]) == [0, 0, 1, 1]  # keywords


def test_emotion6_and_its_ground_truth_must_agree(tmp_path, published):
    published("emotion6", disgust=1, joy=1, sadness=2)
    votes = {name: shares for name, shares in VOTES.items() if name != "joy/1.jpg"}
    emotion6(tmp_path, votes | {"fear/9.jpg": VOTES["joy/1.jpg"]})
    table = read("emotion6", tmp_path)
    assert table.attrs["report"] == [
        "listed in ground_truth.txt, not there: fear/9.jpg",
        "not in ground_truth.txt, so the keyword counts: joy/1.jpg",
    ]
    assert list(table["emotion"]) == ["disgust", "joy", "sadness", "neutral"]
    for bad, what in (("1\t2\t3", "no number for joy/2.jpg"), ("x" + VOTES["joy/1.jpg"], "'x4'")):
        emotion6(tmp_path, VOTES | {"joy/2.jpg": bad})
        with pytest.raises(ValueError, match=f"ground_truth.txt: .*{what}; below its header"):
            read("emotion6", tmp_path)
    (tmp_path / "Emotion6" / "ground_truth.txt").unlink()
    table = read("emotion6", tmp_path)
    assert list(table["emotion"]) == list(table["label"])
    assert "is not there" in table.attrs["report"][0]


def webemo(root, fetched):
    (root / "train25.txt").write_text("http://h/a.jpg 19\nhttp://h/b.jpg 0\nhttp://h/b.jpg 4\n")
    (root / "test25.txt").write_text("http://h/c.jpg 2\n")
    columns = ["list", "line", "url", "label", "status", "path"]
    (root / "images").mkdir(exist_ok=True)
    pd.DataFrame(fetched, columns=columns).to_parquet(root / "images" / "fetch.parquet")


def test_webemo_joins_its_lists_with_what_was_fetched(tmp_path, published):
    published("webemo", **{"train25.txt": 3, "test25.txt": 2})
    webemo(
        tmp_path,
        [
            ("train25.txt", 1, "http://h/a.jpg", 19, "ok", "0000/1.jpg"),
            ("train25.txt", 2, "http://h/b.jpg", 0, "HTTP 404", ""),
            ("train25.txt", 3, "http://h/b.jpg", 4, "HTTP 404", None),
            ("test25.txt", 1, "http://h/c.jpg", 2, "ok", "0000/3.jpg"),
        ],
    )
    table = read("webemo", tmp_path)
    assert rows(table, tmp_path, "line", "path", "label", "emotion", "sadness") == [
        (1, "images/0000/1.jpg", "sadness", "sadness", 1),
        (2, "", "affection", "love", 0),
        (3, "", "disappointment", "sadness", 1),
        (1, "images/0000/3.jpg", "confusion", "confusion", 0),
    ]
    assert table.attrs["report"] == [
        "WEBEmo: 4 of 5 lines; test25.txt 1 of 2",
        "WEBEmo: no image for 2 of 4 lines",
        "WEBEmo: images of sadness by choice of labels: chosen 1, level-2 1, sadness alone 1",
    ]
    # The label sadness alone, instead of its level-2 class, which has a name too.
    assert list(read("webemo", tmp_path, ["sadness"])["sadness"]) == [1, 0, 0, 0]
    assert list(read("webemo", tmp_path, ["level-2"])["sadness"]) == [1, 0, 1, 0]


def test_webemo_without_images_or_with_those_of_other_lists(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither train25.txt nor test25.txt"):
        read("webemo", tmp_path)
    webemo(tmp_path, [("train25.txt", 1, "http://h/other.jpg", 19, "ok", "1.jpg")])
    with pytest.raises(ValueError, match="1 images were fetched for other lists"):
        read("webemo", tmp_path)
    (tmp_path / "images" / "fetch.parquet").unlink()
    table = read("webemo", tmp_path)
    assert (table["path"] == "").all() and len(table) == 4
    assert "no image for 4 of 4 lines" in table.attrs["report"][-2]


def test_transfer_sets_are_named_or_recognised(tmp_path):
    """A folder alone says its name, and its layout if it is published; or both are said."""
    draw(tmp_path, "UnBiasedEmo/images/joy/dog/1.jpg", "Emotion-6/images/joy/a/b/1.jpg",
         "others, by me/joy/1.jpg")  # fmt: skip
    ours, theirs = tmp_path / "others, by me", tmp_path / "UnBiasedEmo"
    assert transfer_sets(f"{ours}") == {"others, by me": ("folder", str(ours))}
    assert transfer_sets(f"{theirs},{tmp_path / 'Emotion-6'}") == {
        "UnBiasedEmo": ("unbiasedemo", str(theirs)),
        "Emotion-6": ("emotion-6", str(tmp_path / "Emotion-6")),
    }
    assert transfer_sets(f"{theirs}/images") == {"UnBiasedEmo": ("unbiasedemo", f"{theirs}/images")}
    named = f"UnbiasedEmo:unbiasedemo:{theirs},Mine:folder:{ours}"
    assert transfer_sets(named) == {
        "UnbiasedEmo": ("unbiasedemo", str(theirs)), "Mine": ("folder", str(ours)),
    }  # fmt: skip
    assert transfer_sets("") == {}
    with pytest.raises(ValueError, match="two transfer sets are named UnBiasedEmo"):
        transfer_sets(f"{theirs},{theirs}")
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        transfer_sets(f"{theirs},{tmp_path / 'absent'}")


def test_a_demo_set_is_drawn_once(tmp_path):
    table = read("demo", tmp_path / "demo", count=6)
    stamps = {path: (tmp_path / path).stat().st_mtime_ns for path in table["path"]}
    again = read("demo", tmp_path / "demo", count=6)
    pd.testing.assert_frame_equal(again, table)
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in again["path"]} == stamps
    assert len(table) == 6 and table["sadness"].sum() > 0 and table.attrs["report"] == []
