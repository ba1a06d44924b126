"""What stands in the demo scenes: trees, houses, people, flowers, boats, benches, lamps.

Everything is drawn on a `Canvas`, in its light; `y` is where a thing stands, heights and widths
are shares of the picture's side, `far` (0-1) is distance.
"""

import math

from gramnb.data.painter.canvas import Canvas, Colour, Point, mix


def bare_tree(c: Canvas, x: float, y: float, height: float, bark: Colour, depth: int = 6) -> None:
    """Draw a leafless tree: branches that fork, each shorter and thinner, some broken."""
    def branch(x: float, y: float, angle: float, length: float, depth: int) -> None:
        end = (x + math.sin(angle) * length, y - math.cos(angle) * length)
        c.line([(x, y), end], 0.006 * 1.42**depth * height, bark, caps=depth > 3)
        if depth:
            for turn in (-0.42, 0.42) if depth < 6 else (-0.35, 0.05, 0.4):
                if depth > 3 or c.rng.random() > 0.16:
                    branch(*end, angle + turn + c.between(-0.25, 0.25),
                           length * c.between(0.62, 0.84), depth - 1)

    branch(x, y, c.between(-0.12, 0.12), 0.28 * height, depth)


def leafy_tree(c: Canvas, x: float, y: float, height: float, leaf: Colour, far: float) -> None:
    """Draw a tree with a round crown, lit from the upper left."""
    bark = c.lit((84, 64, 50), far)
    c.line([(x, y), (x + 0.02 * height, y - 0.5 * height)], 0.07 * height, bark)
    for side in (-0.16, 0.14):
        c.line([(x, y - 0.3 * height), (x + side * height, y - 0.55 * height)],
               0.035 * height, bark)
    tones = [mix(leaf, (10, 25, 40), 0.45), leaf, mix(leaf, (255, 244, 190), 0.3)]
    for tone, shift, size, n in zip(tones, (0.03, 0.0, -0.05), (0.2, 0.16, 0.1), (9, 11, 10),
                                    strict=True):
        colour = c.lit(tone, far)
        for turn, reach in c.rng.random((n, 2)):
            reach = 0.24 * math.sqrt(reach) * height
            radius = size * height * (0.6 + 0.4 * turn)
            c.ellipse(x + (shift * height + reach * math.sin(40 * turn)),
                      y - 0.66 * height + shift * height + 0.9 * reach * math.cos(40 * turn),
                      radius, 0.85 * radius, colour)


def conifer(c: Canvas, x: float, y: float, height: float, leaf: Colour, far: float,
            snow: bool = False) -> None:
    """Draw a fir tree of four tiers, snowed on or not."""
    c.line([(x, y), (x, y - 0.2 * height)], 0.05 * height, c.lit((70, 52, 44), far))
    for tier in range(4):
        low, wide = y - (0.1 + 0.2 * tier) * height, (0.23 - 0.045 * tier) * height
        tip, colour = low - 0.32 * height, c.lit(mix(leaf, (20, 40, 40), 0.5 - 0.1 * tier), far)
        c.polygon([(x - wide, low), (x, tip), (x + wide, low), (x, low + 0.03 * height)], colour)
        light = (236, 242, 250) if snow else mix(leaf, (255, 250, 200), 0.25)
        c.polygon([(x, tip), (x - wide, low), (x - 0.4 * wide, low - 0.04 * height)],
                  c.lit(light, far))


def house(c: Canvas, x: float, y: float, width: float, wall: Colour, roof: Colour, lit: float,
          far: float = 0.0, storeys: int = 1) -> None:
    """Draw a gabled house whose windows are lit with probability `lit`."""
    high = width * (0.35 + 0.35 * storeys)
    left, right, eaves = x - width / 2, x + width / 2, y - high
    c.shaded([(left, y), (left, eaves), (right, eaves), (right, y)],
             [c.lit(wall, far), c.lit(mix(wall, (40, 40, 60), 0.3), far)])
    c.line([(x + 0.25 * width, eaves), (x + 0.25 * width, eaves - 0.5 * width)], 0.1 * width,
           c.lit(mix(roof, (60, 50, 50), 0.6), far), caps=False)
    c.shaded([(left - 0.08 * width, eaves), (left + 0.16 * width, eaves - 0.42 * width),
              (right - 0.16 * width, eaves - 0.42 * width), (right + 0.08 * width, eaves)],
             [c.lit(mix(roof, (255, 255, 255), 0.15), far), c.lit(roof, far)])
    c.polygon([(x - 0.07 * width, y), (x - 0.07 * width, y - 0.3 * width),
               (x + 0.09 * width, y - 0.3 * width), (x + 0.09 * width, y)],
              c.lit(mix(roof, (30, 20, 30), 0.55), far))
    for storey in range(storeys):
        for column in (-0.3, 0.3) if storey == 0 else (-0.3, 0.01, 0.3):
            middle, level = x + column * width, y - (0.32 + 0.36 * storey) * width
            on = c.rng.random() < lit
            if on:
                c.glow(middle, level, 0.36 * width, (255, 190, 90), 0.2 + 0.6 * c.shade)
            pane = mix((255, 214, 120), c.haze, far / 2) if on else c.lit((58, 66, 84), far)
            c.polygon([(middle - 0.085 * width, level - 0.1 * width),
                       (middle + 0.085 * width, level - 0.1 * width),
                       (middle + 0.085 * width, level + 0.1 * width),
                       (middle - 0.085 * width, level + 0.1 * width)], pane)
            frame = c.lit((236, 230, 220), far)
            c.line([(middle, level - 0.1 * width), (middle, level + 0.1 * width)], 0, frame)
            c.line([(middle - 0.085 * width, level), (middle + 0.085 * width, level)], 0, frame)


