"""The models that ship: true cards, calibrated answers, and a wheel that carries them."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from sklearn import metrics as sk
from studies import pages, ship

from gramnb import cli, shipped
from gramnb.data import demo
from gramnb.data.images import read_image
from gramnb.evaluation import Calibration
from gramnb.predict import SadnessClassifier
from gramnb.shipped import MODELS, SHIPPED
from gramnb.training import load_shipped

CARDS = {name: shipped.card(name) for name in MODELS}


@pytest.fixture(scope="module")
def answers():
    return ship.answers()


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "paintings"
    return demo.draw_dataset(folder, "demo-artworks", progress=False)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_reported_is_the_cards_calibration_of_what_the_network_says(name, paintings):
    classifier, card = SadnessClassifier.load(name), CARDS[name]
    table = classifier.predict([paintings], progress=False)
    images = np.stack([read_image(file, 224) for file in table["file"]])
    sadness = np.asarray(classifier.network(images))[:, 1].astype(float)
    platt = card["calibration"]
    x = np.clip(np.log(sadness / (1 - sadness)), platt["low"], platt["high"])
    expected = 1 / (1 + np.exp(-(platt["slope"] * x + platt["intercept"])))
    np.testing.assert_allclose(table["p_sadness"], expected, atol=1e-3)
    assert np.abs(table["p_sadness"] - sadness).max() > 0.01  # calibration does something
    assert np.abs(classifier.answer(images)[:, 1] - sadness).max() < 2e-3  # ONNX beside Keras
    assert (table["conveys"] == np.where(expected > card["threshold"], "sadness", "others")).all()


@pytest.mark.parametrize("name", MODELS)
def test_what_it_says_of_pictures_without_anything_in_them(name):
    """As the card has it; and never surer than of any that was tested, at contrasts beyond these.

    What a network says has no upper bound.
    """
    classifier, said = SadnessClassifier.load(name), CARDS[name]["unlike"]
    pictures = ship.meaningless(224)
    wild = np.stack([*pictures.values()]).astype(float)
    for picture, p in zip(pictures, classifier.ask(wild), strict=True):
        assert p == pytest.approx(said[picture], abs=0.01), picture
    p = np.concatenate([classifier.ask((wild - 128) * contrast + 128) for contrast in (4, 16)])
    least, most = classifier.calibration([-np.inf, np.inf])
    assert np.isfinite(p).all() and p.min() >= least > 1e-4 and p.max() <= most < 1 - 1e-4


def test_weights_that_are_not_the_cards_are_refused(tmp_path, monkeypatch):
    shutil.copytree(SHIPPED, tmp_path / "shipped")
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "shipped")
    for kind, load in (("onnx", SadnessClassifier.load), ("npz", load_shipped)):
        file = tmp_path / "shipped" / f"best.{kind}"
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(ValueError, match=f"best.{kind}: not the published weights; install"):
            load("best")


def test_the_choice_follows_from_the_recorded_answers(answers):
    """By hand: Platt's scaling on five collections, log-loss on the sixth."""
    tried = pd.DataFrame(CARDS["best"]["candidates"]).T["log_loss"]
    for row, loss in tried.items():
        own = answers[answers["variant"] == row]
        losses = []
        for source, part in own.groupby("source"):
            rest = own[own["source"] != source]
            p = Calibration.fit(rest["y"], rest["x"])(part["x"])
            losses.append(sk.log_loss(part["y"], p))
        assert loss == pytest.approx(np.mean(losses), abs=1e-6)
    assert CARDS["best"]["row"] == tried.idxmin()
    assert CARDS["gram"]["row"] == ship.GRAM and CARDS["gram"]["network"]["k"] == 4
    assert CARDS["gram"]["candidates"] == CARDS["best"]["candidates"]


@pytest.mark.parametrize("name", MODELS)
def test_the_cards_figures_follow_from_the_recorded_answers(answers, name):
    card = CARDS[name]
    again = ship.measured(answers, card["row"]) | ship.internal(card["row"])
    figures, said = (pd.json_normalize({key: part[key] for key in again}).iloc[0].to_dict()
                     for part in (again, card))  # fmt: skip
    assert figures == pytest.approx(said, abs=1e-5)
    own = ship.calibrated(answers[answers["variant"] == card["row"]])
    fear, sad = (own.loc[own["emotion"] == name, "p"] for name in ("fear", "sadness"))
    limit = np.sort(sad)[len(sad) - round(ship.RECALL * len(sad))]
    assert card["emotions"]["fear"][ship.FOUND] == pytest.approx((fear >= limit).mean(), abs=0.02)
    assert card["emotions"]["sadness"][ship.FOUND] == pytest.approx(ship.RECALL, abs=0.001)


def test_the_page_and_the_readme_say_what_the_cards_say(paintings, capfd):
    page, readme = ((ROOT / file).read_text() for file in (ship.PAGE, "README.md"))
    assert pages.filled(page, "ship", **ship.texts()) == page
    assert cli.main(["predict", str(paintings)]) == 0
    out, err = capfd.readouterr()
    example = re.search(r"\$ \.venv/bin/gramnb predict \S+\n(.*?)```", readme, re.DOTALL)[1]
    printed, shown = out.splitlines(), example.splitlines()
    assert printed[0].split() == shown[0].split() and len(printed) == len(shown) == 9
    for one, other in zip(printed[1:], shown[1:], strict=True):
        (file, p, conveys), (shown_file, q, shown_conveys) = one.split(), other.split()
        assert os.path.basename(file) == os.path.basename(shown_file)
        assert float(p) == pytest.approx(float(q), abs=0.01)
        assert conveys == shown_conveys or abs(float(p) - CARDS["best"]["threshold"]) < 0.01
    asked = {"command": f"predict {ship.PAINTINGS}", "printed": example}
    assert pages.filled(readme, "ship", **ship.texts(), **asked) == readme
    assert err.startswith("gramnb predict: shipped model best (")


def test_the_readmes_three_lines_of_python(paintings, tmp_path, monkeypatch, capfd):
    readme = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 3
    shutil.copytree(paintings, tmp_path / "album")
    shutil.copy(next(paintings.glob("*.jpg")), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(code, names := {})
    assert len(names["table"]) == 9 and names["table"]["p_sadness"].between(0, 1).all()
    assert "photo.jpg" in capfd.readouterr().out


OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import gramnb
from gramnb.cli import main
assert gramnb.__file__.startswith(sys.argv[1]), gramnb.__file__
sys.exit(main(["predict", sys.argv[2], "--format", "csv"]))
"""


def test_a_wheel_carries_them_and_answers_offline_anywhere(paintings, tmp_path):
    """Built from a copy of the sources, unpacked, asked in an empty folder without network."""
    source, site, here = tmp_path / "source", tmp_path / "site", tmp_path / "here"
    for folder in (source, here):
        folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "src", source / "src", ignore=ignored)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
             "--no-build-isolation", "--wheel-dir", tmp_path, source]  # fmt: skip
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for file in SHIPPED.glob("*.*"):
            assert archive.read(f"gramnb/shipped/{file.name}") == file.read_bytes()
        archive.extractall(site)
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(site), str(paintings)],
        env={**os.environ, "PYTHONPATH": str(site), "HOME": str(tmp_path)},
        cwd=here, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    expected = SadnessClassifier.load().predict([paintings], progress=False)
    assert [row[0] for row in rows] == expected["file"].tolist()
    np.testing.assert_allclose([float(row[1]) for row in rows], expected["p_sadness"], atol=1e-4)
    assert not [*here.iterdir()]
