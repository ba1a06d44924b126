"""Judge the text filter against eyes: 700 web images labelled "text is a main part of it", or not.

    python benchmarks/text_agreement.py                    from the recorded scores
    python benchmarks/text_agreement.py FOLDER|MANIFEST    reads the images again first

`results/text_labels/labels.csv` holds the labels by image id (first 16 digits of the file's
sha256), drawn by hash among images that stand in one keyword class only, 100 a class, seen
shuffled on contact sheets, without class or score. Text is a main part where words are there to
be read and say what the image says: quotations, titles, captions, speech bubbles, posters, signs
held up. Watermarks, logos, footers and signs in the background are not. The part "choose" (60 a
class) chose the reading rule and the threshold; "report" (40 a class, no near-duplicate of one
seen before) was drawn and labelled after both were fixed. (An earlier "report" of 210 agreed to
94.3 %; half of its errors were agencies' watermarks, so their names became credits, which are not
text, and the 210, having been looked at, joined "choose".) Intervals are Wilson's 95 %, for the
difference of two shares Newcombe's. Given images, the shares are computed anew and written to
`scores.csv` beside the labels, so that the tables need no image.
"""

import sys
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from gramnb import runs
from gramnb.data import images, inspection, manifest
from gramnb.data.filters import TEXT_THRESHOLD

FOLDER = runs.project_root() / "results" / "text_labels"
SADNESS = ("crying", "lonely", "sad")
THRESHOLDS = (0.01, 0.0125, 0.015, 0.0175, 0.02, 0.0225, 0.025, 0.03, 0.035, 0.04, 0.05, 0.08, 0.12)


def measure(source: Path, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the text share of every labelled image found below a folder or in a manifest."""
    if source.is_dir():
        files = sorted(file for file in source.rglob("*") if file.is_file())
        ids = [images.image_id(file.read_bytes()) for file in files]
        found = dict(zip(ids, map(str, files), strict=True))
    else:
        table = manifest.read(source)
        found = dict(zip(table["image_id"], table["path"], strict=True))
    missing = [i for i in labels["image_id"] if i not in found]
    if missing:
        raise SystemExit(
            f"{source}: lacks {len(missing)} of {len(labels)} labelled images, "
            f"for one {missing[0]}; scores.csv is left as it was"
        )
    ids = labels["image_id"]
    shares = inspection.measure([found[i] for i in ids], ids, {"text": 1})["text"]
    return pd.DataFrame({"image_id": ids, "text_fraction": shares})


def percent(successes: int, n: int) -> str:
    if n == 0:
        return "-"
    low, high = interval(successes, n)
    return f"{100 * successes / n:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def interval(successes: int, n: int) -> tuple[float, float]:
    return tuple(binomtest(int(successes), int(n)).proportion_ci(method="wilson"))


def row(part: pd.DataFrame, threshold: float) -> dict:
    eyes, filtered = part["text"] == 1, part["text_fraction"] > threshold
    both = (eyes & filtered).sum()
    return {
        "images": len(part),
        "text by eye": eyes.sum(),
        "text by filter": filtered.sum(),
        "agreement %": percent((eyes == filtered).sum(), len(part)),
        "precision %": percent(both, filtered.sum()),
        "recall %": percent(both, eyes.sum()),
        "textless lost %": percent((filtered & ~eyes).sum(), (~eyes).sum()),
    }


def difference(part: pd.DataFrame, threshold: float) -> str:
    """Return the share of textless images lost, sadness minus others, in points."""
    textless = part[part["text"] == 0]
    shares = []
    for _, group in textless.groupby(textless["class"].isin(SADNESS)):  # others, then sadness
        lost, n = (group["text_fraction"] > threshold).sum(), len(group)
        shares.append((lost / n, *interval(lost, n)))
    (p0, low0, high0), (p1, low1, high1) = shares
    below = ((p1 - low1) ** 2 + (high0 - p0) ** 2) ** 0.5
    above = ((high1 - p1) ** 2 + (p0 - low0) ** 2) ** 0.5
    points = [100 * value for value in (p1 - p0, p1 - p0 - below, p1 - p0 + above)]
    return "{:+.1f} ({:+.1f} to {:+.1f}) points".format(*points)


def main() -> None:
    labels = pd.read_csv(FOLDER / "labels.csv")
    if len(sys.argv) > 1:
        with runs.atomic(FOLDER / "scores.csv") as temporary:
            scores = measure(runs.resolve(sys.argv[1]), labels)
            scores.to_csv(temporary, index=False, float_format="%.6f")
    table = labels.merge(pd.read_csv(FOLDER / "scores.csv"), on="image_id", validate="1:1")
    choose, report = (table[table["half"] == half] for half in ("choose", "report"))

    print(f"Part 'choose', {len(choose)} images, by threshold (in use: {TEXT_THRESHOLD})")
    print(pd.DataFrame({t: row(choose, t) for t in THRESHOLDS}).T.to_string(), "\n")

    print(f"Part 'report', {len(report)} images, at {TEXT_THRESHOLD}")
    parts = {name: part for name, part in report.groupby("class")}
    sad = report["class"].isin(SADNESS)
    parts |= {"others": report[~sad], "sadness": report[sad], "all": report}
    print(pd.DataFrame({n: row(p, TEXT_THRESHOLD) for n, p in parts.items()}).T.to_string(), "\n")

    print("Textless images lost, sadness minus others")
    for name, part in (("choose", choose), ("report", report), ("both", table)):
        print(f"  {name:7s}{difference(part, TEXT_THRESHOLD)}")


if __name__ == "__main__":
    main()
