"""What each file is, and how much of each picture is text or face: looked at once, in parallel.

`inspect_all` opens every file: the decode check. `measure` reads text and faces, at a hundred times
the cost, so curation asks it only about the pictures it would keep; one decode serves both. Threads
do for either: Pillow, ONNX Runtime and OpenCV leave Python's lock while they compute.

What was found is kept in one SQLite file of the cache, under what it depends on: the reader with
its version and settings, and a file's path, size and time of change, or a picture's id. Blocks are
committed as they are done, so an interrupted pass goes on where it was, two may share the file,
and curating again with another threshold opens nothing.
"""

import functools
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import pandas as pd
import PIL
from tqdm import tqdm

from gramnb import __version__
from gramnb.data import faces, text
from gramnb.data.duplicates import DISTINCT, NOISE, difference_hash
from gramnb.data.images import ImageError, decode, image_id, read_bytes, read_image
from gramnb.runs import cache_dir

FOUND = ["image_id", "width", "height", "dhash", "dropped"]
# Another version of either may see other pixels, another rule give other hashes.
DECODER = f"gramnb {__version__}, Pillow {PIL.__version__}, hash {NOISE} {DISTINCT}"
READERS = {"text": (text.READER, text.text_reader), "face": (faces.READER, faces.face_reader)}
BLOCK = 200  # files between two commits, so at most what an interrupted pass loses


def inspect_all(table: pd.DataFrame, progress: bool = True) -> pd.DataFrame:
    """Return the manifest with the columns of `FOUND` filled in, `dropped` by the decode check.

    Raises:
        ValueError: the cache's file cannot be used.
    """
    keys = {path: _file_key(path) for path in table["path"].unique()}
    paths = {key: path for path, key in keys.items()}
    known = _cached(paths, [DECODER], lambda key, _: _inspect(paths[key]), "decode check", progress)
    missing = ("", 0, 0, "", "missing")
    found = [known[keys[path]].get(DECODER, missing) for path in table["path"]]
    found = pd.DataFrame(found, table.index, FOUND).astype(table.dtypes[FOUND])
    return table.assign(**found)


def measure(
    paths: Sequence[str],
    image_ids: Sequence[str],
    limits: Mapping[str, float],
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """Return by name of reader one share of the area an image, 0 to 1, float32, in their order.

    `limits` names the readers ("text", "face") in the order they are asked; a share above its limit
    settles the image, and the readers after it are not asked (with limit 1, all are). NaN where a
    reader was not asked or the image cannot be read. Images with the same id are read once.

    Raises:
        ValueError: `paths` and `image_ids` differ in length, or the cache's file cannot be used.
    """
    files = dict(zip(image_ids, paths, strict=True))
    reader_of = functools.cache(lambda name, thread: READERS[name][1]())

    def look(image: str, known: dict) -> dict:
        new, pixels = {}, functools.cache(lambda: read_image(files[image]))
        try:
            for name, limit in limits.items():
                reader = READERS[name][0]
                if reader not in known:
                    share = reader_of(name, threading.get_ident())(pixels())  # of (H, W, 3)
                    new[reader] = float(share)
                if np.float32({**known, **new}[reader]) > limit:
                    break
        except ImageError:
            pass  # not kept, so a repaired file is read again
        return new

    readers = [READERS[name][0] for name in limits]
    known = _cached(files, readers, look, " and ".join(limits), progress)
    shares, asked = {}, np.ones(len(paths), bool)
    for reader, (name, limit) in zip(readers, limits.items(), strict=True):
        share = np.array([known[image].get(reader, np.nan) for image in image_ids], np.float32)
        shares[name] = np.where(asked, share, np.float32(np.nan))
        asked &= ~(share > limit)
    return shares


def _inspect(path: str) -> dict:
    """Return what `FOUND` names: a picture's id, size in pixels and hash, or the reason it is none.

    A file that is there but no picture has an id too, so that a note can say which one it was.
    Nothing is kept of a file that is missing: it may come.
    """
    data = b""
    try:
        data = read_bytes(path)
        pixels = decode(data, name=path)  # (H, W, 3)
    except ImageError as error:
        none = (image_id(data) if data else "", 0, 0, "", error.reason)
        return {} if error.reason == "missing" else {DECODER: none}
    height, width, _ = pixels.shape
    return {DECODER: (image_id(data), width, height, difference_hash(pixels), "")}


def _file_key(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return f"missing {path}"
    return f"{status.st_size} {status.st_mtime_ns} {path}"


def _cached(
    keys: Sequence[str],
    readers: Sequence[str],
    look: Callable[[str, dict], dict],
    title: str,
    progress: bool,
) -> dict[str, dict]:
    """Return key -> reader -> value, from the cache and, where a reader lacks, from `look`.

    `look(key, known)` is called by many threads and returns what is new, by reader.
    """
    known = {key: {} for key in keys}
    with _store() as store, ThreadPoolExecutor(os.cpu_count()) as pool:
        for reader in readers:
            rows = store.execute("select key, value from found where reader = ?", [reader])
            for key, value in rows:
                if key in known:
                    known[key][reader] = json.loads(value)
        todo = [key for key, values in known.items() if len(values) < len(readers)]
        with tqdm(total=len(todo), desc=title, unit="file", disable=not (progress and todo)) as bar:
            for start in range(0, len(todo), BLOCK):
                block, rows = todo[start : start + BLOCK], []
                found = pool.map(look, block, map(known.get, block))
                for key, new in zip(block, found, strict=True):
                    known[key].update(new)
                    rows += [(reader, key, json.dumps(value)) for reader, value in new.items()]
                    bar.update()
                with store:
                    store.executemany("insert or replace into found values (?, ?, ?)", rows)
    return known


@contextmanager
def _store() -> Iterator[sqlite3.Connection]:
    file = cache_dir() / "images.sqlite"
    columns = "reader text, key text, value text, primary key (reader, key)"
    try:
        with closing(sqlite3.connect(file, timeout=60)) as store:
            store.execute(f"create table if not exists found ({columns}) without rowid")
            yield store
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{file}: {error}; if it is damaged remove it, it is a cache") from None
