"""Good files get a probability, bad ones a reason, and what a screen is shown cannot harm it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from odd_files import unreadable
from PIL import Image

import gramnb
from gramnb import cli, predict
from gramnb.data import manifest as manifests
from gramnb.predict import SadnessClassifier


@pytest.fixture(scope="module")
def classifier(run):
    return SadnessClassifier.load(run.path)


@pytest.fixture
def loaded(classifier, monkeypatch):
    """Loading takes seconds, and one test does it."""
    monkeypatch.setattr(SadnessClassifier, "load", lambda *_: classifier)


@pytest.fixture(scope="module")
def good(demo_manifest):
    return manifests.kept(manifests.read(demo_manifest))["path"].tolist()


@pytest.fixture(scope="module")
def photos(good, tmp_path_factory):
    """Two good pictures, one in a subfolder; a web page named .jpg; an empty file."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "album").mkdir()
    shutil.copy(good[0], folder / "a.jpg")
    shutil.copy(good[1], folder / "album" / "b.jpg")
    (folder / "page.jpg").write_text("<html>404</html>")
    (folder / "void.png").touch()
    (folder / "notes.txt").write_text("not asked about")
    return folder


def test_answers_are_the_networks_in_the_files_order(classifier, photos, good):
    """Bad files among good ones, included."""
    table = classifier.predict([photos, *good[2:11], photos], progress=False)
    names = [file.removeprefix(f"{photos}/") for file in table["file"][:4]]
    assert names == ["a.jpg", "album/b.jpg", "page.jpg", "void.png"]
    assert table["problem"][:4].tolist() == ["", "", "not an image", "empty file"]
    assert table.head(4).equals(table.tail(4).reset_index(drop=True))
    read = table["problem"] == ""
    images = [predict.read_image(x, classifier.image_size) for x in table["file"][read]]
    p = classifier.network.predict_on_batch(np.stack(images))[:, 1]
    np.testing.assert_allclose(table["p_sadness"][read], p, atol=1e-5)
    assert p.std() > 1e-3 and table["p_sadness"][~read].isna().all()
    said = np.where(table["p_sadness"] > 0.5, "sadness", "others")
    assert table["conveys"].tolist() == np.where(read, said, "").tolist()
    assert classifier.predict([], progress=False).empty


def test_every_kind_of_bad_file_gets_its_reason_and_none_is_left_out(
    classifier, photos, tmp_path, monkeypatch
):
    """Nor a picture without suffix, nor one of another format, nor a closed folder."""
    for name, (data, _) in unreadable().items():
        (tmp_path / name).write_bytes(data)
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "teal.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for name in ("folder.jpg", "closed"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder.jpg")
    shutil.copy(photos / "a.jpg", tmp_path / "fetched")
    Image.open(photos / "a.jpg").save(tmp_path / "a.avif")
    halves = Image.new("L", (40, 40), 0)
    halves.paste(9, (0, 0, 20, 40))
    halves.save(tmp_path / "dark.png")
    closed = [str(tmp_path / name) for name in ("closed", "link")]
    listing = predict.find_pictures(tmp_path)._replace(closed=closed)
    monkeypatch.setattr(predict, "find_pictures", lambda folder: listing)
    table = classifier.predict([tmp_path, photos / "a.jpg"], progress=False)
    found = {os.path.basename(row.file): row.problem for row in table.itertuples()}
    reasons = {name: reason for name, (_, reason) in unreadable().items()} | {
        "teal.jpg": "one colour only: nothing to judge",
        "gone.jpg": "no such file or directory",
        "closed": "folder cannot be read",
        "link": "link to a folder, not followed: give the folder's own name",
    }
    assert found == reasons | dict.fromkeys(["a.jpg", "a.avif", "fetched", "dark.png"], "")
    assert table["p_sadness"].notna().sum() == 4


def test_an_answer_that_is_no_number_is_a_problem(classifier, photos):
    classifier = replace(classifier, answer=lambda images: np.full((len(images), 2), np.nan))
    table = classifier.predict([photos / "a.jpg"], progress=False)
    assert table["conveys"].tolist() == [""]
    assert table["problem"].tolist() == [f"the answer of {classifier.name} is no number"]


