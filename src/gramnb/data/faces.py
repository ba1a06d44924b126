"""How much of an image its largest face takes.

The paper's general images are those "where faces are not the main focus" (Section 1), yet its
pipeline names no face filter. This is a column to look at, and a filter that is off by default.
The detector is the boosted cascade of Viola and Jones (2001) that OpenCV ships, frontal and both
profiles: it runs anywhere and needs no download, and it is weak. On 133 web images looked at by
eye it found 32 of 44 photographed faces over 3 % of the area, and 6 of its 38 finds were none. It
misses faces that are tilted, turned, covered, cropped or dark, and drawn ones; it found 13 of 20
on sad images and 19 of 24 on others, so shares of the two classes compare only roughly.
"""

from collections.abc import Callable

import cv2
import numpy as np

LONGEST_SIDE = 320  # pixels; larger images are shrunk to it (twice as large found no more faces)
SMALLEST = 0.12  # of the shorter side, about 1 % of the area: a smaller face is no main focus
CASCADES = {  # OpenCV's file -> windows that must agree; profiles err more often
    "haarcascade_frontalface_alt2.xml": 5,
    "haarcascade_profileface.xml": 8,
}
READER = (
    f"opencv {cv2.__version__}, side {LONGEST_SIDE}, smallest {SMALLEST}, "
    f"{', '.join(f'{name} {agree}' for name, agree in CASCADES.items())}"
)


def face_reader() -> Callable[[np.ndarray], float]:
    """Return a function from an RGB image (H, W, 3) uint8 to its largest face's share of the area.

    Shares are 0 to 1; 0 means no face was found. The largest face and not all together: a crowd is
    no portrait, and false finds do not add up. A face's area is the detector's square. Each call
    makes its own cascades, for one thread.
    """
    frontal, profile = (
        (cv2.CascadeClassifier(cv2.data.haarcascades + name), agree)
        for name, agree in CASCADES.items()
    )

    def read(image: np.ndarray) -> float:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if (scale := LONGEST_SIDE / max(grey.shape)) < 1:
            width, height = (max(1, round(side * scale)) for side in grey.shape[::-1])
            grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        smallest = max(1, round(SMALLEST * min(grey.shape)))
        mirrored = cv2.flip(grey, 1)  # the profile cascade knows faces that look left
        sides = [
            side
            for view, (cascade, agree) in ((grey, frontal), (grey, profile), (mirrored, profile))
            for *_, side in cascade.detectMultiScale(
                view, scaleFactor=1.1, minNeighbors=agree, minSize=(smallest, smallest)
            )
        ]
        return float(max(sides, default=0) ** 2 / grey.size)

    return read
