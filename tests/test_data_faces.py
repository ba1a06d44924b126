"""The largest face's share of the area: found, scaled, mirrored, absent."""

import cv2
import numpy as np
import pytest
from skimage import data

from gramnb.data import filters as faces

ASTRONAUT = data.astronaut()  # 512 x 512 pixels, of which the face takes about 90 x 115


@pytest.fixture(scope="module")
def read():
    return faces.face_reader()


def test_a_face_is_found_as_it_is_and_mirrored(read):
    for picture in (ASTRONAUT, np.ascontiguousarray(ASTRONAUT[:, ::-1])):
        assert read(picture) == pytest.approx(90 * 115 / 512**2, rel=0.5)


def test_the_size_in_pixels_does_not_matter(read):
    twice = cv2.resize(ASTRONAUT, None, fx=2, fy=2)
    assert read(twice) == pytest.approx(read(ASTRONAUT), rel=0.2)


def test_the_largest_of_two_counts(read):
    face = ASTRONAUT[:240, 100:340]
    both = np.full((320, 480, 3), 128, np.uint8)
    both[40:280, 20:260] = face
    alone = read(both)
    both[100:220, 320:440] = cv2.resize(face, (120, 120))
    assert alone > 0.03 and read(both) == pytest.approx(alone, rel=0.1)


def test_pictures_without_a_face_have_none(read):
    plain = [np.full((*shape, 3), 150, np.uint8) for shape in ((240, 320), (8, 8), (8, 4000))]
    for picture in (data.cat(), data.coffee(), *plain):
        assert read(picture) == 0.0
