"""Each intervention changes what its name says, by as much, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from gramnb.interventions import INTERVENTIONS, effects, intervene, luminance

IDENTITIES = {
    "darker": 1, "lighter": 1, "desaturated": 1, "cooler": 1, "warmer": 1, "blurred": 0,
    "shuffled": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def picture():
    """Smooth random colours, none near black or white, on sides no number of tiles divides."""
    random = np.random.default_rng(0)
    coarse = random.integers(60, 150, (7, 9, 3)).astype(float)
    fine = np.kron(coarse, np.ones((7, 7, 1)))  # (49, 63, 3)
    return (fine + random.integers(-20, 21, fine.shape)).astype(np.uint8)


def linear(image):
    """Return linear light by the definition of sRGB (IEC 61966-2-1)."""
    v = image / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("name", [name for name in INTERVENTIONS if name != "untouched"])
def test_a_changed_copy_of_the_same_shape_and_none_without_strength(name, picture):
    before = picture.copy()
    changed = intervene(picture, name, 2)
    assert changed.shape == picture.shape and changed.dtype == np.uint8
    assert (changed != picture).any() and (picture == before).all()
    assert not np.shares_memory(changed, picture)
    if name in IDENTITIES:
        np.testing.assert_array_equal(intervene(picture, name, IDENTITIES[name]), picture)
    else:
        np.testing.assert_array_equal(changed, picture[:, ::-1])  # mirrored


@pytest.mark.parametrize(("name", "factor"), [("darker", 0.5), ("lighter", 2)])
def test_light_changes_by_the_factor_and_stops_at_white(name, factor, picture):
    changed = intervene(picture, name, factor)
    ratio = luminance(changed).mean() / luminance(picture).mean()
    assert ratio == pytest.approx(factor, rel=0.005)  # 8 bits round
    np.testing.assert_allclose(linear(changed) / linear(picture), factor, rtol=0.06)
    assert intervene(np.full((1, 1, 3), 200, np.uint8), "lighter", 2).min() == 255
    primaries = luminance(255 * np.eye(3, dtype=np.uint8)[None])
    np.testing.assert_allclose(primaries, [[0.2126, 0.7152, 0.0722]])  # Rec. 709


def test_saturation_is_distance_from_grey(picture):
    grey = intervene(picture, "desaturated", 0)
    assert (grey == grey[..., :1]).all()
    np.testing.assert_allclose(grey[..., 0], picture @ [0.299, 0.587, 0.114], atol=1)
    half = intervene(picture, "desaturated", 0.5)
    np.testing.assert_allclose(half, (grey.astype(float) + picture) / 2, atol=1)


@pytest.mark.parametrize(("name", "power"), [("cooler", 1), ("warmer", -1)])
def test_colder_light_moves_red_to_blue_and_keeps_luminance(name, power, picture):
    changed = intervene(picture, name, 1.25)
    np.testing.assert_allclose(luminance(changed), luminance(picture), rtol=0.03)
    red, _, blue = np.moveaxis(linear(changed) / linear(picture), -1, 0)
    assert (blue / red).mean() == pytest.approx(1.25 ** (2 * power), rel=0.005)


def test_blurring_takes_texture_and_leaves_colour(picture):
    changed = intervene(picture, "blurred", 3).astype(float)
    fine = [np.abs(np.diff(image.astype(float), axis=1)).mean() for image in (picture, changed)]
    assert fine[1] < 0.25 * fine[0]
    np.testing.assert_allclose(changed.mean(axis=(0, 1)), picture.mean(axis=(0, 1)), atol=1.5)


def test_tiles_change_places_by_the_seed_and_nothing_else_does(picture):
    def pieces(image):  # 3 x 3 of 16 x 21 pixels; a row of pixels is left over
        corners = [(y, x) for y in range(0, 48, 16) for x in range(0, 63, 21)]
        return {image[y : y + 16, x : x + 21].tobytes() for y, x in corners}

    changed = intervene(picture, "shuffled", 3, seed=3)
    assert pieces(picture) == pieces(changed) and len(pieces(picture)) == 9
    np.testing.assert_array_equal(changed[48:], picture[48:])
    assert (changed == intervene(picture, "shuffled", 3, seed=3)).all()
    assert (changed != intervene(picture, "shuffled", 3, seed=4)).any()


# Effects, by hand: two paintings, two seeds, and a network with modules beside one without


def asked(intervention, strength, said):
    """Return a row for each painting, network and seed."""
    return [{"painting": painting, "k": k, "seed": seed, "intervention": intervention,
             "strength": strength, "log_odds": x}
            for (painting, k), both in said.items() for seed, x in enumerate(both)]  # fmt: skip


@pytest.fixture
def answers():
    whole = {("a", 0): (0, -1), ("b", 0): (2, 1), ("a", 4): (0.5, 0.5), ("b", 4): (-0.5, -0.5)}
    dark = {("a", 0): (1, 1), ("b", 0): (5, 5), ("a", 4): (0.5, -0.5), ("b", 4): (-0.5, -0.5)}
    rows = [*asked("untouched", np.nan, whole), *asked("darker", 0.5, dark)]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_effects_by_hand(answers):
    table = effects(answers).loc["darker, light × 0.5"]
    assert list(table.index) == ["k = 0", "k = 4", "difference"]
    assert table["mean"].tolist() == pytest.approx([2.5, -0.25, -2.75])
    assert table["p10"]["k = 0"] == pytest.approx(np.quantile([1, 2, 3, 4], 0.1))
    # of two paintings a quarter of the draws are both the one, a quarter both the other
    assert table.loc["k = 0", ["low", "high"]].tolist() == pytest.approx([1.5, 3.5])
    assert table.loc["difference", ["low", "high"]].tolist() == pytest.approx([-3.5, -2])


def test_groups_are_drawn_together(answers):
    one = effects(answers.assign(group=7)).loc["darker, light × 0.5"]
    assert one.loc["k = 0", ["low", "high"]].tolist() == pytest.approx([2.5, 2.5])
    apart = effects(answers.assign(group=-1))
    pd.testing.assert_frame_equal(apart, effects(answers))


def test_missing_answers_are_refused(answers):
    whole, of_a = answers["intervention"] == "untouched", answers["painting"] == "a"
    for there in (~whole | of_a, whole | of_a | (answers["k"] == 0)):
        with pytest.raises(ValueError, match="not every painting has an answer of each network"):
            effects(answers[there])
