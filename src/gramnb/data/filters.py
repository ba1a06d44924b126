"""How much of a picture is text that can be read, and how much of it its largest face takes.

The paper keeps images without text (Section 4.1) and does not say how it found them. A text
detector alone often boxes a silhouette, a face or the whole picture, and so would drop sad images
first. Here a box counts once RapidOCR has read it with confidence (`benchmarks/text_agreement.py`).

The paper names no face filter; ours is off by default. Its detector is the boosted cascade of Viola
and Jones (2001) that OpenCV ships, and it is weak: on 133 web images looked at by eye it found 32
of 44 faces over 3 % of the area, and 6 of its 38 finds were none.
"""

import re
import threading
from importlib.metadata import version

import cv2
import numpy as np

# An image above this share is dropped as text. Of 420 web images labelled by eye ("is text a main
# part of it?") 98 % agree anywhere from 0.01 to 0.025; of 280 others, kept apart, 97 % agree at
# 0.02. Below it lie signs in the background, above it captions, titles and whole quotations.
TEXT_THRESHOLD = 0.02

TEXT_SIDE = 640  # pixels; larger images are shrunk to it, smaller ones not enlarged: that agrees
# no better with eyes, since faint watermarks come up with the small print, and costs 3x
CONFIDENCE = 0.8  # score of the recogniser from which a line counts as read
CHARACTERS = 3  # letters or digits a line needs, two of them different; fewer are read into
# leaves and folds, and rows of one letter into bars and eyes in the dark
FLOOR = 0.01  # share of the area; boxes that together cover less cannot reach the threshold
# A line that credits an agency says nothing of the image: a web address, or a watermark's name.
CREDIT = re.compile(
    r"www\.|\.\s?(com|net|org)(?![a-z])|alamy|getty|[a-z]stock|fotolia|dreamstime|depositphotos|123rf",
    re.IGNORECASE,
)
FACE_SIDE = 320  # pixels; larger images are shrunk to it (twice as large found no more faces)
SMALLEST = 0.12  # of the shorter side, about 1 % of the area: a smaller face is no main focus
CASCADES = {  # OpenCV's file -> windows that must agree; profiles err more often
    "haarcascade_frontalface_alt2.xml": 5,
    "haarcascade_profileface.xml": 8,
}
_OWN = threading.local()  # each thread's engines, since none answers two at once


def text_share(image: np.ndarray) -> float:
    """Return the share of an RGB image (H, W, 3) uint8 under text, 0 to 1.

    Boxes count whose reading `is_text`; none is read if together they cover less than FLOOR.
    """
    height, width = image.shape[:2]
    if 32 * max(height, width) > TEXT_SIDE * min(height, width):
        return 0.0  # a strip, shrunk to less than one cell of the detector
    if not hasattr(_OWN, "engine"):
        from rapidocr import RapidOCR  # loads ONNX Runtime: only for those who measure

        limits = {"Global.min_side_len": 1, "Global.max_side_len": TEXT_SIDE,
                  "Det.limit_type": "max", "Det.limit_side_len": TEXT_SIDE}  # fmt: skip
        threads = {f"EngineConfig.onnxruntime.{x}_op_num_threads": 1 for x in ("intra", "inter")}
        _OWN.engine = RapidOCR(params={"Global.log_level": "critical", **limits, **threads})
    engine = _OWN.engine
    image = np.ascontiguousarray(image[:, :, ::-1])  # RapidOCR works on BGR
    boxes = engine(image, use_det=True, use_cls=False, use_rec=False).boxes  # (n, 4, 2)
    if boxes is None or covered(boxes, height, width) < FLOOR:
        return 0.0
    found = engine.recognize_txt(engine.crop_text_regions(image, boxes.astype(np.float32)))
    lines = zip(found.txts, found.scores, strict=True)
    return covered(boxes[[is_text(*line) for line in lines]], height, width)


def covered(boxes: np.ndarray, height: int, width: int) -> float:
    """Return the share of an image under the union of boxes (n, 4, 2), corners (x, y) in pixels."""
    mask = np.zeros((height, width), np.uint8)
    for box in np.round(boxes).astype(np.int32):
        cv2.fillPoly(mask, [box], 1)  # one at a time: filled together, overlaps cancel out
    return float(mask.mean())


def is_text(line: str, score: float) -> bool:
    """Return whether a line read with this score (0-1) is text, and CREDITs no agency."""
    letters = [character for character in line if character.isalnum()]
    varied = len(letters) >= CHARACTERS and len(set(letters)) > 1
    return bool(score >= CONFIDENCE and varied and not CREDIT.search(line))


def face_share(image: np.ndarray) -> float:
    """Return the share of an RGB image (H, W, 3) uint8 that its largest face takes, 0 to 1.

    Not all faces together: a crowd is no portrait, and false finds do not add up.
    """
    if not hasattr(_OWN, "cascades"):
        files = (cv2.data.haarcascades + name for name in CASCADES)
        _OWN.cascades = [cv2.CascadeClassifier(file) for file in files]
    frontal, profile = zip(_OWN.cascades, CASCADES.values(), strict=True)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if (scale := FACE_SIDE / max(grey.shape)) < 1:
        width, height = (max(1, round(side * scale)) for side in grey.shape[::-1])
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    smallest = max(1, round(SMALLEST * min(grey.shape)))
    mirrored = cv2.flip(grey, 1)  # the profile cascade knows faces that look left
    sides = [0]
    for view, (cascade, agree) in (grey, frontal), (grey, profile), (mirrored, profile):
        found = cascade.detectMultiScale(view, 1.1, agree, minSize=(smallest, smallest))
        sides += [side for *_, side in found]
    return float(max(sides) ** 2 / grey.size)


# By name: what a reading depends on, under which it is cached, and what reads.
READERS = {
    "text": (
        f"rapidocr {version('rapidocr')}, side {TEXT_SIDE}, confidence {CONFIDENCE}, "
        f"characters {CHARACTERS} varied, floor {FLOOR}, without {CREDIT.pattern}",
        text_share,
    ),
    "face": (
        f"opencv {cv2.__version__}, side {FACE_SIDE}, smallest {SMALLEST}, "
        f"{', '.join(f'{name} {agree}' for name, agree in CASCADES.items())}",
        face_share,
    ),
}
