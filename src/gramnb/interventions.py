"""The same picture, changed in one respect: what an answer goes by is found by changing it.

The paper wonders whether its network goes by colours, textures or shapes (Section 5.2). Each of
`INTERVENTIONS` takes a picture, uint8 (H, W, 3) in sRGB, and returns one of that shape.
Light is changed where it adds up, in linear light.
"""

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter

from gramnb.evaluation import resampled

UNTOUCHED = "untouched"
RESAMPLES = 5000
WEIGHTS = np.array([0.2126, 0.7152, 0.0722])  # of red, green, blue in luminance (Rec. 709)
_VALUES = np.arange(256) / 255
_LINEAR = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4)


def luminance(image: np.ndarray) -> np.ndarray:
    """Return each pixel's relative luminance, (H, W), from 0 (black) to 1 (white)."""
    return _LINEAR[image] @ WEIGHTS


def brightened(image: np.ndarray, factor: float) -> np.ndarray:
    """Return the picture with its linear light times `factor`, clipped at white; 0.5 is a stop."""
    return _srgb(_LINEAR[image] * factor)


def desaturated(image: np.ndarray, saturation: float) -> np.ndarray:
    """Return the picture mixed with its grey version (Pillow's luma); 0 is grey, 1 the picture."""
    return np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(saturation))


def cooler(image: np.ndarray, gain: float) -> np.ndarray:
    """Return the picture in bluer light: linear blue times `gain`, red divided by it.

    Each pixel is then scaled back to the luminance it had and clipped. A gain below 1 is redder.
    """
    light = _LINEAR[image]  # (H, W, 3)
    turned = light * [1 / gain, 1, gain]
    before, after = light @ WEIGHTS, turned @ WEIGHTS
    scale = np.divide(before, after, out=np.ones_like(before), where=after > 0)
    return _srgb(turned * scale[..., None])


def blurred(image: np.ndarray, radius: float) -> np.ndarray:
    """Return the picture blurred by a Gaussian with an SD of `radius` pixels."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def shuffled(image: np.ndarray, tiles: float, seed: int = 0) -> np.ndarray:
    """Return the picture cut into `tiles` x `tiles` pieces that lie in an order drawn by `seed`.

    Rows and columns left over at the lower and right edge stay where they are.
    """
    tiles = int(tiles)
    height, width = image.shape[0] // tiles, image.shape[1] // tiles
    corners = [(row * height, column * width) for row in range(tiles) for column in range(tiles)]
    order = np.random.default_rng(seed).permutation(tiles * tiles)
    changed = image.copy()
    for (y, x), place in zip(corners, order, strict=True):
        from_y, from_x = corners[place]
        piece = image[from_y : from_y + height, from_x : from_x + width]
        changed[y : y + height, x : x + width] = piece
    return changed


INTERVENTIONS = {  # a change, and what a figure calls it
    UNTOUCHED: (lambda x, _: x, UNTOUCHED),
    "darker": (brightened, "darker, light × {:g}"),
    "lighter": (brightened, "lighter, light × {:g}"),
    "desaturated": (desaturated, "saturation × {:g}"),
    "cooler": (cooler, "cooler, gain {:g}"),
    "warmer": (lambda x, gain: cooler(x, 1 / gain), "warmer, gain {:g}"),
    "blurred": (blurred, "blurred, {:g} px"),
    "shuffled": (shuffled, "{0:g} × {0:g} tiles shuffled"),
    "mirrored": (lambda x, _: x[:, ::-1].copy(), "mirrored"),
}


def label(intervention: str, strength: float = np.nan) -> str:
    """Return what a figure calls an intervention, its strength with a unit."""
    return INTERVENTIONS[intervention][1].format(strength)


def intervene(image: np.ndarray, intervention: str, strength: float = np.nan, seed: int = 0):
    """Return the picture under one of `INTERVENTIONS`; `seed` draws the order of tiles."""
    change, _ = INTERVENTIONS[intervention]
    return change(image, strength, *([seed] if change is shuffled else []))


def effects(answers: pd.DataFrame, picture: str = "painting") -> pd.DataFrame:
    """Return how far each intervention moves the log-odds of sadness, averaged over seeds.

    Args:
        answers: of every picture under every intervention: intervention, strength (NaN = none), k,
            seed, log_odds, and the column `picture` that names the picture. With a column `group`
            (-1 = none) the pictures of a group are drawn together.

    Returns:
        Indexed by step (the intervention's `label`) and network ("k = 0", ..., and of two their
        "difference", the larger k minus the smaller): mean, and low and high, 95 % by percentiles
        of a bootstrap over pictures, which speaks of other pictures, not of other seeds; p10 and
        p90 of all changes.

    Raises:
        ValueError: an answer is missing.
    """
    key, untouched = [picture, "k", "seed"], answers["intervention"] == UNTOUCHED
    before = answers[untouched].set_index(key)["log_odds"]
    after = answers[~untouched].join(before, on=key, rsuffix="_before")
    after["step"] = list(map(label, after["intervention"], after["strength"]))
    after["change"] = after["log_odds"] - after["log_odds_before"]

    first = answers.drop_duplicates(picture).sort_values(picture).reset_index()
    alone = pd.Series(-1 - first.index)
    groups = first["group"].where(first["group"] >= 0, alone) if "group" in first else alone
    unit, units = pd.factorize(groups)
    counts = resampled(len(units), RESAMPLES, seed=0).astype(int)[:, unit]  # (resamples, pictures)

    def summary(changes: np.ndarray) -> dict[str, float]:
        drawn = counts @ changes.mean(axis=1) / counts.sum(axis=1)
        low, high = np.quantile(drawn, [(1 - 0.95) / 2, (1 + 0.95) / 2])  # 0.025 is another float
        p10, p90 = np.quantile(changes, [0.1, 0.9])
        return {"mean": changes.mean(), "low": low, "high": high, "p10": p10, "p90": p90}

    table = after.pivot(index=picture, columns=["step", "k", "seed"], values="change")
    table = table.sort_index(axis=1)
    if len(table) < len(first) or table.isna().any(axis=None):
        raise ValueError(f"not every {picture} has an answer of each network to each step")
    rows = {}
    for step in after["step"].unique():
        of_k = {k: table[step, k].to_numpy() for k in sorted(after["k"].unique())}
        for k, changes in of_k.items():  # (pictures, seeds)
            rows[step, f"k = {k}"] = summary(changes)
        if len(of_k) == 2:
            smaller, larger = (changes.mean(axis=1, keepdims=True) for changes in of_k.values())
            rows[step, "difference"] = summary(larger - smaller)
    index = pd.MultiIndex.from_tuples(rows, names=["step", "network"])
    return pd.DataFrame(list(rows.values()), index)


def _srgb(light: np.ndarray) -> np.ndarray:
    """Return linear light as 8-bit sRGB, clipped at white."""
    light = np.clip(light, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * values).astype(np.uint8)
