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

from gramnb import cli, predict, runs
from gramnb._keras import keras
from gramnb.config import TrainConfig
from gramnb.data import demo
from gramnb.data.images import read_image
from gramnb.evaluation import Calibration, log_odds
from gramnb.predict import SHIPPED, SadnessClassifier

ROOT = Path(__file__).parents[1]
CARD = predict.card()


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


@pytest.fixture(scope="module")
def candidate(answers):
    return ship.Candidate(answers, CARD["row"], CARD["network"]["seed"])


def curated():
    images = pd.read_csv(ROOT / ship.IMAGES)
    return images[images["dropped"].isna()].set_index("image_id")


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
    tried = pd.DataFrame(CARD["candidates"])
    assert len(tried) == len(answers[["variant", "seed"]].drop_duplicates())
    for one in CARD["candidates"]:
        again = ship.Candidate(answers, one["row"], one["seed"]).scores()
        assert again == pytest.approx({name: one[name] for name in again}, abs=1e-5)
    small = tried[tried["bytes"] < ship.LARGEST]
    losses = small.pivot(index="row", columns="seed", values="log_loss")
    assert (CARD["row"], CARD["network"]["seed"]) == (
        losses.mean(axis=1).idxmin(), losses.loc[CARD["row"]].idxmin()
    )  # fmt: skip
    best = ship.chosen(CARD["candidates"])
    assert (best["row"], best["seed"]) == (CARD["row"], CARD["network"]["seed"])


def test_the_calibration_is_fitted_on_validation_images(candidate):
    assert vars(candidate.calibration) == pytest.approx(CARD["calibration"], abs=1e-4)
    p = candidate.calibration(candidate.val["x"])  # Platt's targets add two images
    assert p.mean() == pytest.approx(candidate.val["y"].mean(), abs=0.005)
    limit, checked = candidate.threshold()
    assert limit == CARD["threshold"]
    assert checked == pytest.approx(CARD["threshold_on_validation"], abs=1e-3)


def test_the_metrics_are_those_of_the_recorded_answers(candidate):
    """Calibrated, by scikit-learn, and by hand."""
    y, p = candidate.test["y"].to_numpy(), candidate.test["p_sadness"].to_numpy(float)
    p = Calibration(**CARD["calibration"])(np.log(p / (1 - p)))
    called, bins = p > CARD["threshold"], np.minimum((p * 15).astype(int), 14)
    expected = {
        "n": len(y),
        "accuracy": sk.accuracy_score(y, called),
        "recall_sadness": sk.recall_score(y, called),
        "auc": sk.roc_auc_score(y, p),
        "brier": sk.brier_score_loss(y, p),
        "ece": sum(abs((y - p)[bins == b].sum()) for b in range(15)) / len(y),
        "log_loss": sk.log_loss(y, p),
    }
    scores = CARD["test"]["after"]
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=2e-6)


def test_the_groups_are_those_of_the_recorded_answers(candidate):
    assert candidate.groups(CARD["threshold"]) == CARD["groups"]


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
    for name, of in CARD["unlike"].items():
        assert again[name]["p_sadness"] == pytest.approx(of["p_sadness"], abs=0.01), name


def test_the_page_says_what_the_card_says():
    page, texts = (ROOT / ship.PAGE).read_text(), ship.texts(CARD)
    assert pages.filled(page, {name: texts[name] for name in ship.TABLES}) == page
    rates = {name: of["sadness"] / of["n"] for name, of in CARD["groups"].items()}
    others = [rates[name] for name in ("angry", "confused", "happy", "relaxed")]
    assert rates["angry"] == max(others) and rates["happy"] == min(others)


def test_the_readmes_example_is_what_the_command_prints(paintings, capfd):
    assert cli.main(["predict", str(paintings)]) == 0
    out, err = capfd.readouterr()
    readme = (ROOT / "README.md").read_text()
    example = re.search(r"\$ \.venv/bin/gramnb predict \S+\n(.*?)```", readme, re.DOTALL)[1]
    printed, shown = out.splitlines(), example.splitlines()
    assert printed[0].split() == shown[0].split() and len(printed) == len(shown) == 9
    for one, other in zip(printed[1:], shown[1:], strict=True):
        (file, p, conveys), (shown_file, q, shown_conveys) = one.split(), other.split()
        assert os.path.basename(file) == os.path.basename(shown_file)
        assert float(p) == pytest.approx(float(q), abs=0.01)
        assert conveys == shown_conveys or abs(float(p) - CARD["threshold"]) < 0.01
    texts = ship.texts(CARD, command=f"predict {ship.PAINTINGS}", printed=example)
    assert pages.filled(readme, {"answers": texts["answers"]}) == readme
    assert re.match(r"gramnb predict: shipped model \(.* above 0.5", err.splitlines()[0])


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
