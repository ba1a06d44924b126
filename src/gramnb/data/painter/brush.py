"""A painter's hand: a picture redrawn in visible strokes of thick paint that swirl.

Strokes follow a flow field: whorls of smooth noise, and along the picture's own edges. Coarse
strokes come first; finer ones only where the picture needs them, so that skies stay broad.
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from gramnb.data.painter.canvas import noise

WIDTHS = (0.034, 0.018, 0.009)  # of the side, coarse to fine


def _flow(image: Image.Image, rng: np.random.Generator, swirl: float) -> tuple[np.ndarray, ...]:
    side = image.width
    whorls = np.asarray(noise(rng, side, (4, 7))).astype(float)
    grey = image.convert("L").filter(ImageFilter.GaussianBlur(side / 50))
    down, right = np.gradient(swirl * whorls + 2.0 * np.asarray(grey).astype(float))
    length = np.sqrt(right**2 + down**2) + 1e-6
    return down / length, -right / length  # along the contours, (x, y)


def brushwork(image: Image.Image, rng: np.random.Generator, swirl: float = 1.2) -> Image.Image:
    """Return the square RGB picture as an oil painting of the same size; `swirl` >= 0."""
    side = image.width
    image = Image.blend(image, ImageOps.autocontrast(image, cutoff=0.5), 0.5)
    flow_x, flow_y = _flow(image, rng, swirl)
    painted = image.filter(ImageFilter.GaussianBlur(side / 40))
    relief = Image.new("L", image.size, 128)
    pen, bump = ImageDraw.Draw(painted), ImageDraw.Draw(relief)
    for level, share in enumerate(WIDTHS):
        width = max(2, round(share * side))
        soft = image.filter(ImageFilter.GaussianBlur(width / 3))
        needed = np.asarray(ImageChops.difference(soft, painted)).max(axis=2)
        source, step = np.asarray(soft), 0.8 * width
        grid = np.stack(np.meshgrid(*2 * [np.arange(0, side, step)]), axis=-1).reshape(-1, 2)
        starts = rng.permutation(grid) + rng.uniform(-step, step, grid.shape)
        starts = starts.clip(0, side - 1)  # (n, 2): x, y
        if level:
            column, row = starts.astype(int).T
            starts = starts[needed[row, column] >= 12 + 2 * level]
        for x, y in starts.tolist():
            colour = source[int(y), int(x)].astype(int) + rng.integers(-13, 14, 3)
            colour += rng.integers(-10, 11)
            points = [(x, y)]
            for _ in range(7 - level):
                u, v = flow_x[int(y), int(x)], flow_y[int(y), int(x)]
                x = min(max(x + 0.8 * width * u, 0), side - 1)
                y = min(max(y + 0.8 * width * v, 0), side - 1)
                points.append((x, y))
            colour = tuple(int(v) for v in np.clip(colour, 0, 255))
            pen.line(points, fill=colour, width=width, joint="curve")
            for bristle in (-0.3, 0.0, 0.3):
                shifted = [(a, b + bristle * width) for a, b in points]
                bump.line(shifted, fill=int(rng.integers(70, 190)), width=max(1, width // 4))
    light = relief.filter(ImageFilter.GaussianBlur(0.8)).filter(ImageFilter.EMBOSS)
    light = light.point([round(128 + 0.55 * (v - 128)) for v in range(256)]).convert("RGB")
    return Image.blend(painted, ImageChops.overlay(painted, light), 0.9)
