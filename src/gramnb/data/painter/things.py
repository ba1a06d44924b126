"""What stands in the demo scenes: trees, houses, people, flowers, boats, benches, lamps.

Everything is drawn on a `Canvas`, in its light; `y` is where a thing stands, heights and widths
are shares of the picture's side, `far` (0-1) is distance.
"""

import math
from collections.abc import Sequence

from gramnb.data.painter.canvas import Canvas, Colour, Point, mix


def house(
    c: Canvas,
    x: float,
    y: float,
    width: float,
    wall: Colour,
    roof: Colour,
    lit: float,
    far: float = 0.0,
    storeys: int = 1,
) -> None:
    """Draw a gabled house whose windows are lit with probability `lit`."""
    high = width * (0.35 + 0.35 * storeys)
    left, right, eaves = x - width / 2, x + width / 2, y - high
    c.shaded(
        [(left, y), (left, eaves), (right, eaves), (right, y)],
        [c.lit(wall, far), c.lit(mix(wall, (40, 40, 60), 0.3), far)],
    )
    c.line(
        [(x + 0.25 * width, eaves), (x + 0.25 * width, eaves - 0.5 * width)],
        0.1 * width,
        c.lit(mix(roof, (60, 50, 50), 0.6), far),
        caps=False,
    )
    c.shaded(
        [
            (left - 0.08 * width, eaves),
            (left + 0.16 * width, eaves - 0.42 * width),
            (right - 0.16 * width, eaves - 0.42 * width),
            (right + 0.08 * width, eaves),
        ],
        [c.lit(mix(roof, (255, 255, 255), 0.15), far), c.lit(roof, far)],
    )
    c.polygon(
        [
            (x - 0.07 * width, y),
            (x - 0.07 * width, y - 0.3 * width),
            (x + 0.09 * width, y - 0.3 * width),
            (x + 0.09 * width, y),
        ],
        c.lit(mix(roof, (30, 20, 30), 0.55), far),
    )
    for storey in range(storeys):
        for column in (-0.3, 0.3) if storey == 0 else (-0.3, 0.01, 0.3):
            middle, level = x + column * width, y - (0.32 + 0.36 * storey) * width
            on = c.rng.random() < lit
            if on:
                c.glow(middle, level, 0.36 * width, (255, 190, 90), 0.2 + 0.6 * c.shade)
            pane = mix((255, 214, 120), c.haze, far / 2) if on else c.lit((58, 66, 84), far)
            c.polygon(
                [
                    (middle - 0.085 * width, level - 0.1 * width),
                    (middle + 0.085 * width, level - 0.1 * width),
                    (middle + 0.085 * width, level + 0.1 * width),
                    (middle - 0.085 * width, level + 0.1 * width),
                ],
                pane,
            )
            frame = c.lit((236, 230, 220), far)
            c.line([(middle, level - 0.1 * width), (middle, level + 0.1 * width)], 0, frame)
            c.line([(middle - 0.085 * width, level), (middle + 0.085 * width, level)], 0, frame)


