"""Judge the text filter against eyes: 700 web images labelled "text is a main part of it", or not.

    python benchmarks/text_agreement.py [FOLDER]

`results/text_labels/labels.csv` holds the labels by image id (first 16 digits of the file's
sha256), drawn by hash among images that stand in one keyword class only, 100 a class, seen
shuffled on contact sheets, without class or score. Text is a main part where words are there to
be read and say what the image says: quotations, titles, captions, speech bubbles, posters, signs
held up. Watermarks, logos, footers and signs in the background are not. The part "choose" (60 a
class) chose the reading rule and the threshold; "report" (40 a class, no near-duplicate of one
seen before) was drawn and labelled after both were fixed. (An earlier "report" of 210 agreed to
94.3 %; half of its errors were agencies' watermarks, so their names became credits, which are not
text, and the 210, having been looked at, joined "choose".) Given the images' folder, their shares
are measured anew and written to `scores.csv` beside the labels, from where chapter 1 takes them.
"""

import sys
from pathlib import Path

import pandas as pd

from gramnb import evaluation, runs
from gramnb.data import images, inspection
from gramnb.data.filters import TEXT_THRESHOLD

FOLDER = runs.resolve("results/text_labels")


def measure(folder: Path, ids: pd.Series) -> pd.DataFrame:
    """Return the text share of every labelled image, found below the folder by its content."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    found = {images.image_id(file.read_bytes()): str(file) for file in files}
    if missing := sorted(set(ids) - set(found)):
        raise SystemExit(f"{folder}: lacks {len(missing)} labelled images, first {missing[0]}")
    shares = inspection.measure([found[i] for i in ids], ids, {"text": 1})["text"]
    return pd.DataFrame({"image_id": ids, "text_fraction": shares})


def agreement() -> pd.DataFrame:
    """Return of each half: n images, the share on which filter and eyes agree, its interval."""
    labels, scores = (pd.read_csv(FOLDER / f"{name}.csv") for name in ("labels", "scores"))
    table = labels.merge(scores, validate="1:1")
    table["agree"] = (table["text_fraction"] > TEXT_THRESHOLD) == table["text"]
    halves = table.groupby("half")["agree"].agg(n="size", agree="sum")
    halves["low"], halves["high"] = evaluation.wilson(halves["agree"], halves["n"])
    return halves.assign(agree=halves["agree"] / halves["n"])


def main() -> None:
    if len(sys.argv) > 1:
        scores = measure(Path(sys.argv[1]), pd.read_csv(FOLDER / "labels.csv")["image_id"])
        with runs.atomic(FOLDER / "scores.csv") as temporary:
            scores.to_csv(temporary, index=False, float_format="%.6f")
    print((agreement() * [1, 100, 100, 100]).round(1).to_string())


if __name__ == "__main__":
    main()
