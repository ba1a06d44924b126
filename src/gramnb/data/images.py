"""One image file to pixels: read correctly, or refused with a reason.

What the web hands out under `.jpg` is not always a picture. `read_image` returns 8-bit RGB as a
viewer would show it (turned upright, transparency on white, first frame, 16 bits scaled to 8, CMYK
converted) or raises `ImageError`; nothing comes back half read. The functions hold no state and may
be called from any number of threads. `find_pictures` says for all of the package which files of a
folder are asked for one.
"""

import hashlib
import io
import os
import stat
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

REASONS = (
    "missing", "empty file", "not an image", "unsupported format", "truncated", "too small",
    "too large",
)  # fmt: skip
MIN_SIDE = 8  # pixels; a difference hash has eight rows, and a tracking pixel has one
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # 89 million, Pillow's own line against decompression bombs

# Formats decoded by a library in this process; Pillow would hand PostScript to another program.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(x for x, kind in Image.registered_extensions().items() if kind in _FORMATS)

# Pictures of formats that are not read: they are listed, so that none is left out without a word.
_UNREAD = frozenset(
    ".heic .heif .hif .jxl .jp2 .j2k .psd .svg .dng .cr2 .cr3 .nef .arw .orf .raf .rw2".split()
)
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")  # brands of a container


class ImageError(ValueError):
    """An image that cannot be used: `reason` is one of `REASONS`, or why it was not fetched."""

    def __init__(self, reason: str, detail: str, name: str | Path = ""):
        """Name the file, the reason and what was found in one line."""
        self.reason, self.detail = reason, detail
        super().__init__(f"{name or 'image'}: {reason} ({detail})")


class Listing(NamedTuple):
    """What lies below a folder: paths, each list sorted."""

    pictures: list[str]  # by suffix or, where that says nothing, by their first bytes
    unread: list[str]  # pictures too, but of a format that is not read
    others: list[str]  # files that are no pictures
    closed: list[str]  # folders that may not be listed


def find_pictures(folder: str | Path) -> Listing:
    """Return what lies below `folder`; hidden files and folders are passed over."""
    found, errors = Listing([], [], [], []), []
    for place, below, files in os.walk(folder, onerror=errors.append):
        below[:] = [name for name in below if not name.startswith((".", "__MACOSX"))]
        for name in files:
            if not name.startswith("."):
                path = os.path.join(place, name)
                getattr(found, _looks(path)).append(path)
    found.closed.extend(error.filename for error in errors)
    return Listing(*map(sorted, found))


def _looks(path: str) -> str:
    """Return which list of a `Listing` a file stands in."""
    suffix = Path(path).suffix.lower()
    if suffix in SUFFIXES:
        return "pictures"
    known = "unread" if suffix in _UNREAD else "others"
    if not os.path.isfile(path):  # not to wait for what a pipe may bring
        return known
    try:
        with open(path, "rb") as file:
            if _is_heif(file.read(12)):
                return "unread"
        with Image.open(path, formats=_FORMATS) as image:
            return known if image.format == "TIFF" and suffix in _UNREAD else "pictures"
    except Image.DecompressionBombError:
        return "pictures"  # refused with its reason when it is asked for
    except (OSError, ValueError, SyntaxError):
        return known


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in _HEIF


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
        ImageError: there is no such file, nothing in it, or it is a pipe or device.
    """
    if not str(path):
        raise ImageError("missing", "no file for this row")
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe waits, a device may never end
            raise ImageError("not an image", "not a regular file", path)
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
            if image.format == "TIFF" and Path(name).suffix.lower() in _UNREAD:
                raise ImageError("unsupported format", "raw data of a camera", name)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError("too large", f"{width} x {height} pixels", name)
            if min(width, height) < MIN_SIDE:
                raise ImageError("too small", f"{width} x {height} pixels", name)
            if image.mode in ("F", "LAB"):
                raise ImageError("not an image", f"pixels of mode {image.mode}, not RGB", name)
            image.load()
            picture = _rgb(_upright(image))
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError("too large", f"over {MAX_PIXELS} pixels", name) from None
    except UnidentifiedImageError:
        known = _is_heif(data[:12]) or Path(name).suffix.lower() in _UNREAD
        reason = "unsupported format" if known else "not an image"
        raise ImageError(reason, f"starts with {data[:20]!r}", name) from None
    except MemoryError:  # of this process, not of the file
        raise ImageError("too large", "not enough memory", name) from None
    except Exception as error:  # decoders raise a dozen types on damaged data
        raise ImageError("truncated", str(error) or type(error).__name__, name) from None
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture)  # (H, W, 3)


def _rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image of any mode as 8-bit RGB, what is transparent in it on white."""
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip at 255 instead of scaling
        levels = np.rint(np.arange(1 << 16) / 257).astype(np.uint8)  # a table: no large floats
        return Image.fromarray(levels[np.clip(np.asarray(image), 0, 65535)]).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Return a loaded image turned as its EXIF says; unreadable EXIF says nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF is a small TIFF file of its own, broken in as many ways
        return image
