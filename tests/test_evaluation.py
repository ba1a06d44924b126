"""Metrics, calibration, intervals and tests: by hand, against libraries, on data of known truth."""

import baycomp
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit
from sklearn import metrics as sk
from sklearn.calibration import _SigmoidCalibration

from gramnb import evaluation
from gramnb.evaluation import METRICS, Calibration, paired_difference, report, score


def simulate(random, images=200, seeds=4, variants="ab", chance=1.0, folds=1):
    """Draw predictions of known accuracy: right where a margin is above 0.

    margin = 1.2 + image + image x variant + run + run x image, normal with the SDs 1, 0.5, 0.1
    and chance.
    """
    shape = len(variants), seeds, images
    y, of_image = random.integers(0, 2, images), random.normal(size=images)
    of_variant, of_run = random.normal(size=shape[::2]), random.normal(size=shape[:2])
    margin = 1.2 + of_image + 0.5 * of_variant[:, None] + 0.1 * of_run[:, :, None]
    margin = margin + chance * random.normal(size=shape)
    names = {"variant": list(variants), "seed": range(seeds), "image_id": range(images)}
    frame = pd.MultiIndex.from_product(names.values(), names=list(names)).to_frame(index=False)
    p = expit(np.where(y, margin, -margin)).ravel()
    fold, size = frame["image_id"] % folds, images // folds
    frame = frame.assign(y=y[frame["image_id"]], p_sadness=p, fold=fold, n_test=size)
    return frame.assign(image_id=frame["image_id"].astype(str), n_train=images - 2 * size)


def halves(frame):
    return [part for _, part in frame.groupby("variant")]


@pytest.fixture(scope="module")
def predictions():
    return simulate(np.random.default_rng(0), seeds=3, folds=5)


# Metrics and calibration


def test_report_by_hand():
    y, p = [0] * 4 + [1] * 4, [0.1, 0.2, 0.6, 0.7, 0.3, 0.8, 0.9, 0.9]  # TN 2, FP 2, FN 1, TP 3
    scores = report(y, p)
    assert scores["accuracy"] == 5 / 8
    assert scores["precision_sadness"] == 3 / 5 and scores["recall_sadness"] == 3 / 4
    assert scores["precision_others"] == 2 / 3 and scores["recall_others"] == 2 / 4
    assert scores["f1_sadness"] == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert scores["auc"] == 14 / 16  # of 16 pairs only 0.3 against 0.6 and 0.7 stand wrong
    assert scores["support_others"] == scores["support_sadness"] == 4 and scores["n"] == 8
    assert report([0, 1], [0.5, 0.6])["accuracy"] == 1  # 0.5 itself is not sadness
    never = report([0, 1], [0.1, 0.2])
    assert never["precision_sadness"] == never["f1_sadness"] == 0


def test_many_resamples_at_once_are_scikit_learns_metrics_of_each():
    """Of data with ties, as they are and drawn twice, or not at all."""
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 400)
    p = np.round(np.clip(0.3 * y + random.uniform(0, 0.7, 400), 0, 1), 2)
    weights = np.stack([np.ones(400, int), random.integers(0, 3, 400)])
    for drawn, scores in zip(weights, score(METRICS, y, p, weights), strict=True):
        right, says = np.repeat(y, drawn), np.repeat(p, drawn)
        classes = sk.precision_recall_fscore_support(right, says > 0.5)[:3]
        expected = [sk.accuracy_score(right, says > 0.5), sk.roc_auc_score(right, says)]
        expected += [*np.transpose(classes).ravel(), sk.brier_score_loss(right, says)]
        assert scores[:-1] == pytest.approx(expected, abs=1e-12)


def test_ece_by_hand():
    # two of the 15 bins: [0.2, 0.267) holds p 0.2, 0.22 with one of 2 sad; the last 1.0 with 1 of 1
    y, p = [0, 1, 1], [0.2, 0.22, 1.0]
    assert report(y, p)["ece"] == pytest.approx((1 - 0.42) / 3)
    table = evaluation.reliability(pd.DataFrame({"image_id": list("abc"), "y": y, "p_sadness": p}))
    assert table[["n", "observed"]].to_numpy().tolist() == [[2, 0.5], [1, 1]]
    assert table["p"].tolist() == pytest.approx([0.21, 1])


