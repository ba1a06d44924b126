"""The small things that give a demo scene its accent: kites, hearts, lightning, eyes in the dark.

Each is drawn on a canvas whose horizon is given. `FAR` belongs into the sky or the distance and is
drawn before the land, `NEAR` in front of it; `balloons` are in somebody's hand.
"""

import math

from gramnb.data.painter.canvas import Canvas, Colour, mix
from gramnb.data.painter.things import BRIGHT, bench, heart


def _hearts(c: Canvas, horizon: float) -> None:
    x = c.between(0.3, 0.7)
    for n in range(5):
        heart(
            c,
            x + c.between(-0.16, 0.16),
            horizon * (0.9 - 0.15 * n),
            0.05 - 0.007 * n,
            (*c.lit((230, 60, 90)), 235 - 30 * n),
        )


def _kite(c: Canvas, horizon: float) -> None:
    x, y, s = c.between(0.2, 0.8), c.between(0.1, 0.24), 0.08
    first, second = c.rng.permutation(len(BRIGHT))[:2]
    tail = [(x + 0.03 * math.sin(2.2 * n), y + s * (1.5 + 0.45 * n)) for n in range(6)]
    c.line([(x, y + 1.5 * s), *tail], 0.005, c.lit((120, 90, 90)))
    for knot in tail[1::2]:
        c.ellipse(*knot, 0.014, 0.008, c.lit(BRIGHT[first]))
    c.polygon(
        [(x, y - s), (x + 0.75 * s, y), (x, y + 1.5 * s), (x - 0.75 * s, y)], c.lit(BRIGHT[first])
    )
    c.polygon([(x, y - s), (x + 0.75 * s, y), (x - 0.75 * s, y)], c.lit(BRIGHT[second]))


def _airship(c: Canvas, horizon: float) -> None:
    x, y, r = c.between(0.25, 0.75), c.between(0.17, 0.26), c.between(0.08, 0.13)
    c.polygon(
        [
            (x - 0.8 * r, y + 0.6 * r),
            (x + 0.8 * r, y + 0.6 * r),
            (x + 0.2 * r, y + 1.5 * r),
            (x - 0.2 * r, y + 1.5 * r),
        ],
        c.lit((120, 90, 80)),
    )
    for n, wide in enumerate((1.0, 0.72, 0.42, 0.14)):
        c.ellipse(x, y, wide * r, 1.08 * r, c.lit(BRIGHT[(n + int(10 * x)) % len(BRIGHT)]))
    c.ellipse(x - 0.36 * r, y - 0.4 * r, 0.24 * r, 0.32 * r, (255, 255, 255, 60))
    c.polygon(
        [
            (x - 0.2 * r, y + 1.5 * r),
            (x + 0.2 * r, y + 1.5 * r),
            (x + 0.15 * r, y + 1.85 * r),
            (x - 0.15 * r, y + 1.85 * r),
        ],
        c.lit((130, 86, 52)),
    )


def _rainbow(c: Canvas, horizon: float) -> None:
    x, bands = (
        c.between(0.3, 0.7),
        (
            (226, 70, 70),
            (240, 150, 60),
            (250, 220, 90),
            (110, 190, 100),
            (90, 150, 220),
            (140, 100, 200),
        ),
    )
    for n, colour in enumerate(bands):
        reach = 0.46 - 0.018 * n
        turns = [math.pi * m / 24 for m in range(25)]
        outer, inner = (
            [(x + r * math.cos(t), horizon + 0.04 - 0.92 * r * math.sin(t)) for t in turns]
            for r in (reach, reach - 0.018)
        )
        c.polygon(outer + inner[::-1], (*colour, 125))


def _fireworks(c: Canvas, horizon: float) -> None:
    for _ in range(3):
        x, y, size = c.between(0.12, 0.88), c.between(0.08, 0.3), c.between(0.09, 0.17)
        colour = BRIGHT[int(c.rng.integers(len(BRIGHT)))]
        c.glow(x, y, 0.9 * size, mix(colour, (255, 255, 255), 0.3), 0.55)
        for n in range(18):
            t = math.tau * n / 18
            out = size * c.between(0.75, 1.0)
            ends = [
                (x + reach * math.cos(t) * out, y + reach * math.sin(t) * out + 0.02 * reach)
                for reach in (0.3, 1.0)
            ]
            c.line(ends, 0.006, mix(colour, (255, 255, 255), 0.25))
            c.ellipse(*ends[1], 0.007, 0.007, (255, 250, 220))


