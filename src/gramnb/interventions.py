"""The same picture, changed in one respect: what an answer goes by is found by changing it.

The paper wonders whether its network goes by colours, textures or shapes (Section 5.2). Each
function takes a picture, uint8 (H, W, 3) in sRGB, and returns a changed copy of that shape;
`INTERVENTIONS` names them. `effects` says how far the answers moved, and how sure that is.

Light is changed where it adds up, in linear light; `luminance` is measured there too.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter

UNTOUCHED = "untouched"
WEIGHTS = np.array([0.2126, 0.7152, 0.0722])  # of red, green, blue in luminance (Rec. 709)
_VALUES = np.arange(256) / 255
_LINEAR = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4)


def luminance(image: np.ndarray) -> np.ndarray:
    """Return each pixel's relative luminance, (H, W), from 0 (black) to 1 (white)."""
    return _LINEAR[image] @ WEIGHTS


def darker(image: np.ndarray, factor: float = 0.5) -> np.ndarray:
    """Return the picture with its linear light times `factor`, 0 to 1; 0.5 is one stop less."""
    return _srgb(_LINEAR[image] * _within("factor", factor, 0, 1))


def lighter(image: np.ndarray, factor: float = 2.0) -> np.ndarray:
    """Return the picture with its linear light times `factor`, 1 or more, clipped at white."""
    return _srgb(_LINEAR[image] * _within("factor", factor, 1, np.inf))


def desaturated(image: np.ndarray, saturation: float = 0.0) -> np.ndarray:
    """Return the picture mixed with its grey version; 0 is grey, 1 the picture.

    Grey is Pillow's luma: sRGB values weighted by 0.299, 0.587, 0.114.
    """
    enhanced = ImageEnhance.Color(Image.fromarray(image))
    return np.asarray(enhanced.enhance(_within("saturation", saturation, 0, 1)))


def cooler(image: np.ndarray, gain: float = 1.25) -> np.ndarray:
    """Return the picture in bluer light: linear blue times `gain`, 1 or more, red divided by it.

    Each pixel is then scaled back to the luminance it had, so that its colour changes alone; only
    where a channel would leave its range is it clipped.
    """
    return _balanced(image, _within("gain", gain, 1, np.inf))


def warmer(image: np.ndarray, gain: float = 1.25) -> np.ndarray:
    """Return the picture in redder light: the reverse of `cooler`, red times `gain`."""
    return _balanced(image, 1 / _within("gain", gain, 1, np.inf))


def blurred(image: np.ndarray, radius: float = 2.0) -> np.ndarray:
    """Return the picture without texture finer than a Gaussian of `radius` pixels (its SD)."""
    blur = ImageFilter.GaussianBlur(_within("radius", radius, 0, np.inf))
    return np.asarray(Image.fromarray(image).filter(blur))


def shuffled(image: np.ndarray, tiles: int = 4, seed: int = 0) -> np.ndarray:
    """Return the picture cut into `tiles` x `tiles` pieces that lie in an order drawn by `seed`.

    Colours and texture inside the pieces stay, what larger shapes there are goes, and new edges
    come. Rows and columns left over at the lower and right edge stay where they are.
    """
    tiles = int(_within("tiles", tiles, 1, min(image.shape[:2])))
    height, width = image.shape[0] // tiles, image.shape[1] // tiles
    area = slice(height * tiles), slice(width * tiles)
    pieces = image[area].reshape(tiles, height, tiles, width, 3).swapaxes(1, 2)
    pieces = pieces.reshape(-1, height, width, 3)  # (tiles * tiles, h, w, 3)
    pieces = pieces[np.random.default_rng(seed).permutation(len(pieces))]
    pieces = pieces.reshape(tiles, tiles, height, width, 3).swapaxes(1, 2)
    changed = image.copy()
    changed[area] = pieces.reshape(height * tiles, width * tiles, 3)
    return changed


def mirrored(image: np.ndarray) -> np.ndarray:
    """Return the picture with left and right exchanged."""
    return image[:, ::-1].copy()


INTERVENTIONS: dict[str, Callable[..., np.ndarray]] = {
    each.__name__: each
    for each in (darker, lighter, desaturated, cooler, warmer, blurred, shuffled, mirrored)
}
_LABELS = {  # what a strength is, with its unit
    "darker": "darker, light × {:g}",
    "lighter": "lighter, light × {:g}",
    "desaturated": "saturation × {:g}",
    "cooler": "cooler, gain {:g}",
    "warmer": "warmer, gain {:g}",
    "blurred": "blurred, {:g} px",
    "shuffled": "{0:g} × {0:g} tiles shuffled",
}


def label(intervention: str, strength: float = np.nan) -> str:
    """Return what a figure calls an intervention, its strength with a unit."""
    return _LABELS.get(intervention, intervention).format(strength)


def intervene(image: np.ndarray, intervention: str, strength: float = np.nan, seed: int = 0):
    """Return the picture under a named intervention; NaN is its own default strength.

    Raises:
        ValueError: there is no intervention of this name, or not this strong.
    """
    if intervention == UNTOUCHED:
        return image
    if intervention not in INTERVENTIONS:
        raise ValueError(
            f"intervention must be one of {', '.join(INTERVENTIONS)}, got {intervention!r}"
        )
    strengths = () if np.isnan(strength) else (strength,)
    options = {"seed": seed} if intervention == "shuffled" else {}
    return INTERVENTIONS[intervention](image, *strengths, **options)


