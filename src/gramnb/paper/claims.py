"""The audit: each claim of the paper beside what its own numbers say, and how sure a gain is.

Shares, gains and errors are 0-1 unless a docstring says percent. The baseline is k = 0.
"""

from itertools import count
from math import ceil, sqrt

import pandas as pd
from scipy import stats

from gramnb.paper import printed as paper
from gramnb.paper.printed import CLAIMS, DATA, SETTINGS

LEVEL, TARGET = 0.05, 0.8  # of a two-sided test, and its power
SD = 0.3  # percentage points, assumed between runs, as Table 3's are missing


def audit(disagreement: float = 0.10, own: float | None = None) -> pd.DataFrame:
    """Check the paper against itself: section, claim, printed, recomputed, verdict (all text).

    The claims are the rows of `claims.csv`. What stands there in braces is a constant of the paper,
    or by name a local variable of the function `_data`, `_settings` and so on. A verdict that is
    true is written "agrees", a false one "differs". The others: "contradicts itself" (two places of
    the text), "derived" (not printed, but the printed numbers determine it), "open" (they do not).

    Args:
        disagreement: share (0-1) of test images that exactly one run of two networks gets right,
            beside the least that Table 4 allows. Chapter 4 takes it from a recorded study.
        own: the same of two runs of one network; with it, the error of a difference between means
            of five runs is derived (`paired_error`).
    """
    rows = paper.read("claims", dtype=str)
    if own is None:
        rows = rows[~rows["recomputed"].str.contains("[own]", regex=False)].reset_index(drop=True)
    values = {"DATA": DATA, "SETTINGS": SETTINGS, "CLAIMS": CLAIMS, "SD": SD}
    values |= {"data": _data(), "settings": _settings(), "tables": _tables()}
    values |= {"chance": _chance(disagreement, own), "transfer": _transfer()}
    rows = rows.map(lambda cell: cell.format(**values))
    return rows.replace({"verdict": {"True": "agrees", "False": "differs"}})


def _data() -> dict:
    parts = pd.DataFrame([DATA.train, DATA.validation, DATA.test])
    totals, sadness = parts.sum(axis=1), parts["sadness"].sum()
    total = totals.sum()
    total_fits = total == DATA.filtered
    share = sadness / total
    share_fits = round(share, 2) == DATA.sadness_share
    by_class = (1 - share) * DATA.test.total, share * DATA.test.total
    splits = " / ".join((100 * totals / total).map("{:.2f}".format))
    splits_fit = splits == "80.00 / 10.00 / 10.00"
    lines = DATA.lines_train + DATA.lines_test
    lines_fit = abs(lines / DATA.listed - 1) < 0.005
    held_out = parts[1:].sum(), parts[1:]["sadness"].sum()
    halved = stats.hypergeom.pmf(DATA.test.sadness, held_out[0].sum(), held_out[1], DATA.test.total)
    retrieved = DATA.retrieved / DATA.lines_test  # images for each line of the test list
    label, level2 = (round(n * retrieved, -2) for n in (DATA.label_sadness, DATA.level2_sadness))
    lost = 1 - sadness / (DATA.level2_sadness * retrieved)
    return locals()


def _settings() -> dict:
    width = 3 * SETTINGS.tap_channels
    width_fits = SETTINGS.head_units == width
    width_k4 = SETTINGS.modules_transfer * SETTINGS.tap_channels
    rate, batch = SETTINGS.learning_rate * SETTINGS.gpus, SETTINGS.batch_size * SETTINGS.gpus
    steps = ceil(DATA.train.total / batch)
    all_steps = steps * SETTINGS.epochs
    return locals()


def _tables() -> dict:
    derived, printed, implied = paper.table3(), paper.table4(), paper.implied(paper.SCORES)
    shares = derived["accuracy"]
    accuracies = ", ".join(f"k = {k}: {value:.2f}" for k, value in shares.items())
    gains_fit = derived["gain"].iloc[1:].round(1).eq(CLAIMS.gain).all()
    columns = derived.iloc[1:][["gain", "gain_balanced"]]
    gains, balanced = columns.map("{:.2f}".format).T.agg(", ".join, axis=1)
    step = shares[3] - shares[2]
    step_fits, step_images = step > 0, step / 100 * DATA.test.total
    order = ", ".join(map(str, shares.sort_values(ascending=False).index))
    apart = abs(shares[5] - shares[3])
    best_fit = set(shares.nlargest(2).index) == {3, 4}
    off = implied.drop(columns="accuracy") - paper.SCORES  # NaN where nothing is implied
    gaps = off.abs().groupby("Table").max().max(axis=1)
    small = gaps < 1.5e-4
    accuracy = implied["accuracy"].groupby("Table").last()
    moved = printed.iloc[1:] > printed.iloc[0]
    up = [("Others", "Recall"), ("Sadness", "Precision")]
    down = [("Others", "Precision"), ("Sadness", "Recall")]
    as_told = moved[up].all(axis=None) and not moved[down].any(axis=None)
    told = "all k" if as_told else "not all k"
    networks, higher = len(moved), moved.xs("F1-score", axis=1, level=1).sum()
    higher_fits = higher["Others"] == networks
    f1 = printed["Sadness", "F1-score"]
    f1_loss = f1.iloc[0] - f1.min()
    better5 = (printed.iloc[4] > printed.iloc[3]).sum()
    better5_fits = better5 == 0
    return locals()


