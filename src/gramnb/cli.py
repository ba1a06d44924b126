"""The command line: `gramnb predict`, and what large collections need: `fetch`, `audit-list`,
`measure`, `features`.

Everything else is papermill, make or snakemake. Results go to standard output, everything said
about them to standard error; the exit code is 0 if all went well, 1 if some files got no answer,
2 if nothing could be done. Rooms are imported when they are needed, so `--help` is quick.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gramnb.choices import BACKBONES, check_shard

EXPLAINED = 12  # pictures on a page of explanations
NAMED = 10  # problems that are repeated below a table, which has them all


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = parser().parse_args(arguments)
    try:
        unanswered = given.run(given)
        print(end="", flush=True)  # whatever standard output is, also closed
        return 1 if unanswered else 0
    except BrokenPipeError:  # whoever reads has seen enough, as `head` has; nothing more to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, ModuleNotFoundError) as error:
        reason, code = _said(error), 2
    except MemoryError:
        reason, code = "not enough memory", 2
    except KeyboardInterrupt:
        kept = given.command in ("fetch", "measure", "features")
        again = "; call again to go on" if kept else ""
        reason, code = f"interrupted{again}", 130
    _tell(f"gramnb {given.command}: {reason}")
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="gramnb", description="Does this image convey sadness?")
    commands = top.add_subparsers(dest="command", required=True)

    predict = commands.add_parser("predict", help="probability of sadness of images")
    predict.set_defaults(run=_predict)
    predict.add_argument("paths", nargs="+", help="image files, or folders of them")
    models = "best, gram (the paper's kind: four Gram modules), or a run's directory"
    predict.add_argument("--model", metavar="NAME", default="best", help=models)
    share = "share of sad images among yours, 0 to 1; default: as among those it learned from"
    predict.add_argument("--prevalence", type=float, metavar="SHARE", help=share)
    predict.add_argument("--format", choices=["table", "json", "csv"], default="table")
    where = f"draw where the network looked in the first {EXPLAINED} pictures (.png, .pdf, .svg)"
    predict.add_argument("--explain", type=Path, metavar="FILE", help=where)

    audit = commands.add_parser("audit-list", help="duplicates and contradictions in an image list")
    audit.set_defaults(run=_audit_list)

    fetch = commands.add_parser("fetch", help="download the images of WEBEmo's lists")
    fetch.set_defaults(run=_fetch)
    fetch.add_argument("--out", required=True, metavar="DIR", help="where the images go")
    fetch.add_argument("--workers", type=int, default=16, help="downloads at a time")
    fetch.add_argument("--timeout", type=float, default=10.0, help="seconds a download may take")
    fetch.add_argument("--retries", type=int, default=3, help="further attempts that may help")
    for one in (audit, fetch):
        one.add_argument("lists", nargs="+", metavar="LIST", help="file of lines 'URL label'")

    measure = commands.add_parser("measure", help="read the text in images, ahead of curation")
    measure.set_defaults(run=_measure)
    measure.add_argument("folder", metavar="DIR", help="folder of the images")

    features = commands.add_parser("features", help="cache a frozen backbone's answers to images")
    features.set_defaults(run=_features)
    features.add_argument("manifest", metavar="MANIFEST", help="parquet file, as chapter 1 writes")
    features.add_argument("--backbone", default="EfficientNetV2B2", metavar="NAME")
    features.add_argument("--image-size", type=int, default=256, metavar="S", help="pixels a side")
    for one in (fetch, measure, features):
        one.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="part I of N")
    return top


def shard(text: str) -> tuple[int, int]:
    """Return the numbers of a part, as "2/3" says them; argparse tells of a ValueError."""
    part, parts = map(int, text.split("/"))
    return part, parts


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _predict(given: argparse.Namespace) -> int:
    """Print the answers; return how many files have none."""
    from gramnb.predict import SadnessClassifier
    from gramnb.shipped import MODELS

    if given.explain and given.explain.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"{given.explain}: --explain draws a .png, .pdf or .svg")
    if given.explain and given.explain.exists():  # it may be a picture: a pattern names those first
        raise FileExistsError(f"{given.explain}: there is such a file; give --explain another name")
    model = given.model if given.model in MODELS else os.path.abspath(given.model)
    classifier = SadnessClassifier.load(model, given.prevalence)
    rule = f"{classifier.name}; sadness: p(sadness) above {classifier.threshold:g}"
    if given.prevalence is not None:
        shares = f"{given.prevalence:.0%}, learned from {classifier.learned:.0%}"
        rule += f"; sadness expected in {shares}"
    _tell(f"gramnb predict: {_printable(rule)}")
    table = classifier.predict(given.paths)
    shown = table.assign(file=table["file"].map(_printable))
    if given.format == "json":
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        print(json.dumps(rows, indent=2))
    elif given.format == "csv":
        print(shown.to_csv(index=False), end="")
    else:
        print(_aligned(shown, classifier.threshold))
    if others := table.attrs["others"]:
        names = ", ".join(map(_printable, others[:NAMED])) + (", ..." if others[NAMED:] else "")
        _tell(f"left out, no pictures: {len(others)} ({names})")
    bad = shown[shown["problem"] != ""]
    if given.explain:
        _explain(classifier, table.drop(bad.index), given.explain)
    for row in bad.head(NAMED).itertuples():
        _tell(f"{row.file}: {row.problem}")
    if len(bad) > NAMED:
        _tell(f"{len(bad)} of {len(table)} files have a problem; the table names all")
    return len(bad)


def _said(error: Exception) -> str:
    """Return what an error says; of the system's errors the file and the reason, not a number."""
    said = str(error)
    if isinstance(error, OSError) and error.strerror:
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "\n".join(map(_printable, said.split("\n")))


