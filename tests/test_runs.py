import json
import os

import pandas as pd
import pytest

from gramnb import runs

CONFIG = {"backbone": "EfficientNetLite0", "k": 4, "seed": 1, "variant": "k = 4", "taps": ["a"]}


def begun(folder, **changes):
    run = runs.Run.of(folder, CONFIG | changes)
    runs.write_json(run.path / "config.json", CONFIG | changes)
    return run


def finished(folder, **changes):
    run = begun(folder, **changes)
    known = {"split": "test", "fold": -1, "group": [3, 4], "y": [0, 1], "p_sadness": [0.2, 0.7]}
    run.write_predictions(pd.DataFrame({"image_id": ["a", "b"], **known}))
    pd.DataFrame({"epoch": [1], "loss": [0.5]}).to_csv(run.path / "history.csv", index=False)
    sizes = {"train": 16, "val": 2, "test": 2}
    runs.write_json(run.path / "metrics.json", {"test": {"accuracy": 1.0}, "sizes": sizes})
    return run


def test_relative_paths_mean_the_checkout_around_or_the_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert runs.resolve("photo.jpg") == tmp_path / "photo.jpg"
    (tmp_path / "src" / "gramnb").mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert runs.resolve("runs/demo") == tmp_path / "runs" / "demo"
    assert runs.resolve("/elsewhere") == runs.Path("/elsewhere")


def test_atomic_leaves_nothing_behind_on_failure(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    for name in ("table.csv", "folder"):
        with pytest.raises(RuntimeError), runs.atomic(tmp_path / name) as temporary:
            temporary.write_text("half a ta") if "." in name else temporary.mkdir()
            raise RuntimeError
    assert (tmp_path / "table.csv").read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_finished_runs_are_listed_and_say_how_many_images_were_trained_on(tmp_path):
    begun(tmp_path, seed=2)
    assert runs.list_runs(tmp_path) == []
    with pytest.raises(FileNotFoundError, match=r"no finished run there \(1 unfinished\)"):
        runs.predictions(tmp_path)
    whole = finished(tmp_path)
    assert runs.list_runs(tmp_path) == runs.list_runs(tmp_path, seed=1, k=4) == [whole]
    assert runs.list_runs(tmp_path, k=5) == []
    answers = runs.predictions(tmp_path)
    assert list(answers) == runs.COLUMNS and list(answers["n_train"]) == [16, 16]


def test_runs_of_one_name_that_differ_are_told_apart(tmp_path):
    """Two runs of a variant and seed on other settings must not be averaged, or counted twice."""
    finished(tmp_path, epochs=25, head={"dropout": 0.5})
    finished(tmp_path, epochs=30, head={"dropout": 0.5})
    finished(tmp_path, epochs=30, head={"dropout": 0.2})
    finished(tmp_path, variant="k = 0", k=0, epochs=30, head={"dropout": 0.5})
    settings = ["25, dropout 0.5", "30, dropout 0.2", "30, dropout 0.5"]
    names = ["k = 0", *(f"k = 4, epochs {setting}" for setting in settings)]
    assert sorted(runs.predictions(tmp_path)["variant"].unique()) == names
    assert sorted(runs.histories(tmp_path)["variant"].unique()) == names


def test_environment_names_versions_and_no_path():
    found = runs.environment()
    assert found["packages"]["keras"].startswith("3.")
    assert str(runs.project_root()) not in json.dumps(found)
