"""The model that ships: its card is true, its answers are calibrated, and a wheel carries it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from studies import pages, ship

from gramnb import cli, evaluation, predict, runs
from gramnb._keras import keras
from gramnb.config import TrainConfig
from gramnb.data import demo
from gramnb.data.images import read_image
from gramnb.evaluation import Calibration, log_odds
from gramnb.predict import SHIPPED, SadnessClassifier

ROOT = Path(__file__).parents[1]
CARD = predict.card()
IMAGES = pd.read_csv(ROOT / "results/states_curation/images.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def classifier():
    return SadnessClassifier.load()


@pytest.fixture(scope="module")
def answers():
    return runs.predictions(ROOT / "results/shipped")


@pytest.fixture(scope="module")
def paintings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "paintings"
    return demo.draw_dataset(folder, "demo-artworks", progress=False)


@pytest.fixture
def loaded(classifier, monkeypatch):
    """Loading takes seconds, and other tests do it."""
    monkeypatch.setattr(SadnessClassifier, "load", lambda run=None: classifier)


def own(answers, split):
    seed = CARD["network"]["seed"]
    found = answers[(answers["variant"] == CARD["row"]) & (answers["seed"] == seed)]
    return found[found["split"] == split]


def test_what_is_reported_is_the_cards_calibration_of_what_the_network_says(classifier, paintings):
    table = classifier.predict([paintings], progress=False)
    images = np.stack([read_image(file, 224) for file in table["file"]])
    others, sadness = classifier.network.predict_on_batch(images).T.astype(float)
    slope, intercept, low, high = (
        CARD["calibration"][name] for name in ("slope", "intercept", "low", "high")
    )
    x = np.clip(np.log(sadness / others), low, high)
    expected = 1 / (1 + np.exp(-(slope * x + intercept)))
    np.testing.assert_allclose(table["p_sadness"], expected, atol=1e-4)
    assert np.abs(table["p_sadness"] - sadness).max() > 0.01  # calibration does something
    assert (table["p_sadness"].rank() == pd.Series(sadness).rank()).all()
    assert (table["conveys"] == np.where(expected > CARD["threshold"], "sadness", "others")).all()
    assert classifier.threshold == CARD["threshold"]


def test_no_answer_is_surer_than_any_on_validation(classifier):
    """What a network says has no upper bound; these contrasts lie beyond any picture's."""
    wild = np.stack([*ship.meaningless(224).values()]).astype(float)
    wild = np.concatenate([(wild - 128) * contrast + 128 for contrast in (1, 4, 16)])
    others, sadness = classifier.network.predict_on_batch(wild).T
    x = log_odds(sadness, others)
    least, most = classifier.calibration([-np.inf, np.inf])
    p = classifier.calibration(x)
    assert np.isfinite(x).all() and p.min() >= least > 0.001 and p.max() <= most < 0.999


def test_the_choice_is_the_best_on_validation(answers):
    tried = CARD["candidates"]
    assert len(tried) == answers[["variant", "seed"]].drop_duplicates().shape[0]
    for candidate in tried:
        again = ship.judged(answers, candidate["row"], candidate["seed"])
        assert again == pytest.approx({name: candidate[name] for name in again}, abs=1e-5)
    best = tried[ship.chosen(tried)]
    assert (best["row"], best["seed"]) == (CARD["row"], CARD["network"]["seed"])
    small = [candidate for candidate in tried if candidate["bytes"] < ship.LARGEST]
    losses = {}
    for candidate in small:
        losses.setdefault(candidate["row"], []).append(candidate["log_loss"])
    assert best["row"] == min(losses, key=lambda row: np.mean(losses[row]))
    assert best["log_loss"] == min(losses[best["row"]])


def test_the_card_says_what_the_first_rule_chose(answers):
    """The best seed of all on validation images, and its accuracy with groups drawn as one."""
    first = CARD["first_rule"]
    assert first == pytest.approx(ship.first_rule(answers, CARD["candidates"]), abs=1e-6)
    best = min(CARD["candidates"], key=lambda candidate: candidate["log_loss"])
    assert (first["row"], first["seed"]) == (best["row"], best["seed"])
    assert first["accuracy"] < CARD["test"]["after"]["accuracy"]
    part = own(answers, "test")
    alone = evaluation.estimate(part.assign(group=-1))
    said = CARD["test"]["before"]
    assert said["high"] - said["low"] > alone["high"] - alone["low"]


def test_the_calibration_is_fitted_on_validation_images(answers):
    found, _ = ship.calibrated(answers, CARD["row"], CARD["network"]["seed"])
    assert vars(found) == pytest.approx(CARD["calibration"], abs=1e-4)
    part = own(answers, "val")
    p = found(log_odds(part["p_sadness"], least=5e-6))
    assert p.mean() == pytest.approx(part["y"].mean(), abs=0.005)  # Platt's targets add two images
    limit, checked = ship.threshold(*ship.parts(answers, CARD["row"], part["seed"].iloc[0], "val"),
                                    found)  # fmt: skip
    assert limit == CARD["threshold"]
    assert checked == pytest.approx(CARD["threshold_on_validation"], abs=1e-3)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_metrics_are_those_of_the_recorded_answers(answers, when):
    """By scikit-learn, and by hand."""
    part = own(answers, "test")
    y, p = part["y"].to_numpy(), part["p_sadness"].to_numpy(float)
    limit = 0.5
    if when == "after":
        p, limit = Calibration(**CARD["calibration"])(np.log(p / (1 - p))), CARD["threshold"]
    called = p > limit
    bins = np.minimum((p * 15).astype(int), 14)
    gaps = [abs((y - p)[bins == b].sum()) for b in range(15)]
    expected = {
        "n": len(y),
        "accuracy": sk.accuracy_score(y, called),
        "precision_sadness": sk.precision_score(y, called),
        "recall_sadness": sk.recall_score(y, called),
        "auc": sk.roc_auc_score(y, p),
        "brier": sk.brier_score_loss(y, p),
        "ece": sum(gaps) / len(y),
        "log_loss": sk.log_loss(y, p),
    }
    said = CARD["test"][when]
    assert {name: said[name] for name in expected} == pytest.approx(expected, abs=2e-6)
    assert 0 < said["ece_by_chance"] < 0.15