def _chance(disagreement: float, own: float | None) -> dict:
    derived, images = paper.table3(), DATA.test.total
    gain = derived["gain"][4] / 100
    # Where a class's recall moves, at least that many predictions did. Averages over runs cannot
    # differ more than the runs do on average, so the bound holds for them too.
    recalls = paper.SCORES.loc[4]["Recall"].unstack("Class").droplevel("Network")
    least_images = (recalls.loc[4] - recalls.loc[0]).abs() @ list(DATA.test)
    least = least_images / images

    def both(function) -> str:
        return "; ".join(f"{function(share)} at {share:.1%}" for share in (least, disagreement))

    errors = both(lambda share: f"{100 * paired_error(gain, share, images):.2f}")
    powers = both(lambda share: f"{power(gain, share):.0%}")
    needed = both(lambda share: f"{images_needed(gain, share):,}")
    error = 100 * paired_error(gain, disagreement, images, SETTINGS.runs, own or 0)
    times = 100 * gain / error
    runs = {k: seeds_needed(derived["gain"][k], SD) for k in SETTINGS.modules}
    seeds = ", ".join(f"k = {k}: {number}" for k, number in runs.items())
    return locals()


def _transfer() -> dict:
    table5, table6 = paper.table5().T, paper.table6().T
    others4 = paper.SCORES.loc[4].xs(4, level="k")["Precision"].iloc[0]
    higher_precision = min(table5["Others"]["Precision"], table6["Others"]["Precision"]) > others4
    tables = paper.SCORES.loc[[5, 6]].assign(Support=[*DATA.test, *DATA.test])  # WEBEmo's classes
    alike = list(paper.implied(tables)["Precision"].xs("Others", level="Class"))
    others, sadness = table6["Others"], table6["Sadness"]
    flagged = sadness.Recall * sadness.Support + (1 - others.Recall) * others.Support
    majority = flagged < sadness.Support
    return locals()


def paired_error(
    gain: float, disagreement: float, images: int, runs: int = 1, own: float = 0.0
) -> float:
    """Return the sampling error, 0-1, of an accuracy difference on one test set.

    With one run of each network, `disagreement` is the share of images that exactly one of the two
    gets right; an image's difference is -1, 0 or 1, so its variance is disagreement - gain^2. With
    so many `runs` of each it is a difference of means; if two runs of one network disagree on a
    share `own`, its mean square is disagreement - (1 - 1/runs) own. Images are independent.

    Raises:
        ValueError: the disagreements cannot belong to such a gain.
    """
    square = disagreement - (1 - 1 / runs) * own
    if square < (abs(gain) if runs == 1 else gain**2):
        raise ValueError(
            f"disagreement {disagreement:.4g} is too small for a gain of {gain:.4g} between means "
            f"of {runs} runs that disagree among themselves on {own:.4g}"
        )
    return sqrt((square - gain**2) / images)


def power(gain: float, disagreement: float, images: int = DATA.test.total) -> float:
    """Return the power, 0-1, of a two-sided McNemar test to see a gain, 0-1 (approximately)."""
    bar = stats.norm.isf(LEVEL / 2) * sqrt(disagreement / images)
    return stats.norm.sf((bar - gain) / paired_error(gain, disagreement, images))


def images_needed(gain: float, disagreement: float) -> int:
    """Return how many test images a McNemar test needs to reach the TARGET power (see `power`)."""
    error, bar = paired_error(gain, disagreement, 1), stats.norm.isf(LEVEL / 2) * sqrt(disagreement)
    return ceil(((bar + stats.norm.isf(1 - TARGET) * error) / gain) ** 2)


def seeds_needed(gain: float, sd: float) -> int:
    """Return how many runs of each network show a gain on one test set, by a two-sample t-test.

    `gain` and the runs' standard deviation `sd` share a unit, both above 0. More runs leave the
    test set's own sampling error as it is.
    """
    for runs in count(2):
        freedom, shift = 2 * runs - 2, gain / (sd * sqrt(2 / runs))
        if stats.nct.sf(stats.t.isf(LEVEL / 2, freedom), freedom, shift) >= TARGET:
            return runs
