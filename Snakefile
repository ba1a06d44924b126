"""The one orchestrator: the runs of an experiment, notebooks by papermill, then a book of them.

`make` calls it; `snakemake --configfile profiles/demo.yaml -c 2 -n` shows what it would do. A
profile's notebooks are executed into `runs/<profile>/`, never in place, so nothing of anyone's
images enters the checkout. Runs are trained several in a process, side by side; what is done is
skipped, an interrupted run continues. A study (`make study STUDY=frozen`) takes the same way to
its record. Snakemake's executors take the parts elsewhere: `--workflow-profile profiles/slurm`.

What `make` is given (DATA=..., SADNESS=...) comes through the environment, where no shell reads it.
Why a run failed is written into `runs/failed.txt`, in one line that `make` prints last.
"""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path.cwd()))
from studies.experiment import Experiment

SHARED = ("data", "sadness", "transfer", "artworks")  # what any chapter may ask for
GIVEN = (*SHARED, "k", "seeds", "profile", "parts", "study", "allow_dirty")
config.update({name: os.environ[f"GRAMNB_{name.upper()}"] for name in GIVEN
               if os.environ.get(f"GRAMNB_{name.upper()}")})
PROFILE, STUDY = config.pop("profile", "demo"), config.pop("study", "")
ALLOW_DIRTY = bool(config.pop("allow_dirty", ""))
OUT = Path("runs") / (f"studies/{STUDY}" if STUDY else PROFILE)
IMAGES = OUT / "images.txt"  # which images its runs are of
CHAPTERS = sorted(path.stem for path in Path("notebooks").glob("*.ipynb"))
CURATION, GRAM, TRAINING, _, TRANSFER, _ = CHAPTERS
KNOWN = {chapter: papermill.inspect_notebook(f"notebooks/{chapter}.ipynb") for chapter in CHAPTERS}
BOOK_FILES = ["_config.yml", "_toc.yml", *map(str, sorted(Path("book").glob("**/*.*")))]


def refuse(why):
    """Stop, with the reason in one line where `make` finds it."""
    line = " ".join(str(why).split())
    Path("runs").mkdir(exist_ok=True)
    Path("runs/failed.txt").write_text(f"{line}\n", encoding="utf-8")
    raise WorkflowError(line)


def numbers(name, value):
    """Return a list of numbers, also when it came from the command line as "0,4"."""
    try:
        return [int(part) for part in (value if isinstance(value, list) else str(value).split(","))]
    except ValueError:
        refuse(f"{name.upper()}={value}: whole numbers between commas are expected, such as 0,4")


def profile():
    """Return the profile, under what was given, over the defaults of the notebook that trains."""
    given = {name: value for name, value in config.items() if name != "parts"}
    given |= {name: numbers(name, given[name]) for name in ("k", "seeds") if name in given}
    given |= {name: str(given[name]) for name in SHARED if name in given}
    own = {name: ast.literal_eval(said["default"]) for name, said in KNOWN[TRAINING].items()
           if name not in ("seed", "settings", "runs")}
    given["base"] = {**own, **(given.get("base") or {}), "manifest": str(OUT / "manifest.parquet")}
    return Experiment.parse({**given, "runs": str(OUT)}, f"profiles/{PROFILE}.yaml")


try:
    EXPERIMENT = Experiment.study(STUDY) if STUDY else profile()
    EXPANDED = EXPERIMENT.expanded()
except (OSError, ValueError) as error:
    refuse(error)


def parameters(chapter):
    """Return a notebook's parameters: the profile's; of chapter 3 those of the run it shows."""
    known, own = KNOWN[chapter], EXPERIMENT.chapters.get(chapter, {})
    if chapter == TRAINING:
        row = EXPERIMENT.shown if EXPERIMENT.shown in EXPANDED else [*EXPANDED][-1]
        own = {**EXPANDED[row][0]}
        own["settings"] = {name: own.pop(name) for name in set(own) - set(known)}
    shared = {name: getattr(EXPERIMENT, name) for name in SHARED if getattr(EXPERIMENT, name)}
    given = {**shared, "runs": str(OUT), "results": str(OUT),
             "manifest": str(OUT / "manifest.parquet"), **own}
    return {name: value for name, value in given.items() if name in known}


