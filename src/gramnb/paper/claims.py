"""The audit: each claim of the paper beside what its own numbers say, and how sure a gain is.

Shares, gains and errors are 0-1 unless a docstring says percent. The baseline is k = 0.
"""

from math import ceil, sqrt

import pandas as pd
from scipy import stats

from gramnb.paper import printed as paper
from gramnb.paper.printed import CLAIMS, DATA, SETTINGS

LEVEL, TARGET = 0.05, 0.8  # of a two-sided test, and its power
SD = 0.3  # percentage points, assumed between runs, as Table 3's are missing


def audit(disagreement: float = 0.10, own: float | None = None) -> pd.DataFrame:
    """Check the paper against itself: section, claim, printed, recomputed, verdict (all text).

    The claims are the rows of `claims.csv`; this function fills in what stands there in braces.
    Verdicts: "agrees", "differs", "contradicts itself" (two places of the text), "derived" (not
    printed, but the printed numbers determine it), "open" (the text does not determine it).

    Args:
        disagreement: share (0-1) of test images that exactly one run of two networks gets right,
            beside the least that Table 4 allows. Chapter 4 takes it from a recorded study.
        own: the same of two runs of one network; with it, the error of a difference between means
            of five runs is derived (`paired_error`).
    """
    rows = paper.read("claims", dtype=str)
    if own is None:
        rows = rows[~rows["recomputed"].str.contains("{own", regex=False)].reset_index(drop=True)
    values = {"DATA": DATA, "SETTINGS": SETTINGS, "CLAIMS": CLAIMS}
    values |= _data() | _settings() | _tables() | _uncertainty(disagreement, own) | _transfer()
    true = {name: "agrees" if value else "differs" for name, value in values.items()}
    rows["verdict"] = [verdict.format(**true) for verdict in rows["verdict"]]
    return rows.map(lambda cell: cell.format(**values))


def _data() -> dict:
    parts = pd.DataFrame([DATA.train, DATA.validation, DATA.test])
    totals = parts.sum(axis=1)
    total, sadness, lines = totals.sum(), parts["sadness"].sum(), DATA.lines_train + DATA.lines_test
    share, held_out = sadness / total, parts[1:].sum()
    retrieved = DATA.retrieved / DATA.lines_test  # images for each line of the test list
    splits = " / ".join((100 * totals / total).map("{:.2f}".format))
    return {
        "lines": lines,
        "lines_fit": abs(lines / DATA.listed - 1) < 0.005,
        "total": total,
        "total_fits": total == DATA.filtered,
        "sadness": sadness,
        "share": share,
        "share_fits": round(share, 2) == DATA.sadness_share,
        "splits": splits,
        "splits_fit": splits == "80.00 / 10.00 / 10.00",
        "by_class": ((1 - share) * DATA.test.total, share * DATA.test.total),
        "halved": stats.hypergeom.pmf(
            DATA.test.sadness, held_out.sum(), held_out["sadness"], DATA.test.total
        ),
        "label": round(DATA.label_sadness * retrieved, -2),
        "level2": round(DATA.level2_sadness * retrieved, -2),
        "lost": 1 - sadness / (DATA.level2_sadness * retrieved),
    }


def _settings() -> dict:
    channels, batch = SETTINGS.tap_channels, SETTINGS.batch_size * SETTINGS.gpus
    steps = ceil(DATA.train.total / batch)
    return {
        "width": 3 * channels,
        "width_fits": SETTINGS.head_units == 3 * channels,
        "width_k4": SETTINGS.modules_transfer * channels,
        "rate": SETTINGS.learning_rate * SETTINGS.gpus,
        "batch": batch,
        "steps": steps,
        "all_steps": steps * SETTINGS.epochs,
    }


def _tables() -> dict:
    derived, printed, implied = paper.table3(), paper.table4(), paper.implied(paper.SCORES)
    shares, gains = derived["accuracy"], derived["gain"].iloc[1:]
    balanced = derived["gain_balanced"].iloc[1:]
    moved = printed.iloc[1:] > printed.iloc[0]
    f1 = printed["Sadness", "F1-score"]
    off = implied.drop(columns="accuracy") - paper.SCORES  # NaN where nothing is implied
    gaps = off.abs().groupby("Table").max().max(axis=1)
    up = [("Others", "Recall"), ("Sadness", "Precision")]
    down = [("Others", "Precision"), ("Sadness", "Recall")]
    as_told = moved[up].all(axis=None) and not moved[down].any(axis=None)
    better5 = (printed.iloc[4] > printed.iloc[3]).sum()
    return {
        "accuracies": ", ".join(f"k = {k}: {value:.2f}" for k, value in shares.items()),
        "gains": ", ".join(gains.map("{:.2f}".format)),
        "balanced": ", ".join(balanced.map("{:.2f}".format)),
        "gains_fit": gains.round(1).eq(CLAIMS.gain).all(),
        "step": shares[3] - shares[2],
        "step_fits": shares[3] > shares[2],
        "step_images": (shares[3] - shares[2]) / 100 * DATA.test.total,
        "order": ", ".join(map(str, shares.sort_values(ascending=False).index)),
        "apart": abs(shares[5] - shares[3]),
        "best_fit": set(shares.nlargest(2).index) == {3, 4},
        "gaps": gaps.to_dict(),
        **{f"table{n}_fits": gap < 1.5e-4 for n, gap in gaps.items()},
        "as_told": as_told,
        "told": "all k" if as_told else "not all k",
        "networks": len(moved),
        "higher": {name: moved[name, "F1-score"].sum() for name in ("Others", "Sadness")},
        "higher_fits": moved["Others", "F1-score"].all(),
        "f1_loss": f1.iloc[0] - f1.min(),
        "better5": better5,
        "better5_fits": better5 == 0,
        "accuracy": implied["accuracy"].groupby("Table").last().to_dict(),  # of Tables 5 and 6
    }


