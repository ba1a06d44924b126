"""The paper: its printed numbers, what follows from them, and an audit of its claims."""

from importlib.resources import files

import pandas as pd
from scipy import stats

from gramnb.paper.derived import (
    accuracy,
    attrition,
    images_needed,
    implied,
    least_disagreement,
    operating_points,
    paired_error,
    power,
    seeds_needed,
    supports,
    table3,
    table4,
    table5,
    table6,
)
from gramnb.paper.printed import (
    CLAIMS,
    DATA,
    PUBLISHED,
    SETTINGS,
    TABLE1,
    TABLE2,
    TABLE4,
    TABLE5,
    TABLE6,
    Scores,
)

__all__ = ["PUBLISHED", "TABLE1", "TABLE2", "attrition", "operating_points", "supports"]
__all__ += ["audit", "table5", "table6"]


def audit(disagreement: float = 0.10, own: float | None = None, sd: float = 0.3) -> pd.DataFrame:
    """Check the paper against itself: section, claim, printed, recomputed, verdict (all text).

    The claims are the rows of `claims.csv`; this function fills in what stands there in braces.
    Verdicts: "agrees", "differs", "contradicts itself" (two places of the text), "derived" (not
    printed, but the printed numbers determine it), "open" (the text does not determine it). Three
    assumptions enter the rows on power; chapter 4 takes the first two from a recorded study.

    Args:
        disagreement: share (0-1) of test images that exactly one run of two networks gets right,
            beside the least that Table 4 allows.
        own: the same of two runs of one network; with it, the error of a difference between means
            of five runs is derived (`paired_error`).
        sd: the runs' standard deviation of accuracy in percentage points; Table 3's are missing.
    """
    rows = pd.read_csv(files(__name__) / "claims.csv", dtype=str)
    if own is None:
        rows = rows[~rows["recomputed"].str.contains("{own", regex=False)].reset_index(drop=True)
    values = {"DATA": DATA, "SETTINGS": SETTINGS, "CLAIMS": CLAIMS, "TABLE5": TABLE5}
    values |= {"TABLE6": TABLE6, "disagreement": disagreement, "own": own, "sd": sd}
    values |= _data() | _settings() | _tables() | _uncertainty(disagreement, own, sd) | _transfer()
    true = {name: "agrees" if value else "differs" for name, value in values.items()}
    rows["verdict"] = [verdict.format(**true) for verdict in rows["verdict"]]
    return rows.map(lambda cell: cell.format(**values))


def _data() -> dict:
    parts = DATA.train, DATA.validation, DATA.test
    total, sadness = sum(part.total for part in parts), sum(part.sadness for part in parts)
    share, lines = sadness / total, DATA.lines_train + DATA.lines_test
    held_out = DATA.validation.total + DATA.test.total, DATA.validation.sadness + DATA.test.sadness
    label, level2 = (
        count / DATA.lines_test * DATA.retrieved
        for count in (DATA.label_sadness, DATA.level2_sadness)
    )
    splits = " / ".join(f"{100 * part.total / total:.2f}" for part in parts)
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
        "halved": stats.hypergeom.pmf(DATA.test.sadness, *held_out, DATA.test.total),
        "label": round(label, -2),
        "level2": round(level2, -2),
        "lost": 1 - sadness / level2,
    }


def _settings() -> dict:
    channels, batch = SETTINGS.tap_channels, SETTINGS.batch_size * SETTINGS.gpus
    steps = -(-DATA.train.total // batch)
    return {
        "width": 3 * channels,
        "width_fits": SETTINGS.head_units == 3 * channels,
        "width_k4": SETTINGS.modules_transfer * channels,
        "rate": SETTINGS.learning_rate * SETTINGS.gpus,
        "batch": batch,
        "steps": steps,
        "all_steps": steps * SETTINGS.epochs,
    }


def _inconsistency(*tables: tuple[Scores, Scores]) -> float:
    """Return the largest gap, 0-1, between printed precision or F1 and what recalls imply."""
    return max(
        abs(printed - computed)
        for pair in tables
        for scores, other in (pair, pair[::-1])
        for printed, computed in zip(
            (scores.precision, scores.f1), implied(scores, other), strict=True
        )
    )


def _tables() -> dict:
    derived, printed = table3(), table4()
    shares = derived["accuracy"]
    moved = printed.iloc[1:] > printed.iloc[0]
    f1 = printed["Sadness", "F1-score"]
    gaps = _inconsistency(*TABLE4.values()), _inconsistency(TABLE5), _inconsistency(TABLE6)
    up, down = [("Others", "Recall"), ("Sadness", "Precision")], ["Others", "Sadness"]
    as_told = moved[up].all(axis=None) and not moved[down].drop(columns=up).drop(
        columns="F1-score", level=1
    ).any(axis=None)
    return {
        "accuracies": ", ".join(f"k = {k}: {value:.2f}" for k, value in shares.items()),
        "gains": ", ".join(f"{gain:.2f}" for gain in derived["gain"].iloc[1:]),
        "balanced": ", ".join(f"{gain:.2f}" for gain in derived["gain_balanced"].iloc[1:]),
        "gains_fit": derived["gain"].iloc[1:].round(1).eq(CLAIMS.gain).all(),
        "step": shares[3] - shares[2],
        "step_fits": shares[3] > shares[2],
        "step_images": (shares[3] - shares[2]) / 100 * DATA.test.total,
        "order": ", ".join(str(k) for k in shares.sort_values(ascending=False).index),
        "apart": abs(shares[5] - shares[3]),
        "best_fit": set(shares.nlargest(2).index) == {3, 4},
        "gaps": gaps,
        **{f"table{n}_fits": gap < 1.5e-4 for n, gap in enumerate(gaps, 4)},
        "as_told": as_told,
        "told": "all k" if as_told else "not all k",
        "networks": len(moved),
        "higher": {name: moved[name, "F1-score"].sum() for name in ("Others", "Sadness")},
        "higher_fits": moved["Others", "F1-score"].all(),
        "f1_loss": f1.iloc[0] - f1.min(),
        "better5": (printed.iloc[4] > printed.iloc[3]).sum(),
        "better5_fits": not (printed.iloc[4] > printed.iloc[3]).any(),
        "accuracy5": accuracy(*TABLE5),
        "accuracy6": accuracy(*TABLE6),
    }


def _uncertainty(disagreement: float, own: float | None, sd: float) -> dict:
    derived, images = table3(), DATA.test.total
    gain, least = derived["gain"][4] / 100, least_disagreement(4)
    cases = {f"{share:.1%}": share for share in (least, disagreement)}

    def both(function) -> str:
        return "; ".join(f"{function(share)} at {name}" for name, share in cases.items())

    error = paired_error(gain, disagreement, images, SETTINGS.runs, own or 0)
    seeds = {k: seeds_needed(derived["gain"][k], sd) for k in SETTINGS.modules}
    return {
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
    alike = []  # others' precision, had the set the classes of the WEBEmo test part
    for scores in (TABLE5, TABLE6):
        shares = (row._replace(support=n) for row, n in zip(scores, DATA.test, strict=True))
        alike.append(implied(*shares)[0])
    others, sadness = TABLE6
    flagged = sadness.recall * sadness.support + (1 - others.recall) * others.support
    others4 = TABLE4[4][0].precision
    return {
        "others4": others4,
        "higher_precision": min(TABLE5[0].precision, others.precision) > others4,
        "alike": alike,
        "flagged": flagged,
        "majority": flagged < sadness.support,
    }
