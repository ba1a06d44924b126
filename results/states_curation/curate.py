"""Curate a folder of class folders and record what became of each image, without any pixel.

    python results/states_curation/curate.py FOLDER [SADNESS]

FOLDER holds class folders, SADNESS names those that count as sadness (default: sad,crying,lonely).
The manifest goes to runs/states/, the record to results/states_curation/images.csv: hashes, labels,
splits, shares under text and faces, reasons; no path, no picture. Prints the attrition table and
the seconds it took.
"""

import sys
import time

from gramnb import runs
from gramnb.data import curation, manifest

COLUMNS = ["row", "image_id", "label", "sadness", "split", "fold", "width", "height",
           "text_fraction", "face_fraction", "group", "dropped"]  # fmt: skip


def main(folder: str, sadness: str = "sad,crying,lonely") -> None:
    began = time.perf_counter()
    recipe = curation.Recipe("folder", folder, sadness, face_threshold=1.0, folds=5)
    table = curation.prepare("runs/states/manifest.parquet", recipe)
    print(manifest.attrition(table).to_string())
    kept = manifest.kept(table)
    print(kept.groupby(["split", "sadness"]).size().unstack().to_string())
    print(f"{time.perf_counter() - began:.0f} s")
    file = runs.resolve("results/states_curation/images.csv")
    with runs.atomic(file) as temporary:
        table[COLUMNS].to_csv(temporary, index=False, float_format="%.6f")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