def figure(c: Canvas, x: float, y: float, height: float, bowed: float, facing: int, coat: Colour,
           arms: str = "down", dress: bool = False, seated: bool = False) -> Point:
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
    c.polygon([(neck[0] - 0.085 * h, neck[1] + 0.03 * h), (neck[0] + 0.085 * h, neck[1] + 0.03 * h),
               (hip[0] + hem * h, low), (hip[0] - hem * h, low)], cloth)
    c.line([(neck[0] - 0.05 * h, neck[1] + 0.04 * h), (neck[0] + 0.05 * h, neck[1] + 0.04 * h)],
           0.09 * h, cloth)
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
        c.line([(head[0] - f * 0.05 * h, head[1] - 0.02 * h),
                (neck[0] - f * 0.05 * h, neck[1] + 0.06 * h)], 0.06 * h, hair)
    return hand


def flower(c: Canvas, x: float, y: float, height: float, petal: Colour, wilted: bool) -> None:
    """Draw a flower; a wilted one hangs its browned head."""
    side = 1 if c.rng.random() < 0.5 else -1
    stem = c.lit((84, 92, 60) if wilted else (64, 122, 58))
    top = (x + side * 0.1 * height, y - height)
    points = [(x, y), (x + side * 0.02 * height, y - 0.6 * height), top]
    if wilted:
        top = (x + side * 0.42 * height, y - 0.62 * height)
        points = [(x, y), (x, y - 0.6 * height), (x + side * 0.14 * height, y - 0.86 * height),
                  (x + side * 0.34 * height, y - 0.82 * height), top]
        petal = mix(petal, (96, 70, 60), 0.6)
    c.line(points, 0.07 * height, stem)
    c.ellipse(x - side * 0.14 * height, y - 0.3 * height, 0.14 * height, 0.05 * height, stem)
    for n in range(6):
        angle = n * math.tau / 6
        c.ellipse(top[0] + 0.15 * height * math.cos(angle), top[1] + 0.15 * height *
                  math.sin(angle), 0.12 * height, 0.12 * height, c.lit(petal))
    heart = (90, 70, 50) if wilted else (250, 206, 80)
    c.ellipse(*top, 0.1 * height, 0.1 * height, c.lit(heart))


def boat(c: Canvas, x: float, y: float, width: float, sail: Colour) -> None:
    """Draw a small sailing boat and its reflection."""
    w = width
    c.polygon([(x - 0.5 * w, y), (x + 0.5 * w, y), (x + 0.34 * w, y + 0.17 * w),
               (x - 0.36 * w, y + 0.17 * w)], c.lit((110, 72, 54)))
    c.line([(x, y), (x, y - 0.9 * w)], 0.02, c.lit((80, 60, 50)))
    c.polygon([(x + 0.03 * w, y - 0.88 * w), (x + 0.03 * w, y - 0.1 * w),
               (x + 0.45 * w, y - 0.14 * w)], c.lit((244, 240, 228)))
    c.polygon([(x - 0.03 * w, y - 0.8 * w), (x - 0.03 * w, y - 0.12 * w),
               (x - 0.32 * w, y - 0.14 * w)], c.lit(sail))
    c.polygon([(x - 0.36 * w, y + 0.17 * w), (x + 0.34 * w, y + 0.17 * w),
               (x + 0.1 * w, y + 0.5 * w)], (*c.lit((30, 36, 50)), 70))


def lighthouse(c: Canvas, x: float, y: float, height: float, lit: float) -> None:
    """Draw a striped lighthouse on a rock; its beam shines with probability `lit`."""
    h = height
    c.polygon([(x - 0.5 * h, y + 0.02), (x - 0.2 * h, y - 0.14 * h), (x + 0.2 * h, y - 0.12 * h),
               (x + 0.5 * h, y + 0.02)], c.lit((92, 88, 92)))
    for n in range(5):
        low, wide = y - (0.1 + 0.13 * n) * h, (0.1 - 0.008 * n) * h
        c.polygon([(x - wide, low), (x + wide, low), (x + wide - 0.008 * h, low - 0.13 * h),
                   (x - wide + 0.008 * h, low - 0.13 * h)],
                  c.lit((238, 234, 226) if n % 2 else (190, 66, 58)))
    top = y - 0.8 * h
    if c.rng.random() < lit and c.shade > 0.3:
        c.glow(x, top, 0.12, (255, 230, 150), 0.9)
        c.polygon([(x, top), (1.0, top - 0.12), (1.0, top + 0.06)], (255, 236, 170, 60))
    c.ellipse(x, top, 0.05 * h, 0.06 * h, (255, 226, 140))
    c.polygon([(x - 0.08 * h, top - 0.05 * h), (x + 0.08 * h, top - 0.05 * h), (x, top - 0.15 * h)],
              c.lit((120, 50, 50)))


def lamp(c: Canvas, x: float, y: float, height: float, on: bool) -> None:
    """Draw a lamp post."""
    c.line([(x, y), (x, y - height)], 0.014, c.lit((52, 54, 64)))
    if on:
        c.glow(x, y - height, 0.17, (255, 206, 120), 0.85)
    c.ellipse(x, y - height, 0.026, 0.032, (255, 236, 180) if on else c.lit((190, 194, 200)))
    c.polygon([(x - 0.036, y - height - 0.022), (x + 0.036, y - height - 0.022),
               (x, y - height - 0.056)], c.lit((52, 54, 64)))


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
    arc = [(x + radius * math.cos(t), y + 0.16 * radius - 0.62 * radius * math.sin(t))
           for t in (math.pi * n / 16 for n in range(17))]
    c.shaded(arc, [c.lit(mix(cloth, (255, 255, 255), 0.25)), c.lit(cloth)])
