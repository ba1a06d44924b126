"""Every way an image file can be odd: it is read as a viewer shows it, or refused with a reason."""

import os

import numpy as np
import pytest
from odd_files import bomb, encoded, picture
from PIL import Image

from gramnb.data import images
from gramnb.data.images import REASONS, ImageError, find_pictures, image_id, read_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def reason(path):
    with pytest.raises(ImageError, match=path.name) as caught:
        read_image(path)
    assert caught.value.reason in REASONS
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "PPM"])
def test_reads_what_was_drawn(tmp_path, kind):
    path = tmp_path / "picture.jpg"  # the content decides, not the name
    path.write_bytes(encoded(picture(), kind))
    got = read_image(path)
    assert got.shape == (32, 48, 3) and got.dtype == np.uint8
    assert np.abs(got - np.asarray(picture(), float)).mean() < 8


def test_size_squashes_and_antialiases(tmp_path):
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255  # every second column white: any subset of columns is all 0 or all 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = read_image(tmp_path / "stripes.png", size=16)
    assert small.shape == (16, 16, 3)
    assert np.abs(small.astype(int) - 127).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    # Each orientation names how the stored rows and columns lie in the upright picture.
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    upright = np.asarray(picture())
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "turned.png"
    path.write_bytes(encoded(Image.fromarray(np.ascontiguousarray(stored(upright))), exif=exif))
    np.testing.assert_array_equal(read_image(path), upright)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff", b""])
def test_unreadable_exif_leaves_the_picture_as_it_is(tmp_path, exif):
    path = tmp_path / "odd.png"
    path.write_bytes(encoded(picture(), exif=exif))
    np.testing.assert_array_equal(read_image(path), np.asarray(picture()))


def test_transparency_shows_white(tmp_path):
    rgba = Image.new("RGBA", (32, 32), RED + (255,))
    rgba.paste(RED + (0,), (0, 0, 16, 32))
    half = Image.new("LA", (32, 32), (0, 128))
    indexed = Image.new("P", (32, 32), 1)
    indexed.putpalette([0, 255, 0, *RED])
    indexed.paste(0, (0, 0, 16, 32))
    rgba.save(tmp_path / "rgba.png")
    half.save(tmp_path / "half.png")
    indexed.save(tmp_path / "indexed.png", transparency=0)
    indexed.save(tmp_path / "indexed.gif", transparency=0)
    for name in ("rgba.png", "indexed.png", "indexed.gif"):
        got = read_image(tmp_path / name)
        assert tuple(got[5, 5]) == WHITE and tuple(got[5, 25]) == RED, name
    assert np.all(np.abs(read_image(tmp_path / "half.png").astype(int) - 127) <= 1)


@pytest.mark.parametrize("kind, mode", [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B")])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, kind, mode):
    levels = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    data = levels.astype(">u2" if mode.endswith("B") else "<u2").tobytes()
    path = tmp_path / "deep"
    path.write_bytes(encoded(Image.frombytes(mode, (32, 32), data), kind))
    got = read_image(path)
    assert np.abs(got - (levels / 257)[..., None]).max() <= 0.5


def test_cmyk_and_grey_become_rgb(tmp_path):
    Image.new("CMYK", (32, 32), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    Image.new("L", (32, 32), 77).save(tmp_path / "grey.jpg")
    Image.new("1", (32, 32), 1).save(tmp_path / "bits.png")
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - RED).max() <= 3
    assert np.all(read_image(tmp_path / "grey.jpg") == 77)
    assert np.all(read_image(tmp_path / "bits.png") == 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_its_first_frame(tmp_path, kind):
    path = tmp_path / "moving"
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, (0, 0, 255))]
    path.write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(read_image(path).astype(int) - RED).max() <= 3


def test_files_that_are_no_images(tmp_path):
    files = {
        "page.jpg": b"\n<!DOCTYPE html><html><body>404</body></html>",
        "drawing.jpg": b'<?xml version="1.0"?><svg/>',
        "noise.jpg": b"\x01\x02\x03" * 50,
        "print.jpg": encoded(picture(), "EPS"),
        "nothing.jpg": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert reason(tmp_path / "page.jpg") == (
        "not an image",
        "starts with b'\\n<!DOCTYPE html><htm'",
    )
    assert reason(tmp_path / "drawing.jpg")[0] == "not an image"
    assert reason(tmp_path / "noise.jpg")[0] == "not an image"
    assert reason(tmp_path / "print.jpg")[0] == "not an image"  # never handed to another program
    assert reason(tmp_path / "nothing.jpg") == ("empty file", "0 bytes")
    assert reason(tmp_path / "absent.jpg")[0] == "missing"
    assert reason(tmp_path)[0] == "missing"  # a folder
    Image.new("F", (32, 32), 0.5).save(tmp_path / "float.tif")
    assert reason(tmp_path / "float.tif") == ("not an image", "pixels of mode F, not RGB")
    with pytest.raises(ImageError, match="missing"):
        read_image("")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_truncated_file_never_passes(tmp_path, kind, part):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: int(part * len(data))])
    assert reason(path)[0] in ("truncated", "not an image")
    path.write_bytes(data)
    assert read_image(path).shape == (64, 64, 3)


