"""What each file is, and how much of each picture is text or face: looked at once, in parallel.

`inspect_all` opens every file: the decode check. `measure` reads text and faces, at a hundred times
the cost, so curation asks it only about the pictures it would keep. What they find is cached under
what it depends on: the reader with its version and settings, and a file's path, size and time of
change, or a picture's id.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

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
DECODER = f"gramnb {__version__}, Pillow {PIL.__version__}, sRGB strict, hash {NOISE} {DISTINCT}"
CACHE = "images.sqlite"


def inspect_all(table: pd.DataFrame, progress: bool = True) -> pd.DataFrame:
    """Return the manifest with the columns of `FOUND` filled in, `dropped` by the decode check.

    A row that is dropped already keeps its reason.

    Raises:
        ValueError: the cache's file cannot be used.
    """
    keys = [_file_key(path) for path in table["path"]]
    known = cached_map(cache_dir() / CACHE, _inspect, keys, DECODER, "decode check", progress)
    found = [known.get(key, ("", 0, 0, "", "missing")) for key in keys]
    found = pd.DataFrame(found, table.index, FOUND).astype(table.dtypes[FOUND])
    found["dropped"] = table["dropped"].where(table["dropped"] != "", found["dropped"])
    return table.assign(**found)


def _file_key(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return f"- missing {path}"
    return f"{status.st_size} {status.st_mtime_ns} {path}"


def _inspect(key: str) -> tuple | None:
    """Return what `FOUND` names, of a file that is no picture its id and the reason.

    Nothing is kept of a file that is missing: it may come.
    """
    path, data = key.split(" ", 2)[2], b""
    try:
        data = read_bytes(path)
        pixels = decode(data, name=path)  # (H, W, 3)
    except ImageError as error:
        if error.reason == "missing":
            return None
        return image_id(data) if data else "", 0, 0, "", error.reason
    height, width, _ = pixels.shape
    return image_id(data), width, height, difference_hash(pixels), ""


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
    shares = {}
    for name, limit in limits.items():
        version, share = READERS[name]
        look = partial(_read, share, files)
        found = cached_map(cache_dir() / CACHE, look, files, version, name, progress)
        found = pd.Series(found, dtype=np.float32)
        shares[name] = found.reindex(image_ids).to_numpy()
        for image in found.index[found > limit]:
            del files[image]
    return shares


def _read(share: Callable, files: Mapping[str, str], image: str) -> float | None:
    try:
        return float(share(read_image(files[image])))
    except ImageError:
        return None  # not kept, so a repaired file is read again