def test_wilson_against_scipy():
    for successes, n in ((0, 10), (3, 10), (10, 10), (5_000, 6_107)):
        expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
        assert evaluation.wilson(successes, n) == pytest.approx((expected.low, expected.high))


def test_platts_scaling_is_scikit_learns():
    random = np.random.default_rng(1)
    x = random.normal(5, 20, 60)
    y = random.random(60) < expit(x / 10)
    found, theirs = Calibration.fit(y, x), _SigmoidCalibration().fit(x, y.astype(int))
    assert (found.slope, found.intercept) == pytest.approx((-theirs.a_, -theirs.b_), abs=1e-6)
    assert (found.low, found.high) == (x.min(), x.max())
    held = Calibration(0.5, 1, -4, 6)([-50, -4, 1, 6, 50])  # within its limits
    np.testing.assert_allclose(held, expit([-1, -1, 1.5, 4, 4]))


def test_log_odds_of_certainty_are_finite():
    """float32 rounds 1 - 1e-9 to 1; the other column still knows."""
    sure = evaluation.of_sadness(np.array([[1e-9, 1], [0, 1]], np.float32))
    assert sure[0] == pytest.approx(np.log(1e9)) and np.isfinite(sure).all()
    limited = evaluation.log_odds([0, 0.25, 1], least=5e-6)
    assert limited == pytest.approx([np.log(5e-6), np.log(1 / 3), -np.log(5e-6)])


# Intervals and paired tests


def test_interval_covers_the_truth():
    """Of 80 intervals at 95 %, fewer than 70 cover with probability 0.003.

    Mean plus or minus SD over seeds, as the paper prints it, misses far more often.
    """
    random, covered, naive = np.random.default_rng(3), 0, 0
    truth = stats.norm.cdf(1.2 / np.sqrt(1 + 0.25 + 0.01 + 0.04))
    for _ in range(80):
        row = evaluation.estimate(simulate(random, variants="a", chance=0.2), resamples=100)
        covered += row["low"] <= truth <= row["high"]
        naive += abs(row["mean"] - truth) <= row["sd"]
    assert covered >= 70
    assert naive < 60


def test_bootstrap_keeps_its_level_and_has_power():
    """Of 40 null pairs more than 6 are rejected with probability 0.003; a real gain is seen."""
    random, null, gain = np.random.default_rng(4), 0, 0
    for _ in range(40):
        a, b = halves(simulate(random))
        null += paired_difference(a, b, resamples=100)["p"] < 0.05
        margin = stats.logistic.ppf(a["p_sadness"]) + np.where(a["y"] == 1, 0.8, -0.8)
        gain += paired_difference(a.assign(p_sadness=expit(margin)), b, resamples=100)["p"] < 0.05
    assert null <= 6
    assert gain >= 35


def test_groups_are_drawn_together():
    """Each image four times: grouped, the interval stays as wide as without the copies."""
    once = simulate(np.random.default_rng(6), images=150, seeds=1, variants="a")
    number = once["image_id"].astype(int)
    copies = [once.assign(image_id=once["image_id"] + end, group=number) for end in "abcd"]
    grouped = pd.concat(copies)

    def width(frame):
        row = evaluation.estimate(frame, resamples=400)
        return row["high"] - row["low"]

    assert width(grouped) == pytest.approx(width(once), rel=0.15)
    assert width(grouped.assign(group=-1)) < 0.75 * width(once)


