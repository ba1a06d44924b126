"""What befalls pictures on the web: captions, copies that differ a little, broken files."""

import io
import textwrap

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

CAPTIONS = (
    "nobody came",
    "where are you now",
    "summer is over",
    "good morning",
    "let it go",
    "this is home",
    "one more day",
    "stay a while",
    "look at the sky",
    "after the rain",
    "never again",
    "a letter to you",
    "walk with me",
    "it was only a dream",
    "keep going",
)


FLAWS = ("truncated", "empty", "html")


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return the picture as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def near_copy(image: Image.Image, n: int) -> bytes:
    """Return the picture as others would pass it on: recompressed, cropped or brightened."""
    if n % 3 == 0:
        return jpeg(image, 45)
    if n % 3 == 1:
        edge = max(1, round(0.012 * image.width))
        box = (edge, edge, image.width, image.height)
        return jpeg(image.resize(image.size, Image.Resampling.BICUBIC, box), 85)
    return jpeg(ImageEnhance.Brightness(image).enhance(1.12), 85)


def spoilt(content: bytes, flaw: str) -> bytes:
    """Return a file's content with one of FLAWS, or as it is for ""."""
    page = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"
    return {"": content, "truncated": content[: 2 * len(content) // 5], "empty": b"", "html": page}[
        flaw
    ]


def caption(image: Image.Image, kind: str, rng: np.random.Generator) -> tuple[str, float]:
    """Write a few words on the picture; return them and the share of its area they cover."""
    side = image.width
    text = CAPTIONS[int(rng.integers(len(CAPTIONS)))]
    if kind == "large":
        text = "\n".join(textwrap.wrap(text.upper(), 11))
        font, y = ImageFont.load_default(0.125 * side), rng.uniform(0.3, 0.6)
    else:
        size = max(9, side * rng.uniform(0.055, 0.08))
        font, y = ImageFont.load_default(size), rng.choice([0.08, 0.92])
    pen = ImageDraw.Draw(image, "RGBA")
    place = {
        "xy": (side / 2, y * side),
        "text": text,
        "font": font,
        "anchor": "mm",
        "align": "center",
        "spacing": 0.02 * side,
    }
    left, top, right, bottom = pen.textbbox(**place)
    if rng.random() < 0.4:
        pen.rectangle((0, top - 0.03 * side, side, bottom + 0.03 * side), fill=(20, 20, 30, 150))
    pen.text(**place, fill="white", stroke_width=max(1, side // 110), stroke_fill=(20, 20, 30))
    return text.replace("\n", " "), (right - left) * (bottom - top) / side**2
