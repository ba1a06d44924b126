"""Which rows show the same picture: difference hashes, grouped without comparing all pairs.

The hash of a picture is 128 bits: shrunk to 9 x 8 pixels, is each one brighter than its neighbour
to the left (64 bits), and shrunk to 8 x 9, than the one above (64 bits). Two pictures are
near-duplicates if at most `distance` bits differ in *each* direction. Across alone, 11 of 597 pairs
among 3,377 web images were unrelated pictures with a bright middle; in both directions, none of
579. Pairs grow with the square of the images: at WEBEmo's size the 11 would be tens of thousands,
enough to chain what has nothing in common into one group.

A bit says something only where neighbours differ by more than the noise of compression. A picture
with fewer than a quarter of its 128 differences above it (a blank page, a placeholder, a stamp on
white) has no hash: it is grouped by its bytes and its address alone.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

NOISE = 3  # grey levels of 255; a smaller difference between neighbours says nothing
DISTINCT = 32  # of 128 differences that must be above the noise


def difference_hash(pixels: np.ndarray) -> str:
    """Return the hash of an RGB picture (H, W, 3): 16 hexadecimal digits across, 16 down.

    Empty where the picture is too plain to be told by it.
    """
    grey = Image.fromarray(pixels).convert("L")
    across, down = (grey.resize(size, Image.Resampling.LANCZOS) for size in ((9, 8), (8, 9)))
    steps = np.stack(  # (2, 8, 8)
        [np.diff(np.asarray(across, np.int16), axis=1), np.diff(np.asarray(down, np.int16), axis=0)]
    )
    if (np.abs(steps) >= NOISE).sum() < DISTINCT:
        return ""
    return np.packbits(steps > 0).tobytes().hex()


def near_pairs(hashes: Sequence[str], distance: int) -> np.ndarray:
    """Return all pairs of near-duplicates among different `hashes`: positions (n, 2), sorted.

    Of distance + 1 bands of bits two near-duplicates share at least one whole (pigeonhole), so only
    hashes that agree in a band are compared. A band takes every (distance + 1)-th bit of the first
    direction: neighbouring bits are alike, and plain sky would fill whole bands of them.
    """
    words = np.frombuffer(bytes.fromhex("".join(hashes)), ">u8").astype(np.uint64).reshape(-1, 2)
    found = [np.empty((0, 2), np.int64)]
    for first in range(distance + 1):
        band = words[:, 0] & np.uint64(sum(1 << bit for bit in range(first, 64, distance + 1)))
        order = np.argsort(band, kind="stable")
        band, left = band[order], np.arange(len(order))
        for step in range(1, len(order)):  # compare each with the step-th after it in its band
            left = left[: np.searchsorted(left, len(order) - step)]
            left = left[band[left] == band[left + step]]
            if not len(left):
                break
            pair = np.sort(np.stack([order[left], order[left + step]], axis=1), axis=1)
            differ = np.bitwise_count(words[pair[:, 0]] ^ words[pair[:, 1]])  # (n, 2)
            found.append(pair[(differ <= distance).all(axis=1)])
    return np.unique(np.concatenate(found), axis=0)


def groups(table: pd.DataFrame, distance: int) -> np.ndarray:
    """Return for each row the position of the first row that shows the same picture, int64.

    Rows belong together that have the same URL, the same bytes (`image_id`) or hashes at most
    `distance` apart, and rows that such rows connect. Rows with none of the three stand alone.
    """
    links = [_same(table[column]) for column in ("url", "image_id", "dhash")]
    position = table["dhash"].reset_index(drop=True).drop_duplicates()
    position = position[position != ""]
    links.append(position.index.to_numpy()[near_pairs(position.tolist(), distance)])
    one, other = np.concatenate(links).T
    size = len(table)
    graph = coo_matrix((np.ones(len(one), bool), (one, other)), (size, size))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component]


def _same(values: pd.Series) -> np.ndarray:
    """Return a pair (row, first row with the same value) for every row that has a value."""
    codes, _ = pd.factorize(values)
    _, first = np.unique(codes, return_index=True)
    pairs = np.stack([np.arange(len(codes)), first[codes]], axis=1)
    return pairs[(values != "").to_numpy()]
