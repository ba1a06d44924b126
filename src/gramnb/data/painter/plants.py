"""Trees and flowers, drawn on a `Canvas` in its light; `y` is where one stands, sizes in pixels."""

import math

from gramnb.data.painter.canvas import Canvas, Colour, mix


def bare_tree(c: Canvas, x: float, y: float, height: float, bark: Colour, depth: int = 6) -> None:
    """Draw a leafless tree: branches that fork, each shorter and thinner, some broken."""

    def branch(x: float, y: float, angle: float, length: float, depth: int) -> None:
        end = (x + math.sin(angle) * length, y - math.cos(angle) * length)
        c.line([(x, y), end], 0.006 * 1.42**depth * height, bark, caps=depth > 3)
        if depth:
            for turn in (-0.42, 0.42) if depth < 6 else (-0.35, 0.05, 0.4):
                if depth > 3 or c.rng.random() > 0.16:
                    branch(
                        *end,
                        angle + turn + c.between(-0.25, 0.25),
                        length * c.between(0.62, 0.84),
                        depth - 1,
                    )

    branch(x, y, c.between(-0.12, 0.12), 0.28 * height, depth)


def leafy_tree(c: Canvas, x: float, y: float, height: float, leaf: Colour, far: float) -> None:
    """Draw a tree with a round crown, lit from the upper left."""
    bark = c.lit((84, 64, 50), far)
    c.line([(x, y), (x + 0.02 * height, y - 0.5 * height)], 0.07 * height, bark)
    for side in (-0.16, 0.14):
        c.line(
            [(x, y - 0.3 * height), (x + side * height, y - 0.55 * height)], 0.035 * height, bark
        )
    tones = [mix(leaf, (10, 25, 40), 0.45), leaf, mix(leaf, (255, 244, 190), 0.3)]
    for tone, shift, size, n in zip(
        tones, (0.03, 0.0, -0.05), (0.2, 0.16, 0.1), (9, 11, 10), strict=True
    ):
        colour = c.lit(tone, far)
        for turn, reach in c.rng.random((n, 2)):
            reach = 0.24 * math.sqrt(reach) * height
            radius = size * height * (0.6 + 0.4 * turn)
            c.ellipse(
                x + (shift * height + reach * math.sin(40 * turn)),
                y - 0.66 * height + shift * height + 0.9 * reach * math.cos(40 * turn),
                radius,
                0.85 * radius,
                colour,
            )


def conifer(
    c: Canvas, x: float, y: float, height: float, leaf: Colour, far: float, snow: bool = False
) -> None:
    """Draw a fir tree of four tiers, snowed on or not."""
    c.line([(x, y), (x, y - 0.2 * height)], 0.05 * height, c.lit((70, 52, 44), far))
    for tier in range(4):
        low, wide = y - (0.1 + 0.2 * tier) * height, (0.23 - 0.045 * tier) * height
        tip, colour = low - 0.32 * height, c.lit(mix(leaf, (20, 40, 40), 0.5 - 0.1 * tier), far)
        c.polygon([(x - wide, low), (x, tip), (x + wide, low), (x, low + 0.03 * height)], colour)
        light = (236, 242, 250) if snow else mix(leaf, (255, 250, 200), 0.25)
        c.polygon(
            [(x, tip), (x - wide, low), (x - 0.4 * wide, low - 0.04 * height)], c.lit(light, far)
        )


def flower(c: Canvas, x: float, y: float, height: float, petal: Colour, wilted: bool) -> None:
    """Draw a flower; a wilted one hangs its browned head."""
    side = 1 if c.rng.random() < 0.5 else -1
    stem = c.lit((84, 92, 60) if wilted else (64, 122, 58))
    top = (x + side * 0.1 * height, y - height)
    points = [(x, y), (x + side * 0.02 * height, y - 0.6 * height), top]
    if wilted:
        top = (x + side * 0.42 * height, y - 0.62 * height)
        points = [
            (x, y),
            (x, y - 0.6 * height),
            (x + side * 0.14 * height, y - 0.86 * height),
            (x + side * 0.34 * height, y - 0.82 * height),
            top,
        ]
        petal = mix(petal, (96, 70, 60), 0.6)
    c.line(points, 0.07 * height, stem)
    c.ellipse(x - side * 0.14 * height, y - 0.3 * height, 0.14 * height, 0.05 * height, stem)
    for n in range(6):
        angle = n * math.tau / 6
        c.ellipse(
            top[0] + 0.15 * height * math.cos(angle),
            top[1] + 0.15 * height * math.sin(angle),
            0.12 * height,
            0.12 * height,
            c.lit(petal),
        )
    heart = (90, 70, 50) if wilted else (250, 206, 80)
    c.ellipse(*top, 0.1 * height, 0.1 * height, c.lit(heart))