def changes(answers: pd.DataFrame, picture: str = "painting") -> pd.DataFrame:
    """Return what each intervention changes in each answer, untouched pictures left out.

    Args:
        answers: intervention, strength (NaN = none), k, seed, log_odds, p_sadness, and the column
            that names the picture.
        picture: the name of that column.

    Returns:
        The picture, step (the intervention's `label`), k, seed; log_odds and p_sadness minus those
        of the same picture, k and seed untouched; flipped, 1 where the class is another one.

    Raises:
        ValueError: a picture has no untouched answer.
    """
    key = [picture, "k", "seed"]
    whole = answers["intervention"] == UNTOUCHED
    before = answers[whole].set_index(key)[["log_odds", "p_sadness"]]
    after = answers[~whole]
    joined = after[key].join(before, on=key)
    if (lacking := joined["log_odds"].isna()).any():
        raise ValueError(f"{joined[picture][lacking].iloc[0]}: no answer to it {UNTOUCHED}")
    steps = [label(*pair) for pair in zip(after["intervention"], after["strength"], strict=True)]
    return after[key].assign(
        step=steps,
        log_odds=after["log_odds"] - joined["log_odds"],
        p_sadness=after["p_sadness"] - joined["p_sadness"],
        flipped=((after["log_odds"] > 0) != (joined["log_odds"] > 0)).astype(float),
    )


def effects(
    answers: pd.DataFrame,
    picture: str = "painting",
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how far each intervention moves the log-odds of sadness, averaged over seeds.

    Args:
        answers: as `changes` takes them; of every picture under every intervention. With a column
            `group` (-1 = none) the pictures of a group are drawn together.
        picture: the column that names the picture.
        level: of the interval, by percentiles of a bootstrap over pictures, the same draws in every
            row. It speaks of other pictures, not of other seeds.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        Indexed by step and network ("k = 0", ..., and of two their "difference", the larger k
        minus the smaller): mean, low, high; sd_pictures and sd_seeds, each of means over the other;
        p10 and p90, percentiles of single changes; p_sadness, the mean change of the probability;
        flipped, the share of answers that change class (both NaN for the difference).

    Raises:
        ValueError: an answer is missing.
    """
    moved = changes(answers, picture)
    first = answers.drop_duplicates(picture).sort_values(picture)
    counts = _draws(first.get("group", pd.Series(np.arange(len(first)))), resamples, seed)
    rows = {}
    for step, part in moved.groupby("step", sort=False):
        of_k = {}
        for k, own in part.groupby("k"):
            table = own.pivot(index=picture, columns="seed", values="log_odds")
            if len(table) < len(first) or table.isna().any(axis=None):
                raise ValueError(f"{step}, k = {k}: not every {picture} has an answer of each seed")
            of_k[k] = table.to_numpy()  # (pictures, seeds)
            rows[step, f"k = {k}"] = _summary(of_k[k], counts, level) | {
                name: own[name].mean() for name in ("p_sadness", "flipped")
            }
        if len(of_k) == 2:
            smaller, larger = (values.mean(axis=1, keepdims=True) for values in of_k.values())
            rows[step, "difference"] = _summary(larger - smaller, counts, level)
    index = pd.MultiIndex.from_tuples(rows, names=["step", "network"])
    return pd.DataFrame(list(rows.values()), index)


def _draws(groups: pd.Series, resamples: int, seed: int) -> np.ndarray:
    """Return how often each picture is drawn, (resamples, pictures), groups as a whole."""
    alone = pd.Series(-1 - np.arange(len(groups)), groups.index)
    unit = pd.factorize(groups.where(groups >= 0, alone))[0]
    units = unit.max() + 1
    random = np.random.default_rng(seed)
    return random.multinomial(units, np.full(units, 1 / units), resamples)[:, unit]


def _summary(values: np.ndarray, counts: np.ndarray, level: float) -> dict[str, float]:
    """Summarise changes, (pictures, seeds), with a bootstrap interval of their mean."""
    by_picture, by_seed = values.mean(axis=1), values.mean(axis=0)
    drawn = counts @ by_picture / counts.sum(axis=1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    p10, p90 = np.quantile(values, [0.1, 0.9])
    return {
        "mean": values.mean(),
        "low": low,
        "high": high,
        "sd_pictures": by_picture.std(ddof=1) if len(by_picture) > 1 else np.nan,
        "sd_seeds": by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan,
        "p10": p10,
        "p90": p90,
    }


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        limits = f"{low:g} or more" if high == np.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {limits}, got {value:g}")
    return value


def _srgb(light: np.ndarray) -> np.ndarray:
    """Return linear light as 8-bit sRGB, clipped at white."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * values).astype(np.uint8)


def _balanced(image: np.ndarray, gain: float) -> np.ndarray:
    """Return the picture with linear blue times `gain` and red divided by it, luminance kept."""
    light = _LINEAR[image]  # (H, W, 3)
    turned = light * [1 / gain, 1, gain]
    before, after = light @ WEIGHTS, turned @ WEIGHTS
    scale = np.divide(before, after, out=np.ones_like(before), where=after > 0)
    return _srgb(turned * scale[..., None])
