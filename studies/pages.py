"""Text that a command writes into a page, so that no number in it is typed.

A page holds `<!-- name: made by ... -->` and `<!-- end -->`; `fill` replaces what stands between.

    python -m studies.pages

fills the README's results from the recorded studies.
"""

import re
import textwrap

from benchmarks.text_agreement import agreement

from gramnb import evaluation, paper, runs

ROWS = {  # of README's table: name, what it is compared with
    "k = 4": "k = 0",
    "k = 4, decay": "k = 0, decay",
    "k = 4, means": "k = 0",
    "means of 3 taps, decay": "k = 0, decay",
}
RESULTS = """\
**We find no evidence that four Gram modules help**: {finding} points of accuracy on {photographs}
photographs (95 % interval). This study could only have detected a gain of {detectable} points or
more (80 % power), {times} times the paper's {gain}. The paper's gain lies within the interval: the
study does not refute it either.

In points: differences with 95 % intervals (corrected resampled t-test over five folds, five seeds
each, heads on a frozen EfficientNetLite0), and the least difference that could have been detected.
Each row compares two networks. *Means*: the modules read the sub-maps' means in place of Gram
matrices. *Means of 3 taps*: no modules, a linear layer reads the means of three layers. *Decay*: a
recipe that was found on three of these five folds. We looked at {networks} networks and several
metrics. Nothing was corrected for that.

On {others} photographs of another collector, *means of 3 taps, decay* differs from *k = 0* by
{plain[accuracy]} points of accuracy and {plain[auc]} of AUC. From *k = 0, decay*, which is trained
alike, it differs by {alike[accuracy]} and {alike[auc]}. These intervals are bootstraps. The study
that trains the whole network could only detect {whole} points: it says nothing about modules.

The text filter (RapidOCR reads what it finds) agrees with eyes on {text[agree]:.1f} %
({text[low]:.1f} to {text[high]:.1f}) of {eyes} photographs that were labelled after its threshold
was fixed.
"""


def main() -> None:
    fill("README.md", {"results": results()})


def fill(page: str, texts: dict[str, str]) -> None:
    """Write texts into a page, each between two comments of which the first names it."""
    file = runs.resolve(page)
    with runs.atomic(file) as temporary:
        temporary.write_text(filled(file.read_text(encoding="utf-8"), texts), encoding="utf-8")


def filled(page: str, texts: dict[str, str]) -> str:
    """Return the page with each text between the two comments of which the first names it."""
    for name, text in texts.items():
        mark = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = mark.subn(lambda found, new=text: f"{found[1]}\n{new}\n\n{found[2]}", page)
        if count != 1:
            raise ValueError(f"{count} places for {name!r} in a page, there should be 1")
    return page


def table(rows: list[list[str]]) -> str:
    """Return rows of cells as a table in Markdown; the first row is its head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def results() -> str:
    """Return what the README says of the recorded studies."""
    frozen, away, whole = (
        runs.predictions(f"results/{name}").query("split == 'test'")
        for name in ("frozen", "transfer", "finetuned")
    )
    away = away[away["dataset"] == "happysad"]
    pairs = {f"{name} against {other}": (name, other) for name, other in ROWS.items()}
    alike = evaluation.compare(frozen, pairs)
    shown = evaluation.points(alike)
    means = {other: ("means of 3 taps, decay", other) for other in ("k = 0", "k = 0, decay")}
    elsewhere = evaluation.points(evaluation.compare(away, means))
    trained = evaluation.points(evaluation.compare(whole, {"whole": ("k = 4", "k = 0")}))
    gain, text = paper.table3()["gain"].loc[4], agreement().loc["report"]
    columns = ["accuracy", "accuracy, detectable", "auc", "auc, detectable"]
    rows = [["networks", "accuracy", "detectable", "AUC", "detectable"]]
    words = RESULTS.format(
        finding=shown["accuracy"].iloc[0],
        detectable=shown["accuracy, detectable"].iloc[0],
        times=f"{100 * alike['detectable'].iloc[0] / gain:.0f}",
        gain=f"{gain:.2f}",
        photographs=f"{frozen['image_id'].nunique():,}",
        networks=frozen["variant"].nunique(),
        others=away["image_id"].nunique(),
        plain=elsewhere.loc["k = 0"],
        alike=elsewhere.loc["k = 0, decay"],
        whole=trained["accuracy, detectable"].item(),
        text=100 * text,
        eyes=f"{text['n']:.0f}",
    )
    first, *rest = (
        textwrap.fill(part, 118, break_on_hyphens=False) for part in words.split("\n\n")
    )
    rows += shown[columns].reset_index().values.tolist()
    return "\n\n".join([first, table(rows), *rest])


if __name__ == "__main__":
    main()
