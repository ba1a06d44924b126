"""Scores of images that are costly to compute: in parallel, once an image, safe to interrupt.

A score belongs to an image's bytes and to the reader that gave it, so the key is the image's id
and a line that names the reader with its version and settings. Scores live in one SQLite file,
committed block by block: a pass that was stopped goes on where it was, two passes may share the
file, and a changed threshold costs nothing. Readers run in threads, one reader a thread: ONNX
Runtime and OpenCV leave Python's lock while they compute (processes were no faster).
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gramnb import runs
from gramnb.data.images import ImageError, read_image

BLOCK = 100  # images between two commits, so at most what an interrupted pass loses
TABLE = """create table if not exists scores (
    reader text, image_id text, score real, primary key (reader, image_id)) without rowid"""


def scores(
    paths: Sequence[str],
    image_ids: Sequence[str],
    make_reader: Callable[[], Callable[[np.ndarray], float]],
    reader: str,
    cache: str | Path,
    workers: int | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Return one score an image, float32, aligned with `paths`.

    `make_reader()` gives a thread its own function from an RGB image (H, W, 3) uint8 to a score;
    `reader` names it. NaN where there is no image id or the image cannot be read; that is not
    kept, so a repaired file is read again. Images with the same id are read once.

    Raises:
        ValueError: `paths` and `image_ids` differ in length, or `cache` is no such file.
    """
    if len(paths) != len(image_ids):
        raise ValueError(f"{len(paths)} paths for {len(image_ids)} image ids; give one id a path")
    cache = runs.resolve(cache)
    cache.parent.mkdir(parents=True, exist_ok=True)
    local = threading.local()

    def measure(item: tuple[str, str]) -> tuple[str, float] | None:
        if not hasattr(local, "read"):
            local.read = make_reader()
        image_id, path = item
        try:
            return image_id, float(local.read(read_image(path)))
        except ImageError:
            return None

    with closing(sqlite3.connect(cache, timeout=60)) as store:
        known = _known(store, reader, cache)
        files = {i: str(p) for i, p in zip(image_ids, paths, strict=True) if i and i not in known}
        todo = sorted(files.items())
        workers = workers or os.cpu_count() or 1
        with (
            tqdm(
                total=len(todo), unit="image", disable=not (progress and todo), desc=cache.stem
            ) as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            for start in range(0, len(todo), BLOCK):
                read = []
                for result in pool.map(measure, todo[start : start + BLOCK]):
                    bar.update()
                    if result:
                        read.append(result)
                with store:
                    store.executemany(
                        "insert or replace into scores values (?, ?, ?)",
                        [(reader, *row) for row in read],
                    )
                known.update(read)
    return np.array([known.get(image_id, np.nan) for image_id in image_ids], np.float32)


def _known(store: sqlite3.Connection, reader: str, cache: Path) -> dict[str, float]:
    try:
        store.execute(TABLE)
        kept = "select image_id, score from scores where reader = ?"
        return dict(store.execute(kept, [reader]))
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{cache.name}: no file of scores ({error}); remove it") from None
