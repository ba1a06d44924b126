"""Text that can be read is measured, silhouettes are not text, a pass can be interrupted."""

import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data

from gramnb.data import _scores, text

WIDTH, HEIGHT = 320, 240


def photograph(seed=0):
    """Blurred colour noise over a ramp: light and dark, soft edges, no letters."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    soft = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    ramp = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    return Image.blend(soft.filter(ImageFilter.GaussianBlur(4)), ramp, 0.6)


def silhouette():
    """Somebody sitting before an evening sky, as dark shapes."""
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 190, WIDTH, HEIGHT), "black")
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


def test_drawn_text_is_found_with_its_area(read):
    image, area = caption(photograph(), "NEVER GIVE UP")
    assert area < read(image) < 2.2 * area  # boxes have a margin, of half a line's height
    assert read(image) > text.TEXT_THRESHOLD


def test_area_grows_with_the_lines(read):
    one, _ = caption(photograph(), "People are lonely")
    two, _ = caption(one, "in a crowded world", at=(20, 140))
    assert read(two) > 1.6 * read(one)


@pytest.mark.parametrize("image", [photograph(), photograph(1), silhouette()], ids=str)
def test_pictures_without_letters_have_no_text(read, image):
    assert read(image) == 0.0


def test_real_pictures(read):
    for picture in (data.astronaut(), data.cat(), data.coffee(), data.rocket()):
        assert read(picture) == 0.0
    page = np.repeat(data.page()[:, :, None], 3, axis=2)  # a photographed page of a book
    assert read(page) > 0.4


def test_a_credit_is_not_text(read):
    credited, area = caption(photograph(), "shutterstock.com", at=(20, 190))
    assert area > 2 * text.TEXT_THRESHOLD and read(credited) == 0.0
    quoted, _ = caption(credited, "Sad people", at=(20, 20))
    assert read(quoted) > text.TEXT_THRESHOLD


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
    assert text._is_text(line, score) is counts


def test_small_print_is_not_worth_reading(read):
    sheet = photograph().resize((2 * WIDTH, 2 * HEIGHT))
    small, large = (caption(sheet, "page 1", size)[0] for size in (14, 56))
    assert read(small) == 0.0 < read(large)


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 2000, 3), (2000, 8, 3), (30, 300, 3)])
def test_odd_shapes_do_not_fail(read, shape):
    assert read(np.full(shape, 200, np.uint8)) == 0.0


def test_covered_is_the_union():
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]])  # 10 x 10 pixels, corners included
    assert text.covered(np.empty((0, 4, 2)), 20, 20) == 0.0
    assert text.covered(np.array([square]), 20, 20) == 100 / 400
    assert text.covered(np.array([square, square]), 20, 20) == 100 / 400
    assert text.covered(np.array([square, square + [5, 0]]), 20, 20) == 150 / 400


@pytest.fixture
def files(tmp_path):
    """Nine files: seven pictures, one of them twice, and one that is none."""
    paths = []
    for n in range(7):
        image = caption(photograph(n), "LONELY PEOPLE")[0] if n % 2 else photograph(n)
        image.save(tmp_path / f"{n}.png")
        paths.append(str(tmp_path / f"{n}.png"))
    (tmp_path / "page.png").write_text("<html></html>")
    return [*paths, paths[0], str(tmp_path / "page.png")], [*"0123456", "0", "7"]


def test_fractions_align_and_are_kept(files, tmp_path):
    paths, ids = files
    cache = tmp_path / "text.sqlite"
    first = text.text_fractions(paths, ids, cache, workers=2, progress=False)
    assert first.dtype == np.float32 and first.shape == (9,)
    assert (first[1:7:2] > 0.1).all() and (first[0:7:2] == 0).all()
    assert first[7] == first[0] and np.isnan(first[8])

    moved = ["nowhere.png"] * 9  # kept by id: no file is opened again
    again = text.text_fractions(moved[::-1], ids[::-1], cache, progress=False)
    np.testing.assert_array_equal(again[::-1], first)


def test_a_pass_says_nothing(files, tmp_path):
    script = "import sys; from gramnb.data.text import text_fractions as f; f(sys.argv[2:], "
    script += "list('0123456789'[:len(sys.argv) - 2]), sys.argv[1], progress=False)"
    command = [sys.executable, "-c", script, str(tmp_path / "text.sqlite"), *files[0]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Counting:
    """A reader that gives an image's mean, counts what it reads, and can be told to stop."""

    def __init__(self, stop=None):
        self.seen, self.stop = 0, stop

    def __call__(self, image):
        if self.seen == self.stop:
            raise KeyboardInterrupt
        self.seen += 1
        return image.mean() / 255


def pass_over(files, cache, counting, reader="a", workers=1):
    return _scores.scores(*files, lambda: counting, reader, cache, workers, progress=False)


def test_an_interrupted_pass_goes_on(files, tmp_path, monkeypatch):
    monkeypatch.setattr(_scores, "BLOCK", 2)
    cache, stopped, rest = tmp_path / "s.sqlite", Counting(stop=5), Counting()
    with pytest.raises(KeyboardInterrupt):
        pass_over(files, cache, stopped)
    resumed = pass_over(files, cache, rest)
    assert stopped.seen == 5 and rest.seen == 7 - 4  # two blocks of two were committed
    np.testing.assert_array_equal(resumed, pass_over(files, tmp_path / "t.sqlite", Counting()))


def test_another_reader_reads_anew_and_a_repaired_file_is_read(files, tmp_path):
    cache, first, second, third = tmp_path / "s.sqlite", Counting(), Counting(), Counting()
    pass_over(files, cache, first)
    pass_over(files, cache, second, reader="b")
    assert (first.seen, second.seen) == (7, 7)
    photograph().save(files[0][8])
    assert not np.isnan(pass_over(files, cache, third)[8]) and third.seen == 1


def test_threads_do_not_change_the_result(files, tmp_path):
    one = pass_over(files, tmp_path / "1.sqlite", Counting(), workers=1)
    np.testing.assert_array_equal(one, pass_over(files, tmp_path / "3.sqlite", Counting(), "a", 3))


def test_errors_name_what_is_wrong(files, tmp_path):
    paths, ids = files
    with pytest.raises(ValueError, match="8 paths for 9 image ids"):
        text.text_fractions(paths[1:], ids, tmp_path / "s.sqlite")
    (tmp_path / "notes.txt").write_text("not a database, but long enough to be looked at" * 20)
    with pytest.raises(ValueError, match="notes.txt: no file of scores"):
        text.text_fractions(paths, ids, tmp_path / "notes.txt")
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("create table scores (a text)")
    other.close()
    with pytest.raises(ValueError, match="other.sqlite: no file of scores"):
        text.text_fractions(paths, ids, tmp_path / "other.sqlite")
