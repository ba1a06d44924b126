"""Sky, hills, ground, water and weather of the demo scenes."""

import math

from PIL import Image, ImageChops

from gramnb.data.painter.canvas import Canvas, Colour, Point, mix, noise, ramp
from gramnb.data.painter.factors import DULL, HOURS, OVERCAST, STORMY, Factors


def sky(c: Canvas, f: Factors, horizon: float) -> None:
    """Paint the sky down to the horizon and set the canvas's light: its shadow colour and haze."""
    hour, grey = HOURS[f.hour], OVERCAST[f.weather]
    c.ambient, c.shade = hour.ambient, hour.shade
    dull = STORMY if f.weather == "storm" else DULL
    stops = [
        mix(stop, mix(d, c.ambient, 0.8 * c.shade), grey)
        for stop, d in zip(hour.sky, dull, strict=True)
    ]
    c.haze = mix(stops[2], stops[1], 0.3)
    edge = round(horizon * c.side)
    c.image.paste(c.haze, (0, 0, c.side, c.side))
    c.image.paste(ramp(stops, (c.side, edge)))
    if grey < 0.5:
        _heavenly_bodies(c, f, horizon, mix(stops[0], stops[1], 0.6))
    cover = {"clear": 172, "clouds": 132, "fog": 150}.get(f.weather, 104)
    steep = 6 if grey < 0.5 else 3
    puffs = noise(c.rng, c.side, (5, 10, 20, 40), 2)
    body = puffs.point([max(0, min(225, steep * (v - cover))) for v in range(256)])
    cut = Image.new("L", (c.side, c.side))
    cut.paste(body.resize((c.side, edge), box=(0, 0, c.side, c.side * 0.7)))
    fade = Image.linear_gradient("L").point([min(255, 2 * (255 - v)) for v in range(256)])
    cut.paste(ImageChops.multiply(cut.crop((0, 0, c.side, edge)), fade.resize((c.side, edge))))
    light = mix(hour.cloud, mix((214, 218, 222), c.ambient, c.shade), grey)
    shadow = mix(light, mix(stops[0], c.ambient, 0.4), 0.55)
    c.veil(shadow, cut)
    top = Image.new("L", (c.side, c.side))
    top.paste(cut.point([max(0, v - 60) for v in range(256)]), (0, -round(0.014 * c.side)))
    c.veil(light, top)


def _heavenly_bodies(c: Canvas, f: Factors, horizon: float, behind: Colour) -> None:
    x, y = c.between(0.12, 0.88), horizon * c.between(0.2, 0.5)
    if f.hour not in ("night", "gloom"):
        low = f.hour != "day"
        y = horizon * (0.8 if low else 0.35)
        c.glow(x, y, 0.6 if low else 0.42, (255, 214, 130) if low else (255, 250, 214), 0.85)
        c.ellipse(x, y, 0.055, 0.055, (255, 240, 190))
        return
    for u, v, big in c.rng.random((70, 3)):
        radius = 0.0016 + 0.0035 * big**6
        c.ellipse(u, v * horizon, radius, radius, (255, 252, 230, round(80 + 170 * big)))
    c.glow(x, y, 0.26, (190, 204, 240), 0.55)
    c.ellipse(x, y, 0.05, 0.05, (244, 242, 224))
    if c.rng.random() < 0.5:  # a crescent
        c.ellipse(x + 0.024, y - 0.012, 0.042, 0.042, behind)


def ridge(c: Canvas, base: float, height: float, jagged: bool) -> list[Point]:
    """Return the outline of land whose upper edge waves around `base`, rounded or jagged."""
    waves = [(c.between(0.8, 1.6) * n, c.between(0, 6.3), height / n) for n in (1, 2, 4)]
    points = []
    for step in range(33):
        x = step / 32
        y = sum(a * math.sin(math.tau * n * x + phase) for n, phase, a in waves)
        if jagged:
            y = 1.5 * abs(y) + 0.5 * height * c.rng.random()
        points.append((x, base - y))
    return [(0.0, 1.0), *points, (1.0, 1.0)]


def land_colour(f: Factors) -> Colour:
    """Return the colour of open land: green, golden when warm, faded when bare, or snow."""
    if f.weather == "snow":
        return (226, 232, 240)
    return mix(mix((92, 150, 66), (184, 158, 70), max(0.0, f.warmth)), (122, 112, 88), 0.8 * f.bare)