def _comet(c: Canvas, horizon: float) -> None:
    x, y, turn = c.between(0.3, 0.7), c.between(0.1, 0.24), 1 if c.rng.random() < 0.5 else -1
    for n in range(12):
        far = n / 11
        c.ellipse(
            x + turn * 0.3 * far,
            y - 0.12 * far,
            0.022 * (1 - 0.8 * far),
            0.016 * (1 - 0.7 * far),
            (255, 246, 200, round(230 * (1 - far) ** 1.5) + 8),
        )
    c.glow(x, y, 0.1, (255, 240, 190), 0.9)


def _lightning(c: Canvas, horizon: float) -> None:
    for _ in range(1 + int(c.rng.integers(2))):
        x, y = c.between(0.15, 0.85), 0.02
        points = [(x, y)]
        while y < horizon:
            x, y = x + c.between(-0.07, 0.07), y + c.between(0.04, 0.09)
            points.append((x, y))
        c.glow(x, 0.5 * horizon, 0.3, (220, 214, 255), 0.45)
        c.line(points, 0.014, (236, 232, 255, 150))
        c.line(points, 0.007, (255, 255, 244))
        fork = points[len(points) // 2]
        c.line(
            [fork, (fork[0] + 0.08, fork[1] + 0.07), (fork[0] + 0.1, fork[1] + 0.14)],
            0.005,
            (255, 255, 244),
        )


def _fire(c: Canvas, horizon: float) -> None:
    x, y = c.between(0.15, 0.85), c.between(0.88, 0.94)
    c.glow(x, y - 0.1, 0.42, (255, 120, 40), 0.75)
    for log in (-1, 1):
        c.line([(x - 0.1 * log, y), (x + 0.1 * log, y - 0.05)], 0.03, (64, 40, 32))
    for colour, tall, wide in (
        ((224, 58, 30), 0.3, 0.05),
        ((250, 140, 40), 0.21, 0.038),
        ((255, 226, 120), 0.12, 0.026),
    ):
        for n in range(-2, 3):
            foot, height = x + 0.036 * n, tall * (1 - 0.2 * abs(n)) * c.between(0.75, 1.0)
            lean = c.between(-0.03, 0.03)
            c.polygon(
                [
                    (foot - wide, y - 0.02),
                    (foot - 0.7 * wide, y - 0.4 * height),
                    (foot + lean, y - height),
                    (foot + 0.6 * wide, y - 0.4 * height),
                    (foot + wide, y - 0.02),
                ],
                colour,
            )
    for u, v in c.rng.random((14, 2)):
        c.ellipse(x + 0.24 * (u - 0.5), y - 0.12 - 0.4 * v, 0.005, 0.005, (255, 200, 90))


def _volcano(c: Canvas, horizon: float) -> None:
    x, top = c.between(0.3, 0.7), 0.55 * horizon
    for n in range(14):
        u = n / 13
        grey = round(50 + 40 * u)
        c.ellipse(
            x + 0.3 * u * u + c.between(-0.05, 0.05),
            top - 0.9 * top * u,
            0.05 + 0.07 * u,
            0.04 + 0.05 * u,
            (grey, grey - 8, grey - 6, 150),
        )
    c.glow(x, top, 0.2, (255, 110, 40), 0.9)
    foot = horizon + 0.06
    c.shaded(
        [(x - 0.42, foot), (x - 0.06, top), (x + 0.05, top), (x + 0.4, foot)],
        [c.lit((100, 60, 56)), c.lit((60, 48, 54))],
    )
    for end in (-0.13, 0.02, 0.16):
        c.line(
            [(x, top), (x + 0.3 * end, top + 0.08), (x + end, top + c.between(0.15, 0.26))],
            0.014,
            (255, 120, 40),
        )


def _eyes(c: Canvas, horizon: float) -> None:
    for _ in range(4):
        x, y, size = c.between(0.05, 0.95), c.between(0.5, 0.74), c.between(0.01, 0.02)
        c.glow(x, y, 6 * size, (8, 10, 14), 0.9)
        for side in (-1, 1):
            c.ellipse(x + 1.7 * side * size, y, 1.1 * size, 0.75 * size, (250, 226, 90))
            c.ellipse(x + 1.7 * side * size, y, 0.35 * size, 0.7 * size, (20, 16, 16))


def _flock(c: Canvas, horizon: float, colour: Colour, size: float, n: int) -> None:
    x, y = c.between(0.3, 0.7), c.between(0.12, 0.3)
    for u, v, beat in c.rng.random((n, 3)):
        u, v, s = x + 0.5 * (u - 0.5), y + 0.26 * (v - 0.5), size * (0.7 + 0.6 * beat)
        up = v - s * (0.2 + 0.6 * beat)
        c.line(
            [
                (u - s, up),
                (u - 0.45 * s, up - 0.1 * s),
                (u, v),
                (u + 0.45 * s, up - 0.1 * s),
                (u + s, up),
            ],
            0.009,
            colour,
        )


def _ghost(c: Canvas, horizon: float) -> None:
    x, y, h = c.between(0.15, 0.85), 0.86, c.between(0.42, 0.6)
    for grow, alpha in ((1.2, 70), (1.0, 210)):
        w = 0.12 * h * grow
        c.polygon(
            [
                (x - 1.2 * w, y),
                (x - w, y - 0.6 * h),
                (x - 0.9 * w, y - 0.72 * h),
                (x + 0.9 * w, y - 0.72 * h),
                (x + w, y - 0.6 * h),
                (x + 1.2 * w, y),
            ],
            (8, 9, 14, alpha),
        )
        c.ellipse(x, y - 0.78 * h, 0.9 * w, 1.15 * w, (8, 9, 14, alpha))
    for side in (-1, 1):
        c.line(
            [
                (x + side * 0.1 * h, y - 0.64 * h),
                (x + side * 0.24 * h, y - 0.5 * h),
                (x + side * 0.3 * h, y - 0.62 * h),
            ],
            0.035 * h,
            (8, 9, 14),
        )


def _graves(c: Canvas, horizon: float) -> None:
    for n in range(3):
        x, y, s = c.between(0.05, 0.95), 0.74 + 0.06 * n, 0.07 + 0.015 * n
        stone = c.lit((150, 152, 156))
        c.ellipse(x, y, 1.2 * s, 0.2 * s, (*c.lit((40, 44, 40)), 130))
        if n == 1:
            c.line([(x, y), (x, y - 2 * s)], 0.3 * s, stone, caps=False)
            level = y - 1.35 * s
            c.line([(x - 0.6 * s, level), (x + 0.6 * s, level)], 0.3 * s, stone, caps=False)
        else:
            c.ellipse(x, y - 1.1 * s, 0.6 * s, 0.55 * s, stone)
            c.polygon(
                [
                    (x - 0.6 * s, y),
                    (x - 0.6 * s, y - 1.1 * s),
                    (x + 0.6 * s, y - 1.1 * s),
                    (x + 0.6 * s, y),
                ],
                stone,
            )


def _bench(c: Canvas, horizon: float) -> None:
    bench(c, c.between(0.25, 0.75), 0.9, 0.36)


FAR = {
    "hearts": _hearts,
    "kite": _kite,
    "airship": _airship,
    "rainbow": _rainbow,
    "fireworks": _fireworks,
    "comet": _comet,
    "lightning": _lightning,
    "volcano": _volcano,
    "gulls": lambda c, horizon: _flock(c, horizon, c.lit((250, 250, 250)), 0.035, 7),
    "crows": lambda c, horizon: _flock(c, horizon, (24, 24, 32), 0.035, 8),
}
NEAR = {"fire": _fire, "eyes": _eyes, "shadow": _ghost, "graves": _graves, "bench": _bench}
