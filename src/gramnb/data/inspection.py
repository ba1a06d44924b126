"""What each file is, and how much of each picture is text or face: looked at once, in parallel.

`inspect_all` opens every file: the decode check. `measure` reads text and faces, at a hundred times
the cost, so curation asks it only about the pictures it would keep; one decode serves both. What
they find is kept in the cache, under what it depends on: the reader with its version and settings,
and a file's path, size and time of change, or a picture's id.
"""

import functools
import os
import threading
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import PIL

from gramnb import __version__
from gramnb.data.cached import cached_map
from gramnb.data.duplicates import DISTINCT, NOISE, difference_hash
from gramnb.data.filters import READERS
from gramnb.data.images import ImageError, decode, image_id, read_bytes, read_image
from gramnb.runs import cache_dir

FOUND = ["image_id", "width", "height", "dhash", "dropped"]
# Another version of either may see other pixels, another rule give other hashes.
DECODER = f"gramnb {__version__}, Pillow {PIL.__version__}, sRGB strict, hash {NOISE} {DISTINCT}"
CACHE = "images.sqlite"


def inspect_all(table: pd.DataFrame, progress: bool = True) -> pd.DataFrame:
    """Return the manifest with the columns of `FOUND` filled in, `dropped` by the decode check.

    A row that is dropped already keeps its reason.

    Raises:
        ValueError: the cache's file cannot be used.
    """
    keys = {path: _file_key(path) for path in table["path"].unique()}
    paths = {key: path for path, key in keys.items()}

    def look(key: str, known: dict) -> dict:
        return _inspect(paths[key])

    where = cache_dir() / CACHE
    known = cached_map(where, look, paths, [DECODER], "decode check", progress=progress)
    missing = ("", 0, 0, "", "missing")
    found = [known[keys[path]].get(DECODER, missing) for path in table["path"]]
    found = pd.DataFrame(found, table.index, FOUND).astype(table.dtypes[FOUND])
    found["dropped"] = table["dropped"].where(table["dropped"] != "", found["dropped"])
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
    known = cached_map(
        cache_dir() / CACHE, look, files, readers, " and ".join(limits), progress=progress
    )
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
