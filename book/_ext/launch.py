"""Give each notebook a first cell that fetches the project where it is missing, as on Colab.

    python book/_ext/launch.py https://host/owner/name

The publishing workflow calls it on the branch `launch`, from which the book's buttons open the
notebooks; those of `main` have no such cell. Binder installs from environment.yml and skips it.
"""

import sys
from pathlib import Path

import nbformat

CELL = """\
import os

if "COLAB_RELEASE_TAG" in os.environ:  # Colab has neither the package nor the records
    !git clone --quiet --depth 1 --branch launch {url} /content/project
    %pip install --quiet /content/project
    %cd /content/project
"""


def add_first_cell(path: Path, url: str) -> None:
    """Put the cell before the others."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(CELL.format(url=url).strip()))
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in sorted([*Path("notebooks").glob("*.ipynb"), *Path("book").glob("*.ipynb")]):
        add_first_cell(path, sys.argv[1])