def check_names():
    """Refuse parameters that no chapter has, and other images than those of earlier runs."""
    if unknown := sorted(set(EXPERIMENT.chapters) - ({*CHAPTERS} - {TRAINING})):
        refuse(f"{EXPERIMENT.file}: {unknown[0]}: there is no such chapter, or, if it is {TRAINING}, "
               "its settings are those of `base` and `rows`")
    for chapter, names in EXPERIMENT.chapters.items():
        if unknown := sorted(set(names) - set(KNOWN[chapter])):
            refuse(f"{EXPERIMENT.file}: {chapter} has no parameter named {', '.join(unknown)}; "
                   f"it has: {', '.join(KNOWN[chapter])}")
    if not EXPANDED:
        refuse(f"{EXPERIMENT.file}: lacks `k` or `rows`: there is nothing to train")
    before = IMAGES.read_text(encoding="utf-8") if IMAGES.is_file() else images()
    if before != images():
        refuse(f"{OUT} holds a run of {before}; give the same again, or move {OUT} away")


def images():
    """Say in one line which images a run is of."""
    data, sadness = EXPERIMENT.data, EXPERIMENT.sadness
    return f"DATA={os.path.abspath(data)} SADNESS={sadness}" if data else "the profile's own images"


def check():
    """Refuse what cannot be trained, recorded or found, before anything starts."""
    from studies import record

    from gramnb.data import sources
    from gramnb.data.curation import Recipe
    from gramnb.runs import commit, resolve

    way_out = ""
    try:
        EXPERIMENT.configs()
        if STUDY:
            return ALLOW_DIRTY or record.check_commits([commit()])
        sources.transfer_sets(EXPERIMENT.transfer or "")
        if EXPERIMENT.artworks and not resolve(EXPERIMENT.artworks).is_dir():
            raise ValueError(f"{EXPERIMENT.artworks}: no such folder; give make ARTWORKS=folder")
        given, way_out = parameters(CURATION), "; give make DATA=folder SADNESS=class,class"
        if given.get("source", "demo") not in sources.demo.DATASETS:
            sadness = Recipe(sadness=given.get("sadness", "")).sadness
            sources.read(given["source"], given.get("data", ""), sadness)
    except (OSError, ValueError) as error:
        refuse(f"{error}{way_out}")
    OUT.mkdir(parents=True, exist_ok=True)
    IMAGES.write_text(images(), encoding="utf-8")


def refuse_error(kind, why, more=""):
    """Refuse with an error of a cell or of a run: its kind is said where it is not the user's."""
    why = why if kind in ("ValueError", "FileNotFoundError") else f"{kind}: {why}"
    refuse(f"{why}{more}")


def execute(chapter, output):
    """Execute a notebook beside `output`, move it there and print how long it took.

    One that fails stays where it was executed, since Snakemake removes a failed job's output.
    """
    failed = Path(output).with_suffix(".failed.ipynb")
    try:
        done = papermill.execute_notebook(f"notebooks/{chapter}.ipynb", str(failed),
                                          parameters(chapter), kernel_name="python3")
    except Exception as error:  # of a cell, or the kernel's own end
        kind = getattr(error, "ename", type(error).__name__)
        refuse_error(kind, getattr(error, "evalue", str(error))[:600],
                     f" (chapter {chapter}; as far as it got: {failed})")
    note_run(done, done.metadata.papermill["duration"])
    nbformat.write(done, failed)
    failed.replace(output)
    print(f"{chapter}: {done.metadata.papermill['duration']:.0f} s", flush=True)


