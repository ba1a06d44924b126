"""The demo images: small drawn scenes with known truth, made on the spot.

Each picture is a scene (`paint`) whose factors are drawn from the distributions of its emotion
(`MOODS`). `DATASETS` holds the shares of pictures that are disturbed.

Moods and shifts were set by trying: logistic regression on frozen EfficientNetLite0 features at
128 pixels tells sadness from the rest in 86 % of undersampled, undisturbed pictures (five folds),
and in 83 and 80 % of the shifted transfer sets (400 pictures). That shows nothing of photographs:
these pictures are sad because they were drawn so.
"""

import io
import json
import math
import re
import textwrap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageColor, ImageDraw, ImageEnhance, ImageFont
from tqdm import tqdm

from gramnb.runs import atomic, resolve, write_json

EDITION = 2  # of what is drawn; a folder of another edition is not taken for a current one
SIZE = 160  # pixels
EMOTIONS = ("anger", "fear", "joy", "love", "sadness", "surprise")
FLAWS = ("truncated", "empty", "html")
CHOICES = ("place", "sky", "accent", "people")


@dataclass(frozen=True)
class Dataset:
    """How a demo data set is made up; shares are of its pictures unless said otherwise."""

    count: int = 1200
    sadness: float = 0.38  # labelled sadness; the other emotions share the rest evenly
    everyday: float = 0.05  # each factor drawn from the distribution of any emotion
    flipped: float = 0.03  # drawn as sadness and labelled otherwise, or the reverse, half each
    captions: tuple[float, float] = (0.10, 0.18)  # of others, of sadness; half large, half small
    duplicates: float = 0.08
    conflicts: float = 0.15  # of the duplicates: labelled with another emotion
    broken: float = 0.015
    shift: dict[str, float] = field(default_factory=dict)  # added to the means of LEVELS


BRIGHT = {"luminance": 0.1, "texture": -0.1}
WARM = {"warmth": 0.15, "saturation": 0.08, "texture": 0.15, "luminance": -0.1}
DATASETS = {
    "demo": Dataset(),
    "demo-unbiased": Dataset(150, sadness=0.43, everyday=0.12, flipped=0.05, shift=BRIGHT),
    "demo-emotion6": Dataset(150, sadness=0.35, everyday=0.15, flipped=0.06, shift=WARM),
    "demo-artworks": Dataset(8, sadness=0.5, everyday=0, flipped=0, captions=(0, 0), broken=0),
}

# fmt: off
LEVELS = {"warmth": (-1, 0.26, 0.0), "luminance": (-1, 0.25, 0.0), "saturation": (0, 0.13, 0.5),
          "texture": (0, 0.2, 0.3), "bare": (0, 0.26, 0.2), "lit": (0, 0.28, 0.5),
          "bowed": (0, 0.2, 0.2)}
