"""One image file to pixels: read correctly, or refused with a reason.

A picture comes back as 8-bit RGB as a viewer would show it (turned upright, transparency on white,
first frame, 16 bits scaled to 8, CMYK and colour profiles converted to sRGB) and never half read.
All threads together decode at most MAX_PIXELS at a time.

What cannot be detected: damage that leaves a file well formed. JPEGs are read by a decoder that
takes its warnings as errors; it finds 95 % of the pictures with 200 random bytes, 300 zeros or a
cut of 500 bytes in their middle. PNG and WebP have checksums or fail by themselves; BMP, PPM and
plain TIFF have nothing that could tell.
"""

import hashlib
import io
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOMEM
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

REASONS = ("missing", "empty file", "not an image", "unsupported format", "truncated",
           "too small", "too large")  # fmt: skip
MIN_SIDE = 8  # pixels; a difference hash has eight rows, and a tracking pixel has one
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # 89 million, Pillow's own line against decompression bombs
MAX_BYTES = 128 << 20  # of a file; the largest cameras' pictures take half of it
MAX_SCANS = 100  # of a JPEG: each costs as much as the picture, and encoders make about ten

# Decoded by a library in this process; Pillow would hand PostScript to another program.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF", "PPM")
register_heif_opener()
warnings.filterwarnings("ignore", category=UserWarning, module="PIL.TiffImagePlugin")  # of EXIF
Image.core.set_block_size(64 << 20)  # bytes; of smaller blocks malloc keeps some for every thread
SUFFIXES = frozenset(x for x, kind in Image.registered_extensions().items() if kind in _FORMATS)

# Pictures of formats that are not read: refused with that reason, not passed over.
_UNREAD = frozenset(".jxl .jp2 .j2k .psd .svg .dng .cr2 .cr3 .nef .arw .orf .raf .rw2".split())
_IN_FLIGHT, _CHANGED = [], threading.Condition()  # pixels of the pictures being decoded
_SAME = 3  # levels of 255; a profile that moves no colour further says sRGB in its own words
_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\1-\4]")  # of a JPEG, how one begins
# A picture's mode: the strict decoder's name of such pixels, and Pillow's of what comes out of it.
_STRICT = {"RGB": ("RGBX", "RGBX"), "L": ("GRAY", "L"), "CMYK": ("CMYK", "CMYK;I")}
_LEVELS = np.rint(np.arange(1 << 16) / 257).astype(int).tolist()  # from 16 bits to 8


class ImageError(ValueError):
    """An image that cannot be used: `reason` is one of `REASONS`, or why it was not fetched."""

    def __init__(self, reason: str, detail: str, name: str | Path = ""):
        self.reason, self.detail = reason, detail
        super().__init__(f"{name or 'image'}: {reason} ({detail})")


class Listing(NamedTuple):
    """What lies below a folder: paths, each list sorted."""

    pictures: list[str]  # by suffix or, where that says nothing, by their first bytes
    others: list[str]  # files that are no pictures
    closed: list[str]  # folders that may not be listed, and links to folders, which may lead round


def find_pictures(folder: str | Path) -> Listing:
    """Return what lies below `folder`; hidden files and folders are passed over."""
    found, errors = Listing([], [], []), []
    for place, below, files in os.walk(folder, onerror=errors.append):
        below[:] = [name for name in below if not name.startswith((".", "__MACOSX"))]
        found.closed.extend(filter(os.path.islink, (os.path.join(place, x) for x in below)))
        for path in (os.path.join(place, name) for name in files if not name.startswith(".")):
            (found.pictures if _is_picture(path) else found.others).append(path)
    found.closed.extend(error.filename for error in errors)
    return Listing(*map(sorted, found))


def _is_picture(path: str) -> bool:
    if Path(path).suffix.lower() in SUFFIXES | _UNREAD:
        return True
    if not os.path.isfile(path):  # not to wait for what a pipe may bring
        return False
    try:
        with Image.open(path, formats=_FORMATS):
            return True
    except Image.DecompressionBombError:
        return True  # refused with its reason when it is asked for
    except (OSError, ValueError, SyntaxError):
        return False


def read_image(path: str | Path, size: int | None = None) -> np.ndarray:
    """Return the picture at `path` as uint8 (H, W, 3); options and errors are those of `decode`."""
    return decode(read_bytes(path), size, path)


def read_bytes(path: str | Path) -> bytes:
    """Return a file's bytes; raise ImageError if there are too many, or it is no file."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # a pipe waits, a device may never end
            raise ImageError("not an image", "not a regular file", path)
        if about.st_size > MAX_BYTES:
            raise ImageError("too large", f"over {MAX_BYTES} bytes", path)
        with open(path, "rb") as file:
            return file.read(about.st_size)
    except OSError as error:
        raise ImageError("missing", error.strerror or str(error), path) from None


def image_id(data: bytes) -> str:
    """Return what names an image everywhere: the first 16 digits of its file's sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


