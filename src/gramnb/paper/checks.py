"""The audit: every claim of the paper that its own numbers can confirm, refute or complete.

Verdicts: "agrees", "differs", "contradicts itself" (two places of the text), "derived" (not
printed, but the printed numbers determine it), "open" (the text does not determine it). What takes
a built network or a training run stays among the constants, to be compared where they exist.
"""

import pandas as pd
from scipy import stats

from gramnb.paper.derived import (
    accuracy,
    images_needed,
    implied,
    least_disagreement,
    paired_error,
    power,
    seeds_needed,
    table3,
    table4,
)
from gramnb.paper.printed import CLAIMS, DATA, SETTINGS, TABLE4, TABLE5, TABLE6, Scores

AGREES, DIFFERS, CONTRADICTS, DERIVED, OPEN = (
    "agrees",
    "differs",
    "contradicts itself",
    "derived",
    "open",
)
Row = tuple[str, str, str, str, str]  # section, claim, printed, recomputed, verdict


def audit(disagreement: float = 0.10, own: float | None = None, sd: float = 0.3) -> pd.DataFrame:
    """Check the paper against itself: section, claim, printed, recomputed, verdict (all text).

    Three assumptions enter the rows on power; chapter 4 takes the first two from a recorded study.

    Args:
        disagreement: share (0-1) of test images that exactly one run of two networks gets right,
            beside the least that Table 4 allows.
        own: the same of two runs of one network; with it, the error of a difference between means
            of five runs is derived (`paired_error`).
        sd: the runs' standard deviation of accuracy in percentage points; Table 3's are missing.
    """
    doubts = _uncertainty(disagreement, own, sd)
    rows = [*_data(), *_settings(), *_tables(), *doubts, *_transfer()]
    return pd.DataFrame(rows, columns=["section", "claim", "printed", "recomputed", "verdict"])


def _verdict(true: bool) -> str:
    return AGREES if true else DIFFERS


def _data() -> list[Row]:
    parts = DATA.train, DATA.validation, DATA.test
    total = sum(part.total for part in parts)
    sadness = sum(part.sadness for part in parts)
    share = sadness / total
    splits = " / ".join(f"{100 * part.total / total:.2f}" for part in parts)
    expected = share * DATA.test.total  # sadness in a part stratified by class
    held_out = DATA.validation.total + DATA.test.total, DATA.validation.sadness + DATA.test.sadness
    same = stats.hypergeom.pmf(DATA.test.sadness, *held_out, DATA.test.total)
    lines = DATA.lines_train + DATA.lines_test
    label, level2 = (
        count / DATA.lines_test * DATA.retrieved
        for count in (DATA.label_sadness, DATA.level2_sadness)
    )
    printed_test = f"{DATA.test.others:,} others, {DATA.test.sadness:,} sadness"
    return [
        ("4.1", "Images in WEBEmo", f"about {DATA.listed:,}", f"{lines:,} lines in its two lists",
         _verdict(abs(lines / DATA.listed - 1) < 0.005)),
        ("4.1", "Images in the data set", f"{DATA.filtered:,}",
         f"{total:,}, the sum of the three parts", _verdict(total == DATA.filtered)),
        ("4.1", "Share of sadness", f"about {DATA.sadness_share:.0%}", f"{share:.2%}",
         _verdict(round(share, 2) == DATA.sadness_share)),
        ("4.1", "Split, %", "80 / 10 / 10", splits, _verdict(splits == "80.00 / 10.00 / 10.00")),
        ("4.1", "Split by class (not claimed)", printed_test,
         f"by class the part would hold {DATA.test.total - expected:,.0f} and {expected:,.0f}: not "
         "stratified", DERIVED),
        ("4.1", "Validation and test hold the same classes", f"{printed_test}, twice",
         f"a random halving of their union does so in {same:.1%} of cases: probably halved by "
         "class", DERIVED),
        ("4.1", "Which WEBEmo labels are sadness", "not stated; "
         f"{sadness:,} sadness images kept", f"of those retrieved, label 19 is about "
         f"{round(label, -2):,.0f}, too few; level-2 sadness {round(level2, -2):,.0f}, of which "
         f"{1 - sadness / level2:.0%} would have to be lost to the text filter", OPEN),
    ]  # fmt: skip


