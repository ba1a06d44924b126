"""Every way an image file can be odd: it is read as a viewer shows it, or refused with a reason."""

import io
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from odd_files import bomb, encoded, picture, readable, swapped, unreadable
from PIL import Image, ImageCms

from gramnb.data import images
from gramnb.data.images import REASONS, ImageError, find_pictures, read_image


def reason(path):
    with pytest.raises(ImageError, match=path.name) as caught:
        read_image(path)
    return caught.value.reason


@pytest.mark.parametrize("kind", images._FORMATS)
def test_reads_what_was_drawn_and_never_half_of_it(kind):
    data = encoded(picture(), kind)
    got = images.decode(data, name="a.jpg")  # the content decides, not the name
    assert got.shape == (32, 48, 3) and got.dtype == np.uint8
    assert np.abs(got - np.asarray(picture(), float)).mean() < 8
    for part in (0.1, 0.5, 0.8):
        with pytest.raises(ImageError, match="truncated|not an image"):
            images.decode(data[: int(part * len(data))])


def test_odd_pictures_are_read_as_a_viewer_shows_them(tmp_path):
    """CMYK, 16 bits, transparency, animation, EXIF; and what is none has its reason."""
    half = encoded(Image.new("LA", (32, 32), (0, 128))), Image.new("RGB", (32, 32), (127,) * 3)
    for name, (data, seen) in (readable() | {"half.png": half}).items():
        got = images.decode(data).astype(int)
        assert np.abs(got - np.asarray(seen)).max() <= (8 if name.endswith(".jpg") else 1), name
    for name, (data, why) in unreadable().items():
        (tmp_path / name).write_bytes(data)
        assert reason(tmp_path / name) == why and why in REASONS
    assert reason(tmp_path / "absent.jpg") == "missing"


def test_size_squashes_and_antialiases():
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255  # every second column white: any subset of columns is all 0 or all 255
    small = images.decode(encoded(Image.fromarray(stripes)), size=16)
    assert small.shape == (16, 16, 3)
    assert np.abs(small.astype(int) - 127).max() <= 8


def test_unreadable_exif_leaves_the_picture_as_it_is():
    data = encoded(picture(), exif=b"Exif\0\0garbage")
    np.testing.assert_array_equal(images.decode(data), picture())


def test_every_file_that_looks_like_a_picture_is_found(tmp_path, monkeypatch):
    """By its suffix, or where that says nothing by its first bytes; the rest is listed as well."""
    files = {
        "a.avif": b"", "sub/b.JPEG": b"", "c.jxl": b"", "fetched": encoded(picture()),
        "phone": encoded(picture(), "HEIF"), "bomb": bomb(),
    }  # fmt: skip
    others = {"notes.txt": b"none", "page": b"<html>"}
    for name, data in (files | others | {".hidden.png": b"", "closed/e.png": b""}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to(tmp_path)
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_pictures(tmp_path)
    for names, paths in zip((files, [*others, "pipe"], ["closed", "round"]), found, strict=True):
        assert paths == sorted(str(tmp_path / name) for name in names)


def test_devices_and_short_memory_are_not_blamed_on_a_picture(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.jpg", tmp_path / "endless.jpg", tmp_path):
        assert reason(path) == "not an image"
    with open(tmp_path / "huge.png", "wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    assert reason(tmp_path / "huge.png") == "too large"

    def full(*_, **__):
        raise MemoryError

    picture().save(tmp_path / "a.png")
    for where in ((images, "_rgb"), (images.ImageOps, "exif_transpose")):
        with monkeypatch.context() as short:
            short.setattr(*where, full)
            with pytest.raises(OSError, match="not enough memory.*a.png") as caught:
                read_image(tmp_path / "a.png")
            assert not isinstance(caught.value, ImageError)


def test_all_threads_together_decode_no_more_than_the_largest_picture(monkeypatch):
    now, most, rgb = [], [], images._rgb

    def watched(image):
        now.append(image.width * image.height)
        most.append(sum(now))
        time.sleep(0.005)
        now.remove(image.width * image.height)
        return rgb(image)

    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64)
    monkeypatch.setattr(images, "_rgb", watched)
    data = [encoded(picture(side, side)) for side in (64, 32, 32, 16, 64, 32)] * 4
    with ThreadPoolExecutor(len(data)) as pool:
        shapes = list(pool.map(lambda x: images.decode(x).shape[0], data))
    with pytest.raises(ImageError, match="too large"):
        images.decode(encoded(picture(65, 64)))
    assert shapes == [64, 32, 32, 16, 64, 32] * 4 and 32 * 32 < max(most) <= 64 * 64


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "L"])
def test_colours_are_converted_to_srgb(mode):
    """A profile that says sRGB, or that is broken or of other pixels, changes no pixel."""
    kind = {"CMYK": "TIFF"}.get(mode, "PNG")

    def read(**profile):
        return images.decode(encoded(picture().convert(mode), kind, **profile)).astype(int)

    same, lab = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
                 for space in ("sRGB", "LAB"))  # fmt: skip
    for profile in (same, b"broken", same[:300], lab):
        np.testing.assert_array_equal(read(icc_profile=profile), read())
    expected = read()[..., [1, 0, 2] if mode in ("RGB", "P") else [0, 1, 2]]
    assert np.abs(read(icc_profile=swapped()) - expected).max() <= 2


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_strict_decoder_gives_the_pixels_of_pillow(mode):
    data = encoded(picture().resize((61, 43)).convert(mode), "JPEG", progressive=mode == "L")
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(images.decode(data), np.asarray(image.convert("RGB")))


def test_what_is_appended_to_a_jpeg_is_not_looked_at():
    """As telephones append a film, whose bytes look like some scans."""
    data = encoded(picture(), "JPEG")
    film = data + b"\xff\xda" * 2 * images.MAX_SCANS
    np.testing.assert_array_equal(images.decode(film), images.decode(data))


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_in_the_middle_of_a_jpeg_is_found(progressive):
    """By the strict decoder: Pillow alone reads most of these; a few nobody can tell."""
    random, found = np.random.default_rng(0), []
    for _ in range(12):
        blocks = Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8))
        large = blocks.resize((400, 400), Image.Resampling.BICUBIC)
        data = encoded(large, "JPEG", quality=95, progressive=progressive)
        assert images.decode(data).shape == (400, 400, 3)
        half = len(data) // 2
        for part, left in ((random.bytes(200), 200), (bytes(300), 300), (b"", 500)):
            try:
                images.decode(data[:half] + part + data[half + left :])
                found.append(False)
            except ImageError as error:
                found.append(error.reason == "truncated")
    assert np.mean(found) > 0.8
