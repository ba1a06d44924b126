"""The three files that say what is installed agree, and the repository keeps its own rules."""

import re
import tomllib
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", re.MULTILINE)


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text):
    return {canonical(name): version for name, version in PINNED.findall(text)}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def lock():
    return pins((ROOT / "requirements.lock").read_text())


def named(requirements):
    return {canonical(re.split(r"[\s<>=!~\[;]", requirement)[0]) for requirement in requirements}


def test_environment_yml_is_the_projects_packages_at_the_locks_versions(project, lock):
    text = (ROOT / "environment.yml").read_text()
    listed = pins(re.sub(r"^\s*- ", "", text, flags=re.MULTILINE))
    wanted = named(project["dependencies"]) | named(project["optional-dependencies"]["dev"])
    assert set(listed) == wanted
    assert listed == {name: lock[name] for name in wanted}
    assert "python" + project["requires-python"] in text and "--editable ." in text


def test_the_lock_satisfies_what_pyproject_asks(project, lock):
    from packaging.requirements import Requirement

    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["dev"]]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(lock[canonical(requirement.name)]), text


def test_what_is_installed_is_what_is_locked(lock):
    from importlib.metadata import distributions

    installed = {canonical(d.metadata["Name"]): d.version for d in distributions()}
    differing = {n: (v, installed[n]) for n, v in lock.items() if installed.get(n, v) != v}
    assert not differing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def cells(self, path):
        return nbformat.read(path, as_version=4).cells

    def test_has_one_parameters_cell_with_a_comment_each(self, path):
        (cell,) = [c for c in self.cells(path) if "parameters" in c.metadata.get("tags", [])]
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert all(re.match(r"\w+ = .+  # .+", line) for line in lines), cell.source

    def test_code_cells_are_short(self, path):
        for cell in self.cells(path):
            code = [x for x in cell.source.splitlines() if x.strip() and x.strip()[0] != "#"]
            assert cell.cell_type != "code" or len(code) <= 15, cell.source

    def test_was_executed_without_error_warning_or_path(self, path):
        for cell in self.cells(path):
            if cell.cell_type != "code":
                continue
            assert cell.execution_count, f"not executed: {cell.source}"
            for output in cell.outputs:
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output.text
                shown = output.get("text", "") or str(output.get("data", {}).get("text/plain", ""))
                assert not re.search(r"/(root|home|Users|work|tmp)/", shown), shown

    def test_numbers_in_prose_are_glued(self, path):
        """A percentage typed into a chapter is the paper's, and then its section stands there."""
        for cell in self.cells(path):
            if cell.cell_type == "markdown":
                for line in cell.source.replace("\n", " ").split("  "):
                    typed = re.search(r"\d[\d.,]* ?%", line.replace("95 % interval", ""))
                    assert not typed or re.search(r"Section|Table|cite", line), line


def test_the_books_contents_are_the_files_there_are():
    toc = (ROOT / "_toc.yml").read_text()
    listed = set(re.findall(r"(?:file|root): (\S+)", toc))
    pages = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    assert listed == pages | {f"notebooks/{path.stem}" for path in NOTEBOOKS}


def test_modules_import_only_what_stands_above_them():
    """The floors of the package, in the order of the design; `_keras` is below all."""
    floors = [
        "_keras", "runs", "paper", "layers", "second_order", "lite0", "backbones", "models",
        "losses", "fidelity", "evaluation", "data", "config", "replicas", "checkpoints", "features",
        "training", "predict", "study", "explain", "interventions", "plots", "cli",
    ]  # fmt: skip
    order = {name: floor for floor, name in enumerate(floors)}
    package = ROOT / "src" / "gramnb"
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        text = file.read_text()
        used = set(re.findall(r"from gramnb\.(\w+)", text))
        for names in re.findall(r"from gramnb import ([\w, ]+)", text):
            used |= {name.strip().split(" as ")[0] for name in names.split(",")} - {"__version__"}
        assert room in order, f"{file.name} has no floor"
        above = {name for name in used if order[name] > order[room]}
        assert not above, f"{file.name} imports {above}, which stand on floors above it"


def test_no_room_outgrows_its_size():
    long = {}
    for file in (ROOT / "src").rglob("*.py"):
        lines = len(file.read_text().splitlines())
        if lines > 300:
            long[file.name] = lines
    assert not long