def test_a_prevalence_moves_the_odds_by_bayes_rule(classifier, good):
    """At a share p0 in training the odds are L p0 / (1 - p0); at p1 they are L p1 / (1 - p1)."""
    learned = classifier.learned
    plain, rare, same = (
        replace(classifier, prevalence=share).predict(good[:12], progress=False)["p_sadness"]
        for share in (None, 0.1, learned)
    )
    odds = plain / (1 - plain) * (0.1 / 0.9) / (learned / (1 - learned))
    np.testing.assert_allclose(rare, odds / (1 + odds), rtol=1e-9)
    np.testing.assert_allclose(same, plain, rtol=1e-12)


# The command


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_the_command_prints_all_and_its_exit_code_tells_of_bad_files(
    loaded, run, photos, tmp_path, capfd, form
):
    """Names reach the screen without control characters."""
    for name in (b"red\x1b[31m\n.jpg", b"latin\xff.jpg"):
        shutil.copy(photos / "a.jpg", os.fsencode(tmp_path) + b"/" + name)
    (tmp_path / "bad\x1b[2J.jpg").touch()
    assert cli.main(["predict", str(photos), str(tmp_path), "--format", form]) == 1
    out, err = capfd.readouterr()
    assert "page.jpg: not an image" in err and r"bad\x1b[2J.jpg: empty file" in err
    rule = f"run {run.path.name}, not calibrated; sadness: p(sadness) above 0.5"
    assert err.splitlines()[0] == f"gramnb predict: {rule}" and "\x1b" not in out + err
    if form == "json":
        rows = json.loads(out)
        assert len(rows) == 7 and rows[2]["p_sadness"] is None and 0 <= rows[0]["p_sadness"] <= 1
        names = ("\\u001b", "\\udcff")
    else:
        assert len(out.strip().splitlines()) == 8
        names = (r"red\x1b[31m\n.jpg", r"latin\udcff.jpg")
    assert all(name in out for name in names)


SCRIPT = """
import os, sys
import gramnb
assert not {"tensorflow", "keras", "pandas", "pydantic"} & set(sys.modules)  # the face is lazy
assert set(gramnb.__all__) <= set(dir(gramnb))
from gramnb.cli import main
os.chdir(sys.argv[1])
code = main(sys.argv[2:])
from gramnb import *
assert GramBank.__module__ == "gramnb.layers" and callable(train) and callable(curate)
assert "torch" not in sys.modules  # Lite0's weights, a file of torch, are read without it
sys.exit(code)
"""


def test_the_command_asks_a_run_silent_about_its_libraries_and_exits_0(run, photos):
    """The run is named from the folder of whoever calls."""
    command = [sys.executable, "-c", SCRIPT, run.path.parent, "predict", photos / "a.jpg"]
    command += ["--model", run.path.name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    said, *bar = done.stderr.splitlines()
    assert said.startswith(f"gramnb predict: run {run.path.name}")
    assert all("image" in line or not line for line in bar), done.stderr
    header, row = done.stdout.splitlines()
    assert header.split(maxsplit=2) == ["file", "p(sadness)", "conveys (sadness: above 0.5)"]
    assert row.split()[0] == str(photos / "a.jpg")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = gramnb.nothing


def test_the_command_draws_where_the_network_looked(loaded, photos, tmp_path, capfd):
    """But nothing without a readable picture."""
    out = tmp_path / "new" / "out.png"
    assert cli.main(["predict", str(photos / "void.png"), "--explain", str(out)]) == 1
    assert "out.png: not drawn, no picture could be read" in capfd.readouterr().err
    assert not out.parent.exists()
    assert cli.main(["predict", str(photos), "--explain", str(out)]) == 1  # for the bad files
    assert capfd.readouterr().err.splitlines()[-1].endswith("void.png: empty file")
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    width, height = Image.open(out).size
    assert width == 1050 and 250 < height < 600  # two pictures stand in one row


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("a.jpg", "--explain out.txt", "--explain draws a .png, .pdf or .svg"),
        ("a.jpg", "--explain void.png", "void.png: there is such a file"),  # `--explain *.png`
        ("nowhere.jpg", "", "nowhere.jpg: no such file or folder"),
        ("empty", "", "empty: no image in it (0 files that are none)"),
        ("a.jpg", "--prevalence=nan", "prevalence must be a number above 0 and below 1, got"),
    ],
)
def test_what_cannot_be_asked_is_one_line(photos, capfd, monkeypatch, file, options, message):
    monkeypatch.chdir(photos)
    (photos / "empty").mkdir(exist_ok=True)
    assert cli.main(["predict", file, *options.split()]) == 2
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("gramnb predict: ") and message in last
    assert not (photos / "void.png").read_bytes()