def test_the_groups_are_those_of_the_recorded_answers(answers):
    part = own(answers, "test").set_index("image_id")
    known = IMAGES[IMAGES["dropped"] == ""].set_index("image_id").loc[part.index]
    x = log_odds(part["p_sadness"], least=5e-6)
    called = Calibration(**CARD["calibration"])(x) > CARD["threshold"]
    for name, said in CARD["groups"].items():
        if name in ("with a face found", "no face found"):
            of = (known["face_fraction"].astype(float) > 0) == (name == "with a face found")
        else:
            of = known["label"] == name
        of = of.to_numpy()
        assert said == {
            "n": of.sum(),
            "sadness": called[of].sum(),
            "right": (called == part["y"])[of].sum(),
        }
    labels = known["label"].unique()
    assert {*labels, "with a face found", "no face found"} == set(CARD["groups"])


def test_the_images_are_counted(answers):
    kept = IMAGES[IMAGES["dropped"] == ""]
    assert kept["split"].value_counts().to_dict() == CARD["data"]["images"]
    assert kept.groupby("split")["sadness"].sum().to_dict() == CARD["data"]["sadness"]
    for split in ("val", "test"):
        part = own(answers, split)
        assert set(part["image_id"]) == set(kept.loc[kept["split"] == split, "image_id"])
    assert CARD["data"]["manifest"] == CARD["network"]["data"]


def test_the_head_is_the_cards_and_small():
    file = SHIPPED / "head.keras"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == CARD["head_sha256"]
    assert file.stat().st_size < ship.LARGEST == 3_000_000
    with zipfile.ZipFile(file) as archive:
        assert not re.search("adam|optimizer", json.dumps(archive.namelist()))
    head = keras.models.load_model(file)
    assert getattr(head, "optimizer", None) is None
    assert TrainConfig.model_validate(CARD["network"], extra="ignore").k == CARD["network"]["k"]


def test_what_it_says_of_pictures_unlike_its_own(classifier, paintings):
    again = ship.unlike(classifier, paintings)
    assert set(again) == set(CARD["unlike"])
    for name, said in CARD["unlike"].items():
        assert again[name]["p_sadness"] == pytest.approx(said["p_sadness"], abs=0.01), name


def test_the_page_says_what_the_card_says():
    page = (ROOT / ship.PAGE).read_text()
    assert pages.filled(page, ship.tables(CARD)) == page
    rates = {name: of["sadness"] / of["n"] for name, of in CARD["groups"].items()}
    others = [rates[name] for name in ("angry", "confused", "happy", "relaxed")]
    assert rates["angry"] == max(others) and rates["happy"] == min(others)
    assert f"{CARD['test']['after']['accuracy'] * 100:.1f} %" in page


def test_the_readmes_example_is_what_the_command_prints(paintings, capfd):
    assert cli.main(["predict", str(paintings)]) == 0
    out, err = capfd.readouterr()
    readme = (ROOT / "README.md").read_text()
    example = re.search(r"\$ \.venv/bin/gramnb predict \S+\n(.*?)```", readme, re.DOTALL)[1]
    printed, shown = out.splitlines(), example.splitlines()
    assert printed[0].split() == shown[0].split() and len(printed) == len(shown) == 9
    for one, other in zip(printed[1:], shown[1:], strict=True):
        (file, p, conveys), (seen, q, said) = one.split(), other.split()
        assert os.path.basename(file) == os.path.basename(seen)
        assert float(p) == pytest.approx(float(q), abs=0.01)
        assert conveys == said or abs(float(p) - CARD["threshold"]) < 0.01
    for scores in (CARD["test"]["after"], CARD["first_rule"]):
        right, low, high = (100 * scores[name] for name in ("accuracy", "low", "high"))
        assert f"{right:.1f} % ({low:.1f} to {high:.1f})" in readme
    first = err.splitlines()[0]
    assert first.startswith("gramnb predict: shipped model (") and "above 0.5" in first


def test_the_readmes_three_lines_of_python(paintings, loaded, tmp_path, monkeypatch, capfd):
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (code,) = [block for block in blocks if "SadnessClassifier" in block]
    assert len([line for line in code.splitlines() if line]) == 3
    shutil.copytree(paintings, tmp_path / "album")
    shutil.copy(next(paintings.glob("*.jpg")), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    said = {}
    exec(code, said)
    assert len(said["table"]) == 9 and said["table"]["p_sadness"].between(0, 1).all()
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


def test_a_wheel_carries_it_and_answers_offline_anywhere(classifier, paintings, tmp_path):
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
        for file in SHIPPED.iterdir():
            assert archive.read(f"gramnb/shipped/{file.name}") == file.read_bytes()
        archive.extractall(site)
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(site), str(paintings)],
        env={**os.environ, "PYTHONPATH": str(site), "HOME": str(tmp_path)},
        cwd=here, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    expected = classifier.predict([paintings], progress=False)
    assert [row[0] for row in rows] == expected["file"].tolist()
    np.testing.assert_allclose([float(row[1]) for row in rows], expected["p_sadness"], atol=1e-4)
    assert not [*here.iterdir()]