def note_run(notebook, seconds):
    """Note in a notebook how long it took and where, for the end of its page in the book."""
    from gramnb.runs import environment

    query = [GPU, "--query-gpu=name", "--format=csv,noheader"]
    gpus = subprocess.run(query, capture_output=True, text=True).stdout.splitlines() if GPU else []
    notebook.metadata["run"] = {"seconds": round(seconds, 1), **environment(), "gpus": gpus}


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
CHAPTER = str(OUT / "notebooks" / "{chapter}.ipynb")
RUNS_A_PROCESS = 10  # TensorFlow keeps some memory of every network it has trained
PART = str(OUT / "parts" / "{part}-of-{parts}.txt")  # the last files of the runs of a part
KINDS = {bool(one.get("frozen")) for row in EXPANDED.values() for one in row}  # True: frozen
COUNT = sum(map(len, EXPANDED.values()))
CORES = int(os.environ.setdefault("GRAMNB_CORES_GIVEN", str(workflow.global_resources["_cores"].value or 1)))
PARTS = numbers("parts", config.get("parts", 0))[0] or min(-(-COUNT // (CORES * RUNS_A_PROCESS)) * CORES, COUNT)
GPU = shutil.which("nvidia-smi")  # one process takes all GPUs
for marker in OUT.glob("parts/*.txt"):  # not done any more if somebody removed a run, nor what reads it
    if not all(Path(file).exists() for file in marker.read_text().splitlines()):
        for file in [marker, OUT / "book/_build/html/index.html",
                     *(Path(CHAPTER.format(chapter=chapter)) for chapter in CHAPTERS[2:])]:
            file.unlink(missing_ok=True)
check_names()
onstart: check()
localrules: reproduce, book_of_run, record, study, published_book, committed_notebooks


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


def train(output, part, parts, threads=1):
    """Train one part of the runs, or compute what all of them read of frozen backbones."""
    if part:  # TensorFlow reads both when it first runs
        os.environ |= {f"TF_NUM_{kind}OP_THREADS": str(threads) for kind in ("INTRA", "INTER")}
    from gramnb._keras import quiet

    with quiet():
        from studies import runs
    try:
        if part:
            files = runs.train(EXPERIMENT, int(part), int(parts))
            Path(output).write_text("".join(f"{file}\n" for file in files))
        else:
            runs.compute_features(EXPERIMENT)
    except Exception as error:
        refuse_error(type(error).__name__, str(error))


rule features:
    input: [] if STUDY else rules.curation.output.manifest
    output: touch(OUT / "parts" / "features")
    params: EXPERIMENT.model_dump_json()
    threads: CORES
    resources: mem_mb=8_000, runtime=480
    run: train(output[0], 0, 0)


rule part:
    input: rules.features.output if True in KINDS else rules.features.input
    output: PART
    params: EXPERIMENT.model_dump_json()
    threads: CORES if GPU else max(CORES // PARTS, 1)
    resources: mem_mb=16_000, runtime=1440, gpu=int(False in KINDS)  # the whole network needs one
    run: train(output[0], wildcards.part, wildcards.parts, threads)


RUNS = [PART.format(part=part, parts=PARTS) for part in range(1, PARTS + 1)]


rule chapter_from_runs:
    input: "notebooks/{chapter}.ipynb", RUNS
    output: CHAPTER
    wildcard_constraints: chapter="|".join(CHAPTERS[2:])
    run: execute(wildcards.chapter, output[0])


rule book_of_run:
    input:
        notebooks=[CHAPTER.format(chapter=chapter) for chapter in CHAPTERS],
        sources=BOOK_FILES,
    output: OUT / "book/_build/html/index.html"
    params: folder=OUT / "book"
    run:
        stage(params.folder, input.notebooks)
        shell(BUILD)


rule record:
    # Keep the tables of the profile's runs, transfer included, as results/<profile>.
    input: CHAPTER.format(chapter=TRANSFER)
    run: keep(PROFILE)


rule study:
    # Train results/<study>/study.yaml and keep the tables of its runs beside it.
    input: RUNS
    run: keep(STUDY)


def keep(name):
    """Record the runs of the study, or of the profile, as results/<name>."""
    from studies import record

    try:
        record.record(EXPERIMENT, ALLOW_DIRTY) if STUDY else record.record_folder(OUT, name, ALLOW_DIRTY)
    except (OSError, ValueError) as error:
        refuse(error)
    print(f"Recorded in results/{name}.")


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
                     *sorted(Path("book").glob("*.ipynb"))]:
            executed = OUT / "committed" / path.name
            executed.parent.mkdir(parents=True, exist_ok=True)
            papermill.execute_notebook(str(path), str(executed), kernel_name="python3")
            notebook = nbformat.read(executed, as_version=4)
            note_run(notebook, notebook.metadata.pop("papermill")["duration"])
            del notebook.metadata["run"]["commit"]  # it is committed after it was executed
            for cell in notebook.cells:
                cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
                if cell.cell_type == "code":
                    cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
            nbformat.write(notebook, path)
