"""The decode check writes down what each file is, once, and again when the file has changed."""

import os
import shutil

import pytest
from PIL import Image

from gramnb.data import inspection, manifest
from gramnb.data.images import image_id


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAMNB_CACHE", str(tmp_path / "cache"))
    picture = Image.radial_gradient("L").resize((60, 40))
    picture.save(tmp_path / "good.jpg")
    data = (tmp_path / "good.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "page.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "nothing.jpg").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(tmp_path / "pixel.gif")
    names = ["good.jpg", "cut.jpg", "page.jpg", "nothing.jpg", "pixel.gif", "absent.jpg"]
    return manifest.new({"path": [str(tmp_path / name) for name in names] + [""]})


def test_every_file_gets_its_facts_or_its_reason(files):
    found = inspection.inspect_all(files, progress=False)
    assert list(found["dropped"]) == [
        "", "truncated", "not an image", "empty file", "too small", "missing", "missing"
    ]  # fmt: skip
    assert found.loc[0, ["width", "height"]].tolist() == [60, 40]
    assert len(found["dhash"][0]) == 32 and set(found["dhash"][1:]) == {""}
    assert found["image_id"][2] == image_id(b"<html>404</html>")  # which page it was
    assert list(found["image_id"] == "") == [False, False, False, True, False, True, True]
    assert found.dtypes.equals(files.dtypes)


def test_files_are_opened_once_until_they_change(files, tmp_path, monkeypatch):
    first = inspection.inspect_all(files, progress=False)
    opened = []
    real = inspection.inspect
    monkeypatch.setattr(inspection, "inspect", lambda path: opened.append(path) or real(path))
    assert inspection.inspect_all(files, progress=False).equals(first)
    absent = [str(tmp_path / "absent.jpg"), ""]
    assert sorted(opened) == sorted(absent)  # what is missing may come
    shutil.copy(tmp_path / "good.jpg", tmp_path / "cut.jpg")
    os.utime(tmp_path / "cut.jpg", ns=(1, 1))
    shutil.copy(tmp_path / "good.jpg", tmp_path / "absent.jpg")
    opened.clear()
    again = inspection.inspect_all(files, progress=False)
    assert set(opened) == {*absent, str(tmp_path / "cut.jpg")}
    assert list(again["dropped"][[1, 5]]) == ["", ""]


def test_an_interrupted_pass_keeps_what_it_has(files, monkeypatch):
    monkeypatch.setattr(inspection, "_BLOCK", 2)
    real = inspection.inspect

    def interrupt(path):
        if path.endswith("pixel.gif"):
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(inspection, "inspect", interrupt)
    with pytest.raises(KeyboardInterrupt):
        inspection.inspect_all(files, progress=False)
    opened = []
    monkeypatch.setattr(inspection, "inspect", lambda path: opened.append(path) or real(path))
    inspection.inspect_all(files, progress=False)
    assert [os.path.basename(path) for path in sorted(opened)] == ["", "absent.jpg", "pixel.gif"]


def test_a_path_listed_twice_is_opened_once(files, monkeypatch):
    twice = manifest.new({"path": [files["path"][0]] * 3})
    opened = []
    real = inspection.inspect
    monkeypatch.setattr(inspection, "inspect", lambda path: opened.append(path) or real(path))
    found = inspection.inspect_all(twice, progress=False)
    assert len(opened) == 1 and found["image_id"].nunique() == 1


def test_two_passes_at_once_keep_what_both_found(files, monkeypatch):
    """Another process may look at the same files meanwhile, as runs side by side do."""
    real, others = inspection.inspect, []

    def interleaved(path):
        if not others:
            others.append("begun")
            others.append(inspection.inspect_all(files, progress=False))
        return real(path)

    monkeypatch.setattr(inspection, "inspect", interleaved)
    assert inspection.inspect_all(files, progress=False).equals(others[1])
