"""A batch rerun as a reader would do it: papermill with a new k, from another directory."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat

from gramnb.runs import list_runs

ROOT = Path(__file__).parents[1]


def test_papermill_trains_a_new_k(demo_manifest, tmp_path, own_caches):
    given = {"k": 5, "seed": 3, "image_size": 48, "epochs": 2, "manifest": str(demo_manifest),
             "runs": str(tmp_path / "runs")}  # fmt: skip
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / "03_training.ipynb"),
               str(tmp_path / "out.ipynb"), "--no-progress-bar", "-k", "python3"]  # fmt: skip
    for name, value in given.items():
        command += ["-p", name, str(value)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = list_runs(tmp_path / "runs")
    assert (run.config["k"], run.config["seed"], len(run.history)) == (5, 3, 2)
    executed = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert run.path.name in json.dumps(executed.cells)


def test_every_notebook_prints_its_parameters_with_their_comments():
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        command = [sys.executable, "-m", "papermill", "--help-notebook", str(notebook)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        (cell,) = [c for c in nbformat.read(notebook, as_version=4).cells
                   if "parameters" in c.metadata.get("tags", [])]  # fmt: skip
        for line in cell.source.splitlines():
            name, comment = line.split(" = ")[0], line.split("  # ")[1]
            assert name in printed and comment.split()[0] in printed, line
