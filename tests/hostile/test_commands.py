"""Whatever a model's folder, a study's file or a caller does: an answer, or one line that says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from studies.experiment import Experiment

from gramnb import cli
from gramnb._keras import keras
from gramnb.data import manifest as manifests
from gramnb.predict import SadnessClassifier


@pytest.fixture(scope="module")
def photo(demo_manifest):
    return manifests.kept(manifests.read(demo_manifest))["path"].iloc[0]


# The folder of a model: file, what it holds, what is said of it


def changed(**settings):
    return lambda file: file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def pipe(file):
    """Put a pipe, into which nobody writes, in a file's place."""
    file.unlink()
    os.mkfifo(file)


def nan(file):
    model = keras.models.load_model(file, compile=False)
    model.set_weights([np.full(weight.shape, np.nan) for weight in model.get_weights()])
    model.save(file)


MODELS = {
    "no text": ("config.json", b"\xff\xfe\0", "damaged"),
    "nested": ("config.json", b"[" * 100_000, "damaged"),
    "no tap": ("config.json", changed(taps=["\x1b[2J"]), "is no feature map"),
    "other taps": ("config.json", changed(taps=["block2b_project_conv"]), "not the network"),
    "no config": ("config.json", Path.unlink, "not there"),
    "empty": ("model.keras", b"", "Keras (damaged)"),
    "no numbers": ("model.keras", nan, "weights that are no numbers"),
    "a model's pipe": ("model.keras", pipe, "no such file"),
    "answers cut": ("predictions.parquet", b"x", "predictions damaged"),
    "not finished": ("metrics.json", Path.unlink, "no finished run there"),
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS)
def test_a_damaged_model_is_one_line(case, run, photo, tmp_path, capfd):
    name, content, message = MODELS[case]
    copy = Path(shutil.copytree(run.path, tmp_path / "a run"))
    file = copy / name
    file.write_bytes(content) if isinstance(content, bytes) else content(file)
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*"))
    assert cli.main(["predict", photo, "--model", str(copy)]) == 2
    out, err = capfd.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("gramnb predict: ") and message in line and "a run" in line and not out
    assert line.isprintable() and len(line) < 600
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*")) == before


# What a caller does


@pytest.fixture
def idle(monkeypatch):
    """A classifier without a network: no file here gets as far as that."""
    monkeypatch.setattr(SadnessClassifier, "load", lambda *_: SadnessClassifier(None, 48))


def test_many_problems_are_counted_and_the_first_ten_named(idle, tmp_path, capfd):
    for n in range(13):
        (tmp_path / f"{n:02}\x1b[2J.jpg").touch()
    (tmp_path / "notes\x1b[2J").touch()
    assert cli.main(["predict", str(tmp_path)]) == 1
    out, err = capfd.readouterr()
    assert out.count("empty file") == 13 and err.count("empty file") == 10
    assert f"left out, no pictures: 1 ({tmp_path}/notes\\x1b[2J)" in err.splitlines()
    assert err.splitlines()[-1] == "13 of 13 files have a problem; the table names all"
    assert (out + err).replace("\n", "").replace("\r", "").isprintable()


def test_what_the_system_refuses_is_said_without_numbers(idle, tmp_path, capfd):
    for path in ("x" * 300, "a.jpg/b.jpg", "\x1b[2J"):
        assert cli.main(["predict", str(tmp_path / path)]) == 2
        last = capfd.readouterr().err.splitlines()[-1]
        assert last.startswith(f"gramnb predict: {tmp_path}") and last.isprintable()
        assert "Errno" not in last


def test_interrupted_says_whether_to_call_again(photo, tmp_path, capfd, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gramnb.data.fetch.fetch", stop)
    assert cli.main(["fetch", photo, "--out", str(tmp_path)]) == 130
    assert capfd.readouterr().err == "gramnb fetch: interrupted; call again to go on\n"


def test_short_of_memory_is_one_line(photo, capfd, monkeypatch):
    monkeypatch.setattr(SadnessClassifier, "load", lambda *_: np.empty(1 << 60, np.uint8))
    assert cli.main(["predict", photo]) == 2
    assert capfd.readouterr().err == "gramnb predict: not enough memory\n"


def test_a_closed_pipe_ends_quietly(tmp_path):
    (tmp_path / "list.txt").write_text("http://h/a.jpg 3\n")
    reading, writing = os.pipe()
    os.close(reading)
    script = "import sys; from gramnb.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "audit-list", tmp_path / "list.txt"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 141 and done.stderr == b""


# A study's file

GOOD = {"data": "d", "baseline": "k = 0", "runs": "r", "seeds": [0], "k": [0], "base": {}}


def study(**changes):
    return yaml.safe_dump(GOOD | changes).encode()


STUDIES = [
    (b"", "lacks data, baseline, runs, seeds"),
    (b"\xff\xfe\0", "unacceptable character"),
    (b"a: !!python/object:os.system x", "could not determine a constructor"),
    (study() + b"seeds: [1]\n", "seeds twice"),
    (study(rows={"a": {}}).replace(b"a: {}", b"a: {k: 1}\n  a: {k: 2}"), "a twice"),
    (study(splits="test"), "splits must be"),
    (study(rows={"a": {"seeds": 3}}), "row 'a': seeds and folds must be lists"),
    (study(rows={"k = 0": {"k": 2}}), "row 'k = 0' is made by `k` too"),
    (study(k=[]), "the baseline 'k = 0' is no row"),
    (study(chapters={}), "Experiment has no setting chapters"),
]


@pytest.mark.parametrize(("content", "message"), STUDIES)
def test_a_study_that_cannot_be_is_one_line(content, message, tmp_path, monkeypatch):
    file = tmp_path / "results" / "x" / "study.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^results/x/study.yaml: .*{message}") as error:
        Experiment.study("x")
    assert "\n" not in str(error.value) and re.fullmatch("[^\x00-\x1f]{,400}", str(error.value))
