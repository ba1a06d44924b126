"""The largest face's share of the area: found, scaled, mirrored, absent."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from skimage import data

from gramnb.data import faces


def head(side, background=150):
    """A drawn head seen from the front: brows, eyes, nose, mouth, with soft shadows."""
    image = Image.new("L", (side, side), background)
    draw, u = ImageDraw.Draw(image), side / 100

    def ellipse(left, top, right, bottom, grey):
        draw.ellipse((left * u, top * u, right * u, bottom * u), grey)

    ellipse(8, -12, 92, 112, 205)  # face
    ellipse(8, -30, 92, 22, 60)  # hair
    for x in (32, 68):
        ellipse(x - 15, 30, x + 15, 50, 120)  # socket
        draw.rectangle(((x - 14) * u, 30 * u, (x + 14) * u, 34 * u), 60)  # brow
        ellipse(x - 9, 38, x + 9, 47, 235)
        ellipse(x - 5, 37, x + 5, 48, 30)  # iris
    ellipse(40, 60, 60, 70, 160)  # nose
    ellipse(45, 40, 55, 66, 225)
    ellipse(32, 76, 68, 86, 90)  # mouth
    ellipse(40, 90, 60, 96, 170)
    return image.filter(ImageFilter.GaussianBlur(1.2 * u))


def scene(side=100, at=(110, 70), size=(320, 240)):
    image = Image.new("L", size, 150)
    image.paste(head(side), at)
    return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def read():
    return faces.face_reader()


def test_a_face_has_about_its_area(read):
    assert 0.5 < read(scene()) / (100 * 100 / (320 * 240)) < 1.6


def test_mirroring_changes_little_and_scaling_nothing_much(read):
    share = read(scene())
    assert read(np.ascontiguousarray(scene()[:, ::-1])) == pytest.approx(share, rel=0.3)
    assert read(cv2.resize(scene(), None, fx=3, fy=3)) == pytest.approx(share, rel=0.3)


def test_the_largest_of_two_counts(read):
    two = scene(120, at=(20, 60)).copy()
    two[60:130, 230:300] = np.asarray(head(70).convert("RGB"))
    assert read(two) == pytest.approx(read(scene(120, at=(20, 60))), rel=0.3)


def test_a_photographed_face(read):
    astronaut = data.astronaut()  # the face takes about 90 x 115 of 512 x 512 pixels
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    assert 0.02 < read(astronaut) < 0.06 and 0.02 < read(mirrored) < 0.06
    assert read(data.cat()) == read(data.coffee()) == 0.0


@pytest.mark.parametrize("grey", [0, 150, 255])
@pytest.mark.parametrize("shape", [(240, 320, 3), (8, 8, 3), (8, 4000, 3)])
def test_plain_images_have_none(read, grey, shape):
    assert read(np.full(shape, grey, np.uint8)) == 0.0