# Above: least value (1 is the most), spread, and what it is unless told. Saturation 0.5 leaves
# colours as they are, trees and land are bare, windows are lit. Below: what a mood draws place,
# sky, accent and people from, repeated words more often, and the means of its levels.
MOODS = {
    "anger": ("field sea town forest", "ember ember ember storm storm clouds clear dusk",
              "none none bolt flame flame bird", "cheering cheering cheering one one couple nobody",
              (0.5, -0.16, 0.68, 0.65, 0.52, 0.42, 0.15)),
    "fear": ("field lake town forest forest", "night night night gloom gloom gloom storm fog dusk",
             "none none none none bird bolt", "one one one nobody nobody cheering couple",
             (0.0, -0.4, 0.66, 0.6, 0.6, 0.3, 0.3)),
    "joy": ("field field lake sea town forest", "clear clear clear clouds clouds dawn dusk snow",
            "none none balloon balloon bird", "cheering cheering family family couple one",
            (0.22, 0.25, 0.63, 0.28, 0.14, 0.6, 0.12)),
    "love": ("field lake sea town forest", "dusk dusk dusk dawn dawn clear clouds night snow",
             "none none heart balloon bird", "couple couple couple couple family seated nobody",
             (0.34, 0.05, 0.56, 0.32, 0.26, 0.62, 0.26)),
    "sadness": ("field lake lake sea sea town forest", "rain rain rain rain fog fog clouds clouds "
                "night dusk snow gloom dawn", "none none none bird bench",
                "one one one seated seated nobody couple", (-0.4, 0, 0.18, 0.3, 0.76, 0.22, 0.78)),
    "surprise": ("field lake sea town forest", "clear clear clouds night night dawn dusk snow",
                 "none none burst burst balloon bird", "cheering cheering one couple nobody",
                 (0.05, 0.05, 0.64, 0.36, 0.3, 0.58, 0.1)),
}
SKIES = {  # colours: top, middle, horizon, sun or moon, shadow; share of shadow, of clouds
    "clear": ("#3e84d4 #8ec6ee #e4f0ee #fff9dc #3c5480", 0.05, 0.35),
    "clouds": ("#5284ba #96b8d4 #e0e6e6 #fffae8 #405274", 0.10, 0.58),
    "dawn": ("#7e98d2 #eebebe #ffe7be #fff2d2 #745878", 0.20, 0.42),
    "dusk": ("#383c76 #c66872 #fdbe6a #ffe2a0 #3e264c", 0.50, 0.48),
    "night": ("#0a0f2c #1b2b5c #4c5c8a #eef0e4 #0c1332", 0.66, 0.40),
    "ember": ("#2e0f19 #922a20 #f38838 #ffce82 #360e12", 0.55, 0.60),
    "gloom": ("#16222a #324846 #7a886e #ced6ba #0c181a", 0.58, 0.56),
    "fog": ("#a4acb2 #bac0c2 #ced2d0 #eceee6 #6e767e", 0.25, 0.30),
    "rain": ("#5c6674 #808a96 #b0b8be #d2d8dc #363e4e", 0.36, 0.72),
    "snow": ("#7e8ea6 #a8b4c6 #dcdee2 #f0f0f0 #546282", 0.25, 0.60),
    "storm": ("#1e202e #424252 #8c827c #dcd6f0 #161622", 0.55, 0.85),
}
PAINTINGS = (  # title, emotion, place, sky, accent, people
    ("The Last Lamp in Saltmarket Street", "sadness", "town", "night", "none", "one"),
    ("Orchard, First Warm Sunday", "joy", "field", "clear", "balloon", "family"),
    ("She Left the Window Open", "sadness", "town", "rain", "none", "seated"),
    ("Harbour with Two Who Stayed", "love", "sea", "dusk", "none", "couple"),
    ("November, the Bench by the Water", "sadness", "lake", "dawn", "bench", "nobody"),
    ("The Night They Lit the Sky", "surprise", "lake", "night", "burst", "cheering"),
    ("Crows Over the Stubble Road", "sadness", "field", "dusk", "bird", "one"),
    ("The Hill That Would Not Forgive", "anger", "forest", "ember", "flame", "cheering"),
)
# The parts of a thing, each a colour and corners "x,y" in percent of its height, upwards from its
# foot, or a disc "x,y,radius". A colour after ! shines, one without # is chosen when it is drawn.
LEGS = "#2e2e3c -10,0 -2,0 0,42 -11,42; #2e2e3c 2,0 10,0 11,42 0,42; "
HEAD = "skin 1,92,8; hair -2,94,8"
OUTLINES = {
    "bench": "#383232 -64,0 -56,0 -56,90 -64,90; #383232 56,0 64,0 64,90 56,90; #8c6244 -80,44 "
             "80,44 80,56 -80,56; #8c6244 -80,76 80,76 80,90 -80,90",
    "boat": "#684638 -52,14 52,14 36,-6 -38,-6; #50382f -1,12 1,12 1,100 -1,100; "
            "#fcfcfa 4,95 4,20 48,24; coat -4,86 -4,20 -32,24",
    "lamp": "glow 0,92,90; #32343e -2,0 2,0 2,88 -2,88; #32343e -9,98 9,98 0,108; !ffeec0 0,92,7",
    "house": "wall -30,0 30,0 30,76 -30,76; shade 4,0 30,0 30,76 4,76; roof -35,76 35,76 0,100; "
             "#4a3a34 -6,0 4,0 4,20 -6,20; pane -22,10 -12,10 -12,26 -22,26; pane 11,10 21,10 21,26"
             " 11,26; pane -22,46 -12,46 -12,62 -22,62; pane 11,46 21,46 21,62 11,62",
    "fir": "#4a3a34 -3,0 3,0 3,12 -3,12; fir -25,10 25,10 0,46; fir -21,30 21,30 0,66; "
           "fir -16,50 16,50 0,84; fir -11,68 11,68 0,100; shade 0,10 25,10 14,30 11,50 0,100",
    "bird": "#1c1c26 -50,30 -24,44 0,16 24,44 50,30 22,34 0,6 -22,34",
    "balloon": "#5a5a60 -1,-60 1,-60 1,46 -1,46; bright 0,70,28; bright -6,40 6,40 0,50; "
               "#ffffff -9,80,6",
    "heart": "#e83e5c -22,72,25; #e83e5c 22,72,25; #e83e5c -45,62 45,62 0,4",
    "flame": "glow 0,40,300; !e03e1e -34,0 -40,30 -22,60 -12,44 0,100 14,52 26,70 40,28 34,0; "
             "!fa902c -24,0 -26,24 -10,50 0,70 12,42 26,22 22,0; !ffe482 -13,0 0,42 13,0",
    "bolt": "glow 0,60,99; !fffff4 4,99 -10,62 0,64 -14,30 -5,33 -10,0 8,42 -1,39 12,70 3,68 11,99",
    "burst": "glow 0,0,150" + "".join(
        f"; {colour} {r * math.cos(turn):.0f},{r * math.sin(turn):.0f},3"
        for colour, r in (("bright", 22), ("bright", 36), ("!fff0b4", 50))
        for turn in np.arange(0, 6.2, 0.35)),
    "standing": LEGS + "coat -7,83 7,83 12,78 16,46 10,45 13,34 -13,34 -10,45 -16,46 -12,78; "
                "shade -1,83 7,83 12,78 14,34 -1,34; skin 13,43,3; " + HEAD,
    "seated": "#2e2e3c -8,10 28,10 28,22 -8,22; #2e2e3c 19,-12 28,-12 28,18 19,18; coat -7,83 7,83 "
              "22,34 18,26 10,34 10,14 -12,14 -12,78; shade -1,83 7,83 10,34 10,14 -1,14; "
              "skin 21,28,3; " + HEAD,
    "cheering": LEGS + "coat -6,83 6,83 23,108 27,104 12,74 13,34 -13,34 -12,74 -27,104 -23,108; "
                "shade -1,83 6,83 12,74 13,34 -1,34; skin -26,109,4; skin 26,109,4; " + HEAD,
    "holding": LEGS + "coat -7,83 7,83 28,58 25,52 10,66 18,20 -18,20 -12,78; shade -1,83 7,83 "
               "10,66 18,20 -1,20; skin 28,54,3; hair -6,84,6; " + HEAD,
}
ACCENTS = {  # how many, the height of each, its place (up to 0.5: in the sky) and how far apart
    "bird": (9, 0.05, 0.24, 0.25), "balloon": (7, 0.13, 0.28, 0.25), "heart": (5, 0.1, 0.3, 0.25),
    "burst": (3, 0.24, 0.2, 0.3), "bolt": (1, 0.48, 0.5, 0.1), "bench": (1, 0.15, 0.93, 0.1),
    "flame": (2, 0.22, 0.93, 0.06), "none": (0, 0, 0, 0)}
