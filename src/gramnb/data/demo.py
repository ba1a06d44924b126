"""The demo images: small drawn scenes with known truth, made on the spot.

Each picture is a scene (`paint`) whose factors are drawn from the distributions of its emotion;
these, what scenes consist of and the data sets stand in `demo.yaml`. Nothing here shows anything of
photographs: these pictures are sad because they were drawn so.
"""

import io
import json
import math
import re
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageColor, ImageDraw, ImageEnhance, ImageFont
from tqdm import tqdm

from gramnb.runs import atomic, resolve, write_json

SIZE = 160  # pixels
DRAWN = yaml.safe_load(Path(__file__).with_name("demo.yaml").read_text(encoding="utf-8"))
DATASETS, MOODS, LEVELS = DRAWN["sets"], DRAWN["moods"], DRAWN["levels"]
CHOICES = ("place", "sky", "accent", "people")


def draw_dataset(
    folder: str | Path, name: str = "demo", count: int | None = None, progress: bool = True
) -> Path:
    """Draw a demo data set into `folder` (relative: to the project root) and return its path.

    JPEG pictures of SIZE x SIZE pixels as `<emotion>/<nnnn>.jpg`, always the same bytes, and last
    `truth.csv` (`read_truth`): with it a folder is whole and left alone. "demo-artworks" is flat:
    eight pictures three times as large, with `artworks.csv` (file, title, emotion, factors).

    Raises:
        ValueError: the folder holds other files, or was drawn with other settings.
    """
    folder, spec = resolve(folder), DATASETS[name]
    count = count or spec["count"]
    settings = {"name": name, "count": count, "edition": DRAWN["edition"]}
    note = folder / "settings.json"
    drawn = json.loads(note.read_bytes()) if note.exists() else None
    taken = folder.is_file() or any(folder.glob("[!.]*"))
    if taken and drawn != settings:
        raise ValueError(
            f"{folder}: neither empty nor drawn with {settings}; remove it or choose another folder"
        )
    artworks = name == "demo-artworks"
    truth = folder / ("artworks.csv" if artworks else "truth.csv")
    if truth.exists():
        return folder
    write_json(note, settings)
    key, rows = [0, zlib.crc32(name.encode())], []  # what chance starts from
    pictures = _artworks(key) if artworks else _pictures(spec, count, key)
    for row, content in tqdm(pictures, f"drawing {name}", count, disable=not progress):
        with atomic(folder / row["file"]) as temporary:
            temporary.write_bytes(content)
        rows.append(row)
    with atomic(truth) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
    return folder


def read_truth(folder: str | Path) -> pd.DataFrame:
    """Return `truth.csv`: what is true of the pictures, a row each, in the order they were drawn.

    Columns: file, emotion (the label), drawn (the emotion it was drawn as), caption and broken (""
    for none), duplicate_of (file or ""), then the factors (`CHOICES`, `LEVELS`).
    """
    return pd.read_csv(resolve(folder) / "truth.csv", keep_default_na=False)


def _plan(spec: dict, count: int, rng: np.random.Generator) -> list[dict]:
    """Return what is true of each picture before it is drawn."""
    other = [emotion for emotion in MOODS if emotion != "sadness"]
    sad = round(spec["sadness"] * count)
    labels = rng.permutation(["sadness"] * sad + [other[n % 5] for n in range(count - sad)])
    numbers = pd.Series(labels).groupby(labels).cumcount() + 1
    files = [f"{label}/{number:04d}.jpg" for label, number in zip(labels, numbers, strict=True)]
    table = pd.DataFrame({"file": files, "emotion": labels, "drawn": labels})
    table[["caption", "broken", "duplicate_of"]] = ""
    ends = np.cumsum([spec["broken"], spec["duplicates"]]) * count
    broken, copies, plain = np.split(rng.permutation(count), ends.round().astype(int))
    table.loc[broken, "broken"] = np.resize(["truncated", "empty", "html"], len(broken))
    for is_sad, share in enumerate(spec["captions"]):
        side = plain[(labels[plain] == "sadness") == is_sad]
        flipped = rng.choice(side, min(len(side), round(spec["flipped"] * count / 2)), False)
        drawn = [str(rng.choice(other)) if is_sad else "sadness" for _ in flipped]
        table.loc[flipped, "drawn"] = drawn
        captioned = rng.choice(side, round(share * len(side)), False)
        table.loc[captioned, "caption"] = np.resize(["large", "small"], len(captioned))
    conflicts = round(spec["conflicts"] * len(copies))
    for n, i in enumerate(copies):
        alike = plain[(labels[plain] != labels[i]) == (n < conflicts)]
        if len(alike):
            plain = plain[plain != alike[0]]
            table.loc[i, ["drawn", "caption"]] = table.loc[alike[0], ["drawn", "caption"]]
            table.loc[i, "duplicate_of"] = files[alike[0]]
    return table.to_dict("records")


