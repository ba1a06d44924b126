"""Curate seven collections of photographs as one data set, and record it without any pixel.

    python -m studies.pool FOLDER

FOLDER holds a folder a collection, with class folders in it. `results/pool/collections.csv` says
which collections and classes there are, in which order, and what each class counts as. A picture
that several collections show belongs to the first of them; its copies in the others are dropped.
All of `happysad` are copies, byte for byte, of `bhup`'s happy and sad classes, so it
stands last and none of it is left.

The record, `results/pool/images.csv`, has a row an image listed: hashes, labels, shares under text
and faces, reasons. Two strata go to `runs/pool/`, `textless` and, of these, `general`: no face of a
tenth of the area or more. Of each stratum there is a manifest a repetition, `general-0.parquet` to
`general-9.parquet`, each with five folds dealt anew, and `general-collectors.parquet`, whose folds
are the collections.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from studies.record import write_table

from gramnb import runs
from gramnb.data import curation, inspection, manifest, sources

COLLECTIONS = "results/pool/collections.csv"
RECORD = "results/pool/images.csv"
MANIFEST = "runs/pool/{}-{}.parquet"
COLUMNS = ["row", "source", "file", "image_id", "label", "emotion", "sadness", "width", "height",
           "text_fraction", "face_fraction", "group", "dropped"]  # fmt: skip
REPETITIONS = 10
FOLDS = 5
FACES = 0.1  # share of the area that is a portrait


def main(folder: str) -> None:
    recipe = curation.Recipe(
        source="folder", root=folder, sadness_share=None, face_threshold=1.0, folds=FOLDS
    )
    table = curated(listed(Path(folder)), recipe)
    names = ["/".join(Path(path).parts[-2:]) for path in table["path"]]
    write_table(RECORD, table.assign(file=names)[COLUMNS], "%.6f")
    print(manifest.attrition(table).to_string())
    general = manifest.drop(table, table["face_fraction"] >= FACES, "face")
    for stratum, part in {"textless": table, "general": general}.items():
        folded = {seed: curation.split(part, recipe.replace(seed=seed))
                  for seed in range(REPETITIONS)}  # fmt: skip
        for name, one in (folded | {"collectors": by_collection(part)}).items():
            made = {**recipe.record(), "stratum": stratum, "folds": str(name)}
            manifest.write(one, MANIFEST.format(stratum, name), made)


def listed(folder: Path) -> pd.DataFrame:
    """Return every image of the collections, `source` naming its collection."""
    classes = pd.read_csv(runs.resolve(COLLECTIONS))
    tables = []
    for name, own in classes.groupby("collection", sort=False):
        own = own.set_index("label")
        table = sources.read("folder", str(folder / name), list(own.index[own["sadness"] == 1]))
        if unknown := sorted(set(table["label"]) - set(own.index)):
            raise ValueError(f"{COLLECTIONS}: {name} has no class {', '.join(unknown)}")
        tables.append(table.assign(source=name, emotion=table["label"].map(own["emotion"])))
    return manifest.new(pd.concat(tables, ignore_index=True))


def curated(table: pd.DataFrame, recipe: curation.Recipe) -> pd.DataFrame:
    """Return the manifest after every step before the split, faces measured but not dropped."""
    table = curation.drop_duplicates(inspection.inspect_all(table), recipe)
    table = curation.drop_conflicts(table, recipe)
    first = table.groupby("group")["source"].transform("first")
    table = manifest.drop(table, table["source"] != first, "duplicate")
    return curation.drop_text_and_faces(table, recipe)


def by_collection(table: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest with the number of its collection as each image's fold."""
    order = pd.read_csv(runs.resolve(COLLECTIONS))["collection"].unique()
    number = pd.Series(np.arange(len(order)), order)
    fold = table["source"].map(number).where(table["dropped"] == "", -1)
    return table.assign(split="", fold=fold.astype(np.int16))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