def test_sizes_at_both_ends(tmp_path, monkeypatch):
    Image.new("RGB", (1, 1)).save(tmp_path / "pixel.png")
    Image.new("RGB", (400, 7)).save(tmp_path / "line.png")
    assert reason(tmp_path / "pixel.png") == ("too small", "1 x 1 pixels")
    assert reason(tmp_path / "line.png")[0] == "too small"
    (tmp_path / "bomb.bmp").write_bytes(bomb())
    assert reason(tmp_path / "bomb.bmp")[0] == "too large"
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)  # between our line and Pillow's
    picture().save(tmp_path / "large.png")
    assert reason(tmp_path / "large.png") == ("too large", "48 x 32 pixels")


def test_damaged_bytes_raise_nothing_but_image_errors():
    random = np.random.default_rng(0)
    refused = 0
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        data = np.frombuffer(encoded(picture(), kind), np.uint8)
        for _ in range(100):
            damaged = data.copy()
            where = random.integers(0, len(data), 8)
            damaged[where] = random.integers(0, 256, 8)
            try:
                assert images.decode(damaged.tobytes()).shape[2] == 3
            except ImageError:
                refused += 1
    assert refused > 100


def test_image_id_is_the_head_of_sha256():
    assert image_id(b"abc") == "ba7816bf8f01cfea"


def test_every_file_that_looks_like_a_picture_is_found(tmp_path, monkeypatch):
    """By its suffix, or where that says nothing by its first bytes; the rest is listed as well."""
    heic = b"\0\0\0\x18ftypheic\0\0\0\0"
    files = {
        "a.avif": b"", "sub/b.JPEG": b"", "fetched": encoded(picture()),
        "named.heic": encoded(picture(), "JPEG"), "bomb": bomb(),
    }  # fmt: skip
    unread = {
        "c.heic": heic,
        "phone": heic,
        "raw.DNG": encoded(picture(), "TIFF"),
        "d.svg": b"<svg>",
    }
    others = {"notes.txt": b"none", "page": b"<html>"}
    for name, data in (files | unread | others | {".hidden.png": b"", "closed/e.png": b""}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_pictures(tmp_path)
    for names, paths in zip((files, unread, [*others, "pipe"], ["closed"]), found, strict=True):
        assert paths == sorted(str(tmp_path / name) for name in names)
    for name in unread:
        assert reason(tmp_path / name)[0] == "unsupported format"


def test_devices_and_short_memory_are_not_blamed_on_a_picture(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "endless.jpg"):
        assert reason(tmp_path / name) == ("not an image", "not a regular file")

    def full(image):
        raise MemoryError

    monkeypatch.setattr(images, "_rgb", full)
    picture().save(tmp_path / "a.png")
    assert reason(tmp_path / "a.png") == ("too large", "not enough memory")