def _settings() -> list[Row]:
    channels, width = SETTINGS.tap_channels, SETTINGS.head_units
    rate, batch = SETTINGS.learning_rate * SETTINGS.gpus, SETTINGS.batch_size * SETTINGS.gpus
    steps = -(-DATA.train.total // batch)
    wide = SETTINGS.modules_transfer * channels
    return [
        ("3.1, 4.2", "Width of the compressed vector", f"{width}",
         f"3 x {channels} = {3 * channels} for k = 3; k = 4 takes {wide}, which is not "
         "mentioned", _verdict(width == 3 * channels)),
        ("4.2", "Learning rate and batch on two GPUs", f"{SETTINGS.learning_rate} and "
         f"{SETTINGS.batch_size} per GPU", f"{rate} and {batch}; {steps} steps an epoch, "
         f"{steps * SETTINGS.epochs:,} in {SETTINGS.epochs} epochs", DERIVED),
        ("4.2", "RandAugment's M = 7", "7", "7 of 10 or 7 of 30: the scale is not stated", OPEN),
        ("4.2", "Which metric matters most", "F1, because classes are imbalanced",
         "next paragraph: accuracy and precision, because they are balanced", CONTRADICTS),
        ("4.2", "Figure 4", "augmented images (text)", "images filtered out for text (caption)",
         CONTRADICTS),
        ("4.2, 5", "Epoch that is evaluated", f"{SETTINGS.epochs} epochs",
         "last or best on validation: not stated", OPEN),
    ]  # fmt: skip


def _inconsistency(tables: list[tuple[Scores, Scores]]) -> float:
    """Return the largest gap, 0-1, between printed precision or F1 and what recalls imply."""
    return max(
        abs(printed - computed)
        for pair in tables
        for scores, other in (pair, pair[::-1])
        for printed, computed in zip(
            (scores.precision, scores.f1), implied(scores, other), strict=True
        )
    )


def _tables() -> list[Row]:
    derived, printed = table3(), table4()
    gains, balanced = (
        ", ".join(f"{gain:.2f}" for gain in derived[column].iloc[1:])
        for column in ("gain", "gain_balanced")
    )
    accuracies = ", ".join(f"k = {k}: {value:.2f}" for k, value in derived["accuracy"].items())
    step = derived["accuracy"][3] - derived["accuracy"][2]
    order = ", ".join(str(k) for k in derived["accuracy"].sort_values(ascending=False).index)
    moved = printed.iloc[1:] > printed.iloc[0]
    as_told = (
        moved["Others", "Recall"].all() and moved["Sadness", "Precision"].all()
        and not moved["Others", "Precision"].any() and not moved["Sadness", "Recall"].any()
    )  # fmt: skip
    f1 = printed["Sadness", "F1-score"]
    f1_loss = f1.iloc[0] - f1.min()
    gap4, gap5, gap6 = map(_inconsistency, (list(TABLE4.values()), [TABLE5], [TABLE6]))
    return [
        ("5, Table 3", "Accuracy, %", "cells missing from the text at hand", accuracies, DERIVED),
        ("5, Table 3", "Standard deviation: least at k = 4, larger at k = 5",
         "cells missing from the text at hand", "not determined by Table 4", OPEN),
        ("5, Table 3", "Gain in accuracy over the baseline, points", f"around {CLAIMS.gain}",
         f"{gains} (each to 0.01)",
         _verdict(derived["gain"].iloc[1:].round(1).eq(CLAIMS.gain).all())),
        ("5, Table 3", "Gain in balanced accuracy, points", "not stated",
         f"{balanced}: part of the gain is a move towards the larger class", DERIVED),
        ("5, Table 3", "k = 2 slightly worse than k = 3", "slightly",
         f"{step:.2f} points, {step / 100 * DATA.test.total:.0f} images of {DATA.test.total:,}",
         _verdict(step > 0)),
        ("5, Table 4", "Best number of modules", "3 or 4", f"by accuracy: {order}; 5 and 3 "
         f"differ by {abs(derived['accuracy'][5] - derived['accuracy'][3]):.2f} points",
         _verdict(set(derived["accuracy"].nlargest(2).index) == {3, 4})),
        ("5, Table 4", "Precision and F1 follow from recall and support", "four digits",
         f"to {gap4:.4f}", _verdict(gap4 < 1.5e-4)),
        ("5, Table 4", "Gram networks: others' recall and sadness' precision up, the other two "
         "down", "all k", "all k" if as_told else "not all k", _verdict(as_told)),
        ("5, Table 4", "F1 higher for others, similar for sadness", "all k", "others: higher for "
         f"{moved['Others', 'F1-score'].sum()} of {len(moved)}; sadness: higher for "
         f"{moved['Sadness', 'F1-score'].sum()}, lower for the rest, by at most {f1_loss:.4f}",
         _verdict(moved["Others", "F1-score"].all())),
        ("5, Table 4", "k = 5 better than k = 4 in no metric", "none of 6",
         f"{(printed.iloc[4] > printed.iloc[3]).sum()} of 6",
         _verdict(not (printed.iloc[4] > printed.iloc[3]).any())),
        ("5.1, Table 5", "Precision and F1 follow from recall and support", "four digits",
         f"to {gap5:.4f}; accuracy {accuracy(*TABLE5):.2%}", _verdict(gap5 < 1.5e-4)),
        ("5.1, Table 6", "Precision and F1 follow from recall and support", "four digits",
         f"to {gap6:.4f}; accuracy {accuracy(*TABLE6):.2%}", _verdict(gap6 < 1.5e-4)),
    ]  # fmt: skip


def _uncertainty(disagreement: float, own: float | None, sd: float) -> list[Row]:
    derived = table3()
    images = DATA.test.total
    gain = derived["gain"][4] / 100
    least = least_disagreement(4)
    cases = {f"{share:.1%}": share for share in (least, disagreement)}

    def both(function) -> str:
        return "; ".join(f"{function(share)} at {name}" for name, share in cases.items())

    errors = both(lambda share: f"{100 * paired_error(gain, share, images):.2f}")
    powers = both(lambda share: f"{power(gain, share):.0%}")
    needed = both(lambda share: f"{images_needed(gain, share):,}")
    averaged = []
    if own is not None:
        error = paired_error(gain, disagreement, images, SETTINGS.runs, own)
        averaged = [
            ("5, Table 3", f"Sampling error of the gain of k = 4, means of {SETTINGS.runs} runs, "
             "points", "not stated", f"{100 * error:.2f} at {disagreement:.1%} disagreement, "
             f"{own:.1%} between runs of one network: the gain is {gain / error:.1f} of it",
             DERIVED),
        ]  # fmt: skip
    seeds = ", ".join(f"k = {k}: {seeds_needed(derived['gain'][k], sd)}" for k in (2, 3, 4, 5))
    return [
        ("5, Table 3", f"Sampling error of an accuracy on {images:,} images, points", "not stated",
         f"{derived['error'][0]:.2f}; gains are {derived['gain'][2]:.2f} to "
         f"{derived['gain'][4]:.2f}", DERIVED),
        ("5, Table 4", "Disagreement: images that exactly one of k = 4 and the baseline gets "
         "right", "not stated", f"at least {least * images:.0f}, {least:.1%}", DERIVED),
        ("5, Table 3", "Sampling error of the gain of k = 4, one pair of networks, points",
         "not stated", f"{errors} disagreement (the gain: {100 * gain:.2f})", DERIVED),
        *averaged,
        ("5, Table 3", "Power to see that gain at the 5% level", "not stated",
         f"{powers} disagreement", DERIVED),
        ("5, Table 3", "Test images for 80% power", f"{images:,}",
         f"{needed} disagreement", DERIVED),
        ("5, Table 3", "Runs of each network for 80% power on this test set", f"{SETTINGS.runs}",
         f"{seeds}, if runs scatter by {sd} points", DERIVED),
        ("6", "Accuracy against the baseline", "superior",
         "next sentence: not significantly improved; no test is reported", CONTRADICTS),
    ]  # fmt: skip


def _transfer() -> list[Row]:
    others4 = TABLE4[4][0].precision
    alike = []  # others' precision, had the set the classes of the WEBEmo test part
    for scores in (TABLE5, TABLE6):
        shares = (row._replace(support=n) for row, n in zip(scores, DATA.test, strict=True))
        alike.append(implied(*shares)[0])
    others, sadness = TABLE6
    flagged = sadness.recall * sadness.support + (1 - others.recall) * others.support
    return [
        ("5.1", "Modules of the network applied", f"k = {SETTINGS.modules_transfer}",
         "further down: three modules", CONTRADICTS),
        ("5.1, Figure 5", "What Figure 5 shows", "the proposed network (caption)",
         "our baseline network (text)", CONTRADICTS),
        ("5.1", "Others' precision above WEBEmo's", f"{TABLE5[0].precision:.4f} and "
         f"{others.precision:.4f} above {others4:.4f}", "as printed",
         _verdict(min(TABLE5[0].precision, others.precision) > others4)),
        ("5.1", "The same, had the sets WEBEmo's classes", "not stated",
         f"{alike[0]:.4f} and {alike[1]:.4f}: on Emotion-6 the smaller share of sadness makes it",
         DERIVED),
        ("5.1, Table 6", "Weak on Emotion-6 because the majority is favoured",
         f"others' recall {others.recall:.4f}, sadness' {sadness.recall:.4f}",
         f"sadness is predicted for {flagged:.0f} images, {sadness.support} are: the minority is "
         "favoured", _verdict(flagged < sadness.support)),
        ("5.1, Table 6", "Name of the set", "Emotion-6 and Emotion6",
         f"{sadness.support} sadness images: Emotion-6; Emotion6 has 330 of each emotion",
         CONTRADICTS),
        ("5.1", "Highest F1 for sadness on other sets",
         f"{TABLE5[1].f1:.4f} and {TABLE6[1].f1:.4f}", "no other network's is printed for these "
         "sets", OPEN),
    ]  # fmt: skip
