"""Image files as the web hands them out: how a picture is hidden in them, or why there is none."""

import io

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()


def picture(width=48, height=32):
    """A picture whose corners all differ, so that no turn of it looks like another."""
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = np.stack([columns * 255 / width, rows * 255 / height, 0 * rows], axis=-1)
    return Image.fromarray(ramp.astype(np.uint8))


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb():
    """400 million pixels said in 40 bytes of header, to be refused before any is allocated."""
    data = bytearray(encoded(Image.new("1", (32, 32)), "BMP"))
    data[18:26] = (20_000).to_bytes(4, "little") * 2
    return bytes(data)


def swapped():
    """An ICC profile in which red means sRGB's green, and green its red."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"-XYZ").replace(b"gXYZ", b"rXYZ").replace(b"-XYZ", b"gXYZ")


def readable():
    """Files by name, each with the picture that a viewer shows of it."""
    plain = picture()
    exif = Image.Exif()
    exif[274] = 6  # the top of the picture is the stored picture's left side
    grey = np.asarray(plain.convert("L"))
    deep, tiff = (Image.frombytes(mode, plain.size, (grey.astype(order) * 257).tobytes())
                  for mode, order in (("I;16", "<u2"), ("I;16B", ">u2")))  # fmt: skip
    glass, half = plain.convert("RGBA"), plain.copy()
    glass.paste((0, 255, 0, 0), (0, 0, 24, 32))
    half.paste("white", (0, 0, 24, 32))
    exact = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    palette = plain.quantize(16)
    seen = palette.convert("RGB")
    seen.paste("white", mask=Image.fromarray(np.asarray(palette) == 0))
    return {
        "cmyk.jpg": (encoded(plain.convert("CMYK"), "JPEG", quality=100, subsampling=0), plain),
        "deep.png": (encoded(deep), Image.fromarray(grey).convert("RGB")),
        "deep.tif": (encoded(tiff, "TIFF"), Image.fromarray(grey).convert("RGB")),
        "phone.heic": (encoded(plain, "HEIF", **exact), plain),
        "glass.png": (encoded(glass), half),
        "palette.png": (encoded(palette, transparency=0), seen),
        "moving.png": (encoded(plain, save_all=True, append_images=[Image.new("RGB", plain.size)]),
                       plain),
        "turned.png": (encoded(plain.transpose(Image.Transpose.ROTATE_90), exif=exif), plain),
    }  # fmt: skip


def many_scans():
    """A JPEG of a thousand scans; a megabyte of them can take half a minute to decode."""
    data = encoded(picture(), "JPEG", progressive=True)
    scans = data[data.index(b"\xff\xda") : -2]
    return data[:-2] + 100 * scans + data[-2:]


def unreadable():
    """Files by name, each with the reason to give for it."""
    return {
        "bomb.bmp": (bomb(), "too large"),
        "scans.jpg": (many_scans(), "too large"),
        "cut.jpg": (encoded(picture(), "JPEG")[:-200], "truncated"),
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "not an image"),
        "cut.heic": (encoded(picture(), "HEIF")[:-200], "not an image"),
        "measured.tif": (encoded(Image.new("F", (32, 32)), "TIFF"), "not an image"),
        "script.jpg": (encoded(picture(), "EPS"), "not an image"),  # for another program to run
        "phone.jxl": (b"\xff\x0a\xfa\x1f", "unsupported format"),
        "camera.DNG": (encoded(picture(), "TIFF"), "unsupported format"),
        "pixel.png": (encoded(Image.new("RGB", (1, 1))), "too small"),
        "line.png": (encoded(Image.new("RGB", (400, 7))), "too small"),
        "void.png": (b"", "empty file"),
    }