def _uncertainty(disagreement: float, own: float | None) -> dict:
    derived, images = paper.table3(), DATA.test.total
    gain, least = derived["gain"][4] / 100, least_disagreement(4)

    def both(function) -> str:
        return "; ".join(f"{function(share)} at {share:.1%}" for share in (least, disagreement))

    error = paired_error(gain, disagreement, images, SETTINGS.runs, own or 0)
    seeds = {k: seeds_needed(derived["gain"][k], SD) for k in SETTINGS.modules}
    return {
        "disagreement": disagreement,
        "own": own,
        "sd": SD,
        "error": derived["error"][0],
        "gain2": derived["gain"][2],
        "gain4": 100 * gain,
        "least": least,
        "least_images": least * images,
        "errors": both(lambda share: f"{100 * paired_error(gain, share, images):.2f}"),
        "error_of_means": 100 * error,
        "times": gain / error,
        "powers": both(lambda share: f"{power(gain, share):.0%}"),
        "needed": both(lambda share: f"{images_needed(gain, share):,}"),
        "seeds": ", ".join(f"k = {k}: {runs}" for k, runs in seeds.items()),
    }


def _transfer() -> dict:
    webemo = paper.SCORES.loc[4].xs(4, level="k")
    tables = paper.SCORES.loc[[5, 6]]
    alike = paper.implied(tables.assign(Support=[*DATA.test, *DATA.test]))  # WEBEmo's classes
    sets = {n: paper.table5(n).T for n in (5, 6)}
    others, sadness = sets[6]["Others"], sets[6]["Sadness"]
    flagged = sadness.Recall * sadness.Support + (1 - others.Recall) * others.Support
    others4 = webemo["Precision"].iloc[0]
    return {
        "table5": sets[5].to_dict(),
        "table6": sets[6].to_dict(),
        "others4": others4,
        "higher_precision": min(each["Others"].Precision for each in sets.values()) > others4,
        "alike": list(alike["Precision"].iloc[[0, 2]]),  # others', of both sets
        "flagged": flagged,
        "majority": flagged < sadness.Support,
    }


def least_disagreement(k: int) -> float:
    """Return the least share, 0-1, of test images on which Table 4's k and the baseline differ.

    Where a class's recall moves, at least that many predictions did. Averages over runs cannot
    differ more than the runs themselves do on average, so the bound holds for them too.
    """
    recalls = paper.SCORES.loc[4]["Recall"].unstack("Class").droplevel("Network")
    return float((recalls.loc[k] - recalls.loc[0]).abs() @ list(DATA.test)) / DATA.test.total


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
    if not gain**2 <= square <= 1 or (runs == 1 and abs(gain) > disagreement):
        raise ValueError(
            f"disagreement {disagreement:.4g} is too small for a gain of {gain:.4g} between means "
            f"of {runs} runs that disagree among themselves on {own:.4g}"
        )
    return sqrt((square - gain**2) / images)


def power(gain: float, disagreement: float, images: int = DATA.test.total) -> float:
    """Return the power, 0-1, of a two-sided McNemar test to see a gain, 0-1 (approximately)."""
    bar = stats.norm.isf(LEVEL / 2) * sqrt(disagreement / images)
    return float(stats.norm.sf((bar - abs(gain)) / paired_error(gain, disagreement, images)))


def images_needed(gain: float, disagreement: float) -> int:
    """Return how many test images a McNemar test needs to reach the TARGET power (see `power`)."""
    error = paired_error(gain, disagreement, 1)
    bar = stats.norm.isf(LEVEL / 2) * sqrt(disagreement)
    return ceil(((bar + stats.norm.isf(1 - TARGET) * error) / gain) ** 2)


def seeds_needed(gain: float, sd: float) -> int:
    """Return how many runs of each network show a gain on one test set, by a two-sample t-test.

    `gain` and the runs' standard deviation `sd` share a unit. More runs leave the test set's own
    sampling error as it is.
    """
    if not (gain and sd > 0):  # no number of runs would do
        raise ValueError(f"gain must not be 0 and sd must be above 0, got {gain} and {sd}")
    runs, reached = 1, 0.0
    while reached < TARGET:
        runs += 1
        freedom, shift = 2 * runs - 2, abs(gain) / (sd * sqrt(2 / runs))
        reached = stats.nct.sf(stats.t.isf(LEVEL / 2, freedom), freedom, shift)
    return runs