@contextmanager
def _room(pixels: int) -> Iterator[None]:
    """Hold room for so many pixels: all threads together decode MAX_PIXELS, which bounds memory."""
    with _CHANGED:
        _CHANGED.wait_for(lambda: not _IN_FLIGHT or sum(_IN_FLIGHT) + pixels <= MAX_PIXELS)
        _IN_FLIGHT.append(pixels)
    try:
        yield
    finally:
        with _CHANGED:
            _IN_FLIGHT.remove(pixels)
            _CHANGED.notify_all()


def decode(data: bytes, size: int | None = None, name: str | Path = "") -> np.ndarray:
    """Return the picture in a file's bytes as uint8 (H, W, 3), RGB, upright.

    With `size` it is squashed to (size, size, 3) by Pillow's bilinear filter, which widens as it
    shrinks (antialiasing). `name` is the file's, for the error.

    Raises:
        ImageError: there is no picture that could be read whole.
        OSError: this process is short of memory, whatever the picture is.
    """
    if not data:
        raise ImageError("empty file", "0 bytes", name)
    unread = Path(name).suffix.lower() in _UNREAD
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if min(width, height) < MIN_SIDE:
                raise ImageError("too small", f"{width} x {height} pixels", name)
            if image.mode in ("F", "LAB") or (image.format == "TIFF" and unread):
                raise UnidentifiedImageError  # measurements, or a camera's raw data
            with _room(width * height):
                if image.format in ("JPEG", "MPO"):
                    if len(_SCAN.findall(data)) > MAX_SCANS:
                        raise ImageError("too large", f"over {MAX_SCANS} scans", name)
                    image = _strict_jpeg(data, image)
                image.load()
                _turn_upright(image)
                picture = _rgb(image)
                if size is not None:
                    picture = picture.resize((size, size), Image.Resampling.BILINEAR)
                return np.asarray(picture)  # (H, W, 3)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError("too large", f"over {MAX_PIXELS} pixels", name) from None
    except UnidentifiedImageError:
        reason = "unsupported format" if unread else "not an image"
        raise ImageError(reason, f"starts with {data[:20]!r}", name) from None
    except MemoryError:
        raise OSError(ENOMEM, "not enough memory to decode a picture", str(name)) from None
    except Exception as error:  # decoders raise a dozen types on damaged data
        raise ImageError("truncated", str(error) or type(error).__name__, name) from None


def _strict_jpeg(data: bytes, image: Image.Image) -> Image.Image:
    """Return a JPEG with Pillow's pixels; raise ValueError for damage that Pillow glosses over.

    Where the strict decoder does not know a version or a mark, it is left for Pillow to load.
    """
    colours, raw = _STRICT[image.mode]
    try:
        pixels = simplejpeg.decode_jpeg(data, colours, strict=True)
    except ValueError as error:
        if str(error).startswith("Corrupt JPEG data"):
            raise
        return image
    picture = Image.frombuffer(image.mode, image.size, pixels, "raw", raw, 0, 1)
    picture.info = image.info  # its colour profile, and how it is to be turned
    return picture


def _rgb(image: Image.Image) -> Image.Image:
    """Return a loaded image of any mode as 8-bit sRGB, what is transparent in it on white."""
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip at 255 instead of scaling
        image = image.convert("I").point(_LEVELS, "L")
    colours = _srgb(image)
    if image.has_transparency_data:
        colours.putalpha(image.convert("RGBA").getchannel("A"))
        white = Image.new("RGBA", image.size, "white")
        colours = Image.alpha_composite(white, colours).convert("RGB")
    return colours


def _srgb(image: Image.Image) -> Image.Image:
    """Return an image's colours as its ICC profile means them, where it means any but sRGB."""
    plain = image.convert("RGB")
    mode = {"L": "L", "LA": "L", "1": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        meant = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (KeyError, ImageCms.PyCMSError, OSError):  # none, or broken, or of other pixels
        return plain
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, -1, 3)
    sample = Image.fromarray(cube).convert(mode)
    moved = np.asarray(meant.apply(sample), int) - np.asarray(sample.convert("RGB"), int)
    return meant.apply(image.convert(mode)) if abs(moved).max() > _SAME else plain


def _turn_upright(image: Image.Image) -> None:
    """Turn a loaded image as its EXIF says; unreadable EXIF says nothing."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # EXIF is a small TIFF file of its own, broken in as many ways
        return
