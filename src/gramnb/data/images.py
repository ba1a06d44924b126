"""One image file to pixels: read correctly, or refused with a reason.

What the web hands out under `.jpg` is not always a picture. `read_image` returns 8-bit RGB as
a viewer would show it (turned upright, transparency on white, first frame, 16 bits scaled to 8,
CMYK converted) or raises `ImageError`, whose `reason` is one of `REASONS`. Nothing comes back half
read. The functions hold no state and may be called from any number of threads.
"""

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

REASONS = ("missing", "empty file", "not an image", "truncated", "too small", "too large")
MIN_SIDE = 8  # pixels; a difference hash has eight rows, and a tracking pixel has one
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # 89 million, Pillow's own line against decompression bombs

# Formats decoded by a library in this process; Pillow would hand PostScript to another program.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM")

_UPRIGHT = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image that cannot be used: `reason` is one of `REASONS`, `detail` says what was found."""

    def __init__(self, reason: str, detail: str, name: str | Path = ""):
        """Name the file, the reason and what was found in one line."""
        self.reason, self.detail = reason, detail
        super().__init__(f"{name or 'image'}: {reason} ({detail})")


def read_image(path: str | Path, size: int | None = None) -> np.ndarray:
    """Return the picture at `path` as uint8 (H, W, 3), RGB, upright.

    With `size` it is squashed to (size, size, 3) by Pillow's bilinear filter, which widens as it
    shrinks (antialiasing).

    Raises:
        ImageError: there is no picture that could be read whole.
    """
    return decode(read_bytes(path), size, path)


def read_bytes(path: str | Path) -> bytes:
    """Return the file's bytes.

    Raises:
        ImageError: there is no such file, or nothing in it.
    """
    if not str(path):
        raise ImageError("missing", "no file for this row")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError("missing", error.strerror or str(error), path) from None
    if not data:
        raise ImageError("empty file", "0 bytes", path)
    return data


def image_id(data: bytes) -> str:
    """Return what names an image everywhere: the first 16 digits of its file's sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


def decode(data: bytes, size: int | None = None, name: str | Path = "") -> np.ndarray:
    """Return the pixels in a file's bytes, as `read_image` does; `name` is for the error."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError("too large", f"{width} x {height} pixels", name)
            if min(width, height) < MIN_SIDE:
                raise ImageError("too small", f"{width} x {height} pixels", name)
            if image.mode in ("F", "LAB"):
                raise ImageError("not an image", f"pixels of mode {image.mode}, not RGB", name)
            image.load()
            picture = _upright(_rgb(image), image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError("too large", f"over {MAX_PIXELS} pixels", name) from None
    except UnidentifiedImageError:
        raise ImageError("not an image", _kind(data), name) from None
    except Exception as error:  # decoders raise a dozen types on damaged data
        raise ImageError("truncated", str(error) or type(error).__name__, name) from None
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)  # (H, W, 3)


def _rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image of any mode as 8-bit RGB, what is transparent in it on white."""
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip at 255 instead of scaling
        levels = np.clip(np.rint(np.asarray(image) / 257), 0, 255)
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _upright(picture: Image.Image, original: Image.Image) -> Image.Image:
    """Return `picture` turned as the original's EXIF says; unreadable EXIF says nothing."""
    try:
        turn = _UPRIGHT.get(original.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # EXIF is a small TIFF file of its own, broken in as many ways
        return picture
    return picture if turn is None else picture.transpose(turn)


def _kind(data: bytes) -> str:
    """Say what a file that is no image seems to be."""
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    if start.startswith((b"<?xml", b"<svg")):
        return "XML"
    return f"starts with {data[:8]!r}"
