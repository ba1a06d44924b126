"""Time the text filter beside RapidOCR as it comes, in turns, on the same images.

    python benchmarks/text_speed.py [FOLDER] [COUNT]

Without a folder, on drawn demo images of 320 px. RapidOCR's defaults enlarge the short side to 736
pixels and read every box; here images keep their size, boxes too small to matter stay unread, and
each core has a reader of its own. The images go through both in blocks, alternating, so that a
busy machine slows both alike; the ratio is the point, images a second vary by machine. Medians.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rapidocr import RapidOCR

from gramnb.data import demo
from gramnb.data.images import ImageError, image_id, read_image
from gramnb.data.inspection import measure

BLOCK, DEFAULTS = 60, 6  # images a block; of each block, as many go through the defaults


def pictures(folder: Path, count: int) -> list[tuple[str, str]]:
    """Return `count` readable images below a folder, drawn by hash: (path, image id)."""
    found = {}
    for file in folder.rglob("*.*"):
        found[image_id(file.read_bytes())] = str(file)
    kept = []
    for name, file in sorted(found.items()):
        try:
            read_image(file)
        except ImageError:
            continue
        kept.append((file, name))
        if len(kept) == count:
            break
    return kept


def main(temporary: Path) -> None:
    os.environ["GRAMNB_CACHE"] = str(temporary)  # nothing is known of any image
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    if folder is None:
        folder = demo.draw_dataset(temporary / "images", count=count, size=320)
    images = pictures(folder, count)
    engine = RapidOCR(params={"Global.log_level": "critical"})
    engine(images[0][0])  # loads the models

    ours, defaults = [], []
    for start in range(0, len(images) - BLOCK + 1, BLOCK):
        paths, ids = zip(*images[start : start + BLOCK], strict=True)
        began = time.perf_counter()
        measure(paths, ids, {"text": 1}, progress=False)
        ours.append(BLOCK / (time.perf_counter() - began))
        began = time.perf_counter()
        for path in paths[:DEFAULTS]:
            engine(path)
        defaults.append(DEFAULTS / (time.perf_counter() - began))

    sides = [read_image(path).shape[:2] for path, _ in images]
    print(
        f"{len(ours)} blocks of {BLOCK} images, median {np.median(sides, axis=0).astype(int)} "
        f"pixels (height, width), {os.cpu_count()} cores"
    )
    for name, rate in (("measure", ours), ("RapidOCR's defaults", defaults)):
        print(f"{name:20s} {np.median(rate):7.1f} images/s ({min(rate):.1f}-{max(rate):.1f})")
    print(f"ratio                {np.median(np.divide(ours, defaults)):7.1f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