@pytest.fixture
def five_folds():
    """Five folds of four images, differences 0, 1/4, 1/4, 2/4, 1/4: mean 1/4, variance 1/32."""
    frame = pd.DataFrame({"image_id": list("abcdefghijklmnopqrst"), "fold": np.arange(20) // 4})
    frame = frame.assign(y=np.arange(20) % 2, seed=0, n_test=4, n_train=16)
    a = frame.assign(p_sadness=np.where(frame["y"] == 1, 0.9, 0.1), variant="a")
    miss = np.arange(20) % 4 < frame["fold"].map({0: 0, 1: 1, 2: 1, 3: 2, 4: 1})
    p = np.where(miss, 1 - a["p_sadness"], a["p_sadness"])
    return a, a.assign(p_sadness=p, variant="b")


@pytest.mark.parametrize("n_train", [16, 6])
def test_resampled_t_by_hand(five_folds, n_train):
    """Trained on all other folds, and on half of all but one more."""
    a, b = (each.assign(n_train=n_train) for each in five_folds)
    result = paired_difference(a, b)
    error = np.sqrt((1 / 5 + 4 / n_train) / 32)
    assert result["estimate"] == pytest.approx(0.25)
    assert result["high"] - result["estimate"] == pytest.approx(stats.t.isf(0.025, 4) * error)
    assert result["p"] == pytest.approx(2 * stats.t.sf(0.25 / error, 4))
    seen = (stats.t.isf(0.025, 4) + stats.t.ppf(0.8, 4)) * error
    assert result["detectable"] == pytest.approx(seen)
    # two seeds on the same folds repeat no partition: the same data twice say nothing more
    twice = [pd.concat([each.assign(seed=s) for s in (0, 1)]) for each in (a, b)]
    assert paired_difference(*twice) == pytest.approx(result)
    # of two sizes the smaller one counts
    assert paired_difference(a.assign(n_train=40), b) == pytest.approx(result)


def test_equivalence_is_baycomps_and_two_one_sided_tests(five_folds):
    differences = evaluation.compare(pd.concat(five_folds), "b", ("accuracy",))
    (row,) = evaluation.equivalence(differences, 0.2).itertuples(index=False)
    right = np.ones(5), 1 - np.array([0, 1, 1, 2, 1]) / 4
    assert row[:3] == pytest.approx(baycomp.two_on_single(*right[::-1], rope=0.2))
    error = np.sqrt((1 / 5 + 1 / 4) / 32)  # as by hand above
    ends = [stats.t.sf((0.25 + 0.2) / error, 4), stats.t.cdf((0.25 - 0.2) / error, 4)]
    assert row.p == pytest.approx(max(ends))


def test_meta_analysis_by_hand():
    """Estimates 1, 2, 6 with errors 1: Q = 14, tau^2 = (14 - 2) / (3 - 1) = 6, equal weights."""
    found = evaluation.meta_analysis([1, 2, 6], [1, 1, 1])
    half = stats.t.isf(0.025, 2) * np.sqrt(14 / 2 / 3)  # the estimates' variance over their number
    assert (found["low"], found["high"]) == pytest.approx((3 - half, 3 + half))
    assert (found["estimate"], found["tau"]) == pytest.approx((3, np.sqrt(6)))
    half = stats.t.isf(0.025, 1) * np.sqrt(6 + 14 / 6)
    assert found["predicted_low"] == pytest.approx(3 - half)
    # errors 1/2, 1 and 1 weigh 4, 1 and 1: Q = 4 x 1/9 + 2 x 4/9 below its two degrees
    found = evaluation.meta_analysis([0, 1, 1], [0.5, 1, 1])
    assert (found["estimate"], found["tau"]) == pytest.approx((1 / 3, 0))


def test_disagreement_by_hand():
    """Two runs each on four images: a is wrong on none and on image 0, b on 0 and on 0 and 1."""

    def frame(*wrong):
        y = np.array([0, 1, 0, 1])
        runs = [np.where(np.isin(np.arange(4), w), 1 - y, y) for w in wrong]
        images = {"image_id": list("abcd"), "y": y}
        return pd.concat(pd.DataFrame(images | {"p_sadness": p}).assign(seed=seed)
                         for seed, p in enumerate(runs))  # fmt: skip

    a, b = frame([], [0]), frame([0], [0, 1])
    assert evaluation.disagreement(a, a) == 1 / 4
    assert evaluation.disagreement(a, b) == (1 + 2 + 0 + 1) / 4 / 4


def test_roc_band_is_the_curve_with_its_chance():
    one = simulate(np.random.default_rng(0), seeds=1, variants="a")
    band = evaluation.roc_band(one, points=11)
    fpr, tpr, _ = sk.roc_curve(one["y"], one["p_sadness"])
    assert band["tpr"].to_numpy() == pytest.approx(np.interp(band["fpr"], fpr, tpr))
    assert band.attrs["auc"] == pytest.approx(sk.roc_auc_score(one["y"], one["p_sadness"]))
    inner = band.iloc[1:-1]
    assert (inner["low"] < inner["tpr"]).all() and (inner["tpr"] <= inner["high"]).all()


# Tables


def test_table_3_by_hand():
    """Two runs with 3 and 4 of 4 right: 87.5 on average, SD 25 / sqrt 2 = 17.68 points."""
    frame = pd.DataFrame({"image_id": list("abcd") * 2, "seed": [0] * 4 + [1] * 4, "k": 4})
    frame = frame.assign(variant="k = 4", y=[0, 0, 1, 1] * 2)
    frame["p_sadness"] = [0.1, 0.2, 0.8, 0.3, 0.1, 0.2, 0.8, 0.7]
    row = evaluation.table3(frame).loc["k = 4"]
    assert row["accuracy"] == 87.5 and row["n"] == 2 and row["k"] == 4
    assert row["sd"] == pytest.approx(25 / np.sqrt(2))
    assert 0 <= row["low"] < 87.5 < row["high"] <= 100
    cells = evaluation.class_report(frame)
    assert cells["Recall"].tolist() == [1, 0.75] and cells["Support"].tolist() == [2, 2]
    assert cells["Precision"]["Others"] == pytest.approx((2 / 3 + 1) / 2)


def test_variants_of_unequal_seeds_and_images_are_compared_on_what_they_share(predictions):
    """Chosen pairs, and all against one: as if the other seeds and images had not been there."""
    a, b = halves(predictions.assign(group=-1))
    fewer = pd.concat([a[a["seed"] > 0], b[b["image_id"] != "7"]])
    shared = fewer[(fewer["seed"] > 0) & (fewer["image_id"] != "7")]
    how = {"metrics": ("accuracy",), "method": "bootstrap", "resamples": 20}
    expected = evaluation.compare(shared, "b", **how)
    for against in ("b", {"a": ("a", "b")}):
        found = evaluation.compare(fewer, against, common=True, **how)
        pd.testing.assert_frame_equal(found, expected)
    assert evaluation.difference_table(shared, "b")["sd"].notna().all()
    with pytest.raises(ValueError, match="a and b have no seed and image in common"):
        evaluation.compare(pd.concat([a[a["seed"] > 0], b[b["seed"] < 1]]), "b", common=True)


# What cannot be


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([], [], "equally long rows"),
        ([1, 1], [0.2, 0.3], "only one class in y: all 2 images are sadness"),
        ([0, 1], [0.2, np.nan], "row 1 holds nan, which is no probability"),
        ([0, 2], [0.1, 0.3], "row 1 holds 2, which is no label, 0 or 1"),
    ],
)
def test_bad_input_is_one_clear_line(y, p, message):
    with pytest.raises(ValueError, match=message) as error:
        report(y, p)
    assert "\n" not in str(error.value)


def test_unpaired_predictions_are_refused(predictions):
    a, b = halves(predictions)
    seven = b["image_id"] == "7"
    for one, other, message in (
        (a, b[~seven], "differ in their images: a pair shares them"),
        (a, b[~(seven & (b["seed"] == 1))], "image 7 is not in every run with the label"),
        (a, predictions, "twice in a run: select one variant"),
        (a[a["y"] == 1], b[b["y"] == 1], "one class only"),
    ):
        with pytest.raises(ValueError, match=message):
            paired_difference(one, other, "auc")
    with pytest.raises(ValueError, match="unknown metric 'acc'; there are accuracy"):
        paired_difference(a, b, "acc")
    with pytest.raises(ValueError, match="no variant 'c'; there are a, b"):
        evaluation.compare(predictions, "c")
    sets = predictions.assign(dataset=np.where(predictions["y"] == 1, "own", "other"))
    with pytest.raises(ValueError, match="several data sets: select one"):
        evaluation.compare(sets, "b")
