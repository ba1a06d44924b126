"""The one orchestrator: a profile's notebooks by papermill, then a book of what they found.

`make` calls it; `snakemake --configfile profiles/demo.yaml -c 2 -n` shows what it would do. A
notebook is executed into `runs/<profile>/`, never in place, so nothing of anyone's images enters
the checkout. Variants run side by side, what is done is skipped, an interrupted run continues.
"""

import shutil
import sys
from pathlib import Path

import nbformat
import papermill

PROFILE = config.get("profile", "demo")
OUT = Path("runs") / PROFILE
CHAPTERS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))
CURATION, GRAM, TRAINING, EVALUATION, TRANSFER, ARTWORKS = CHAPTERS
BOOK_FILES = ["_config.yml", "_toc.yml", *map(str, sorted(Path("book").glob("**/*.*")))]


def listed(value):
    """Return a profile's list, also when it came from the command line as "0,4"."""
    return value if isinstance(value, list) else [int(part) for part in str(value).split(",")]


VARIANTS = {f"k{k}-s{seed}": {"k": k, "seed": seed}
            for k in listed(config.get("k", [])) for seed in listed(config.get("seeds", []))}
for name, own in config.get("extra", {}).items():  # once for each seed, unless it says one
    VARIANTS |= {name: own} if "seed" in own else {
        f"{name}-s{seed}": {**own, "seed": seed} for seed in listed(config["seeds"])}


def parameters(chapter, **more):
    """Return a notebook's parameters: the profile's, under those of the rule."""
    shared = {name: str(config[name]) for name in ("data", "sadness", "transfer", "artworks")
              if name in config}
    known = papermill.inspect_notebook(f"notebooks/{chapter}.ipynb")
    given = {**shared, **config.get(chapter, {}), "runs": str(OUT),
             "manifest": str(OUT / "manifest.parquet"), "results": str(OUT), **more}
    return {name: value for name, value in given.items() if name in known}


def execute(chapter, output, **more):
    """Execute a notebook into `output` and print how long it took."""
    given = parameters(chapter, **more)
    done = papermill.execute_notebook(f"notebooks/{chapter}.ipynb", str(output), given,
                                      kernel_name="python3")
    what = ", ".join(f"{name} {value}" for name, value in more.items())
    print(f"{chapter} {what}: {done.metadata.papermill['duration']:.0f} s", flush=True)


def stage(folder, notebooks):
    """Lay the book's sources and these executed notebooks into a folder of their own."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for file in BOOK_FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / file)
    (folder / "notebooks").mkdir()
    for chapter, notebook in zip(CHAPTERS, notebooks, strict=True):
        shutil.copy(notebook, folder / "notebooks" / f"{chapter}.ipynb")


BUILD = f"{Path(sys.executable).with_name('jupyter-book')} build " + "{params.folder} -n -W --keep-going -q && test -s {output}"
VARIANT = str(OUT / "notebooks" / f"{TRAINING}-{{variant}}.ipynb")
CHAPTER = str(OUT / "notebooks" / "{chapter}.ipynb")
SHOWN = config.get("shown")  # the variant that is the book's chapter 3; the last if not said
MAIN = f"{TRAINING}-{SHOWN if SHOWN in VARIANTS else [*VARIANTS, ''][-1]}"


rule reproduce:
    input: OUT / "book/_build/html/index.html"
    run: print(f"Open {input[0]} in a browser.")


rule curation:
    input: f"notebooks/{CURATION}.ipynb"
    output:
        notebook=CHAPTER.format(chapter=CURATION),
        manifest=OUT / "manifest.parquet",
    threads: 2
    run: execute(CURATION, output.notebook)


rule gram:
    input: f"notebooks/{GRAM}.ipynb"
    output: CHAPTER.format(chapter=GRAM)
    run: execute(GRAM, output[0])


def after(wildcards):
    """Let the first variant fill the cache of features that the others read."""
    first = next(iter(VARIANTS))
    return [] if wildcards.variant == first else VARIANT.format(variant=first)


rule variant:
    input: f"notebooks/{TRAINING}.ipynb", rules.curation.output.manifest, after
    output: VARIANT
    wildcard_constraints: variant="|".join(VARIANTS)
    run: execute(TRAINING, output[0], **VARIANTS[wildcards.variant])


rule chapter_from_runs:
    input:
        "notebooks/{chapter}.ipynb",
        expand(VARIANT, variant=VARIANTS),
    output: CHAPTER
    wildcard_constraints: chapter="|".join([EVALUATION, TRANSFER, ARTWORKS])
    run: execute(wildcards.chapter, output[0])


rule book_of_run:
    input:
        notebooks=[CHAPTER.format(chapter=MAIN if c == TRAINING else c) for c in CHAPTERS],
        sources=BOOK_FILES,
    output: OUT / "book/_build/html/index.html"
    params: folder=OUT / "book"
    run:
        stage(params.folder, input.notebooks)
        shell(BUILD)


rule record:
    # Keep the tables of the profile's runs, transfer included, as results/<profile>.
    input: CHAPTER.format(chapter=TRANSFER)
    run:
        from gramnb import study

        study.record_folder(OUT, PROFILE)
        print(f"Recorded in results/{PROFILE}.")


rule published_book:
    input: [f"notebooks/{chapter}.ipynb" for chapter in CHAPTERS], BOOK_FILES
    output: "runs/published/_build/html/index.html"
    params: folder="runs/published"
    run:
        stage(params.folder, [f"notebooks/{chapter}.ipynb" for chapter in CHAPTERS])
        shell(BUILD)
        print(f"Open {output[0]} in a browser.")


rule committed_notebooks:
    # Execute each notebook with its default parameters, in place, without what varies by machine.
    run:
        for chapter in CHAPTERS:
            path = Path("notebooks") / f"{chapter}.ipynb"
            executed = OUT / "committed" / path.name
            executed.parent.mkdir(parents=True, exist_ok=True)
            papermill.execute_notebook(str(path), str(executed), kernel_name="python3")
            notebook = nbformat.read(executed, as_version=4)
            notebook.metadata.pop("papermill")
            for cell in notebook.cells:
                cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
                if cell.cell_type == "code":
                    cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            nbformat.write(notebook, path)
