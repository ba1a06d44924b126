"""Each derived number of the paper, against arithmetic done by hand."""

import numpy as np
import pytest
from scipy import stats

from gramnb import paper
from gramnb.paper import DATA, SCORES, claims, printed


@pytest.fixture(scope="module")
def found():
    """Return recomputed and verdict of the one row whose claim begins so."""
    audit = paper.audit(disagreement=0.149, own=0.125)

    def row(claim):
        rows = audit[audit["claim"].str.startswith(claim)]
        assert len(rows) == 1, list(audit["claim"])
        return tuple(rows.iloc[0][["recomputed", "verdict"]])

    return row


def test_parts_shares_split_and_labels(found):
    assert DATA.train.total == 48_858
    assert DATA.validation.total == DATA.test.total == 6_107
    assert 48_858 + 6_107 + 6_107 == 61_072 == DATA.filtered - 2
    assert paper.attrition()["total"].tolist() == [267_441, 46_587, 159_782, 61_072]
    assert found("Images in the data set") == ("61,072, the sum of the three parts", "differs")
    # 22,413 + 2 x 2,823 = 28,059; 28,059 / 61,072 = 0.45944; 0.45944 x 6,107 = 2,805.8
    assert found("Share of sadness") == ("45.94%", "agrees")
    assert found("Split, %") == ("80.00 / 10.00 / 10.00", "agrees")
    assert "3,301 and 2,806" in found("Split by class")[0]
    # a random half of 12,214 images, 5,646 of them sadness: the normal density at its own mean
    spread = np.sqrt(6_107 * (5_646 / 12_214) * (6_568 / 12_214) / 2)
    assert f"{stats.norm.pdf(0, scale=spread):.1%}" == "1.4%"
    assert "1.4%" in found("Validation and test")[0]
    # 4,715 / 53,489 x 220,854 = 19,468 < 28,059 < 13,663 / 53,489 x 220,854 = 56,414
    assert "19,500" in found("Which WEBEmo")[0] and "56,400" in found("Which WEBEmo")[0]


def test_table_3_and_gains_follow_from_table_4(found):
    table = paper.table3()
    # others' recall x 3,284 + sadness' recall x 2,823
    right = [2656.0992 + 2307.5202, 2748.0512 + 2243.1558, 2755.9328 + 2239.2036,
             2767.4268 + 2236.9452, 2763.1576 + 2233.2753]  # fmt: skip
    assert table["accuracy"].tolist() == pytest.approx(100 * np.array(right) / 6_107, abs=1e-9)
    assert table["error"].between(0.48, 0.5).all()  # sqrt(0.18 x 0.82 / 6,107) = 0.492 %
    assert table["gain"].round(2).tolist() == [0, 0.45, 0.52, 0.67, 0.54]
    # k = 4: (0.8427 - 0.8088 + 0.7924 - 0.8174) / 2 = (0.0339 - 0.0250) / 2
    assert table.loc[4, "gain_balanced"] == pytest.approx(0.445)
    assert found("Gain in accuracy")[1] == "differs"
    assert found("k = 2 slightly worse")[0].startswith("0.06 points, 4 images")


def test_precision_f1_and_accuracy_follow_from_recalls():
    implied = printed.implied(SCORES)
    names = ["Precision", "F1-score"]
    assert (implied[names] - SCORES[names]).abs().max(axis=None) < 1.5e-4
    # 8 of 10 others and 3 of 5 sadness right: others 8 / (8 + 2), sadness 3 / (3 + 2)
    small = printed.implied(SCORES.loc[[5]].assign(Recall=[0.8, 0.6], Support=[10, 5]))
    assert small[names].to_numpy() == pytest.approx(np.array([[0.8, 0.8], [0.6, 0.6]]))
    assert small["accuracy"].tolist() == pytest.approx([11 / 15] * 2)
    assert list(paper.table4().loc["Baseline B2"][:3]) == [0.8374, 0.8088, 0.8229]


def test_sampling_errors(found):
    # of 100 images one network gains 3 and loses 1: variance 0.04 - 0.02^2
    assert paper.paired_error(0.02, 0.04, 100) == pytest.approx(np.sqrt(0.0396) / 10)
    # 0.0339 x 3,284 + 0.0250 x 2,823 = 111.3 + 70.6 images
    assert found("Disagreement")[0] == "at least 182, 3.0%"
    with pytest.raises(ValueError, match="0.01 is too small for a gain of 0.02"):
        paper.paired_error(0.02, 0.01, 100)
    error = 100 * paper.paired_error(0.0067, 0.149, 6_107, 5, 0.125)
    assert f"{error:.2f} at 14.9%" in found("Sampling error of the gain of k = 4, means")[0]
    assert len(paper.audit()) == len(paper.audit(0.149, 0.125)) - 1  # without runs of one network


def test_images_and_seeds_needed():
    images = claims.images_needed(0.00667, 0.10)
    assert images == pytest.approx((1.96 + 0.8416) ** 2 * 0.10 / 0.00667**2, rel=0.01)
    assert claims.power(0.00667, 0.10, images) >= 0.8 > claims.power(0.00667, 0.10, images - 1)
    # the textbook's 17 per group for a difference of one standard deviation
    assert claims.seeds_needed(0.5, 0.5) == 17
