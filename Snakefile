"""The one orchestrator: a profile's notebooks by papermill, then a book of what they found.

`make` calls it; `snakemake --configfile profiles/demo.yaml -c 2 -n` shows what it would do. A
notebook is executed into `runs/<profile>/`, never in place, so nothing of anyone's images enters
the checkout. Variants run side by side, what is done is skipped, an interrupted run continues.

What `make` is given (DATA=..., SADNESS=...) comes through the environment, where no shell reads it.
Why a run failed is written into `runs/failed.txt`, in one line that `make` prints last.
"""

import os
import shutil
import sys
from pathlib import Path

import nbformat
import papermill
from snakemake.exceptions import WorkflowError

GIVEN = ("data", "sadness", "transfer", "artworks", "k", "seeds", "profile")
config.update({name: os.environ[f"GRAMNB_{name.upper()}"] for name in GIVEN
               if os.environ.get(f"GRAMNB_{name.upper()}")})
PROFILE = config.get("profile", "demo")
OUT = Path("runs") / PROFILE
IMAGES = OUT / "images.txt"  # which images its runs are of
CHAPTERS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))
CURATION, GRAM, TRAINING, EVALUATION, TRANSFER, ARTWORKS = CHAPTERS
BOOK_FILES = ["_config.yml", "_toc.yml", *map(str, sorted(Path("book").glob("**/*.*")))]


def refuse(why):
    """Stop, with the reason in one line where `make` finds it."""
    line = " ".join(str(why).split())
    Path("runs").mkdir(exist_ok=True)
    Path("runs/failed.txt").write_text(f"{line}\n", encoding="utf-8")
    raise WorkflowError(line)


def listed(name):
    """Return a profile's list of numbers, also when it came from the command line as "0,4"."""
    value = config.get(name, [])
    try:
        return [int(part) for part in (value if isinstance(value, list) else str(value).split(","))]
    except ValueError:
        refuse(f"{name.upper()}={value}: whole numbers between commas are expected, such as 0,4")


VARIANTS = {f"k{k}-s{seed}": {"k": k, "seed": seed}
            for k in listed("k") for seed in listed("seeds")}
for name, own in config.get("extra", {}).items():  # once for each seed, unless it says one
    VARIANTS |= {name: own} if "seed" in own else {
        f"{name}-s{seed}": {**own, "seed": seed} for seed in listed("seeds")}


def parameters(chapter, **more):
    """Return a notebook's parameters: the profile's, under those of the rule."""
    shared = {name: str(config[name]) for name in ("data", "sadness", "transfer", "artworks")
              if name in config}
    known = papermill.inspect_notebook(f"notebooks/{chapter}.ipynb")
    given = {**shared, **config.get(chapter, {}), "runs": str(OUT),
             "manifest": str(OUT / "manifest.parquet"), "results": str(OUT), **more}
    return {name: value for name, value in given.items() if name in known}


def check_names():
    """Refuse parameters that no chapter has, and other images than those of earlier runs."""
    if unknown := sorted(set(config) - {*(names := [*GIVEN, "extra", "shown", *CHAPTERS])}):
        refuse(f"profiles/{PROFILE}.yaml: nothing is named {', '.join(unknown)}; there are: "
               f"{', '.join(names)}")
    before = IMAGES.read_text(encoding="utf-8") if IMAGES.is_file() else images()
    if before != images():
        refuse(f"{OUT} holds a run of {before}; give the same again, or move {OUT} away")
    given = {chapter: config.get(chapter, {}) for chapter in CHAPTERS}
    given[f"{TRAINING} (extra)"] = {name: "" for one in VARIANTS.values() for name in one}
    for chapter, names in given.items():
        known = papermill.inspect_notebook(f"notebooks/{chapter.split()[0]}.ipynb")
        if unknown := sorted(set(names or {}) - set(known)):
            refuse(f"profiles/{PROFILE}.yaml: {chapter} has no parameter named "
                   f"{', '.join(unknown)}; it has: {', '.join(known)}")


def images():
    """Say in one line which images a run is of."""
    data, sadness = (str(config.get(name, "")) for name in ("data", "sadness"))
    return f"DATA={os.path.abspath(data)} SADNESS={sadness}" if data else "the profile's own images"


def check_folders():
    """Refuse a folder or a class that is not there, before any notebook starts."""
    from gramnb.data import sources
    from gramnb.data.curation import Recipe
    from gramnb.runs import resolve

    given = parameters(CURATION)
    try:
        sources.transfer_sets(str(config.get("transfer", "")))
    except (OSError, ValueError) as error:
        refuse(error)
    if config.get("artworks") and not resolve(config["artworks"]).is_dir():
        refuse(f"{config['artworks']}: no such folder; give make ARTWORKS=folder")
    if given.get("source", "demo") not in sources.demo.DATASETS:
        try:
            sadness = Recipe(sadness=given.get("sadness", "")).sadness
            sources.read(given["source"], given.get("data", ""), sadness)
        except (OSError, ValueError) as error:
            refuse(f"{error}; give make DATA=folder SADNESS=class,class")
    OUT.mkdir(parents=True, exist_ok=True)
    IMAGES.write_text(images(), encoding="utf-8")


def execute(chapter, output, **more):
    """Execute a notebook beside `output`, move it there and print how long it took.

    One that fails stays where it was executed, since Snakemake removes a failed job's output.
    """
    given = parameters(chapter, **more)
    what = ", ".join(f"{name} {value}" for name, value in more.items())
    failed = Path(output).with_suffix(".failed.ipynb")
    try:
        done = papermill.execute_notebook(f"notebooks/{chapter}.ipynb", str(failed), given,
                                          kernel_name="python3")
    except Exception as error:  # of a cell, or the kernel's own end
        kind = getattr(error, "ename", type(error).__name__)
        why = getattr(error, "evalue", str(error))[:600]
        why = why if kind in ("ValueError", "FileNotFoundError") else f"{kind}: {why}"
        refuse(f"{why} (chapter {chapter}{what and ', '}{what}; as far as it got: {failed})")
    failed.replace(output)
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
check_names()
onstart: check_folders()
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
        for path in [*map(Path, expand("notebooks/{chapter}.ipynb", chapter=CHAPTERS)),
                     Path("book/studies.ipynb")]:
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
