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
**Four Gram modules change accuracy by {planned[accuracy]} points** (95 % interval) on {pool}
photographs of six collectors, with a frozen EfficientNetLite0. The probability that they gain
more than one point is {better}, that they are within a point of none {equivalent}. A gain of the
paper's size, {gain} points, is neither shown nor excluded. The plan
(`results/equivalence/plan.md`) was committed before the first run.

An earlier study of {networks} networks on {photographs} photographs of one collector could detect
far less. In points: differences with 95 % intervals (corrected resampled t-test), and the least
difference that could have been detected (80 % power). *Means*: the modules read the sub-maps'
means in place of Gram matrices. *Means of 3 taps*: no modules, a linear layer reads the means of
three layers. *Decay*: a recipe that was found on three of these five folds. Nothing was corrected
for the number of comparisons.

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
    frozen, planned = (
        runs.predictions(f"results/{name}").query("split == 'test'")
        for name in ("frozen", "equivalence")
    )
    main = evaluation.compare(planned, {"planned": ("k = 4", "k = 0")})
    chances = 100 * evaluation.equivalence(main, margin=0.01).loc[("planned", "accuracy")]
    pairs = {f"{name} against {other}": (name, other) for name, other in ROWS.items()}
    alike = evaluation.compare(frozen, pairs)
    shown = evaluation.points(alike)
    gain, text = paper.table3()["gain"].loc[4], agreement().loc["report"]
    columns = ["accuracy", "accuracy, detectable", "auc", "auc, detectable"]
    rows = [["networks", "accuracy", "detectable", "AUC", "detectable"]]
    words = RESULTS.format(
        planned=evaluation.points(main).loc["planned"],
        pool=f"{planned['image_id'].nunique():,}",
        better=f"{chances['better']:.0f} %",
        equivalent=f"{chances['equivalent']:.0f} %",
        gain=f"{gain:.2f}",
        photographs=f"{frozen['image_id'].nunique():,}",
        networks=frozen["variant"].nunique(),
        text=100 * text,
        eyes=f"{text['n']:.0f}",
    )
    *first, last = (
        textwrap.fill(part, 118, break_on_hyphens=False) for part in words.split("\n\n")
    )
    rows += shown[columns].reset_index().values.tolist()
    return "\n\n".join([*first, table(rows), last])


if __name__ == "__main__":
    main()
