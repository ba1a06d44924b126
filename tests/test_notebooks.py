"""A batch rerun as a reader would do it: papermill with a new k, from another directory."""

import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from conftest import ROOT

from gramnb.parameters import load_ipython_extension
from gramnb.runs import list_runs


def papermill(notebook, folder, **given):
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb"),
               "--no-progress-bar", "-k", "python3"]  # fmt: skip
    for name, value in given.items():
        command += ["-p", name, str(value)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def test_papermill_trains_a_new_k(demo_manifest, tmp_path):
    """By the cells that train; nbval executes those that show how it is done as well."""
    chapter = nbformat.read(ROOT / "notebooks" / "03_training.ipynb", as_version=4)
    shown = re.compile("mirrored|batches|rand_augment")
    chapter.cells = [cell for cell in chapter.cells if not shown.search(cell.source)]
    nbformat.write(chapter, tmp_path / "03_training.ipynb")
    given = {"k": 5, "seed": 3, "image_size": 48, "epochs": 1, "manifest": str(demo_manifest),
             "runs": str(tmp_path / "runs")}  # fmt: skip
    done = papermill(tmp_path / "03_training.ipynb", tmp_path, **given)
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = list_runs(tmp_path / "runs")
    assert (run.config["k"], run.config["seed"], len(run.history)) == (5, 3, 1)
    assert run.path.name in (tmp_path / "out.ipynb").read_text()


def test_a_parameter_that_no_chapter_has_is_refused(tmp_path):
    for chapter in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert '"%load_ext gramnb.parameters\\n"' in chapter.read_text(encoding="utf-8"), chapter
    done = papermill(ROOT / "notebooks" / "05_transfer.ipynb", tmp_path, k=3, kk=5)
    reason = "ValueError: this notebook has no parameter named kk; it has: results, transfer"
    assert done.returncode and done.stderr.strip().splitlines()[-1].startswith(reason)
    cells = ["", "k = 4  # modules", "# Parameters\nkk = 5\nn = 1\n", "more = 1"]
    with pytest.raises(ValueError, match="named kk, n; it has: k"):
        load_ipython_extension(SimpleNamespace(user_ns={"In": cells}))
