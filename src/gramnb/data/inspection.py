"""The decode check: every file is opened once, and what it is, or why it is none, written down.

Files are read on all cores; Pillow leaves Python's lock while it decodes. What was found is kept in
the cache by path, size and time of change, so that curating again with another threshold opens
nothing, and an interrupted pass goes on where it was.
"""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pandas as pd
import PIL
from tqdm import tqdm

from gramnb import __version__
from gramnb.data.duplicates import DISTINCT, NOISE, difference_hash
from gramnb.data.images import ImageError, decode, image_id, read_bytes
from gramnb.runs import cache_dir

FOUND = ["image_id", "width", "height", "dhash", "dropped"]

_BLOCK = 500  # files between two commits
# Another version of either may see other pixels, another rule give other hashes.
_READER = f"gramnb {__version__}, Pillow {PIL.__version__}, hash {NOISE} {DISTINCT}"
_TABLE = """create table if not exists files (
    path text, size integer, changed integer, reader text,
    image_id text, width integer, height integer, dhash text, dropped text,
    primary key (path, size, changed, reader)) without rowid"""


def inspect(path: str) -> tuple[str, int, int, str, str]:
    """Return what `FOUND` names: a picture's id, size in pixels and hash, or the reason it is none.

    A file that is there but no picture has an id too, so that a note can say which one it was.
    """
    data = b""
    try:
        data = read_bytes(path)
        pixels = decode(data, name=path)  # (H, W, 3)
    except ImageError as error:
        return image_id(data) if data else "", 0, 0, "", error.reason
    height, width, _ = pixels.shape
    return image_id(data), width, height, difference_hash(pixels), ""


def inspect_all(table: pd.DataFrame, progress: bool = True) -> pd.DataFrame:
    """Return the manifest with the columns of `FOUND` filled in, `dropped` by the decode check."""
    keys = {path: _key(path) for path in table["path"].unique()}
    with closing(sqlite3.connect(cache_dir() / "inspected.sqlite", timeout=60)) as cache:
        cache.execute(_TABLE)
        rows = cache.execute("select * from files where reader = ?", [_READER])
        known = {row[:4]: row[4:] for row in rows}
        todo = [path for path, key in keys.items() if key not in known]
        with (
            tqdm(total=len(todo), desc="decode check", unit="file", disable=not progress) as bar,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for start in range(0, len(todo), _BLOCK):
                block = todo[start : start + _BLOCK]
                found = dict(zip(block, pool.map(inspect, block), strict=True))
                known.update((keys[path], what) for path, what in found.items())
                lasting = [(*keys[path], *w) for path, w in found.items() if w[-1] != "missing"]
                with cache:
                    marks = ", ".join("?" * 9)
                    cache.executemany(f"insert or replace into files values ({marks})", lasting)
                bar.update(len(block))
    found = [known[keys[path]] for path in table["path"]]
    found = pd.DataFrame(found, table.index, FOUND).astype(table.dtypes[FOUND])
    return table.assign(**found)


def _key(path: str) -> tuple[str, int, int, str]:
    try:
        status = os.stat(path)
    except OSError:
        return path, -1, -1, _READER
    return path, status.st_size, status.st_mtime_ns, _READER
