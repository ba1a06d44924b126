"""What commands write into pages and draw for them, so that no number there is typed.

A page holds `<!-- name: made by ... -->` and `<!-- end -->`; `fill` replaces what stands between.

    python -m studies.pages

collects the answer to the main question from all recorded studies (`results/answer.csv`), draws it
(`book/images/answer.svg`) and fills the README's results.
"""

import re
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from benchmarks.text_agreement import agreement

from gramnb import evaluation, paper, plots, runs

ANSWER, DRAWING = "results/answer.csv", "book/images/answer.svg"
MARGIN = 1.0  # points, of results/equivalence/plan.md
PAIR = ("k = 4", "k = 0")
BY_PAPER = tuple(f"{name}, paper's recipe" for name in PAIR)
KINDS = ("the paper", "k = 4 against k = 0", "one collector left out", "k = 4 against means")
# What each study adds to the answer: name, kind, study, pair of rows.
ROWS = [
    ("frozen Lite0", KINDS[1], "equivalence", PAIR),
    ("frozen Lite2", KINDS[1], "equivalence_lite2", PAIR),
    ("frozen, paper's recipe", KINDS[1], "equivalence_more", BY_PAPER),
    ("whole network", KINDS[1], "whole", PAIR),
    ("whole, paper's recipe", KINDS[1], "whole", BY_PAPER),
    ("means instead of G", KINDS[3], "equivalence_means", ("k = 4", "k = 4, means")),
    ("the same, Lite2", KINDS[3], "equivalence_lite2_means", ("k = 4", "k = 4, means")),
]
RESULTS = """\
On {pool:,} photographs of six collectors, with a frozen EfficientNetLite0, four Gram modules change
accuracy by **{planned} points** (95 % interval). The paper's own gain, {gain:.2f} points on its
images, is neither shown nor excluded. The plan (`results/equivalence/plan.md`) was committed before
the first run. The probability of a gain above one point is {better:.0f} %. That of a difference
within one point, the shaded band of the figure, is {equivalent:.0f} %: such a difference does not
matter.

On the larger EfficientNetLite2 the modules change AUC by {larger} points. Gram matrices in place of
plain means change it by {against_means}. On drawn textures that differ only in correlations, the
modules do see the difference.

The text filter (RapidOCR reads what it finds) agrees with eyes on {text[agree]:.1f} %
({text[low]:.1f} to {text[high]:.1f}) of {eyes:.0f} photographs that were labelled after its
threshold was fixed.
"""


def main() -> None:
    table = answer()
    with runs.atomic(runs.resolve(ANSWER)) as temporary:
        table.to_csv(temporary, float_format="%.4f")
    plots.save_svg(plots.estimates(table, MARGIN), DRAWING, "studies/pages.py")
    fill("README.md", {"results": results()})


def answer() -> pd.DataFrame:
    """Return every recorded difference in accuracy between k = 4 and k = 0, and the controls.

    In points, a row a study or collector: estimate, low, high, detectable, kind, source.
    """
    rows = {"paper": _paper()}
    for name, kind, study, pair in ROWS:
        (found,) = evaluation.compare(_answers(study), {name: pair}, ("accuracy",)).itertuples()
        rows[name] = _row(found._asdict(), kind, f"results/{study}")
    each = by_collector(_answers("collectors"), PAIR)
    where = "results/collectors: trained on the five others"
    for found in each.xs("accuracy", level="metric").itertuples():
        rows[f"{found.Index}, unseen"] = _row(found._asdict(), KINDS[2], where)
    rows["average, frozen"] = _average(each, "results/collectors, random effects")
    trained = by_collector(_answers("candidates"), tuple(f"{k}, seven emotions" for k in PAIR))
    where = "results/candidates, random effects; upper layers trained on seven emotions"
    rows["average, upper layers"] = _average(trained, where)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
    return table.sort_values("kind", key=lambda kind: kind.map(KINDS.index), kind="stable")


def by_collector(
    answers: pd.DataFrame, pair: tuple[str, str], metrics: tuple[str, ...] = ("accuracy",)
) -> pd.DataFrame:
    """Return `evaluation.compare` of a pair for each left-out collector, by its name."""
    names = pd.read_csv(runs.resolve("results/pool/collections.csv"))["collection"].unique()
    parts = answers.groupby("fold")
    return pd.concat(
        evaluation.compare(part.assign(fold=-1), {names[fold]: pair}, metrics)
        for fold, part in parts
    )


def _average(each: pd.DataFrame, source: str) -> dict:
    """Return what collectors say together, as a row of the answer."""
    return _row(evaluation.meta_analysis(each["estimate"], each["error"]), KINDS[2], source)


def _answers(study: str) -> pd.DataFrame:
    return runs.predictions(f"results/{study}").query("split == 'test'")


def _row(found: Mapping, kind: str, source: str) -> dict:
    names = ("estimate", "low", "high", "detectable")
    shares = {name: 100 * found.get(name, np.nan) for name in names}
    return shares | {"kind": kind, "source": source}


def _paper() -> dict:
    """Return the paper's gain, with the error that disagreement as in our runs would give it."""
    gain, images = paper.table3()["gain"].loc[4] / 100, paper.DATA.test.total
    networks = dict(iter(_answers("frozen").groupby("variant")))
    four, none = (networks[name] for name in PAIR)
    between = evaluation.disagreement(four, none)
    own = np.mean([evaluation.disagreement(each, each) for each in (four, none)])
    error = paper.paired_error(gain, between, images, paper.SETTINGS.runs, own)
    found = {"estimate": gain, "low": gain - 1.96 * error, "high": gain + 1.96 * error}
    source = "printed; error as if its runs disagreed as ours do, its test images alone"
    return _row(found, KINDS[0], source)


def fill(page: str, texts: dict[str, str]) -> None:
    """Write texts into a page, each between two comments of which the first names it."""
    file = runs.resolve(page)
    with runs.atomic(file) as temporary:
        temporary.write_text(filled(file.read_text(encoding="utf-8"), texts), encoding="utf-8")


def filled(page: str, texts: dict[str, str]) -> str:
    """Return the page as `fill` writes it; ValueError if it has no place for a text, or several."""
    for name, text in texts.items():
        mark = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
        page, count = mark.subn(lambda found, new=text: f"{found[1]}\n{new}\n\n{found[2]}", page)
        if count != 1:
            raise ValueError(f"{count} places for {name!r} in a page, there should be 1")
    return page


def results() -> str:
    """Return what the README says of the recorded studies."""
    planned = _answers("equivalence")
    main = evaluation.compare(planned, {"": PAIR}, ("accuracy",))
    chances = evaluation.equivalence(main, margin=MARGIN / 100).iloc[0]
    text = agreement().loc["report"]
    words = RESULTS.format(
        pool=planned["image_id"].nunique(),
        planned=_difference("equivalence", PAIR, "accuracy"),
        larger=_difference("equivalence_lite2", PAIR, "auc"),
        against_means=_difference("equivalence_lite2_means", ("k = 4", "k = 4, means"), "auc"),
        gain=paper.table3()["gain"].loc[4],
        better=100 * chances["better"],
        equivalent=100 * chances["equivalent"],
        text=100 * text,
        eyes=text["n"],
    )
    parts = words.strip().split("\n\n")
    return "\n\n".join(textwrap.fill(part, 118, break_on_hyphens=False) for part in parts)


def _difference(study: str, pair: tuple[str, str], metric: str) -> str:
    return evaluation.points(evaluation.compare(_answers(study), {"": pair}, (metric,))).iat[0, 0]


if __name__ == "__main__":
    main()
