"""Curate the photographs of *states* and record what became of each, without any pixel.

    python -m studies.curate FOLDER TRANSFER

FOLDER holds class folders, of which `SADNESS` count as sadness. The manifest goes to runs/states/,
the record to results/states_curation/images.csv: hashes, labels, splits, shares under text and
faces, reasons; no path, no picture. Prints what each step cost.

Beside the manifest stand others that studies compare it with, each on the same images or more:

    development.parquet     folds 0 to 2 alone, cut into five folds: where variants are searched for
    at_random.parquet       folds that let near-duplicates fall on both sides
    with_text.parquet       images of text kept as well; the other images stay in their folds
    with_conflicts.parquet  groups of near-duplicates under both labels kept as well, the same way
    unstratified.parquet    folds by groups of near-duplicates, whatever their class
    one_label.parquet       the first name of SADNESS alone is sadness, the others count as others
    without_faces.parquet   images of which faces cover a tenth or more are dropped
    cropped.parquet         the central squares of the images, written beside it; images.csv says
                            which was cut from which

TRANSFER is a folder of another collection: `<its name>.parquet` is without the images that are
near-duplicates of FOLDER's, and `<its name>_shared.parquet` with them.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import GroupKFold
from studies.record import write_table
from tqdm import tqdm

from gramnb import runs
from gramnb.data import curation, images, manifest

SADNESS = ("sad", "crying", "lonely")
RECORD = "results/states_curation/images.csv"
COLUMNS = ["row", "image_id", "label", "sadness", "split", "fold", "width", "height",
           "text_fraction", "face_fraction", "group", "dropped", "cropped"]  # fmt: skip
FOLDER = "runs/states/{}.parquet"
HELD_OUT = (3, 4)  # folds on which the best of a search is confirmed
FACES = 0.1  # share of the area
SIDE = 224  # of a central square, in pixels: what the studies' networks take


def main(folder: str, transfer: str) -> None:
    recipe = curation.Recipe(
        source="folder", root=folder, sadness=SADNESS, face_threshold=1.0, folds=5
    )
    table = curation.curate(FOLDER.format("manifest"), recipe)
    print(manifest.attrition(table).to_string())
    squares = cropped(table, runs.resolve(FOLDER.format("cropped")).with_suffix(""))
    recorded = table.assign(cropped=manifest.kept(squares)["image_id"])
    write_table(RECORD, recorded[COLUMNS], "%.6f")
    for name, other in (others(table, recipe) | {"cropped": squares}).items():
        manifest.write(other, FOLDER.format(name), recipe.record() | {"derived": name})
    for end, exclude in (("", FOLDER.format("manifest")), ("_shared", "")):
        recipe = curation.transfer_recipe("folder", transfer, SADNESS, exclude)
        other = curation.curate(FOLDER.format(Path(transfer).name + end), recipe)
        print(manifest.attrition(other).to_string())


def others(table: pd.DataFrame, recipe: curation.Recipe) -> dict[str, pd.DataFrame]:
    """Return the manifests that studies compare with `table`, by name."""
    held_out = manifest.drop(table, table["fold"].isin(HELD_OUT), "excluded")
    alone = table.assign(group=np.arange(len(table)))
    found = {
        "development": curation.split(held_out, recipe),
        "at_random": curation.split(alone, recipe),
        "unstratified": unstratified(table, recipe),
        "one_label": table.assign(sadness=(table["label"] == recipe.sadness[0]).astype(np.int8)),
        "without_faces": manifest.drop(table, table["face_fraction"] >= FACES, "face"),
    }
    more = {"with_text": {"text_threshold": None}, "with_conflicts": {"conflicts": "keep"}}
    for name, change in more.items():
        all_of_them = curation.curate(FOLDER.format(f"all_{name}"), recipe.replace(**change))
        found[name] = refolded(all_of_them, table)
    return found


def unstratified(table: pd.DataFrame, recipe: curation.Recipe) -> pd.DataFrame:
    """Return `table` with folds that hold whole groups and are drawn without regard to class."""
    table, kept = table.copy(), manifest.kept(table)
    folds = GroupKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    for number, (_, test) in enumerate(folds.split(kept, groups=kept["group"])):
        table.loc[kept.index[test], "fold"] = number
    return table


def cropped(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return `table` with the central squares of its images, which are written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    table = table.copy()
    for number, path in tqdm(manifest.kept(table)["path"].items(), "cropping", unit="image"):
        pixels = images.read_image(path)
        height, width, _ = pixels.shape
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = Image.fromarray(pixels[top : top + side, left : left + side])
        file = folder / f"{number}.png"
        square.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(file)
        columns = ["path", "image_id", "width", "height"]
        table.loc[number, columns] = str(file), images.image_id(file.read_bytes()), SIDE, SIDE
    return table


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
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
