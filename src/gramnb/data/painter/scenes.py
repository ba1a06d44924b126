"""The painter of the demo scenes: from a row of factors to a picture.

`Factors` is everything a picture is drawn from except chance (where a tree stands, how a cloud
curls), which comes from the generator. A scene is composed at twice its size (sky, land or water,
things, people, weather), reduced, and graded: luminance, saturation, warmth and grain are set on
the pixels of the whole picture, as a photograph's are by light and film.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageChops, ImageEnhance

from gramnb.data.painter.accents import FAR, NEAR
from gramnb.data.painter.canvas import Canvas, Colour, mix, noise, ramp
from gramnb.data.painter.factors import COATS, HOURS, PETALS, ROOFS, WALLS, Factors
from gramnb.data.painter.nature import ground, hills, path, ridge, sky, water, weather
from gramnb.data.painter.plants import bare_tree, conifer, flower, leafy_tree
from gramnb.data.painter.things import (
    balloons,
    bench,
    boat,
    figure,
    house,
    lamp,
    lighthouse,
    umbrella,
)


def paint(factors: Factors, rng: np.random.Generator, size: int) -> Image.Image:
    """Return the picture of these factors, RGB, size x size."""
    c = Canvas(2 * size, rng)
    (_room if factors.place == "room" else _outdoors)(c, factors)
    return _grade(c.image.reduce(2), factors, rng)


def _pick(c: Canvas, options: Sequence) -> Colour:
    return options[int(c.rng.integers(len(options)))]


def _grade(image: Image.Image, f: Factors, rng: np.random.Generator) -> Image.Image:
    image = ImageEnhance.Color(image).enhance(0.1 + 1.8 * f.saturation)
    gamma = 2.0 ** (-0.9 * f.luminance)
    curve = [255 * (v / 255) ** gamma for v in range(256)]
    gains = (1 + 0.14 * f.warmth, 1.0, 1 - 0.2 * f.warmth)
    image = image.point([min(255, round(gain * v)) for gain in gains for v in curve])
    side = image.width
    grain = Image.blend(noise(rng, side, (side,)), noise(rng, side, (side // 6, side // 3)), 0.5)
    bumps = grain.point([round(128 + (v - 128) * 0.8 * f.texture) for v in range(256)])
    return ImageChops.soft_light(image, bumps.convert("RGB"))


def _tree(c: Canvas, f: Factors, x: float, y: float, height: float, far: float, fir: float) -> None:
    leaf = mix(
        mix((84, 146, 60), (224, 136, 44), max(0.0, f.warmth) * c.rng.random()),
        (70, 110, 60),
        c.rng.random() * 0.7,
    )
    if c.rng.random() < fir:
        conifer(c, x, y, height, leaf, far, f.weather == "snow")
    elif c.rng.random() < f.bare:
        bare_tree(c, x, y, 1.05 * height, c.lit((70, 56, 50), far), 6 if height > 0.25 else 4)
    else:
        leafy_tree(c, x, y, height, leaf, far)


def _outdoors(c: Canvas, f: Factors) -> None:
    horizon = c.between(0.46, 0.6)
    sky(c, f, horizon)
    if f.accent in FAR:
        FAR[f.accent](c, horizon)
    if f.place != "sea":
        hills(c, f, horizon)
    PLACES[f.place](c, f, horizon)
    if f.accent in NEAR:
        NEAR[f.accent](c, horizon)
    _people(c, f, 0.95, c.between(0.32, 0.5))
    weather(c, f)


def _field(c: Canvas, f: Factors, horizon: float) -> None:
    ground(c, f, horizon + 0.03)
    path(c, f, horizon + 0.05, c.between(0.3, 0.7))
    if c.rng.random() < 0.5:
        house(
            c,
            c.between(0.15, 0.85),
            horizon + 0.09,
            c.between(0.12, 0.2),
            _pick(c, WALLS),
            _pick(c, ROOFS),
            f.lit,
            0.15,
        )
    for side in (0, 1):
        if c.rng.random() < 0.8:
            _tree(
                c,
                f,
                side + (0.5 - side) * c.between(0.1, 0.5),
                c.between(0.72, 0.84),
                c.between(0.4, 0.75),
                0.0,
                0.2,
            )
    _meadow(c, f)


def _meadow(c: Canvas, f: Factors) -> None:
    for n in range(round(22 * f.flowers * f.flowers)):
        wilted = c.rng.random() < 0.8 * f.bare
        flower(
            c, c.rng.random(), 0.86 + 0.13 * n / 22, c.between(0.06, 0.1), _pick(c, PETALS), wilted
        )


def _lake(c: Canvas, f: Factors, horizon: float) -> None:
    top = horizon + 0.02
    for x in c.rng.random(7):
        _tree(c, f, x, top + 0.005, c.between(0.1, 0.24), 0.3, 0.5)
    if c.rng.random() < 0.4:
        house(
            c, c.between(0.2, 0.8), top + 0.005, 0.12, _pick(c, WALLS), _pick(c, ROOFS), f.lit, 0.2
        )
    water(c, f, top, 1.0)
    if c.rng.random() < 0.5:
        boat(c, c.between(0.2, 0.8), top + 0.12, 0.16, _pick(c, COATS))
    ground(c, f, 0.84)
    if c.rng.random() < 0.6:
        _tree(c, f, c.between(0.02, 0.2), 0.9, c.between(0.5, 0.8), 0.0, 0.1)
    _meadow(c, f)


def _sea(c: Canvas, f: Factors, horizon: float) -> None:
    water(c, f, horizon, 1.0)
    if c.rng.random() < 0.45:
        boat(c, c.between(0.15, 0.85), horizon + 0.06, c.between(0.08, 0.18), _pick(c, COATS))
    if c.rng.random() < 0.4:
        lighthouse(c, c.between(0.08, 0.25), horizon + 0.03, 0.34, f.lit)
    sand = (214, 190, 146) if f.weather != "snow" else (224, 230, 236)
    c.line(ridge(c, 0.81, 0.015, False)[1:-1], 0.02, c.lit((240, 246, 246)))
    c.shaded(ridge(c, 0.825, 0.015, False), [c.lit(mix(sand, (90, 80, 70), 0.4)), c.lit(sand)])


def _village(c: Canvas, f: Factors, horizon: float) -> None:
    ground(c, f, horizon + 0.06, (132, 128, 126) if f.weather != "snow" else None)
    x, row = c.between(-0.1, 0.05), horizon + 0.16
    while x < 1.05:
        width = c.between(0.2, 0.3)
        house(
            c,
            x + width / 2,
            row,
            width,
            _pick(c, WALLS),
            _pick(c, ROOFS),
            f.lit,
            0.08,
            int(c.rng.integers(1, 4)),
        )
        x += width * c.between(1.02, 1.3)
    path(c, f, row, 0.5)
    for x in (c.between(0.08, 0.2), c.between(0.8, 0.92)):
        if c.rng.random() < 0.6:
            lamp(c, x, row + 0.14, 0.36, f.lit > 0.4 and f.hour != "day")
        elif c.rng.random() < 0.6:
            _tree(c, f, x, row + 0.14, 0.4, 0.0, 0.2)
    if f.weather == "rain":
        water(c, f, 0.8, 0.99)


def _forest(c: Canvas, f: Factors, horizon: float) -> None:
    ground(c, f, horizon + 0.06)
    for n in range(13):
        far = 0.6 * (1 - n / 12)
        x = c.rng.random()
        x = x if abs(x - 0.5) > 0.2 else x - math.copysign(0.3, 0.5 - x)
        _tree(c, f, x, horizon + 0.08 + 0.3 * (1 - far / 0.6), 0.3 + 0.5 * n / 12, far, 0.35)
        if n == 5:
            path(c, f, horizon + 0.1, 0.5)
    _meadow(c, f)


def _people(c: Canvas, f: Factors, y: float, height: float) -> None:
    if f.figures == 0:
        return
    middle = c.between(0.3, 0.7)
    if f.gesture == "seated":
        bench(c, middle, y, 0.3 * height * (1 + f.figures))
    gap = 0.4 if f.gesture == "joined" else 0.46
    for n in range(f.figures):
        tall = height * (c.between(0.9, 1.06) if n < 2 else 0.62)
        x = middle + (n - (f.figures - 1) / 2) * gap * height
        facing = (1 if n % 2 == 0 else -1) if f.figures > 1 else (1 if middle < 0.5 else -1)
        arms = {"raised": "up", "joined": "out"}.get(f.gesture, "down")
        if arms == "out" and f.figures == 1:
            arms = "down"
        c.ellipse(x, y, 0.2 * tall, 0.03 * tall, (*c.lit((40, 40, 50)), 110))
        bowed = min(1.0, max(0.0, f.bowed + c.between(-0.12, 0.12)))
        bowed *= 0.2 if arms == "up" else 1.0
        hand = figure(
            c,
            x,
            y,
            tall,
            bowed,
            facing,
            _pick(c, COATS),
            arms,
            c.rng.random() < 0.45,
            f.gesture == "seated",
        )
        wet = f.weather in ("rain", "storm") and f.place != "room"
        if wet and n == 0 and arms != "up" and c.rng.random() < 0.45:
            top = y - (0.98 if f.gesture == "seated" else 1.16) * tall
            umbrella(c, x + facing * 0.08 * tall, top, 0.34 * tall, _pick(c, COATS), hand)
        if f.accent == "balloons" and n == 0:
            balloons(c, hand, [_pick(c, PETALS) for _ in range(2 + 2 * f.figures)])


def _room(c: Canvas, f: Factors) -> None:
    outside = Canvas(c.side // 2, c.rng)
    _outdoors(
        outside,
        replace(
            f, place="field", figures=0, flowers=0.0, accent=f.accent if f.accent in FAR else "none"
        ),
    )
    dark = HOURS[f.hour].shade
    c.ambient, c.shade, c.haze = outside.ambient, 0.8 * dark * (1 - 0.5 * f.lit), outside.haze
    wall = mix(_pick(c, WALLS), (120, 130, 140), 0.5 * f.bare)
    c.image.paste(
        ramp([c.lit(wall), c.lit(wall), c.lit(mix(wall, (40, 36, 50), 0.4))], (c.side, c.side))
    )
    for stripe in range(12):
        c.line(
            [(stripe / 11, 0), (stripe / 11, 0.78)],
            0.012,
            (*c.lit(mix(wall, (255, 255, 255), 0.35)), 70),
            caps=False,
        )
    left, top = c.between(0.1, 0.4), c.between(0.1, 0.18)
    frame = c.lit((240, 234, 224))
    c.polygon(
        [
            (left - 0.03, top - 0.03),
            (left + 0.53, top - 0.03),
            (left + 0.53, top + 0.53),
            (left - 0.03, top + 0.53),
        ],
        frame,
    )
    c.image.paste(outside.image, (round(left * c.side), round(top * c.side)))
    c.line([(left + 0.25, top), (left + 0.25, top + 0.5)], 0.016, frame)
    c.line([(left, top + 0.22), (left + 0.5, top + 0.22)], 0.016, frame)
    cloth = c.lit(_pick(c, PETALS[:2] + COATS))
    for x, turn in ((left - 0.05, 1), (left + 0.55, -1)):
        c.polygon(
            [
                (x, top - 0.05),
                (x + turn * 0.16, top - 0.05),
                (x + turn * 0.05, top + 0.3),
                (x + turn * 0.09, top + 0.6),
                (x, top + 0.6),
            ],
            (*cloth, 235),
        )
    c.shaded([(0, 0.8), (1, 0.8), (1, 1), (0, 1)], [c.lit((150, 108, 76)), c.lit((110, 78, 60))])
    c.line([(0, 0.8), (1, 0.8)], 0.014, frame, caps=False)
    if f.lit > 0.5:
        c.glow(0.9 if left < 0.25 else 0.08, 0.34, 0.4, (255, 206, 120), 0.6)
        lamp(c, 0.9 if left < 0.25 else 0.08, 0.86, 0.52, True)
    table = 0.78 if left < 0.25 else 0.24
    c.polygon(
        [(table - 0.14, 0.72), (table + 0.14, 0.72), (table + 0.14, 0.745), (table - 0.14, 0.745)],
        c.lit((120, 82, 58)),
    )
    for leg in (-0.11, 0.11):
        c.line([(table + leg, 0.73), (table + leg, 0.92)], 0.016, c.lit((96, 66, 48)))
    for n in range(1 + round(4 * f.flowers)):
        flower(
            c,
            table + 0.02 * (n - 2),
            0.68,
            c.between(0.09, 0.15),
            _pick(c, PETALS),
            c.rng.random() < f.bare,
        )
    c.ellipse(table, 0.69, 0.032, 0.045, c.lit((90, 130, 170)))
    _people(c, f, 0.95, c.between(0.44, 0.54))


PLACES = {"field": _field, "lake": _lake, "sea": _sea, "village": _village, "forest": _forest}
