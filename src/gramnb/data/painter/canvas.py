"""The canvas of the demo scenes: colours, gradients, noise, and the brush.

Positions and lengths are shares of the picture's side, x to the right and y downwards. Colours are
RGB, with alpha as an optional fourth number. Per-pixel work is left to Pillow's integer
arithmetic, so that a picture has the same bytes on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, ...]
Point = tuple[float, float]


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from a to b."""
    return tuple(round(p + (q - p) * share) for p, q in zip(a[:3], b[:3], strict=True))


def ramp(stops: Sequence[Colour], size: tuple[int, int]) -> Image.Image:
    """Return a smooth vertical gradient through the stops, top to bottom; size is (W, H)."""
    column = Image.frombytes("RGB", (1, len(stops)), bytes(v for stop in stops for v in stop[:3]))
    return column.resize((2, size[1]), Image.Resampling.BICUBIC).resize(size)


def noise(
    rng: np.random.Generator, side: int, cells: Sequence[int], stretch: int = 1
) -> Image.Image:
    """Return smooth grey noise (side, side): one octave per number of cells, each weaker.

    Cells are `stretch` times as wide as high.
    """
    total = None
    for n in cells:
        grid = rng.integers(0, 256, (n, max(2, n // stretch)), dtype=np.uint8)
        octave = Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC)
        total = octave if total is None else Image.blend(total, octave, 0.36)
    return total


@dataclass
class Canvas:
    """A square RGB picture of `side` pixels, the light that falls into it, and its brush.

    `shade` (0-1) of every colour is replaced by `ambient`, and distance adds `haze`.
    """

    side: int
    rng: np.random.Generator
    ambient: Colour = (255, 255, 255)
    haze: Colour = (255, 255, 255)
    shade: float = 0.0

    def __post_init__(self) -> None:
        """Stretch an empty canvas."""
        self.image = Image.new("RGB", (self.side, self.side))
        self.pen = ImageDraw.Draw(self.image, "RGBA")

    def lit(self, colour: Colour, far: float = 0.0) -> Colour:
        """Return the colour as it looks in this light, `far` (0-1) away."""
        return mix(mix(colour, self.ambient, self.shade), self.haze, far)

    def between(self, low: float, high: float) -> float:
        """Return a number drawn evenly from low to high."""
        return low + (high - low) * self.rng.random()

    def points(self, points: Sequence[Point]) -> list[Point]:
        """Return the points in pixels."""
        return [(round(x * self.side), round(y * self.side)) for x, y in points]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self.pen.polygon(self.points(points), fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse around (x, y)."""
        self.pen.ellipse(self.points([(x - rx, y - ry), (x + rx, y + ry)]), fill=colour)

    def line(
        self, points: Sequence[Point], width: float, colour: Colour, caps: bool = True
    ) -> None:
        """Draw a polyline with round joints and, if wide enough, round ends."""
        pixels = max(1, round(width * self.side))
        self.pen.line(self.points(points), fill=colour, width=pixels, joint="curve")
        if caps and pixels > 2:
            for x, y in (points[0], points[-1]):
                self.ellipse(x, y, width / 2, width / 2, colour)

    def shaded(self, points: Sequence[Point], stops: Sequence[Colour]) -> None:
        """Fill a polygon with a vertical gradient over its own height."""
        top = max(0, round(min(y for _, y in points) * self.side))
        bottom = min(self.side, round(max(y for _, y in points) * self.side) + 1)
        if bottom <= top:
            return
        mask = Image.new("1", (self.side, bottom - top))
        shifted = [(x, y - top) for x, y in self.points(points)]
        ImageDraw.Draw(mask).polygon(shifted, fill=1)
        self.image.paste(ramp(stops, mask.size), (0, top), mask)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float) -> None:
        """Add a soft round light."""
        size = max(2, round(2 * radius * self.side))
        fade = Image.radial_gradient("L").resize((size, size))
        mask = fade.point([round(strength * 255 * max(0.0, 1 - v / 180) ** 2) for v in range(256)])
        corner = (round(x * self.side) - size // 2, round(y * self.side) - size // 2)
        self.image.paste(colour, corner, mask)

    def veil(self, colour: Colour, mask: Image.Image) -> None:
        """Lay a colour over the picture as thick as the grey mask says."""
        self.image.paste(colour, (0, 0), mask)
