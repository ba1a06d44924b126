"""A batch rerun as a reader would do it: papermill with a new k, from another directory."""

import subprocess
import sys
from pathlib import Path

from gramnb.runs import list_runs

ROOT = Path(__file__).parents[1]


def test_papermill_trains_a_new_k(demo_manifest, tmp_path):
    given = {"k": 5, "seed": 3, "image_size": 32, "epochs": 1, "manifest": str(demo_manifest),
             "runs": str(tmp_path / "runs")}  # fmt: skip
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / "03_training.ipynb"),
               str(tmp_path / "out.ipynb"), "--no-progress-bar", "-k", "python3"]  # fmt: skip
    for name, value in given.items():
        command += ["-p", name, str(value)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = list_runs(tmp_path / "runs")
    assert (run.config["k"], run.config["seed"], len(run.history)) == (5, 3, 1)
    assert run.path.name in (tmp_path / "out.ipynb").read_text()
