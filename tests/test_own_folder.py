"""A user's own folder: odd names, nothing to show in a figure, and failures that say why, last."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import ROOT, checkout
from PIL import Image

from gramnb import plots
from gramnb.data import images, sources

NAME = "Ann's \"photos\" of $x$, Вильнюс; touch y; '$(shell touch y)`touch y`"
SAD, OTHERS = "грусть $a$", 'смех "и" радость'


def draw(folder, **classes):
    """Draw class folders of so many pictures without text, and return the folder."""
    rng = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            blocks = rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((80, 64)).save(folder / name / f"{n}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own") / NAME
    draw(folder, **{SAD: 20, OTHERS: 20})
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The files `make reproduce` needs, in a folder of their own, as if installed and run once."""
    tree = tmp_path_factory.mktemp("tree")
    checkout(tree, "Makefile", "pyproject.toml", "requirements.lock", "src")
    shutil.copytree(ROOT / "profiles", tree / "profiles")
    (tree / "profiles" / "misspelt.yaml").write_text("01_data_curation: {sedness: sad}\n")
    (tree / ".venv").mkdir()
    (tree / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tree / ".venv" / "installed").touch()
    (tree / "runs" / "demo").mkdir(parents=True)
    (tree / "runs" / "demo" / "images.txt").write_text("the profile's own images")
    return tree


def make(tree, target="reproduce", **given):
    command = ["make", target, *(f"{name}={value}" for name, value in given.items())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MAKEFLAGS": ""}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"DATA": "{photos}", "SADNESS": "$(touch y)`touch y`"},
         f"{NAME}: no class is named $(touch y)`touch y`; the classes are: {SAD}, {OTHERS}"),
        ({"PROFILE": "misspelt"}, "01_data_curation has no parameter named sedness; it has:"),
        ({"PROFILE": "demo", "DATA": "{photos}"},
         "runs/demo holds a run of the profile's own images; give the same again, or move"),
        ({"PROFILE": "no'; touch y"}, "profiles/no'; touch y.yaml: no such profile; there are:"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_the_last_line(tree, photos, given, said):
    """Before any notebook starts; and no shell, nor make, has run what a name contains."""
    given = {name: value.replace("{photos}", str(photos)) for name, value in given.items()}
    done = make(tree, **{"PROFILE": "folder", **given})
    assert done.returncode != 0
    assert said in (done.stdout + done.stderr).splitlines()[-1]
    assert not (tree / "y").exists() and not (tree / "runs" / "folder").exists()


def test_a_notebook_that_fails_is_kept_and_named(tree, tmp_path):
    few = draw(tmp_path / "few", sad=3, happy=3)
    assert make(tree, "run-curation", PROFILE="folder", DATA=few, SADNESS="sad").returncode == 0
    why = (tree / "runs" / "failed.txt").read_text()
    kept = "runs/folder/notebooks/01_data_curation.failed.ipynb"
    assert "would hold no" in why and kept in why and why.count("\n") == 1
    assert "would hold no" in str(nbformat.read(tree / kept, as_version=4).cells)


def test_figures_cope_with_a_folder_without_text_and_with_odd_names(photos, tmp_path):
    table = sources.read("folder", photos, [SAD])
    assert list(table["sadness"]) == [1] * 20 + [0] * 20
    shown = table.groupby("sadness").tail(2)
    pictures = [images.read_image(path) for path in shown["path"]]
    grid = plots.image_grid(pictures, list(shown["label"]), list(shown["sadness"]))
    for figure in (grid, plots.image_grid([], [], []), plots.text_threshold(np.zeros(40), 0.02)):
        figure.savefig(tmp_path / "figure.png")
