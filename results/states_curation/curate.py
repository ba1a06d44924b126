"""Curate a folder of class folders and record what became of each image, without any pixel.

    python results/states_curation/curate.py FOLDER [SADNESS [TRANSFER]]

FOLDER holds class folders, SADNESS names those that count as sadness (default: sad,crying,lonely).
The manifest goes to runs/states/, the record to results/states_curation/images.csv: hashes, labels,
splits, shares under text and faces, reasons; no path, no picture. Prints the attrition table and
the seconds it took.

Beside the manifest stand others that studies compare it with, each on the same images or more:

    development.parquet     folds 0 to 2 alone, cut into five folds: where variants are searched for
    at_random.parquet       folds that let near-duplicates fall on both sides
    with_text.parquet       images of text kept as well; the other images stay in their folds
    with_conflicts.parquet  groups of near-duplicates under both labels kept as well, the same way

and, where TRANSFER names a folder of another collection, `<its name>.parquet` without the images
that are near-duplicates of FOLDER's, and `<its name>_shared.parquet` with them.
"""

import dataclasses
import pathlib
import sys
import time

import numpy as np
import pandas as pd

from gramnb import runs
from gramnb.data import curation, manifest

COLUMNS = ["row", "image_id", "label", "sadness", "split", "fold", "width", "height",
           "text_fraction", "face_fraction", "group", "dropped"]  # fmt: skip
FOLDER = "runs/states/{}.parquet"
HELD_OUT = (3, 4)  # folds on which the best of a search is confirmed


def main(folder: str, sadness: str = "sad,crying,lonely", transfer: str = "") -> None:
    began = time.perf_counter()
    recipe = curation.Recipe("folder", folder, sadness, face_threshold=1.0, folds=5)
    table = curation.prepare(FOLDER.format("manifest"), recipe)
    print(manifest.attrition(table).to_string())
    kept = manifest.kept(table)
    print(kept.groupby(["split", "sadness"]).size().unstack().to_string())
    print(f"{time.perf_counter() - began:.0f} s")
    file = runs.resolve("results/states_curation/images.csv")
    with runs.atomic(file) as temporary:
        table[COLUMNS].to_csv(temporary, index=False, float_format="%.6f")
    for name, other in others(table, recipe).items():
        manifest.write(other, FOLDER.format(name), recipe.record() | {"derived": name})
        print(f"{name}: {len(manifest.kept(other))} images")
    if transfer:
        name = pathlib.Path(transfer).name
        for end, exclude in (("", FOLDER.format("manifest")), ("_shared", "")):
            recipe = curation.transfer_recipe("folder", transfer, sadness, exclude)
            other = curation.prepare(FOLDER.format(name + end), recipe)
            print(manifest.attrition(other).to_string())


def others(table: pd.DataFrame, recipe: curation.Recipe) -> dict[str, pd.DataFrame]:
    """Return the manifests that studies compare with `table`, by name."""
    held_out = manifest.drop(table, table["fold"].isin(HELD_OUT), "excluded")
    alone = table.assign(group=np.arange(len(table)))
    more = {"with_text": {"text_threshold": None}, "with_conflicts": {"conflicts": "keep"}}
    return {
        "development": curation.split(held_out, recipe),
        "at_random": curation.split(alone, recipe),
    } | {
        name: refolded(
            curation.prepare(FOLDER.format(f"all_{name}"), dataclasses.replace(recipe, **change)),
            table,
        )
        for name, change in more.items()
    }


def refolded(table: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """Return `table` with the folds of `base` for its images, and for their near-duplicates."""
    kept = manifest.kept(table)
    known = manifest.kept(base).set_index("image_id")["fold"]
    own = kept["image_id"].map(known)
    joined = own.fillna(own.groupby(kept["group"]).transform("max")).fillna(kept["fold"])
    table = table.copy()
    table.loc[kept.index, "fold"] = joined.astype(np.int16)
    return table


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