PEOPLE = {"nobody": "", "one": "standing", "seated": "seated", "cheering": "cheering cheering",
          "couple": "holding holding", "family": "cheering holding cheering"}
CAPTIONS = ("nobody came", "where are you now", "summer is over", "good morning", "let it go",
            "this is home", "one more day", "stay a while", "look at the sky", "after the rain",
            "never again", "a letter to you", "walk with me", "it was only a dream", "keep going")
COATS = ("#be3c36", "#286096", "#e2a83c", "#467a54", "#78548c", "#545a68", "#dcd6c8")
WALLS = ("#ecdec4", "#ccb296", "#b2bec4", "#d69c78", "#c47868")
ROOFS = ("#9a463a", "#604c4a", "#4e5468")
BRIGHTS = ("#ec4646", "#fabe3c", "#5aaae6", "#f082b4", "#6ebe6e")
HAIR = ("#3a2a24", "#6e4a30", "#b8925a", "#2a2a30")
# fmt: on


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
    count = spec.count if count is None else count
    settings = {"name": name, "count": count, "edition": EDITION}
    note = folder / "settings.json"
    drawn = json.loads(note.read_bytes()) if note.exists() else {}
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


def _plan(spec: Dataset, count: int, rng: np.random.Generator) -> list[dict]:
    """Return of each picture file, label, mood, caption, flaw and the place of its original."""
    other = [emotion for emotion in EMOTIONS if emotion != "sadness"]
    sad = round(spec.sadness * count)
    labels = ["sadness"] * sad + [other[n % 5] for n in range(count - sad)]
    labels, rows = rng.permutation(labels).tolist(), []
    for n, label in enumerate(labels):
        file = f"{label}/{labels[: n + 1].count(label):04d}.jpg"
        rows.append({"file": file, "emotion": label, "drawn": label, "caption": "", "broken": ""})
        rows[n]["original"] = n
    order = rng.permutation(count).tolist()
    first, last = round(spec.broken * count), round((spec.broken + spec.duplicates) * count)
    broken, copies, plain = order[:first], order[first:last], order[last:]
    for n, i in enumerate(broken):
        rows[i]["broken"] = FLAWS[n % len(FLAWS)]
    for is_sad, share in zip((False, True), spec.captions, strict=True):
        side = [i for i in plain if (labels[i] == "sadness") == is_sad]
        for i in rng.choice(side, min(len(side), round(spec.flipped * count / 2)), replace=False):
            rows[i]["drawn"] = str(rng.choice(other)) if is_sad else "sadness"
        for n, i in enumerate(rng.choice(side, round(share * len(side)), replace=False)):
            rows[i]["caption"] = ("large", "small")[n % 2]
    for n, i in enumerate(copies):
        conflict = n < round(spec.conflicts * len(copies))
        of = next((j for j in plain if (labels[j] != labels[i]) == conflict), None)
        if of is not None:
            plain.remove(of)
            rows[i] = rows[of] | {key: rows[i][key] for key in ("file", "emotion")}
    return rows


