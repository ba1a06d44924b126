"""The three files that say what is installed agree, and the repository keeps its own rules."""

import pkgutil
import re
import tomllib
from importlib.metadata import distributions

import nbformat
import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from studies import graph

from gramnb import paper

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = {path: nbformat.read(path, as_version=4).cells if path.suffix == ".ipynb" else []
         for path in [*NOTEBOOKS, *sorted((ROOT / "book").glob("*.[im]*"))]}  # fmt: skip


def prose(path):
    """Return a page's texts: a notebook's cells of words, or all of a file."""
    cells = [cell.source for cell in PAGES[path] if cell.cell_type == "markdown"]
    return cells or [path.read_text()]


PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", re.MULTILINE)


def pins(text):
    return {canonicalize_name(name): version for name, version in PINNED.findall(text)}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = pins((ROOT / "requirements.lock").read_text())
ASKED = {canonicalize_name(asked.name): asked.specifier for asked in map(
    Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])}  # fmt: skip


def test_environment_yml_is_the_projects_packages_at_the_locks_versions():
    text = (ROOT / "environment.yml").read_text()
    listed = pins(re.sub(r"^\s*- ", "", text, flags=re.MULTILINE))
    assert listed == {name: LOCK[name] for name in ASKED}
    assert "python" + PROJECT["requires-python"] in text and "--editable ." in text


def test_the_lock_satisfies_what_pyproject_asks():
    assert not [name for name, wanted in ASKED.items() if not wanted.contains(LOCK[name])]


def test_what_is_installed_is_what_is_locked():
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    differing = {n: (v, installed[n]) for n, v in LOCK.items() if installed.get(n, v) != v}
    assert not differing


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_has_one_parameters_cell_with_a_comment_each(self, path):
        (cell,) = [c for c in PAGES[path] if "parameters" in c.metadata.get("tags", [])]
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert all(re.match(r"\w+ = .+  # .+", line) for line in lines), cell.source

    def test_shows_eighty_lines_of_code_and_hides_twenty_in_short_cells(self, path):
        lines = {True: 0, False: 0}
        for cell in PAGES[path]:
            if cell.cell_type == "code":
                hidden = "remove-input" in cell.metadata.get("tags", [])
                written = [line.strip() for line in cell.source.splitlines() if line.strip()]
                lines[hidden] += len(written)
                assert sum(line[0] != "#" for line in written) <= 15, cell.source
        assert lines[False] <= 80 and lines[True] <= 20

    def test_was_executed_without_error_warning_or_path(self, path):
        for cell in PAGES[path]:
            if cell.cell_type != "code":
                continue
            assert cell.execution_count, f"not executed: {cell.source}"
            for output in cell.outputs:
                assert output.output_type != "error"
                assert output.get("name") != "stderr", output.text
                shown = output.get("text", "") or str(output.get("data", {}).get("text/plain", ""))
                assert not re.search(r"/(root|home|Users|work|tmp)/", shown), shown