def figure(
    c: Canvas,
    x: float,
    y: float,
    height: float,
    bowed: float,
    facing: int,
    coat: Colour,
    arms: str = "down",
    dress: bool = False,
    seated: bool = False,
) -> Point:
    """Draw a person and return where the raised or outer hand is.

    `bowed` 0 stands upright, 1 hangs the head; `facing` is -1 or 1; `arms` down, up or out.
    """
    h, f = height, facing
    skin, hair = c.lit((228, 180, 150)), c.lit((60, 42, 36))
    cloth, dark = c.lit(coat), c.lit(mix(coat, (24, 24, 44), 0.6))
    hip = (x, y - (0.26 if seated else 0.46) * h)
    lean = f * (0.02 + 0.13 * bowed) * h
    neck = (hip[0] + lean, hip[1] - (0.37 - 0.05 * bowed) * h)
    head = (neck[0] + f * (0.01 + 0.09 * bowed) * h, neck[1] - (0.1 - 0.075 * bowed) * h)
    if seated:
        knee = (x + f * 0.2 * h, hip[1])
        c.line([hip, knee, (knee[0] + f * 0.02 * h, y)], 0.1 * h, dark)
    else:
        for step in (-0.055, 0.055):
            c.line([hip, (x + step * h, y)], 0.075 * h, dark)
    hem = 0.15 if dress and not seated else 0.1
    low = hip[1] + (0.2 if dress and not seated else 0.05) * h
    c.polygon(
        [
            (neck[0] - 0.085 * h, neck[1] + 0.03 * h),
            (neck[0] + 0.085 * h, neck[1] + 0.03 * h),
            (hip[0] + hem * h, low),
            (hip[0] - hem * h, low),
        ],
        cloth,
    )
    c.line(
        [(neck[0] - 0.05 * h, neck[1] + 0.04 * h), (neck[0] + 0.05 * h, neck[1] + 0.04 * h)],
        0.09 * h,
        cloth,
    )
    shoulder = (neck[0] + f * 0.04 * h, neck[1] + 0.05 * h)
    if arms == "up":
        hand = (shoulder[0] + f * 0.17 * h, shoulder[1] - 0.28 * h)
        back = (neck[0] - f * 0.2 * h, shoulder[1] - 0.25 * h)
        c.line([(neck[0] - f * 0.05 * h, shoulder[1]), back], 0.055 * h, cloth)
        c.ellipse(*back, 0.03 * h, 0.03 * h, skin)
        bend = (shoulder[0] + f * 0.12 * h, shoulder[1] - 0.08 * h)
    elif arms == "out":
        hand = (shoulder[0] + f * 0.22 * h, shoulder[1] + 0.2 * h)
        bend = (shoulder[0] + f * 0.12 * h, shoulder[1] + 0.14 * h)
    else:
        hand = (shoulder[0] + f * (0.06 + 0.06 * bowed) * h, shoulder[1] + 0.33 * h)
        bend = (shoulder[0] + f * (0.01 + 0.03 * bowed) * h, shoulder[1] + 0.17 * h)
    c.line([shoulder, bend, hand], 0.055 * h, c.lit(mix(coat, (24, 24, 44), 0.22)))
    c.ellipse(*hand, 0.03 * h, 0.03 * h, skin)
    c.ellipse(*head, 0.075 * h, 0.085 * h, skin)
    c.ellipse(head[0] - f * 0.022 * h, head[1] - 0.03 * h, 0.075 * h, 0.072 * h, hair)
    if dress:
        c.line(
            [
                (head[0] - f * 0.05 * h, head[1] - 0.02 * h),
                (neck[0] - f * 0.05 * h, neck[1] + 0.06 * h),
            ],
            0.06 * h,
            hair,
        )
    return hand


def boat(c: Canvas, x: float, y: float, width: float, sail: Colour) -> None:
    """Draw a small sailing boat and its reflection."""
    w = width
    c.polygon(
        [
            (x - 0.5 * w, y),
            (x + 0.5 * w, y),
            (x + 0.34 * w, y + 0.17 * w),
            (x - 0.36 * w, y + 0.17 * w),
        ],
        c.lit((110, 72, 54)),
    )
    c.line([(x, y), (x, y - 0.9 * w)], 0.02, c.lit((80, 60, 50)))
    c.polygon(
        [(x + 0.03 * w, y - 0.88 * w), (x + 0.03 * w, y - 0.1 * w), (x + 0.45 * w, y - 0.14 * w)],
        c.lit((244, 240, 228)),
    )
    c.polygon(
        [(x - 0.03 * w, y - 0.8 * w), (x - 0.03 * w, y - 0.12 * w), (x - 0.32 * w, y - 0.14 * w)],
        c.lit(sail),
    )
    c.polygon(
        [(x - 0.36 * w, y + 0.17 * w), (x + 0.34 * w, y + 0.17 * w), (x + 0.1 * w, y + 0.5 * w)],
        (*c.lit((30, 36, 50)), 70),
    )


