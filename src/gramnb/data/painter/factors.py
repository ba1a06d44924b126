"""The words in which a demo scene is described: its factors, the hours and the weathers."""

from dataclasses import dataclass
from typing import NamedTuple

from gramnb.data.painter.canvas import Colour


@dataclass(frozen=True)
class Factors:
    """What one picture shows. Shares and strengths are 0-1, warmth and luminance -1 to 1."""

    place: str  # field, lake, sea, village, forest, room
    hour: str  # a key of HOURS
    weather: str = "clear"  # a key of OVERCAST
    accent: str = "none"  # "none", "balloons", or a key of accents.FAR or accents.NEAR
    gesture: str = "seated"  # still, raised, joined, seated
    figures: int = 1  # people: 1 is solitude
    warmth: float = 0.0
    luminance: float = 0.0
    saturation: float = 0.5  # 0.5 leaves the colours as they are
    texture: float = 0.3
    bare: float = 0.2  # leafless trees, faded land, wilted flowers
    lit: float = 0.5  # lit windows and lamps
    bowed: float = 0.5  # posture: 0 upright, 1 bowed
    flowers: float = 0.4


class Hour(NamedTuple):
    """Sky from top to horizon, the colour shadows take, and how much of everything is shadow."""

    sky: tuple[Colour, Colour, Colour]
    ambient: Colour
    shade: float
    cloud: Colour


HOURS = {
    "day": Hour(
        ((62, 130, 208), (132, 188, 234), (222, 238, 242)), (70, 90, 130), 0.0, (255, 255, 255)
    ),
    "dawn": Hour(
        ((134, 160, 210), (238, 188, 188), (255, 230, 186)), (120, 90, 120), 0.14, (255, 236, 226)
    ),
    "dusk": Hour(
        ((58, 60, 118), (200, 104, 112), (253, 190, 104)), (66, 40, 76), 0.42, (255, 170, 140)
    ),
    "night": Hour(((10, 14, 42), (26, 40, 88), (70, 84, 128)), (14, 20, 52), 0.66, (74, 86, 122)),
    "ember": Hour(((44, 14, 24), (142, 38, 30), (240, 130, 54)), (56, 14, 16), 0.5, (120, 50, 44)),
    "gloom": Hour(((20, 32, 38), (48, 70, 68), (120, 134, 108)), (12, 24, 26), 0.55, (84, 100, 94)),
}
OVERCAST = {"clear": 0.0, "clouds": 0.2, "fog": 0.62, "snow": 0.6, "rain": 0.72, "storm": 0.84}
DULL = ((104, 112, 124), (148, 156, 164), (192, 196, 198))
STORMY = ((44, 46, 60), (82, 82, 94), (142, 134, 126))

# What people wear, houses are built of and flowers bloom in.
COATS = (
    (190, 60, 54),
    (40, 96, 150),
    (226, 168, 60),
    (70, 122, 84),
    (120, 84, 140),
    (84, 90, 104),
    (60, 60, 74),
    (222, 214, 200),
)
WALLS = ((236, 222, 196), (204, 178, 150), (178, 190, 196), (214, 156, 120), (150, 158, 170))
ROOFS = ((160, 70, 56), (110, 78, 70), (84, 90, 110), (140, 100, 60))
PETALS = ((226, 60, 70), (250, 190, 60), (240, 140, 180), (250, 250, 250), (150, 110, 210))
