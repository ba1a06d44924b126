"""Platt's scaling on data whose truth is known, at its optimum, and at its limits."""

import numpy as np
import pytest
from scipy.special import expit, logit

from gramnb.evaluation import Calibration, log_odds


def test_it_recovers_how_labels_were_drawn():
    random = np.random.default_rng(0)
    x = random.normal(1, 3, 200_000)
    y = random.random(len(x)) < expit(0.6 * x - 0.4)
    found = Calibration.fit(y, x)
    assert found.slope == pytest.approx(0.6, abs=0.01)
    assert found.intercept == pytest.approx(-0.4, abs=0.02)
    assert (found.low, found.high) == (x.min(), x.max())


def test_nothing_lies_below_its_loss():
    """The log-loss is convex, so it is enough that its gradient is zero."""
    random = np.random.default_rng(1)
    x = random.normal(5, 20, 60)
    y = random.random(60) < expit(x / 10)
    positive, negative = y.sum(), (~y).sum()
    target = np.where(y, (positive + 1) / (positive + 2), 1 / (negative + 2))
    error = Calibration.fit(y, x)(x) - target
    assert abs(error.mean()) < 1e-8 and abs((error * x).mean()) < 1e-6


def test_two_values_by_hand():
    """With two values of x the line goes through the shares of both: 3 of 4, and 1 of 4."""
    found = Calibration.fit([1, 1, 1, 0, 0, 0, 0, 1], [2, 2, 2, 2, -2, -2, -2, -2])
    share = (3 * 5 / 6 + 1 / 6) / 4  # of the targets: (4 + 1) / (4 + 2), and 1 / (4 + 2)
    assert found([2, -2]) == pytest.approx([share, 1 - share], abs=1e-8)
    assert found.slope == pytest.approx(logit(share) / 2, abs=1e-7)


def test_what_separates_the_classes_stays_finite():
    found = Calibration.fit([0, 0, 1, 1], [-30, -20, 20, 30])
    assert 0 < found.slope < 1 and found([-30, 30]) == pytest.approx([0.25, 0.75], abs=0.05)


def test_the_default_changes_nothing():
    p = np.array([1e-30, 0.2, 0.5, 1])
    np.testing.assert_allclose(Calibration()(log_odds(p, [1, 0.8, 0.5, 1e-30])), p, rtol=1e-6)


def test_it_increases_and_is_held_within_its_limits():
    x = np.linspace(-50, 50, 1001)
    p = Calibration(0.5, 1, -4, 6)(x)
    inside = (x >= -4) & (x <= 6)
    assert (np.diff(p) >= 0).all() and (np.diff(p[inside]) > 0).all()
    assert p[0] == pytest.approx(expit(-1)) and p[-1] == pytest.approx(expit(4))


def test_log_odds_of_certainty_are_finite():
    """float32 rounds 1 - 1e-9 to 1; the other column still knows."""
    both = np.array([[1e-9, 1], [0, 1]], np.float32)
    assert log_odds(both[:, 1], both[:, 0])[0] == pytest.approx(np.log(1e9))
    assert np.isfinite(log_odds(both[:, 1], both[:, 0])).all()
    assert log_odds([0, 0.25, 1], least=5e-6) == pytest.approx(
        [np.log(5e-6), np.log(1 / 3), -np.log(5e-6)]
    )


@pytest.mark.parametrize(
    ("y", "x", "message"),
    [
        ([1, 1], [0, 1], "only one class in y: 2 images of sadness, 0 others"),
        ([0, 1], [1, 0], "slope must be above 0"),
        ([0, 1, 0, 1], [1, 1, 1, 1], "slope must be above 0|low must be below high"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(y, x, message):
    with pytest.raises(ValueError, match=message):
        Calibration.fit(y, x)
