"""What commands write into pages and draw for them, so that no number there is typed.

A page holds `<!-- name: made by studies/script.py -->` and `<!-- end -->`; `fill` replaces what
stands between by the block of that name in `texts.md.j2`.

    python -m studies.pages

collects the answer to the main question from all recorded studies (`results/answer.csv`), draws it
(`book/images/answer.svg`) and fills the README's results.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.text_agreement import agreement
from jinja2 import Environment, FileSystemLoader
from studies.record import write_table

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
TEXTS = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True)
TEXTS.filters["percent"] = lambda share, digits=0: f"{100 * share:.{digits}f} %"


def main() -> None:
    table = answer()
    write_table(ANSWER, table.reset_index(), "%.4f")
    plots.save_svg(plots.estimates(table, MARGIN), DRAWING, "studies/pages.py")
    fill("README.md", "pages", **results())


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


def fill(page: str, script: str, **values) -> None:
    """Write into a page what a script of this folder makes of values."""
    file = runs.resolve(page)
    with runs.atomic(file) as temporary:
        text = filled(file.read_text(encoding="utf-8"), script, **values)
        temporary.write_text(text, encoding="utf-8")


def filled(page: str, script: str, **values) -> str:
    """Return the page as `fill` writes it; ValueError if it has no place for the script's texts."""
    template = TEXTS.get_template("texts.md.j2")
    context = template.new_context(values)

    def text(found: re.Match) -> str:
        return f"{found[1]}\n{''.join(template.blocks[found[2]](context)).strip()}\n\n"

    mark = rf"(<!-- (\w+): made by studies/{script}\.py -->\n).*?(?=<!-- end -->)"
    page, count = re.subn(mark, text, page, flags=re.DOTALL)
    if not count:
        raise ValueError(f"the page has no place for what studies/{script}.py makes")
    return page


def results() -> dict:
    """Return what the README says of the recorded studies, by name."""
    planned = _answers("equivalence")
    main = evaluation.compare(planned, {"": PAIR}, ("accuracy",))
    means = ("k = 4", "k = 4, means")
    return {
        "pool": planned["image_id"].nunique(),
        "planned": _difference("equivalence", PAIR, "accuracy"),
        "larger": _difference("equivalence_lite2", PAIR, "auc"),
        "against_means": _difference("equivalence_lite2_means", means, "auc"),
        "gain": paper.table3()["gain"].loc[4],
        "text": agreement().loc["report"],
        **evaluation.equivalence(main, margin=MARGIN / 100).iloc[0],
    }


def _difference(study: str, pair: tuple[str, str], metric: str) -> str:
    return evaluation.points(evaluation.compare(_answers(study), {"": pair}, (metric,))).iat[0, 0]


if __name__ == "__main__":
    main()
