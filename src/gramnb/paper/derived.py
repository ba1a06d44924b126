"""What follows from the paper's numbers: Table 3, implied metrics, sampling error, power.

Shares, gains and errors are 0-1 unless a docstring says percent. The baseline is k = 0.
"""

from math import ceil, sqrt

import pandas as pd
from scipy import stats

from gramnb.paper.printed import DATA, PUBLISHED, TABLE4, TABLE5, TABLE6, Scores


def accuracy(others: Scores, sadness: Scores) -> float:
    """Return the accuracy, 0-1, that two recalls and their supports imply (Section 4.2)."""
    right = others.recall * others.support + sadness.recall * sadness.support
    return right / (others.support + sadness.support)


def implied(scores: Scores, other: Scores) -> tuple[float, float]:
    """Return the precision and F1, 0-1, of a class that both recalls and supports imply."""
    hits = scores.recall * scores.support
    precision = hits / (hits + (1 - other.recall) * other.support)
    return precision, 2 * precision * scores.recall / (precision + scores.recall)


def least_disagreement(k: int) -> float:
    """Return the least share, 0-1, of test images on which Table 4's k and the baseline differ.

    Where a class's recall moves, at least that many predictions did. Averages over runs cannot
    differ more than the runs themselves do on average, so the bound holds for them too.
    """
    pairs = zip(TABLE4[k], TABLE4[0], strict=True)
    moved = [abs(ours.recall - baseline.recall) * ours.support for ours, baseline in pairs]
    return sum(moved) / DATA.test.total


