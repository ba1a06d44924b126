"""Every file is looked at once, and again when it, or the reader, has changed."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gramnb import cli
from gramnb.data import images, inspection, manifest


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))
    Image.radial_gradient("L").resize((60, 40)).save(tmp_path / "good.jpg")
    data = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "page.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "nothing.jpg").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(tmp_path / "pixel.gif")
    names = ["good.jpg", "cut.jpg", "page.jpg", "nothing.jpg", "pixel.gif", "absent.jpg"]
    return manifest.new({"path": [str(tmp_path / name) for name in names] + [""]})


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that the decode check opens; `opened.at[name]` runs before that."""

    class Opened(list):
        at = {}

    names = Opened()

    def read_bytes(path):
        names.append(os.path.basename(path))
        names.at.pop(names[-1], lambda: None)()
        return images.read_bytes(path)

    monkeypatch.setattr(inspection, "read_bytes", read_bytes)
    return names


def look(files):
    return inspection.inspect_all(files, progress=False)


def test_every_file_gets_its_facts_or_its_reason(files):
    found = look(files)
    assert list(found["dropped"]) == [
        "", "truncated", "not an image", "empty file", "too small", "missing", "missing"
    ]  # fmt: skip
    assert found.loc[0, ["width", "height"]].tolist() == [60, 40]
    assert len(found["dhash"][0]) == 32 and set(found["dhash"][1:]) == {""}
    assert found["image_id"][2] == images.image_id(b"<html>404</html>")  # which page it was
    assert list(found["image_id"] == "") == [False, False, False, True, False, True, True]
    assert found.dtypes.equals(files.dtypes)


def test_files_are_opened_once_until_they_change(files, tmp_path, opened):
    first = look(manifest.new({"path": [*files["path"]] * 2}))
    assert len(opened) == 7 and first["image_id"][:7].tolist() == first["image_id"][7:].tolist()
    opened.clear()
    look(files)
    assert sorted(opened) == ["", "absent.jpg"]  # what is missing may come
    for name in ("cut.jpg", "absent.jpg"):
        shutil.copy(tmp_path / "good.jpg", tmp_path / name)
    os.utime(tmp_path / "page.jpg", ns=(1, 1))
    opened.clear()
    assert list(look(files)["dropped"][[1, 5]]) == ["", ""]
    assert sorted(opened) == ["", "absent.jpg", "cut.jpg", "page.jpg"]


def test_an_interrupted_pass_goes_on_where_it_was(files, opened, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    opened.at["pixel.gif"] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        look(files)
    opened.clear()
    look(files)
    assert sorted(opened) == ["", "absent.jpg", "pixel.gif"]


def test_two_passes_at_once_keep_what_both_found(files, opened):
    """Another process may look at the same files meanwhile, as runs side by side do."""
    others = []
    opened.at["good.jpg"] = lambda: others.append(look(files))
    assert look(files).equals(others[0]) and opened.count("good.jpg") == 2


def test_a_picture_is_read_once_by_each_reader_until_text_settles_it(tmp_path, monkeypatch):
    """Of six grey pictures (0.0 to 0.5), one of them listed twice, and a file that is none."""
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))
    for n in range(6):
        Image.new("RGB", (16, 16), (n, n, n)).save(tmp_path / f"{n}.png")
    (tmp_path / "page.png").write_text("<html></html>")
    names = [*"012345", "0", "page"]
    asked = []

    def use(name, version):
        def read(pixels):
            asked.append(name)
            return pixels.max() / 10

        monkeypatch.setitem(inspection.READERS, name, (version, lambda: read))

    def measure(**limits):
        asked.clear()
        paths = [str(tmp_path / f"{name}.png") for name in names]
        shares = inspection.measure(paths, names, limits, progress=False)
        return asked.count("text"), asked.count("face"), shares

    use("text", "text 1.0")
    use("face", "face 1.0")
    *counts, shares = measure(text=1, face=1)
    expected = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0, np.nan], np.float32)
    for share in shares.values():
        np.testing.assert_array_equal(share, expected, strict=True)
    assert counts == [6, 6] and measure(text=1, face=1)[:2] == (0, 0)
    shutil.copy(tmp_path / "5.png", tmp_path / "page.png")  # repaired
    assert measure(text=1)[:2] == (1, 0)
    use("face", "face 2.0")
    *counts, shares = measure(text=0.3, face=1)
    assert counts == [0, 4] and not np.isnan(shares["text"]).any()
    assert np.isnan(shares["face"]).tolist() == [False] * 4 + [True] * 2 + [False, True]


def test_shards_together_know_what_one_pass_would_find(tmp_path, monkeypatch, capsys):
    """Three parts, one cache: afterwards no picture is opened, and the shares are the same."""
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))
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

    reader = inspection.READERS["text"][1]()
    alone = [reader(images.read_image(folder / f"{n}.png")) for n in range(3)]
    assert [share > 0.02 for share in alone] == [True, False, True]
    monkeypatch.setattr(inspection, "decode", None)
    monkeypatch.setattr(inspection, "read_image", None)
    table = look(manifest.new({"path": images.find_pictures(folder).pictures}))
    assert list(table["dropped"]) == [""] * 3 + ["not an image"]
    kept = manifest.kept(table)
    measured = inspection.measure(kept["path"], kept["image_id"], {"text": 0.02}, progress=False)
    np.testing.assert_allclose(measured["text"], alone, rtol=1e-6)
