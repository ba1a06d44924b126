"""Text that can be read is measured; silhouettes, credits and small print are not text."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from gramnb.data import filters as text

PHOTOGRAPH = Image.fromarray(data.coffee()).resize((320, 240))


def silhouette():
    """Somebody sitting before an evening sky, as dark shapes."""
    image = Image.linear_gradient("L").resize(PHOTOGRAPH.size).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 190, 320, 240), "black")
    draw.ellipse((140, 70, 180, 112), "black")
    draw.polygon([(125, 190), (140, 110), (182, 110), (215, 190)], "black")
    draw.line([(60, 190), (60, 140), (110, 140), (110, 190)], "black", 8)
    return image


def caption(image, words, size=34, at=(20, 40)):
    """Write `words` on a copy of the image; also return the share of the area they take."""
    image = image.copy()
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox(at, words, font)
    draw.rectangle((left - 6, top - 6, right + 6, bottom + 6), "white")
    draw.text(at, words, "black", font)
    return image, (right - left) * (bottom - top) / (image.width * image.height)


@pytest.fixture(scope="module")
def read():
    reader = text.text_reader()
    return lambda image: reader(np.asarray(image))


def test_text_is_found_with_its_area_and_nothing_is_said(read, capfd):
    image, area = caption(PHOTOGRAPH, "NEVER GIVE UP")
    assert area < read(image) < 2.2 * area  # boxes have a margin, of half a line's height
    two, _ = caption(image, "in a crowded world", at=(20, 140))
    assert read(two) > 1.6 * read(image) > text.TEXT_THRESHOLD
    page = np.repeat(data.page()[:, :, None], 3, axis=2)  # a photographed page of a book
    assert read(page) > 0.4
    assert capfd.readouterr() == ("", "")


def test_pictures_without_letters_have_no_text(read):
    for picture in (PHOTOGRAPH, silhouette(), data.astronaut(), data.cat(), data.rocket()):
        assert read(picture) == 0.0


def test_credits_and_small_print_are_not_text(read):
    credited, area = caption(PHOTOGRAPH, "shutterstock.com", at=(20, 190))
    assert area > 2 * text.TEXT_THRESHOLD and read(credited) == 0.0
    quoted, _ = caption(credited, "Sad people", at=(20, 20))
    assert read(quoted) > text.TEXT_THRESHOLD
    sheet = PHOTOGRAPH.resize((640, 480))
    small, large = (caption(sheet, "page 1", size)[0] for size in (14, 56))
    assert read(small) == 0.0 < read(large)


@pytest.mark.parametrize(
    ("line", "score", "counts"),
    [
        ("Sad people", 0.8, True),
        ("Sad people", 0.79, False),
        ("1 2 3", 1.0, True),
        ("- a! b", 1.0, False),
        ("0000", 1.0, False),
        ("the end. Nothing left", 1.0, True),
        ("WWW.EXAMPLE", 1.0, False),
        ("example. com - 12345", 1.0, False),
        ("VectorStock", 1.0, False),
    ],
)
def test_what_counts_as_text(line, score, counts):
    assert text.is_text(line, score) is counts


def test_odd_shapes_do_not_fail(read):
    for shape in ((8, 8), (8, 2000), (2000, 8), (30, 300)):
        assert read(np.full((*shape, 3), 200, np.uint8)) == 0.0


def test_covered_is_the_union():
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]])  # 10 x 10 pixels, corners included
    assert text.covered(np.empty((0, 4, 2)), 20, 20) == 0.0
    assert text.covered(np.array([square, square]), 20, 20) == 100 / 400
    assert text.covered(np.array([square, square + [5, 0]]), 20, 20) == 150 / 400
