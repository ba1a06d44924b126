"""Every file is looked at once, and again when it, or the reader, has changed."""

import shutil

import numpy as np
import pytest
from odd_files import unreadable
from PIL import Image, ImageDraw

from gramnb import cli
from gramnb.data import images, inspection, manifest
from gramnb.data.cached import cached_map
from gramnb.data.filters import text_share


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))


def look(*paths):
    table = manifest.new({"path": list(map(str, paths))})
    found = inspection.inspect_all(table, progress=False)
    assert found.dtypes.equals(table.dtypes)
    return found


def test_every_file_gets_its_facts_or_its_reason_and_others_when_it_changes(tmp_path, monkeypatch):
    reasons = {"absent.jpg": "missing"}
    for name, (data, reason) in unreadable().items():
        (tmp_path / name).write_bytes(data)
        reasons[name] = reason
    Image.radial_gradient("L").resize((60, 40)).save(tmp_path / "good.jpg")
    paths = [tmp_path / name for name in (*reasons, "good.jpg")]
    found = look(*paths)
    assert list(found["dropped"]) == [*reasons.values(), ""]
    assert found.loc[len(reasons), ["width", "height"]].tolist() == [60, 40]
    assert len(found["dhash"].iloc[-1]) == 32 and set(found["dhash"][:-1]) == {""}
    named = {path.name for path, image in zip(paths, found["image_id"], strict=True) if image}
    assert named == {*reasons, "good.jpg"} - {"absent.jpg", "void.png"}  # to say which page it was
    shutil.copy(paths[-1], tmp_path / "cut.jpg")
    changed = look(tmp_path / "cut.jpg")
    monkeypatch.setattr(inspection, "decode", None)  # nothing is opened again
    assert changed["dropped"][0] == "" and look(tmp_path / "cut.jpg").equals(changed)


def test_an_interrupted_pass_goes_on_and_two_at_once_keep_what_both_found(tmp_path):
    """Another process may look at the same files meanwhile, as runs side by side do."""
    asked, before = [], {"2": lambda: 1 / 0, "4": lambda: know("45")}

    def look(key):
        before.pop(key, lambda: None)()
        asked.append(key)
        return None if key == "n" else [key]

    def know(keys):
        return cached_map(tmp_path / "x.sqlite", look, keys, "1.0", "", False, workers=1)

    with pytest.raises(ZeroDivisionError):
        know("012n")
    for _ in range(2):
        assert know("012n") == {"0": ["0"], "1": ["1"], "2": ["2"]}
    assert know("45") == {"4": ["4"], "5": ["5"]}
    assert [asked.count(key) for key in "01245"] == [1, 1, 1, 2, 2] and asked.count("n") > 1


def test_a_picture_is_read_once_by_each_version_of_a_reader(tmp_path, monkeypatch):
    """Of two grey pictures, one of them listed twice, and a file that is none."""
    for n in range(2):
        Image.new("RGB", (16, 16), (n, n, n)).save(tmp_path / f"{n}.png")
    (tmp_path / "page.png").write_text("<html></html>")
    names, asked = ["0", "1", "0", "page"], []

    def measure(version):
        read = version, lambda pixels: asked.append(version) or pixels.max() / 10
        monkeypatch.setitem(inspection.READERS, "text", read)
        paths = [str(tmp_path / f"{name}.png") for name in names]
        return inspection.measure(paths, names, {"text": 1}, progress=False)["text"]

    expected = np.array([0, 0.1, 0, np.nan], np.float32)
    for version in ("1.0", "1.0", "2.0"):
        np.testing.assert_array_equal(measure(version), expected, strict=True)
    assert asked == ["1.0"] * 2 + ["2.0"] * 2
    shutil.copy(tmp_path / "1.png", tmp_path / "page.png")  # repaired
    assert measure("2.0")[-1] == np.float32(0.1)


def test_shards_together_know_what_one_pass_would_find(tmp_path, monkeypatch, capsys):
    """Three parts, one cache: afterwards no picture is opened, and the shares are the same."""
    folder = tmp_path / "all"
    folder.mkdir()
    for n, text in enumerate(["NEVER GIVE UP", "", "stay a while"]):
        picture = Image.new("RGB", (160, 80 + n), "teal")
        ImageDraw.Draw(picture).text((9, 20), text, font_size=20)
        picture.save(folder / f"{n}.png")
    (folder / "page.jpg").write_text("<html></html>")
    for n in (1, 2, 3):
        assert cli.main(["measure", str(folder), "--shard", f"{n}/3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == ["1 images read, 1 that cannot be", *["1 images read, 0 that cannot be"] * 2]

    alone = [text_share(images.read_image(folder / f"{n}.png")) for n in range(3)]
    assert [share > 0.02 for share in alone] == [True, False, True]
    monkeypatch.setattr(inspection, "decode", None)
    monkeypatch.setattr(inspection, "read_image", None)
    kept = manifest.kept(look(*images.find_pictures(folder).pictures))
    measured = inspection.measure(kept["path"], kept["image_id"], {"text": 0.02}, progress=False)
    np.testing.assert_allclose(measured["text"], alone, rtol=1e-6)