def lighthouse(c: Canvas, x: float, y: float, height: float, lit: float) -> None:
    """Draw a striped lighthouse on a rock; its beam shines with probability `lit`."""
    h = height
    c.polygon(
        [
            (x - 0.5 * h, y + 0.02),
            (x - 0.2 * h, y - 0.14 * h),
            (x + 0.2 * h, y - 0.12 * h),
            (x + 0.5 * h, y + 0.02),
        ],
        c.lit((92, 88, 92)),
    )
    for n in range(5):
        low, wide = y - (0.1 + 0.13 * n) * h, (0.1 - 0.008 * n) * h
        c.polygon(
            [
                (x - wide, low),
                (x + wide, low),
                (x + wide - 0.008 * h, low - 0.13 * h),
                (x - wide + 0.008 * h, low - 0.13 * h),
            ],
            c.lit((238, 234, 226) if n % 2 else (190, 66, 58)),
        )
    top = y - 0.8 * h
    if c.rng.random() < lit and c.shade > 0.3:
        c.glow(x, top, 0.12, (255, 230, 150), 0.9)
        c.polygon([(x, top), (1.0, top - 0.12), (1.0, top + 0.06)], (255, 236, 170, 60))
    c.ellipse(x, top, 0.05 * h, 0.06 * h, (255, 226, 140))
    c.polygon(
        [(x - 0.08 * h, top - 0.05 * h), (x + 0.08 * h, top - 0.05 * h), (x, top - 0.15 * h)],
        c.lit((120, 50, 50)),
    )


def lamp(c: Canvas, x: float, y: float, height: float, on: bool) -> None:
    """Draw a lamp post."""
    c.line([(x, y), (x, y - height)], 0.014, c.lit((52, 54, 64)))
    if on:
        c.glow(x, y - height, 0.17, (255, 206, 120), 0.85)
    c.ellipse(x, y - height, 0.026, 0.032, (255, 236, 180) if on else c.lit((190, 194, 200)))
    c.polygon(
        [(x - 0.036, y - height - 0.022), (x + 0.036, y - height - 0.022), (x, y - height - 0.056)],
        c.lit((52, 54, 64)),
    )


def bench(c: Canvas, x: float, y: float, width: float) -> None:
    """Draw a bench seen from the front."""
    wood, dark = c.lit((134, 92, 62)), c.lit((60, 50, 48))
    for side in (-0.42, 0.42):
        c.line([(x + side * width, y), (x + side * width, y - 0.19)], 0.014, dark)
    for level in (0.19, 0.155, 0.1, 0.085):
        c.line([(x - width / 2, y - level), (x + width / 2, y - level)], 0.016, wood)


def umbrella(c: Canvas, x: float, y: float, radius: float, cloth: Colour, hand: Point) -> None:
    """Draw an open umbrella over (x, y), held in `hand`."""
    c.line([(x, y), hand], 0.008, c.lit((50, 46, 50)))
    arc = [
        (x + radius * math.cos(t), y + 0.16 * radius - 0.62 * radius * math.sin(t))
        for t in (math.pi * n / 16 for n in range(17))
    ]
    c.shaded(arc, [c.lit(mix(cloth, (255, 255, 255), 0.25)), c.lit(cloth)])


BRIGHT = ((236, 70, 70), (250, 190, 60), (90, 170, 230), (240, 130, 180), (110, 190, 110))


def balloons(c: Canvas, hand: Point, colours: Sequence[Colour]) -> None:
    """Draw balloons on strings that meet in `hand`."""
    for n, colour in enumerate(colours):
        x = hand[0] + 0.055 * (n - (len(colours) - 1) / 2) + c.between(-0.01, 0.01)
        y = hand[1] - c.between(0.18, 0.3)
        c.line([hand, (x, y)], 0, (*c.lit((90, 90, 90)), 200))
        c.ellipse(x, y, 0.036, 0.045, c.lit(colour))
        c.ellipse(x - 0.012, y - 0.016, 0.009, 0.012, (255, 255, 255, 170))


def heart(c: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    """Draw a heart."""
    points = []
    for n in range(24):
        t = math.tau * n / 24
        points.append(
            (
                x + size * math.sin(t) ** 3,
                y
                - size
                * (
                    0.81 * math.cos(t)
                    - 0.31 * math.cos(2 * t)
                    - 0.12 * math.cos(3 * t)
                    - 0.06 * math.cos(4 * t)
                ),
            )
        )
    c.polygon(points, colour)