# What is no prose; where a number stands; what has one in its name; and counts in words.
CODE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>]+>|^\|[^\n]*$"
    r"|^\d+\. |^:[^\n]*$",
    re.DOTALL | re.MULTILINE,
)
PLACE = re.compile(
    r"(?:sections?|tables?|figures?|equations?|chapters?|notebooks?|stages?|python|exit code is)"
    r"\s\(?\d[\d.]*\)?(?:(?:,| to| and|,? or)\s\(?\d[\d.]*\)?)*",
    re.IGNORECASE,
)
NAME = re.compile(
    r"9[05] %|\b1 x 1\b|\bk\*? = \d|\b(?:19|20)\d\d\b|\b[A-Z]\w*-\d\b|means of 3 taps|times 100\b"
    r"|from 0 to 1|0 or 1|80, 10 and 10 percent|a thousand objects"  # the split; ImageNet's classes
)
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
COUNT = re.compile(
    r"\b(?:a dozen|dozens|a hundred|hundreds|thousands|millions?)\b|"
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\s(?:\w+\s)?(?:runs|seeds|networks"
    r"|folds|images|pictures|paintings|photographs|epochs|points|collections|lines|studies)\b",
    re.IGNORECASE,
)
ELSEWHERE = {  # printed, but no constant of `gramnb.paper`
    32,  # Section 4.2, side of the tap's sub-maps
    61_000,  # Section 4.1, 61,074 rounded
    81.31, 82.52, 83.74,  # the first author's later work (10.15388/vu.thesis.923)
}  # fmt: skip


def numbers_in(value):
    """Yield the numbers in lists of lists, and each as a percentage."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from numbers_in(part)
    elif isinstance(value, int | float):
        yield from (value, round(100 * value, 2))


GROUPS = [tuple(vars(group).values()) for group in (paper.DATA, paper.SETTINGS, paper.CLAIMS)]
PRINTED = ELSEWHERE | {*numbers_in((*GROUPS, *paper.SCORES.itertuples(index=False)))}
PRINTED |= {paper.DATA.test.total, paper.DATA.train.total}


def typed(text, of_the_paper=False):
    """Return the numbers typed into prose; the paper's own may be, where the text speaks of it."""
    found = []
    for paragraph in re.split(r"\n\s*\n|\n(?=- )", CODE.sub(" ", text)):
        told = of_the_paper or re.search(r"paper|Section|Table|authors|WEBEmo", paragraph)
        rest = NAME.sub(" ", PLACE.sub(" ", paragraph))
        numbers = NUMBER.findall(rest)
        found += [x for x in numbers if not (told and float(x.replace(",", "")) in PRINTED)]
        if not (of_the_paper or re.match(r"\*(What the paper|The paper)", paragraph)):
            found += COUNT.findall(rest)
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_numbers_in_prose_are_glued(path):
    """Section, year, code and name apart, a number typed is the paper's own (`gramnb.paper`)."""
    assert not [x for text in prose(path) for x in typed(text, path.stem == "paper")]


def test_a_typed_number_is_found_and_places_names_and_the_papers_are_none():
    texts = [
        "Then 3,377 web photographs follow.", "a map of 7 x 7 positions", "It gains 4.3 % here.",
        "a dozen paintings of one hand", "each asked ten networks", "five more seeds",
        "The paper has 61,074 images and we 61,075.",
    ]  # fmt: skip
    assert not [text for text in texts if not typed(text)]
    assert not typed(
        "The paper lists 220,854 images (Section 4.1, Tables 3 to 6). In 2024, *k* = 4 and a 1 x 1 "
        "convolution of EfficientNetV2B2; `x = 3`, {glue:text}`n` of $2^3$, a 95 % interval."
    )


def test_every_part_of_a_rows_name_is_explained():
    page = (ROOT / "book" / "rows.md").read_text()
    explained = {x for names in re.findall(r"^\| (`.+?) \|", page, re.M) for x in names.split("`")}
    rows = {row for path in (ROOT / "results").glob("*/study.yaml")
            for row in yaml.safe_load(path.read_text()).get("rows") or {}}  # fmt: skip
    parts = {part for row in rows for part in re.split(", |: ", row)}
    assert len(parts) > 50 and not parts - explained


def test_the_books_contents_are_the_files_there_are():
    listed = set(re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text()))
    pages = [*NOTEBOOKS, *(ROOT / "book").glob("*.[im]*")]
    assert listed == {f"{path.parent.name}/{path.stem}" for path in pages}


def test_every_function_on_one_images_way_is_there():
    named = re.findall(r"`(gramnb\.[\w.]+)`", (ROOT / "book" / "one_image.md").read_text())
    assert len(named) > 15 and all(pkgutil.resolve_name(name) for name in named)
    drawn = (ROOT / "book" / "images" / "imports.svg").read_text()
    assert drawn == graph.svg(graph.imports())


def test_modules_import_only_what_stands_above_them():
    """The floors of the package, in the order of the design."""
    floors = [
        "settings", "parameters", "choices", "runs", "config", "paper", "layers", "backbones",
        "models", "variants", "architecture", "evaluation", "data", "replicas", "features",
        "shipped", "training", "predict", "explain", "interventions", "plots", "cli",
    ]  # fmt: skip
    found = graph.imports()
    assert set(found) <= set(floors), f"{set(found) - set(floors)} have no floor"
    for room, used in found.items():
        above = {name for name in used if floors.index(name) > floors.index(room)}
        assert not above, f"{room} imports {above}, which stand on floors above it"
