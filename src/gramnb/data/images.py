"""One image file to pixels: read correctly, or refused with a reason.

`read_image` returns 8-bit RGB as a viewer would show it (turned upright, transparency on white,
first frame, 16 bits scaled to 8, CMYK and colour profiles converted to sRGB) or raises
`ImageError`; nothing comes back half read. All threads together decode at most MAX_PIXELS at a
time. `find_pictures` says for all of the package which files of a folder are asked for a picture.

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

# Pictures of formats that are not read: they are listed, so that none is left out without a word.
_UNREAD = frozenset(".jxl .jp2 .j2k .psd .svg .dng .cr2 .cr3 .nef .arw .orf .raf .rw2".split())
_IN_FLIGHT, _CHANGED = [], threading.Condition()  # pixels of the pictures being decoded
_SAME = 3  # levels of 255; a profile that moves no colour further says sRGB in its own words
_MARKER, _SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL), b"\xff\xda"  # of JPEG
# A picture's mode: the strict decoder's name of such pixels, and Pillow's of what comes out of it.
_STRICT = {"RGB": ("RGBX", "RGBX"), "L": ("GRAY", "L"), "CMYK": ("CMYK", "CMYK;I")}
_LEVELS = np.rint(np.arange(1 << 16) / 257).astype(int).tolist()  # from 16 bits to 8


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
    closed: list[str]  # folders that may not be listed, and links to folders, which may lead round


def find_pictures(folder: str | Path) -> Listing:
    """Return what lies below `folder`; hidden files and folders are passed over."""
    found, errors = Listing([], [], [], []), []
    for place, below, files in os.walk(folder, onerror=errors.append):
        below[:] = [name for name in below if not name.startswith((".", "__MACOSX"))]
        found.closed.extend(filter(os.path.islink, (os.path.join(place, x) for x in below)))
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
        with Image.open(path, formats=_FORMATS) as image:
            return known if image.format == "TIFF" and suffix in _UNREAD else "pictures"
    except Image.DecompressionBombError:
        return "pictures"  # refused with its reason when it is asked for
    except (OSError, ValueError, SyntaxError):
        return known


def read_image(path: str | Path, size: int | None = None) -> np.ndarray:
    """Return the picture at `path` as uint8 (H, W, 3), RGB, upright.

    With `size` it is squashed to (size, size, 3) by Pillow's bilinear filter, which widens as it
    shrinks (antialiasing).

    Raises:
        ImageError: there is no picture that could be read whole.
    """
    return decode(read_bytes(path), size, path)


def read_bytes(path: str | Path) -> bytes:
    """Return a file's bytes; raise ImageError if there are none, too many, or it is no file."""
    if not str(path) or "\0" in str(path):
        raise ImageError("missing", "no file for this row")
    try:
        about = os.stat(path)
        # a pipe waits, a device may never end
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            raise ImageError("not an image", "not a regular file", path)
        if about.st_size > MAX_BYTES:
            raise ImageError("too large", f"over {MAX_BYTES} bytes", path)
        with open(path, "rb") as file:
            data = file.read(about.st_size)
    except OSError as error:
        raise ImageError("missing", error.strerror or str(error), path) from None
    if not data:
        raise ImageError("empty file", "0 bytes", path)
    return data


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
    """Return the pixels in a file's bytes, as `read_image` does; `name` is for the error.

    Raises:
        ImageError: there is no picture that could be read whole.
        OSError: this process is short of memory, whatever the picture is.
    """
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
            with _room(width * height):
                if image.format in ("JPEG", "MPO"):
                    if data.count(_SCAN) > MAX_SCANS and (scans := _scans(data)) > MAX_SCANS:
                        raise ImageError("too large", f"{scans} scans", name)
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
        known = Path(name).suffix.lower() in _UNREAD
        reason = "unsupported format" if known else "not an image"
        raise ImageError(reason, f"starts with {data[:20]!r}", name) from None
    except MemoryError:
        raise OSError(ENOMEM, "not enough memory to decode a picture", str(name)) from None
    except Exception as error:  # decoders raise a dozen types on damaged data
        raise ImageError("truncated", str(error) or type(error).__name__, name) from None


def _scans(data: bytes) -> int:
    """Return how many scans a JPEG has; what is appended to it, a film say, is not looked at."""
    scans, place = 0, 2
    while (marker := _MARKER.search(data, place)) and marker[0] != b"\xff\xd9":
        scans += marker[0] == _SCAN
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return scans


def _strict_jpeg(data: bytes, image: Image.Image) -> Image.Image:
    """Return a JPEG decoded by who raises ValueError for damage that most decoders gloss over.

    The pixels are Pillow's. Where the strict decoder does not know a version or a mark, the picture
    comes back as it was opened, for Pillow to load.
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
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # 16 bits, which `convert` would clip at 255 instead of scaling
        image = image.convert("I").point(_LEVELS, "L")
    if profile and (colours := _srgb(image, profile)):
        if image.has_transparency_data:
            colours.putalpha(image.convert("RGBA").getchannel("A"))
        image = colours
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image if image.mode == "RGB" else image.convert("RGB")


def _srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the colours that an ICC profile means; none where it means sRGB, or nothing."""
    mode = {"L": "L", "LA": "L", "1": "L", "CMYK": "CMYK"}.get(image.mode, "RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        meant = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):  # broken, or of another kind of pixels: as viewers do
        return None
    steps = np.linspace(0, 255, 17).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17, -1, 3)
    sample = Image.fromarray(cube).convert(mode)
    moved = np.asarray(meant.apply(sample), int) - np.asarray(sample.convert("RGB"), int)
    return meant.apply(image.convert(mode)) if abs(moved).max() > _SAME else None


def _turn_upright(image: Image.Image) -> None:
    """Turn a loaded image as its EXIF says; unreadable EXIF says nothing."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # EXIF is a small TIFF file of its own, broken in as many ways
        return