def _printable(name: str) -> str:
    """Return a file's name as a screen may show it: no line breaks, no commands to a terminal."""
    return name if name.isprintable() else repr(name)[1:-1]


def _aligned(table: pd.DataFrame, threshold: float) -> str:
    width = max(map(len, table["file"]))
    lines = [f"{'file':<{width}}  p(sadness)  conveys (sadness: above {threshold:g})"]
    for row in table.itertuples():
        p = "         -" if row.problem else f"{row.p_sadness:10.3f}"
        lines.append(f"{row.file:<{width}}  {p}  {row.conveys or row.problem}")
    return "\n".join(lines)


def _explain(classifier, readable: pd.DataFrame, out: Path) -> None:
    """Draw the first pictures with their maps, and say what is not there."""
    from PIL import Image

    from gramnb import plots
    from gramnb._keras import quiet
    from gramnb.data.images import read_image
    from gramnb.explain import contribution_maps
    from gramnb.runs import atomic

    if readable.empty:
        _tell(f"{_printable(str(out))}: not drawn, no picture could be read")
        return
    if len(readable) > EXPLAINED:
        _tell(f"{_printable(str(out))}: the first {EXPLAINED} of {len(readable)} pictures")
    shown = readable.head(EXPLAINED)
    images = np.stack([read_image(file, classifier.image_size) for file in shown["file"]])
    pictures = [Image.fromarray(read_image(file)) for file in shown["file"]]
    for picture in pictures:
        picture.thumbnail((800, 800))  # a page shows no more
    names = [f"p(sadness) {row.p_sadness:.2f}  {Path(row.file).name}" for row in shown.itertuples()]
    with quiet(), atomic(out) as temporary:
        maps = contribution_maps(classifier.network, images)
        drawn = plots.explanations([*map(np.asarray, pictures)], [*maps.values()], [*maps], names)
        drawn.savefig(temporary)


def _audit_list(given: argparse.Namespace) -> None:
    from gramnb.data.lists import audit_list

    print(json.dumps(audit_list(given.lists), indent=2))


def _fetch(given: argparse.Namespace) -> None:
    from gramnb.data.fetch import attrition, fetch

    how = (given.workers, given.timeout, given.retries)
    print(attrition(fetch(given.lists, given.out, *how, shard=given.shard)).to_string())


def _part(rows, shard: tuple[int, int]):
    check_shard(*shard)
    number, parts = shard
    return rows[number - 1 :: parts]


def _measure(given: argparse.Namespace) -> None:
    from gramnb.data import manifest
    from gramnb.data.filters import TEXT_THRESHOLD
    from gramnb.data.images import find_pictures
    from gramnb.data.inspection import inspect_all, measure

    if not os.path.isdir(given.folder):
        raise FileNotFoundError(f"{given.folder}: no such folder")
    found = _part(find_pictures(os.path.abspath(given.folder)).pictures, given.shard)
    kept = manifest.kept(inspect_all(manifest.new({"path": found})))
    measure(kept["path"], kept["image_id"], {"text": TEXT_THRESHOLD})
    print(f"{len(kept)} images read, {len(found) - len(kept)} that cannot be")


def _features(given: argparse.Namespace) -> None:
    from gramnb._keras import quiet

    with quiet():
        from gramnb import features, training
    from gramnb.config import TrainConfig
    from gramnb.data import manifest

    asked = TrainConfig(backbone=given.backbone, image_size=given.image_size, frozen=True)
    table = manifest.kept(manifest.read(os.path.abspath(given.manifest)))
    table = _part(table, given.shard).reset_index(drop=True)
    training.check_files(table, given.manifest)
    layers = (features.POOLED, BACKBONES[asked.backbone].tap)
    features.compute(table, asked.backbone, asked.image_size, layers=layers)
    print(f"{len(table)} images: {asked.backbone} at {asked.image_size} px")
