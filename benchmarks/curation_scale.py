"""Seconds and memory of everything in curation that needs no pixels, at WEBEmo's full size.

    python benchmarks/curation_scale.py [--rows 267441]

The two lists hold 267,441 invented addresses that repeat and contradict themselves about as often
as the published test25.txt does; as in the paper, one in six has no image. Each image gets invented
bytes and the hash of a smooth random field, so that unrelated ones agree in one direction about as
often as photographs do (2 pairs in a million); one in ten is a near-copy of another one.
Aim: under 60 s and 2 GB on 2 cores.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from gramnb.data import curation, lists, manifest, sources

ROWS = 267_441  # lines of train25.txt and test25.txt together
RETRIEVED = 220_854 / ROWS  # Section 4.1
REPEATED, NEAR_COPIES, WITH_TEXT = 0.043, 0.1, 0.25


def write_lists(root: Path, rows: int, random: np.random.Generator) -> None:
    """Write both lists and the table of what was fetched, as `gramnb fetch` would."""
    picture, label = np.arange(rows), random.integers(0, len(lists.CATEGORIES), rows)
    repeat = random.choice(rows, round(REPEATED * rows), replace=False)
    picture[repeat] = random.integers(0, rows, len(repeat))
    fetched = (random.random(rows) < RETRIEVED)[picture]
    paths = pd.Series(picture).map("images/{:09}.jpg".format).where(fetched, "")
    table = pd.DataFrame(
        {
            "list": np.where(np.arange(rows) < 0.8 * rows, "train25.txt", "test25.txt"),
            "url": [f"https://host.net/jpg/01/00/220_F_{n:032}.jpg" for n in picture],
            "label": label,
            "status": np.where(fetched, "ok", "HTTP 404"),
            "path": paths,
        }
    )
    table["line"] = table.groupby("list").cumcount() + 1
    table.to_parquet(root / "fetch.parquet")
    for name, part in table.groupby("list"):
        part[["url", "label"]].to_csv(root / name, sep=" ", header=False, index=False)


def invented_hashes(count: int, random: np.random.Generator) -> list[str]:
    """Return the difference hashes of smooth random fields, some of them near-copies."""
    frequency = np.mgrid[0:7, 0:7].reshape(2, -1)[:, 1:]  # (2, 48)
    place = np.pi * np.arange(9) / 8
    rows, columns = (np.cos(np.outer(f, place)) for f in frequency)  # (48, 9) each
    waves = rows[:, :, None] * columns[:, None] * (frequency**2).sum(0)[:, None, None] ** -0.6
    hashes = np.empty((count, 16), np.uint8)
    for start in range(0, count, 50_000):
        block = hashes[start : start + 50_000]
        field = random.standard_normal((len(block), 48)) @ waves.reshape(48, 81)
        field = field.reshape(-1, 9, 9)
        steps = np.stack([np.diff(field, axis=2)[:, :8], np.diff(field, axis=1)[..., :8]], axis=1)
        block[:] = np.packbits((steps > 0).reshape(len(block), 128), axis=1)
    copies = random.choice(count, round(NEAR_COPIES * count), replace=False)
    flips = np.packbits(random.random((len(copies), 128)) < 0.01, axis=1)
    hashes[copies] = hashes[random.integers(0, count, len(copies))] ^ flips
    return [row.tobytes().hex() for row in hashes]


def main(rows: int) -> None:
    random = np.random.default_rng(0)
    recipe = curation.Recipe(source="webemo", folds=5)
    measured = []

    def timed(step, function, *arguments):
        start = time.perf_counter()
        result = function(*arguments)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        measured.append({"step": step, "seconds": seconds, "peak memory (GB)": peak})
        return result

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_lists(root, rows, random)
        names = [root / name for name in ("train25.txt", "test25.txt")]
        audit = timed("audit the lists", lists.audit_list, names)
        table = timed("read the source", sources.read, "webemo", root)

        picture = table["url"].str.extract(r"_0*(\d+)\.jpg", expand=False).astype(int)
        there = table["path"] != ""
        table["image_id"] = picture.map("{:016x}".format).where(there, "")
        hashes = pd.Series(invented_hashes(rows, random))
        table["dhash"] = picture.map(hashes).where(there, "")
        table["text_fraction"] = random.random(rows).astype(np.float32)
        table = manifest.drop(table, ~there, "missing")

        table = timed("group near-duplicates", curation.drop_duplicates, table, recipe)
        largest = table["group"].value_counts().max()
        table = timed("resolve conflicts", curation.drop_conflicts, table, recipe)
        table = timed("drop text", manifest.drop, table, table["text_fraction"] < WITH_TEXT, "text")
        table = timed("undersample", curation.undersample, table, recipe)
        table = timed("split, and 5 folds", curation.split, table, recipe)
        path = timed("write", manifest.write, table, root / "manifest.parquet", recipe.record())
        timed("read", manifest.read, path)
        steps = timed("attrition", manifest.attrition, table)

    table = pd.DataFrame(measured).set_index("step")
    table.loc["all"] = table["seconds"].sum(), table["peak memory (GB)"].max()
    print(f"{rows:,} rows; {audit['conflicting_urls']:,} addresses with 2 labels or more; ", end="")
    print(f"the largest group of near-duplicates has {largest} rows\n")
    print(steps.map("{:,}".format).to_string(), "\n")
    print(table.map("{:.2f}".format).to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    main(parser.parse_args().rows)