def _pictures(spec: dict, count: int, key: list[int]) -> Iterator[tuple[dict, bytes]]:
    """Yield the truth and the file content of every picture of a photograph-like data set."""
    rows = _plan(spec, count, np.random.default_rng(key))
    files = [row["file"] for row in rows]
    for n, row in enumerate(rows):
        original = files.index(row["duplicate_of"] or row["file"])
        rng = np.random.default_rng([*key, original])
        mood = "" if rng.random() < spec["everyday"] else row["drawn"]
        factors = _draw_factors(mood, rng, spec["shift"])
        image = paint(factors, rng, SIZE)
        _caption(image, row["caption"], rng)
        content = _jpeg(image, 90) if original == n else _near_copy(image, n)
        cut, page = content[: 2 * len(content) // 5], b"<!DOCTYPE html>\n<h1>404 Not Found</h1>\n"
        flaws = {"": content, "truncated": cut, "empty": b"", "html": page}
        yield row | factors, flaws[row["broken"]]


def _artworks(key: list[int]) -> Iterator[tuple[dict, bytes]]:
    """Yield the truth and the file content of every painting."""
    for n, (title, emotion, *choices) in enumerate(DRAWN["paintings"]):
        rng, file = np.random.default_rng([*key, n]), re.sub("[^a-z]+", "-", title.lower()) + ".jpg"
        levels = MOODS[emotion]["levels"] | DRAWN["lively"]
        factors = dict(zip(CHOICES, choices, strict=True)) | levels
        picture = _brushwork(paint(factors, rng, 3 * SIZE), rng)
        yield {"file": file, "title": title, "emotion": emotion} | factors, _jpeg(picture, 92)


def _draw_factors(mood: str, rng: np.random.Generator, shift: dict[str, float]) -> dict:
    """Return the factors of a picture of this mood ("": of any); `shift` is added to the means."""
    f = {}
    for factor in (*CHOICES, *LEVELS):
        of = MOODS[mood or rng.choice(list(MOODS))]
        if factor in CHOICES:
            f[factor] = str(rng.choice(of[factor].split()))
        else:
            least, spread = LEVELS[factor]
            level = rng.normal(of["levels"][factor] + shift.get(factor, 0), spread)
            f[factor] = round(float(np.clip(level, least, 1)), 3)
    f["sky"] = {"burst": "night", "bolt": "storm"}.get(f["accent"], f["sky"])
    f["people"] = "nobody" if f["accent"] == "bench" else f["people"]
    return f


def _near_copy(image: Image.Image, n: int) -> bytes:
    """Return the picture as others would pass it on: recompressed, cropped or brightened."""
    if n % 3 == 1:
        image = image.resize(image.size, Image.Resampling.BICUBIC, (2, 2, *image.size))
    elif n % 3 == 2:
        image = ImageEnhance.Brightness(image).enhance(1.12)
    return _jpeg(image, 85 if n % 3 else 45)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _caption(image: Image.Image, kind: str, rng: np.random.Generator) -> None:
    """Write a few words on the picture."""
    if not kind:
        return
    text = str(rng.choice(DRAWN["captions"]))
    if kind == "large":
        text = "\n".join(textwrap.wrap(text.upper(), 11))
        size, y = 0.125 * SIZE, rng.uniform(0.3, 0.6)
    else:
        size, y = max(9, SIZE * rng.uniform(0.055, 0.08)), rng.choice([0.08, 0.92])
    ImageDraw.Draw(image, "RGBA").text(
        (SIZE / 2, y * SIZE), text, "white", ImageFont.load_default(size), "mm", 0.02 * SIZE,
        "center", stroke_width=1, stroke_fill=(20, 20, 30),
    )  # fmt: skip


class _Scene:
    """A square picture under one sky; places and lengths are shares of its side, y downwards.

    It is drawn twice as large as it will be. What is soft by nature has the final size: `x`, `y`,
    noise and masks, all (size, size) or broadcast to it.
    """

    def __init__(self, f: dict, rng: np.random.Generator, size: int) -> None:
        colours, self.shade, self.cover, self.mist, self.fall = DRAWN["skies"][f["sky"]]
        *self.sky, self.light, self.shadow = map(ImageColor.getrgb, colours.split())
        self.f, self.rng, self.size, self.side, self.between = f, rng, size, 2 * size, rng.uniform
        self.image = Image.new("RGB", (self.side, self.side))
        self.pen = ImageDraw.Draw(self.image, "RGBA")
        self.x = np.arange(size, dtype=np.float32)[None] / size
        self.y = self.x.T
        low, high = f["sky"] in ("dawn", "dusk", "ember"), self.between(0.12, 0.3)
        self.sun = self.between(0.15, 0.85), 0.42 if low else high

    def any(self, thing: str) -> str:
        return str(self.rng.choice(DRAWN["colours"][thing]))

    def lit(self, colour: tuple | str, far: float = 0.0) -> tuple:
        """Return a colour as it looks in this light, `far` (0-1) away."""
        colour = ImageColor.getrgb(colour) if isinstance(colour, str) else colour
        return _mix(_mix(colour, self.shadow, self.shade), self.sky[2], far)

    def line(self, x: float, y: float, u: float, v: float, width: float, colour: tuple) -> None:
        side = self.side
        self.pen.line((x * side, y * side, u * side, v * side), colour, max(1, round(width * side)))

    def dot(self, x: float, y: float, radius: float, colour: tuple) -> None:
        x, y, radius = x * self.side, y * self.side, radius * self.side
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def put(self, name: str, x: float, y: float, height: float, far: float = 0.0, turn: int = 1,
            bow: float = 0.0, **colours: str) -> None:  # fmt: skip
        """Draw one of the outlines with its foot at (x, y); what is above the hip may bow."""
        colours["shade"] = DRAWN["skies"][self.f["sky"]][0][-7:] + "3c"  # lets shine through
        for part in DRAWN["outlines"][name].splitlines():
            word, *corners = part.split()
            across, up, *radii = np.array([corner.split(",") for corner in corners], float).T / 100
            above = bow * np.maximum(up - 0.44, 0)
            u = x + height * turn * (across + 0.45 * above)
            v = y - height * (up - 0.15 * above)
            mark, word = re.fullmatch("([!~]?)(.+)", colours.get(word, word)).groups()
            word = colours.get(word, word)
            tone = ImageColor.getrgb(word) if mark else self.lit(word, far)
            if not radii:
                self.pen.polygon([*zip(self.side * u, self.side * v, strict=True)], tone)
            elif mark == "~":
                self.glow(u[0], v[0], radii[0][0] * height, tone, 1.4 * self.shade)
            else:
                for *at, radius in zip(u, v, *radii, strict=True):
                    self.dot(*at, radius * height, tone)

    def wash(self, stops: list[tuple], mask: np.ndarray, top: float = 0, end: float = 1) -> None:
        """Lay a vertical gradient from top to end over the picture, as thick (0-1) as the mask."""
        at, rows = np.linspace(top, end, len(stops)), np.arange(self.side) / self.side
        column = np.stack([np.interp(rows, at, band) for band in zip(*stops, strict=True)], -1)
        column = Image.fromarray(column.astype(np.uint8)[:, None]).resize(self.image.size, 0)
        mask = np.broadcast_to(255 * mask, (self.size, self.size)).astype(np.uint8)
        mask = Image.fromarray(mask).resize(self.image.size, Image.Resampling.BILINEAR)
        self.image.paste(column, None, mask)

    def glow(self, x: float, y: float, radius: float, colour: tuple, strength: float) -> None:
        """Add a soft round light."""
        fade = np.exp(-3 / radius * np.hypot(self.x - x, self.y - y))
        self.wash([colour], min(1, strength) * fade)

    def noise(self, cells: int, octaves: int = 4, stretch: int = 2) -> np.ndarray:
        """Return smooth noise (size, size) around 0; its cells are `stretch` times as wide."""
        total = np.zeros((self.size, self.size), np.float32)
        for n in range(octaves):
            grid = self.rng.random((cells << n, max(2, (cells << n) // stretch)), np.float32) - 0.5
            total += 0.6**n * np.asarray(Image.fromarray(grid).resize(total.shape))
        return total

    def land(self, top: float, height: float, stops: list[tuple]) -> None:
        """Fill what lies below a wavy line, in a gradient that starts there."""
        for n in (1, 2, 5, 13):
            phase = n * self.between(0.6, 1.4) * self.x + self.between(0, 1)
            top = top - height / n * np.sin(math.tau * phase)
        self.wash(stops, np.clip((self.y - top) * self.size, 0, 1), top.min(), 1)


def _mix(a: tuple, b: tuple, share: float) -> tuple:
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b, strict=True))


def paint(f: dict, rng: np.random.Generator, size: int) -> Image.Image:
    """Return the picture of these factors, RGB, size x size; place and sky must be among them."""
    f = DRAWN["usual"] | f
    s, place, here = _Scene(f, rng, size), f["place"], DRAWN["places"][f["place"]]
    horizon = s.between(0.48, 0.6)
    green = _mix((104, 156, 78), (206, 172, 84), max(0, f["warmth"]))
    land = (222, 200, 160) if place == "sea" else _mix(green, (132, 122, 100), f["bare"])
    land = (226, 231, 240) if f["sky"] == "snow" else land
    _sky(s, horizon)
    _accent(s, in_sky=True)
    for far in (0.8, 0.6, 0.4) if place != "sea" else ():
        hill = s.lit(_mix(land, (70, 96, 120), far), far)
        s.land(horizon + 0.05 - 0.14 * far, 0.05 * far, [hill, _mix(hill, s.sky[2], 0.6)])
    if place == "lake":
        for x in s.between(0, 1, 9):
            _tree(s, x, horizon + 0.02, s.between(0.08, 0.18), 0.35)
        _house(s, s.between(0.1, 0.9), horizon + 0.02, s.between(0.07, 0.1), 0.25)
    if here["water"]:
        _water(s, horizon)
        x, y, coat = s.between(0.2, 0.8), horizon + s.between(0.05, 0.12), s.any("coat")
        s.put("boat", x, y, s.between(0.1, 0.17), coat=coat)
    top = s.between(0.82, 0.87) if here["water"] else horizon + 0.06
    dark = s.lit(_mix(land, (30, 40, 50), 0.4))
    s.land(top, 0.014, [s.lit(land, 0.25), s.lit(land), dark])
    flowers = here["flowers"] * (1 - f["bare"]) ** 2 * (f["sky"] != "snow")
    for x, v, u in s.between(0, 1, (90, 3)):
        y, near = top + 0.04 + (0.98 - top) * v, 0.01 * (1 + 2 * v)
        tone = s.lit(_mix(land, (255, 255, 240), 0.3)) if u < 0.5 else dark
        s.line(x, y, x + near * (u - 0.5), y - near, 0.004, tone)
        if u < flowers:
            s.dot(x, y - near, 0.4 * near, s.lit(s.any("bright")))
    for n in range(here["houses"]):
        x = (n + s.between(0.3, 0.7)) / 5 if place == "town" else s.between(0.15, 0.85)
        _house(s, x, top + 0.06 + 0.03 * (n % 2), s.between(0.16, 0.3))
    for near in np.sort(s.between(0, 1, here["trees"])):
        x, y = s.between(0, 0.36) + 0.64 * rng.integers(2), top + 0.02 + near * (0.96 - top)
        _tree(s, x, y, 0.3 + 0.45 * near, 0.4 * (1 - near))
    for n in range(here["lamps"]):
        s.put("lamp", s.between(0.06, 0.24) + 0.7 * n, top + 0.22, 0.34)
    _accent(s, in_sky=False)
    _people(s)
    _weather(s, horizon)
    return _graded(s)


def _sky(s: _Scene, horizon: float) -> None:
    """Paint sky, sun or moon, stars and clouds."""
    s.wash(s.sky, np.ones((1, 1)), 0, horizon)
    stars = s.between(0, 1, (60, 3))  # drawn by day, too: the same chance, the same scene
    for u, v, big in stars if s.f["sky"] in ("night", "gloom") else ():
        s.dot(u, v * horizon, 0.0015 + 0.003 * big**5, (255, 252, 236, round(70 + 170 * big)))
    s.glow(*s.sun, 0.9, s.light, 0.8)
    if s.cover < 0.6:
        s.dot(*s.sun, 0.045, s.light)
    lump = s.noise(4, 5, 3)
    body = np.clip(4 * (lump + s.cover - 0.5), 0, 0.9) * np.clip(4 * (1 - s.y / horizon), 0, 1)
    rim = np.clip(0.4 + 7 * (lump - np.roll(lump, s.size // 50, axis=0)), 0, 1)
    s.wash([_mix(tone, s.shadow, 0.2) for tone in s.sky[:2]], body, 0, horizon)
    s.wash([_mix(s.light, tone, 0.35) for tone in s.sky[1:]], body * rim, 0, horizon)


def _accent(s: _Scene, in_sky: bool) -> None:
    """Draw the accent, if that is its place."""
    accent = s.f["accent"]
    count, height, y, apart = DRAWN["accents"][accent]
    x = s.between(0.25, 0.75) if in_sky else s.between(0.12, 0.25) + 0.6 * s.rng.integers(2)
    for u, v, w in s.between(-1, 1, (count if in_sky == (y <= 0.5) else 0, 3)):
        bright = s.any("bright")
        at = x + apart * u, y + 0.4 * apart * v
        s.put(accent, *at, height * (1 + 0.2 * w), bright=bright)


def _water(s: _Scene, horizon: float) -> None:
    """Mirror what stands above the horizon, shaken by ripples, with the light's path on it."""
    first = round(horizon * s.side)
    below = np.arange(s.side - first)
    depth = below / len(below)
    shake = s.side * (0.002 + 0.01 * depth) * np.sin(40 * np.sqrt(depth + 0.02))
    columns = (np.arange(s.side) + shake[:, None]).astype(int) % s.side
    mirror = np.asarray(s.image)[np.maximum(first - 1 - below, 0)[:, None], columns]
    s.image.paste(Image.fromarray(mirror), (0, first))
    deep = _mix(s.lit("#286082"), s.sky[1], 0.3)
    s.wash([_mix(deep, s.sky[2], 0.6), deep], 0.5 * (s.y > horizon), horizon, 1)
    for u, v, w in s.between(0, 1, (110, 3)):
        y, wide, sunny = horizon + 0.01 + (1 - horizon) * v * v, 0.03 * w + 0.02 * v, w > 0.4
        x = s.sun[0] + (u - 0.5) * (0.12 + 0.3 * v) if sunny else u
        tone = (*s.light, 110) if sunny else (*_mix(deep, (255, 255, 255), 0.3), 70)
        s.line(x - wide, y, x + wide, y, 0.003 + 0.004 * v, tone)


def _house(s: _Scene, x: float, y: float, height: float, far: float = 0.0) -> None:
    lit, snow = s.between(0, 1) < s.f["lit"] * (0.3 + 1.4 * s.shade), s.f["sky"] == "snow"
    colours = {"pane": "!#ffdc8e" if lit else "#46505f", "wall": s.any("wall")}
    colours["roof"] = "#eef2f8" if snow else s.any("roof")
    s.put("house", x, y, height, far, 1 if s.sun[0] < x else -1, **colours)


def _tree(s: _Scene, x: float, y: float, height: float, far: float = 0.0) -> None:
    """Draw a fir, or a tree with leaves unless it is bare."""
    leaf = _mix((84, 132, 66), (220, 136, 52), max(0, s.f["warmth"]) * s.between(0, 1))
    if s.between(0, 1) < 0.25:
        fir = "#a8bcc4" if s.f["sky"] == "snow" else "#2c5548"
        return s.put("fir", x, y, height, far, 1 if s.sun[0] < x else -1, fir=fir)
    shades = (0.6, 0.3, 0.0) if s.between(0, 1) > s.f["bare"] else ()
    leaves = [s.lit(_mix(leaf, (20, 44, 50), shade), far) for shade in shades]
    colours = [s.lit("#48382f", far), *leaves]
    return _branch(s, x, y, 0.3 * height, -math.pi / 2, colours, 5 if height > 0.2 else 3)


def _branch(
    s: _Scene, x: float, y: float, length: float, turn: float, colours: list[tuple], forks: int
) -> None:
    """Draw a branch in the first colour, the smaller ones on it, and leaves in the others."""
    u, v = x + length * math.cos(turn), y + length * math.sin(turn)
    s.line(x, y, u, v, 0.19 * length, colours[0])
    for side, bend, less in zip((-1, 1), *s.between(0, 1, (2, 2)), strict=True) if forks else ():
        turned = turn + side * (0.15 + 0.45 * bend)
        _branch(s, u, v, (0.6 + 0.2 * less) * length, turned, colours, forks - 1)
    if len(colours) > 1 and forks < 4:
        leaf = colours[s.rng.integers(1, len(colours))]
        s.dot(u, v, s.between(0.3, 0.9) * length + 0.008, leaf)


def _people(s: _Scene) -> None:
    x, y, height = s.between(0.3, 0.7), s.between(0.92, 0.96), s.between(0.32, 0.46)
    outlines, coats = DRAWN["people"][s.f["people"]], s.rng.permutation(DRAWN["colours"]["coat"])
    if "seated" in outlines:
        s.put("bench", x, y, 0.36 * height)
        y -= 0.13 * height
    for n, outline in enumerate(outlines):
        at = x + 0.38 * height * (n - (len(outlines) - 1) / 2), y
        tall = height * (1.0, 0.94, 0.6)[n]
        colours = {"coat": coats[n], "hair": s.any("hair"), "skin": "#e4b898"}
        s.put(outline, *at, tall, 0, (-1) ** n, s.f["bowed"], **colours)


def _weather(s: _Scene, horizon: float) -> None:
    """Let mist lie over the land, and rain or snow fall."""
    sky, slant = s.f["sky"], s.between(-0.3, 0.3)
    bank = 0.35 + 0.65 * np.exp(-(((s.y - horizon - 0.06) / 0.2) ** 2))
    s.wash([s.sky[2]], np.clip(s.mist * bank * (1 + s.noise(3, 3, 3)), 0, 1))
    for x, y, near in s.between(0, 1, (s.fall, 3)):
        if sky == "snow":
            s.dot(x, y, 0.003 + 0.007 * near**3, (252, 253, 255, round(130 + 110 * near)))
        else:
            x, fall = 1.3 * x - 0.15, 0.03 + 0.05 * near
            tone = (214, 224, 236, round(50 + 90 * near))
            s.line(x, y, x + slant * fall, y + fall, 0.002 + 0.003 * near, tone)


def _graded(s: _Scene) -> Image.Image:
    """Return the picture, reduced, in its saturation, luminance and warmth, with its grain."""
    f = s.f
    image = ImageEnhance.Color(s.image.reduce(2)).enhance(0.1 + 1.8 * f["saturation"])
    curve = 255 * (np.arange(256) / 255) ** 2.0 ** (-0.9 * f["luminance"])
    gains = 1 + 0.14 * f["warmth"], 1.0, 1 - 0.2 * f["warmth"]
    image = image.point(np.minimum(np.outer(gains, curve).round(), 255).ravel().tolist())
    grain = s.rng.normal(0, 1, (s.size, s.size)) + 2 * s.noise(40, 1)
    grained = np.asarray(image) + 20 * f["texture"] * grain[..., None]
    return Image.fromarray(np.clip(grained, 0, 255).astype(np.uint8))


def _brushwork(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture as if painted: smeared along its contours, with ridges of bristles."""
    side = image.width
    whorls = cv2.resize(rng.random((6, 6), np.float32), image.size, interpolation=cv2.INTER_CUBIC)
    grey = cv2.GaussianBlur(np.float32(image.convert("L")), (0, 0), side / 60)
    down, right = np.gradient(grey + 60 * whorls)
    flow = np.stack([down, -right]) / (np.hypot(down, right) + 1e-6)  # (2, side, side): x, y
    row, column = np.mgrid[:side, :side].astype(np.float32)
    hairs = cv2.GaussianBlur(rng.normal(0, 255, (side, side)).astype(np.float32), (0, 0), 1)
    wet = np.dstack([np.float32(image), hairs])
    for step in (-1, 1, -2, 2, -3, 3, -4, 4):
        at = column + step * flow[0], row + step * flow[1]
        wet += cv2.remap(wet, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        wet /= 2
    ridges = wet[..., 3:] - np.roll(wet[..., 3:], 1, axis=(0, 1))
    return Image.fromarray(np.uint8(np.clip(wet[..., :3] + 8 * ridges / ridges.std(), 0, 255)))
