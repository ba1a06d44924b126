"""Near-duplicates: closed-form hashes, all pairs found, nothing unrelated chained together.

That copies are near and other pictures far is tested on the drawn images (`test_data_demo`).
"""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gramnb.data import manifest
from gramnb.data.duplicates import difference_hash, groups, near_pairs


def ramp(across, down):
    rows, columns = np.mgrid[0:128, 0:128]
    level = 128 + across * (columns - 64) + down * (rows - 64)
    return np.repeat(np.clip(level, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_hash_of_ramps_is_known():
    assert difference_hash(ramp(1, 0)) == "f" * 16 + "0" * 16
    assert difference_hash(ramp(-1, 1)) == "0" * 16 + "f" * 16
    assert difference_hash(ramp(0.5, 0.5)) == "f" * 32


def test_plain_pictures_have_no_hash():
    page = Image.new("RGB", (160, 120), "white")
    ImageDraw.Draw(page).rectangle((70, 50, 90, 70), fill="black")
    noise = np.random.default_rng(0).integers(-1, 2, (120, 160, 3)) + 128
    assert difference_hash(np.asarray(page)) == difference_hash(noise.astype(np.uint8)) == ""


@pytest.mark.parametrize("distance", [1, 6])
def test_near_pairs_are_those_of_comparing_all(distance):
    random = np.random.default_rng(distance)
    words = random.integers(0, 2**64, (40, 2), dtype=np.uint64).repeat(12, axis=0)
    flips = random.random((len(words), 2, 64)) < 0.06
    words ^= np.packbits(flips, axis=2).view(">u8")[..., 0].astype(np.uint64)
    hashes = sorted({f"{a:016x}{b:016x}" for a, b in words})
    content = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8)
    table = np.unpackbits(content).reshape(-1, 2, 64)
    differ = (table[:, None] != table[None]).sum(axis=3)  # (n, n, 2)
    expected = np.argwhere(np.triu((differ <= distance).all(axis=2), 1))
    np.testing.assert_array_equal(near_pairs(hashes, distance), expected)
    assert (len(expected) > 0) == (distance > 1)


def group(**columns):
    return groups(manifest.new(columns), 4).tolist()


def test_rows_are_linked_by_url_bytes_and_hash_and_through_each_other():
    zero, near, far = "0" * 32, "0" * 31 + "7", "0" * 16 + "f" * 16
    assert group(url=["a", "", "a", ""]) == [0, 1, 0, 3]
    # 3 and 0 share an address, 0 and 1 their bytes, 1 and 2 nearly their hash.
    assert group(
        url=["u", "", "", "u"], image_id=["x", "x", "y", "z"], dhash=["", zero, near, far]
    ) == [0, 0, 0, 0]
    assert group() == []