def paired_error(
    gain: float, disagreement: float, images: int, runs: int = 1, own: float = 0.0
) -> float:
    """Return the sampling error, 0-1, of an accuracy difference on one test set.

    With one run of each network, `disagreement` is the share of images that exactly one of the two
    gets right; an image's difference is -1, 0 or 1, so its variance is disagreement - gain^2. With
    so many `runs` of each, an image's difference is one of two means. If two runs of one network
    disagree on a share `own`, its mean square is disagreement - (1 - 1/runs) own.

    It assumes that images are independent and that all runs answer the same ones; it holds the
    training images fixed.

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


def power(gain: float, disagreement: float, images: int = DATA.test.total, level=0.05) -> float:
    """Return the power, 0-1, of a two-sided McNemar test to see a gain (0-1) of one network pair.

    Normal approximation with the variance of each hypothesis; `disagreement` is an assumption, or
    `least_disagreement`, and must not be less than the gain.
    """
    bar = stats.norm.isf(level / 2) * sqrt(disagreement / images)
    return float(stats.norm.sf((bar - abs(gain)) / paired_error(gain, disagreement, images)))


def images_needed(gain: float, disagreement: float, level=0.05, target=0.8) -> int:
    """Return how many test images a McNemar test needs to reach the target power (see `power`)."""
    error = paired_error(gain, disagreement, 1)
    bar = stats.norm.isf(level / 2) * sqrt(disagreement)
    return ceil(((bar + stats.norm.isf(1 - target) * error) / gain) ** 2)


def seeds_needed(gain: float, sd: float, level=0.05, target=0.8) -> int:
    """Return how many runs of each network show a gain on one test set, by a two-sample t-test.

    `gain` and the runs' standard deviation `sd` share a unit. More runs settle which network does
    better on this test set; they leave the test set's own sampling error as it is.
    """
    if not (gain and sd > 0):
        raise ValueError(f"gain must not be 0 and sd must be above 0, got {gain} and {sd}")
    runs = 2
    while True:
        freedom = 2 * runs - 2
        shift = abs(gain) / (sd * sqrt(2 / runs))
        if stats.nct.sf(stats.t.isf(level / 2, freedom), freedom, shift) >= target:
            return runs
        runs += 1


def _network(k: int) -> str:
    """Name the network with k Gram modules as Tables 3 and 4 do."""
    return f"Improved B2, {k} Gram modules" if k else "Baseline B2"


def table3() -> pd.DataFrame:
    """Derive Table 3's accuracies from Table 4, indexed by k, in percent and percentage points.

    Columns: network, accuracy, gain over the baseline, gain in balanced accuracy, and the sampling
    error `error` of one network's accuracy on the 6,107 test images. Recalls are printed to four
    digits, hence accuracies are sure to 0.005. The baseline is k = 0.
    """
    rows = {}
    for k, scores in TABLE4.items():
        share = accuracy(*scores)
        pairs = zip(scores, TABLE4[0], strict=True)
        balanced = sum(ours.recall - baseline.recall for ours, baseline in pairs) / 2
        rows[k] = {
            "network": _network(k),
            "accuracy": 100 * share,
            "gain": 100 * (share - accuracy(*TABLE4[0])),
            "gain_balanced": 100 * balanced,
            "error": 100 * sqrt(share * (1 - share) / DATA.test.total),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("k")


def table4() -> pd.DataFrame:
    """Return Table 4 as printed: networks x (class, metric), shares."""
    columns = pd.MultiIndex.from_product(
        [("Others", "Sadness"), ("Precision", "Recall", "F1-score")]
    )
    cells = [others[:3] + sadness[:3] for others, sadness in TABLE4.values()]
    return pd.DataFrame(cells, pd.Index(map(_network, TABLE4), name="Network"), columns)


def table5(scores: tuple[Scores, Scores] = TABLE5) -> pd.DataFrame:
    """Return Table 5 as printed: UnbiasedEmo, k = 4, shares and images."""
    columns = ["Precision", "Recall", "F1-score", "Support"]
    return pd.DataFrame(map(tuple, scores), pd.Index(["Others", "Sadness"], name="Class"), columns)


def table6() -> pd.DataFrame:
    """Return Table 6 as printed: Emotion-6, k = 4, shares and images."""
    return table5(TABLE6)


def supports() -> pd.DataFrame:
    """Compare the parts of UnbiasedEmo and Emotion-6 in Tables 5 and 6 with rules that could be.

    Rows: what is published, what is printed, and the others that two rules would leave beside the
    sadness printed: to keep the same share of both classes, and to undersample others to the share
    of sadness of Section 4.1. Columns: data set x others, sadness.
    """
    columns = {}
    for name, table in (("UnbiasedEmo", TABLE5), ("Emotion-6", TABLE6)):
        others, sadness = (scores.support for scores in table)
        same = round(sadness / PUBLISHED[name].sadness * PUBLISHED[name].others)
        balanced = round(sadness * (1 / DATA.sadness_share - 1))
        columns[name, "others"] = [PUBLISHED[name].others, others, same, balanced]
        columns[name, "sadness"] = [PUBLISHED[name].sadness, sadness, sadness, sadness]
    rows = [
        "published",
        "printed",
        "same share of both classes",
        "others undersampled as in Section 4.1",
    ]
    return pd.DataFrame(columns, index=rows).rename_axis("subset")


def attrition() -> pd.DataFrame:
    """Return the paper's way from list to data set (Section 4.1): step x others, sadness, total.

    Between the first and the last row stand the images lost at a step. Classes are printed for the
    data set only. "listed" counts the lines of WEBEmo's two lists, which the paper rounds.
    """
    listed = DATA.lines_train + DATA.lines_test
    others, sadness = map(sum, zip(DATA.train, DATA.validation, DATA.test, strict=True))
    rows = {
        "listed": (None, None, listed),
        "not retrieved": (None, None, listed - DATA.retrieved),
        "text, undersampling": (None, None, DATA.retrieved - others - sadness),
        "kept": (others, sadness, others + sadness),
    }
    frame = pd.DataFrame(rows, ["others", "sadness", "total"], dtype="Int64").T
    return frame.rename_axis("step")


def operating_points() -> dict[str, tuple[float, float]]:
    """Return the false and true positive rate of each printed network and data set (Tables 4-6)."""
    tables = {_network(k): scores for k, scores in TABLE4.items()}
    tables |= {"UnbiasedEmo": TABLE5, "Emotion-6": TABLE6}
    return {name: (1 - others.recall, sadness.recall) for name, (others, sadness) in tables.items()}
