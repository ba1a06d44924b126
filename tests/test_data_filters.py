"""Text that can be read, and the largest face, as shares of a picture's area."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from gramnb.data import filters

PHOTOGRAPH = Image.fromarray(data.coffee()).resize((320, 240))
ASTRONAUT = data.astronaut()  # 512 x 512 pixels, of which the face takes about 90 x 115


def text(image):
    return filters.text_share(np.asarray(image))


def caption(image, words, size=34, at=(20, 40)):
    """Write `words` on a copy of the image; also return the share of the area they take."""
    image = image.copy()
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox(at, words, font)
    draw.rectangle((left - 6, top - 6, right + 6, bottom + 6), "white")
    draw.text(at, words, "black", font)
    return image, (right - left) * (bottom - top) / (image.width * image.height)


def test_text_is_found_with_its_area_and_nothing_is_printed(capfd):
    image, area = caption(PHOTOGRAPH, "NEVER GIVE UP")
    assert area < text(image) < 2.2 * area  # boxes have a margin, of half a line's height
    assert text(image) > filters.TEXT_THRESHOLD
    assert capfd.readouterr() == ("", "")


def test_credits_and_small_print_are_not_text():
    credited, area = caption(PHOTOGRAPH, "shutterstock.com", at=(20, 190))
    assert area > 2 * filters.TEXT_THRESHOLD and text(credited) == 0.0
    quoted, _ = caption(credited, "Sad people", at=(20, 20))
    assert text(quoted) > filters.TEXT_THRESHOLD
    sheet = PHOTOGRAPH.resize((640, 480))
    small, large = (caption(sheet, "page 1", size)[0] for size in (14, 56))
    assert text(small) == 0.0 < text(large)


def test_what_counts_as_text():
    for line in ("Sad people", "1 2 3", "the end. Nothing left"):
        assert filters.is_text(line, 0.8) and not filters.is_text(line, 0.79)
    for line in ("- a! b", "0000", "WWW.EXAMPLE", "example. com - 12345", "VectorStock"):
        assert not filters.is_text(line, 1.0)


def test_covered_is_the_union():
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]])  # 10 x 10 pixels, corners included
    assert filters.covered(np.array([square, square, square + [5, 0]]), 20, 20) == 150 / 400


def test_pictures_with_neither_have_none():
    plain = [np.full((*shape, 3), 150, np.uint8) for shape in ((8, 8), (8, 2000), (2000, 8))]
    for picture in (data.cat(), data.coffee(), *plain):
        assert text(picture) == filters.face_share(picture) == 0.0
    assert text(PHOTOGRAPH) == text(ASTRONAUT) == 0.0


def test_a_face_is_found_mirrored_and_of_any_size():
    for picture in (ASTRONAUT, np.ascontiguousarray(ASTRONAUT[:, ::-1])):
        assert filters.face_share(picture) == pytest.approx(90 * 115 / 512**2, rel=0.5)
    twice = ASTRONAUT.repeat(2, axis=0).repeat(2, axis=1)
    assert filters.face_share(twice) == pytest.approx(filters.face_share(ASTRONAUT), rel=0.2)
