"""What papermill is given and no chapter has; that the rest is used, a profile's run tests."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from gramnb.parameters import load_ipython_extension


def test_a_parameter_that_no_chapter_has_is_refused(tmp_path):
    for chapter in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert '"%load_ext gramnb.parameters\\n"' in chapter.read_text(encoding="utf-8"), chapter
    command = [sys.executable, "-m", "papermill", ROOT / "notebooks" / "05_transfer.ipynb",
               tmp_path / "out.ipynb", *"-k python3 -p k 3 -p kk 5".split()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    reason = "ValueError: this notebook has no parameter named kk; it has: results, transfer"
    assert done.returncode and done.stderr.strip().splitlines()[-1].startswith(reason)
    cells = ["", "k = 4  # modules", "# Parameters\nkk = 5\nn = 1\n", "more = 1"]
    with pytest.raises(ValueError, match="named kk, n; it has: k"):
        load_ipython_extension(SimpleNamespace(user_ns={"In": cells}))