def hills(c: Canvas, f: Factors, horizon: float) -> None:
    """Paint two ranges of hills or mountains, the farther the hazier."""
    jagged = c.rng.random() < 0.35
    land = land_colour(f)
    for far, height in ((0.72, 0.1), (0.45, 0.06)):
        tone = mix((120, 130, 150), land, 0.3) if jagged and far > 0.5 else land
        tone = c.lit(mix(tone, (60, 90, 120), 0.5 * far), far)
        c.shaded(
            ridge(c, horizon - 0.25 * height, height, jagged and far > 0.5),
            [mix(tone, (255, 255, 255), 0.12), tone, c.haze],
        )


def ground(c: Canvas, f: Factors, top: float, colour: Colour | None = None) -> None:
    """Paint the ground from `top` down to the picture's lower edge, with tufts of grass."""
    colour = colour or land_colour(f)
    c.shaded(
        ridge(c, top, 0.012, False),
        [c.lit(colour, 0.3), c.lit(colour), c.lit(mix(colour, (30, 40, 40), 0.35))],
    )
    for x, y, size in c.rng.random((60, 3)):
        y = top + 0.03 + (0.97 - top) * y
        tall = 0.004 + 0.02 * size * (y - top) / (1 - top)
        tone = mix(colour, (20, 50, 30) if size < 0.5 else (250, 246, 200), 0.28)
        c.line([(x, y), (x + tall * (size - 0.5), y - tall)], 0.004, c.lit(tone))


def path(c: Canvas, f: Factors, top: float, x: float) -> None:
    """Paint a winding path that comes from (x, top) towards the viewer."""
    tone = mix((206, 184, 146), (150, 146, 144), f.bare) if f.weather != "snow" else (196, 204, 216)
    bend, left, right = c.between(-0.25, 0.25), [], []
    for step in range(13):
        t = step / 12
        middle = x + bend * math.sin(3.0 * t) * (1 - 0.3 * t) + 0.1 * t
        wide = 0.012 + 0.15 * t * t
        left.append((middle - wide, top + (1.0 - top) * t))
        right.append((middle + wide, top + (1.0 - top) * t))
    c.shaded(left + right[::-1], [c.lit(tone, 0.3), c.lit(tone)])


def water(c: Canvas, f: Factors, top: float, bottom: float) -> None:
    """Paint water that mirrors what stands above it, with ripples."""
    first, last = round(top * c.side), round(bottom * c.side)
    height = last - first
    mirror = c.image.crop((0, max(0, first - height), c.side, first))
    mirror = mirror.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize((c.side, height))
    mirror = mirror.resize((c.side, max(2, height // 6))).resize((c.side, height))
    tone = c.lit(mix((54, 104, 140), (92, 104, 112), OVERCAST[f.weather]))
    c.image.paste(Image.blend(mirror, Image.new("RGB", mirror.size, tone), 0.42), (0, first))
    for x, y, size in c.rng.random((90, 3)):
        level = top + (bottom - top) * y * y
        wide = (0.01 + 0.08 * size) * (0.25 + y)
        light = c.haze if size > 0.4 else mix(tone, (10, 20, 40), 0.4)
        c.line([(x - wide, level), (x + wide, level)], 0.002 + 0.003 * y, (*light, 90), caps=False)


def weather(c: Canvas, f: Factors) -> None:
    """Let rain or snow fall, or fog drift, over the whole picture."""
    if f.weather in ("rain", "storm"):
        slant = c.between(-0.3, 0.3)
        for x, y, size in c.rng.random((170 if f.weather == "rain" else 70, 3)):
            x, tall = 1.3 * x - 0.15, 0.025 + 0.05 * size
            c.line(
                [(x, y), (x + slant * tall, y + tall)],
                0.002 + 0.003 * size,
                (214, 224, 236, round(50 + 90 * size)),
                caps=False,
            )
    elif f.weather == "snow":
        for x, y, size in c.rng.random((170, 3)):
            radius = 0.003 + 0.008 * size**3
            c.ellipse(x, y, radius, radius, (250, 252, 255, round(130 + 110 * size)))
    elif f.weather == "fog":
        bands = noise(c.rng, c.side, (3, 6, 12), 3)
        c.veil(c.haze, bands.point([round(0.72 * v) for v in range(256)]))