def _pictures(spec: Dataset, count: int, key: list[int]) -> Iterator[tuple[dict, bytes]]:
    """Yield the truth and the file content of every picture of a photograph-like data set."""
    rows = _plan(spec, count, np.random.default_rng(key))
    for n, row in enumerate(rows):
        original = row.pop("original")
        rng = np.random.default_rng([*key, original])
        mood = "" if rng.random() < spec.everyday else row["drawn"]
        factors = draw_factors(mood, rng, spec.shift)
        image = paint(factors, rng, SIZE)
        if row["caption"]:
            _caption(image, row["caption"], rng)
        content = _jpeg(image, 90) if original == n else _near_copy(image, n)
        cut, page = content[: 2 * len(content) // 5], b"<!DOCTYPE html>\n<h1>404 Not Found</h1>\n"
        flaws = {"truncated": cut, "empty": b"", "html": page}
        row["duplicate_of"] = "" if original == n else rows[original]["file"]
        yield row | factors, flaws.get(row["broken"], content)


def _artworks(key: list[int]) -> Iterator[tuple[dict, bytes]]:
    """Yield the truth and the file content of every painting."""
    lively = {"luminance": 0.15, "saturation": 0.5, "texture": 0.1, "lit": 1.0}
    for n, (title, emotion, *choices) in enumerate(PAINTINGS):
        rng, file = np.random.default_rng([*key, n]), re.sub("[^a-z]+", "-", title.lower()) + ".jpg"
        levels = dict(zip(LEVELS, MOODS[emotion][-1], strict=True)) | lively
        factors = dict(zip(CHOICES, choices, strict=True)) | levels
        picture = brushwork(paint(factors, rng, 3 * SIZE), rng)
        yield {"file": file, "title": title, "emotion": emotion} | factors, _jpeg(picture, 92)


def draw_factors(mood: str, rng: np.random.Generator, shift: dict[str, float]) -> dict:
    """Return the factors of a picture of this mood ("": of any); `shift` is added to the means."""
    f = {}
    for n, factor in enumerate(CHOICES):
        f[factor] = str(rng.choice(MOODS[mood or rng.choice(EMOTIONS)][n].split()))
    for n, (level, (least, spread, _)) in enumerate(LEVELS.items()):
        mean = MOODS[mood or rng.choice(EMOTIONS)][-1][n] + shift.get(level, 0)
        f[level] = round(float(np.clip(rng.normal(mean, spread), least, 1)), 3)
    f["sky"] = {"burst": "night", "bolt": "storm"}.get(f["accent"], f["sky"])
    f["people"] = "nobody" if f["accent"] == "bench" else f["people"]
    return f


def _near_copy(image: Image.Image, n: int) -> bytes:
    """Return the picture as others would pass it on: recompressed, cropped or brightened."""
    if n % 3 == 1:
        edge = max(1, round(0.012 * image.width))
        image = image.resize(image.size, Image.Resampling.BICUBIC, (edge, edge, *image.size))
    elif n % 3 == 2:
        image = ImageEnhance.Brightness(image).enhance(1.12)
    return _jpeg(image, 85 if n % 3 else 45)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _caption(image: Image.Image, kind: str, rng: np.random.Generator) -> None:
    """Write a few words on the picture."""
    side, text = image.width, str(rng.choice(CAPTIONS))
    if kind == "large":
        text = "\n".join(textwrap.wrap(text.upper(), 11))
        size, y = 0.125 * side, rng.uniform(0.3, 0.6)
    else:
        size, y = max(9, side * rng.uniform(0.055, 0.08)), rng.choice([0.08, 0.92])
    ImageDraw.Draw(image, "RGBA").text(
        (side / 2, y * side), text, "white", ImageFont.load_default(size), "mm", 0.02 * side,
        "center", stroke_width=max(1, side // 110), stroke_fill=(20, 20, 30),
    )  # fmt: skip


class _Scene:
    """A square picture under one sky; places and lengths are shares of its side, y downwards.

    It is drawn twice as large as it will be. What is soft by nature has the final size: `x`, `y`,
    noise and masks, all (size, size) or broadcast to it.
    """

    def __init__(self, f: dict, rng: np.random.Generator, size: int) -> None:
        colours, self.shade, self.cover = SKIES[f["sky"]]
        *self.sky, self.light, self.shadow = map(ImageColor.getrgb, colours.split())
        self.f, self.rng, self.size, self.side, self.between = f, rng, size, 2 * size, rng.uniform
        self.image = Image.new("RGB", (self.side, self.side))
        self.pen = ImageDraw.Draw(self.image, "RGBA")
        self.x = np.arange(size, dtype=np.float32)[None] / size
        self.y = self.x.T
        low, high = f["sky"] in ("dawn", "dusk", "ember"), self.between(0.12, 0.3)
        self.sun = self.between(0.15, 0.85), 0.42 if low else high

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
        """Draw one of OUTLINES with its foot at (x, y); what is above the hip may bow."""
        for word, corners in _outline(name):
            above = bow * np.maximum(corners[:, 1] - 0.44, 0)
            u = x + height * turn * (corners[:, 0] + 0.45 * above)
            v = y - height * (corners[:, 1] - 0.15 * above)
            if word == "glow":
                tone = ImageColor.getrgb(colours.get("glow", "#ffdc8e"))
                self.glow(u[0], v[0], corners[0, 2] * height, tone, 1.4 * self.shade)
                continue
            word = colours.get(word, word)
            own = ImageColor.getrgb("#" + word[1:]) if word[0] == "!" else (*self.shadow, 60)
            colour = own if word[0] == "!" or word == "shade" else self.lit(word, far)
            if corners.shape[1] == 3:
                self.dot(u[0], v[0], corners[0, 2] * height, colour)
            else:
                self.pen.polygon((np.stack([u, v], axis=-1) * self.side).ravel().tolist(), colour)

    def wash(self, stops: list[tuple], mask: np.ndarray, top: float = 0, end: float = 1) -> None:
        """Lay a vertical gradient from top to end over the picture, as thick (0-1) as the mask."""
        at, rows = np.linspace(top, end, len(stops)), np.arange(self.side) / self.side
        column = np.stack([np.interp(rows, at, band) for band in zip(*stops, strict=True)], -1)
        column = Image.fromarray(column.astype(np.uint8)[:, None])
        mask = np.broadcast_to(255 * mask, (self.size, self.size)).astype(np.uint8)
        mask = Image.fromarray(mask).resize(self.image.size, Image.Resampling.BILINEAR)
        self.image.paste(column.resize(mask.size, Image.Resampling.NEAREST), None, mask)

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


@cache
def _outline(name: str) -> list[tuple[str, np.ndarray]]:
    """Return colour and corners (n, 2), or disc (1, 3), of the parts of a thing."""
    parts = (part.split() for part in OUTLINES[name].split(";"))
    return [(word, np.array([c.split(",") for c in at], float) / 100) for word, *at in parts]


def _mix(a: tuple, b: tuple, share: float) -> tuple:
    return tuple(round(p + (q - p) * share) for p, q in zip(a, b, strict=True))


def paint(f: dict, rng: np.random.Generator, size: int) -> Image.Image:
    """Return the picture of these factors, RGB, size x size; place and sky must be among them."""
    usual = {"accent": "none", "people": "one"} | {level: of[2] for level, of in LEVELS.items()}
    f = usual | f
    s, place = _Scene(f, rng, size), f["place"]
    horizon, wet = s.between(0.48, 0.6), place in ("lake", "sea")
    green = _mix((104, 156, 78), (206, 172, 84), max(0, f["warmth"]))
    land = (222, 200, 160) if place == "sea" else _mix(green, (132, 122, 100), f["bare"])
    land = (226, 231, 240) if f["sky"] == "snow" else land
    _sky(s, horizon)
    for far in (0.8, 0.6, 0.4) if place != "sea" else ():
        hill = s.lit(_mix(land, (70, 96, 120), far), far)
        s.land(horizon + 0.05 - 0.14 * far, 0.05 * far, [hill, _mix(hill, s.sky[2], 0.6)])
    if place == "lake":
        for x in s.between(0, 1, 9):
            _tree(s, x, horizon + 0.02, s.between(0.08, 0.18), 0.35)
        _house(s, s.between(0.1, 0.9), horizon + 0.02, s.between(0.07, 0.1), 0.25)
    if wet:
        _water(s, horizon)
        x, y, coat = s.between(0.2, 0.8), horizon + s.between(0.05, 0.12), rng.choice(COATS)
        s.put("boat", x, y, s.between(0.1, 0.17), coat=coat)
    top = s.between(0.82, 0.87) if wet else horizon + 0.06
    dark = s.lit(_mix(land, (30, 40, 50), 0.4))
    s.land(top, 0.014, [s.lit(land, 0.25), s.lit(land), dark])
    flowers = 0.5 * (1 - f["bare"]) ** 2 * (f["sky"] != "snow" and place in ("field", "lake"))
    for x, v, u in s.between(0, 1, (90, 3)):
        y, near = top + 0.04 + (0.98 - top) * v, 0.01 * (1 + 2 * v)
        tone = s.lit(_mix(land, (255, 255, 240), 0.3)) if u < 0.5 else dark
        s.line(x, y, x + near * (u - 0.5), y - near, 0.004, tone)
        if u < flowers:
            s.dot(x, y - near, 0.4 * near, s.lit(rng.choice(BRIGHTS)))
    for n in range({"town": 5, "field": 1}.get(place, 0)):
        x = (n + s.between(0.3, 0.7)) / 5 if place == "town" else s.between(0.15, 0.85)
        _house(s, x, top + 0.06 + 0.03 * (n % 2), s.between(0.16, 0.3))
    trees = {"forest": 11, "field": 3, "lake": 1, "town": 1}.get(place, 0)
    for near in np.sort(s.between(0, 1, trees)):
        x, y = s.between(0, 0.36) + 0.64 * rng.integers(2), top + 0.02 + near * (0.96 - top)
        _tree(s, x, y, 0.3 + 0.45 * near, 0.4 * (1 - near))
    for x in s.between(0.06, 0.24, 2) + (0, 0.7) if place == "town" else ():
        s.put("lamp", x, top + 0.22, 0.34)
    _accent(s, in_sky=False)
    _people(s)
    _weather(s, horizon)
    return _graded(s)


def _sky(s: _Scene, horizon: float) -> None:
    """Paint sky, sun or moon, stars, clouds, and what flies or shines there."""
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
    _accent(s, in_sky=True)


def _accent(s: _Scene, in_sky: bool) -> None:
    """Draw the accent, if that is its place."""
    accent = s.f["accent"]
    count, height, y, apart = ACCENTS[accent]
    x = s.between(0.25, 0.75) if in_sky else s.between(0.12, 0.25) + 0.6 * s.rng.integers(2)
    for u, v, w in s.between(-1, 1, (count if in_sky == (y <= 0.5) else 0, 3)):
        bright = s.rng.choice(BRIGHTS)
        colours = {"glow": bright, "bright": "!" + bright[1:]} if accent == "burst" else {}
        at = x + apart * u, y + 0.4 * apart * v
        s.put(accent, *at, height * (1 + 0.2 * w), **({"bright": bright} | colours))


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
    colours = {"pane": "!ffdc8e" if lit else "#46505f", "wall": s.rng.choice(WALLS)}
    colours["roof"] = "#eef2f8" if snow else s.rng.choice(ROOFS)
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
    outlines, coats = PEOPLE[s.f["people"]].split(), s.rng.permutation(COATS)
    if "seated" in outlines:
        s.put("bench", x, y, 0.36 * height)
        y -= 0.13 * height
    for n, outline in enumerate(outlines):
        at = x + 0.38 * height * (n - (len(outlines) - 1) / 2), y
        tall = height * (1.0, 0.94, 0.6)[n]
        colours = {"coat": coats[n], "hair": s.rng.choice(HAIR), "skin": "#e4b898"}
        s.put(outline, *at, tall, 0, (-1) ** n, s.f["bowed"], **colours)


def _weather(s: _Scene, horizon: float) -> None:
    """Let mist lie over the land, and rain or snow fall."""
    sky, slant = s.f["sky"], s.between(-0.3, 0.3)
    thick = {"fog": 0.7, "gloom": 0.35, "rain": 0.3, "snow": 0.2}.get(sky, 0)
    bank = 0.35 + 0.65 * np.exp(-(((s.y - horizon - 0.06) / 0.2) ** 2))
    s.wash([s.sky[2]], np.clip(thick * bank * (1 + s.noise(3, 3, 3)), 0, 1))
    for x, y, near in s.between(0, 1, ({"rain": 190, "snow": 190, "storm": 80}.get(sky, 0), 3)):
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


def brushwork(image: Image.Image, rng: np.random.Generator) -> Image.Image:
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
