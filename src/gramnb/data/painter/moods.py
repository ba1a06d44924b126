"""How the factors of the demo scenes are distributed in each emotion.

A pair: mean and standard deviation of a normal distribution, clipped to the factor's range; a
mapping: weights of a choice. Fear is dark too, anger has storms, a calm sadness may be a sunset.
"""

from dataclasses import fields

import numpy as np

from gramnb.data.painter.factors import Factors

Mood = dict[str, tuple[float, float] | dict]

MOODS: dict[str, Mood] = {
    "everyday": {
        "place": {"field": 2, "lake": 2, "sea": 2, "village": 2, "forest": 1, "room": 1.5},
        "hour": {"day": 4, "dawn": 1, "dusk": 3, "night": 2, "gloom": 1},
        "weather": {"clear": 3, "clouds": 4, "fog": 1, "rain": 1.5, "snow": 1},
        "accent": {"none": 8, "gulls": 1, "crows": 1, "bench": 1, "kite": 0.5},
        "gesture": {"still": 5, "joined": 1, "seated": 2},
        "figures": {0: 2, 1: 3, 2: 2, 3: 1},
        "warmth": (0.0, 0.35),
        "luminance": (0.0, 0.3),
        "saturation": (0.5, 0.15),
        "texture": (0.38, 0.2),
        "bare": (0.42, 0.3),
        "lit": (0.45, 0.3),
        "bowed": (0.4, 0.3),
        "flowers": (0.35, 0.3),
    },
    "sadness": {
        "place": {"field": 1.8, "lake": 2, "sea": 2.4, "village": 1.2, "forest": 0.5, "room": 2.4},
        "hour": {"day": 4.5, "dawn": 0.6, "dusk": 1.8, "night": 1.1, "gloom": 0.6},
        "weather": {"clear": 0.7, "clouds": 1.9, "rain": 4, "fog": 2.6, "snow": 1},
        "accent": {
            "none": 7,
            "bench": 1.8,
            "graves": 1,
            "crows": 1.4,
            "gulls": 0.5,
            "balloons": 0.2,
        },
        "gesture": {"still": 5, "seated": 3.6, "joined": 0.5},
        "figures": {0: 2, 1: 6.5, 2: 1, 3: 0.3},
        "warmth": (-0.36, 0.26),
        "luminance": (-0.02, 0.24),
        "saturation": (0.21, 0.12),
        "texture": (0.3, 0.18),
        "bare": (0.76, 0.24),
        "lit": (0.22, 0.24),
        "bowed": (0.78, 0.22),
        "flowers": (0.14, 0.2),
    },
    "anger": {
        "place": {"field": 2, "lake": 1, "sea": 2, "village": 2, "forest": 2, "room": 0.8},
        "hour": {"ember": 4, "day": 1.4, "dusk": 1.4, "night": 1, "gloom": 1},
        "weather": {"storm": 3.5, "clouds": 2.5, "clear": 2, "rain": 1.2},
        "accent": {"none": 3.5, "lightning": 2.4, "fire": 2.4, "volcano": 1.4, "crows": 0.6},
        "gesture": {"raised": 5, "still": 3.2, "seated": 0.4},
        "figures": {0: 1.5, 1: 4, 2: 3, 3: 0.6},
        "warmth": (0.5, 0.3),
        "luminance": (-0.16, 0.26),
        "saturation": (0.68, 0.15),
        "texture": (0.65, 0.2),
        "bare": (0.52, 0.3),
        "lit": (0.42, 0.3),
        "bowed": (0.15, 0.2),
        "flowers": (0.12, 0.2),
    },
    "fear": {
        "place": {"field": 2, "lake": 1, "sea": 0.6, "village": 2, "forest": 4, "room": 1.4},
        "hour": {"night": 4, "gloom": 4, "dusk": 0.8, "day": 0.3},
        "weather": {"clear": 3.4, "clouds": 3, "fog": 1, "storm": 1.8, "rain": 0.3},
        "accent": {"none": 3, "eyes": 2.8, "shadow": 2.8, "graves": 1, "crows": 1, "lightning": 1},
        "gesture": {"still": 6, "raised": 2, "seated": 0.3},
        "figures": {0: 3, 1: 4, 2: 1.6},
        "warmth": (0.0, 0.3),
        "luminance": (-0.42, 0.24),
        "saturation": (0.66, 0.15),
        "texture": (0.6, 0.2),
        "bare": (0.6, 0.26),
        "lit": (0.3, 0.26),
        "bowed": (0.3, 0.26),
        "flowers": (0.14, 0.2),
    },
    "joy": {
        "place": {"field": 3, "lake": 2, "sea": 2, "village": 1.6, "forest": 1, "room": 0.8},
        "hour": {"day": 6, "dawn": 1.8, "dusk": 1.4, "night": 0.5},
        "weather": {"clear": 5, "clouds": 3.2, "snow": 1, "rain": 0.3},
        "accent": {"none": 4, "balloons": 2.4, "kite": 1.8, "airship": 1, "rainbow": 1, "gulls": 1},
        "gesture": {"raised": 4.5, "still": 2.5, "joined": 2, "seated": 0.5},
        "figures": {0: 1, 1: 2.3, 2: 3.2, 3: 2.6},
        "warmth": (0.22, 0.3),
        "luminance": (0.25, 0.26),
        "saturation": (0.63, 0.15),
        "texture": (0.28, 0.18),
        "bare": (0.14, 0.2),
        "lit": (0.6, 0.28),
        "bowed": (0.12, 0.18),
        "flowers": (0.62, 0.28),
    },
    "love": {
        "place": {"field": 2, "lake": 2, "sea": 2, "village": 1.2, "forest": 1, "room": 1.4},
        "hour": {"dusk": 4, "dawn": 2.3, "day": 2.2, "night": 1.6},
        "weather": {"clear": 5, "clouds": 3, "snow": 1, "rain": 0.9},
        "accent": {"none": 6, "hearts": 2.6, "balloons": 0.8, "gulls": 0.8, "bench": 0.4},
        "gesture": {"joined": 5.5, "seated": 3, "still": 1.4},
        "figures": {2: 7, 1: 1.2, 3: 1, 0: 1},
        "warmth": (0.34, 0.3),
        "luminance": (0.05, 0.26),
        "saturation": (0.56, 0.15),
        "texture": (0.32, 0.18),
        "bare": (0.26, 0.26),
        "lit": (0.62, 0.28),
        "bowed": (0.26, 0.2),
        "flowers": (0.55, 0.28),
    },
    "surprise": {
        "place": {"field": 2, "lake": 2, "sea": 2, "village": 2, "forest": 1, "room": 0.6},
        "hour": {"day": 4, "night": 3.2, "dawn": 1.2, "dusk": 1.2},
        "weather": {"clear": 5, "clouds": 2.6, "snow": 1.4, "rain": 0.6},
        "accent": {
            "none": 2.6,
            "fireworks": 2.4,
            "rainbow": 2,
            "comet": 1.8,
            "airship": 1.8,
            "balloons": 0.8,
        },
        "gesture": {"raised": 4, "still": 4, "joined": 0.6},
        "figures": {0: 1.3, 1: 3.2, 2: 2.8, 3: 1.4},
        "warmth": (0.05, 0.32),
        "luminance": (0.05, 0.28),
        "saturation": (0.64, 0.16),
        "texture": (0.36, 0.2),
        "bare": (0.3, 0.28),
        "lit": (0.58, 0.3),
        "bowed": (0.1, 0.15),
        "flowers": (0.38, 0.28),
    },
}


def draw_factors(mood: str, rng: np.random.Generator, shift: dict[str, float]) -> Factors:
    """Return the factors of one picture of this mood; `shift` is added to the means it names."""
    drawn = {}
    for factor in (field.name for field in fields(Factors)):
        spec = MOODS[mood][factor]
        if isinstance(spec, dict):
            weights = np.cumsum(list(spec.values()))
            chosen = int(np.searchsorted(weights, weights[-1] * rng.random(), side="right"))
            drawn[factor] = list(spec)[chosen]
        else:
            low = -1.0 if factor in ("warmth", "luminance") else 0.0
            value = rng.normal(spec[0] + shift.get(factor, 0.0), spec[1])
            drawn[factor] = round(float(min(1.0, max(low, value))), 3)
    return Factors(**_possible(drawn))


def _possible(drawn: dict) -> dict:
    """Settle what cannot be seen together: fireworks at noon, graves at sea, a taken bench."""
    accent, dark = drawn["accent"], drawn["hour"] in ("night", "gloom")
    if accent in ("fireworks", "comet", "eyes") and not dark:
        drawn["hour"] = "night"
    elif accent in ("rainbow", "kite", "airship", "gulls") and dark:
        drawn["hour"] = "day"
    on_land = accent in ("eyes", "graves", "shadow", "bench", "fire")
    if on_land and drawn["place"] in ("sea", "room"):
        drawn["place"] = "forest" if accent == "eyes" else "field"
    if accent == "lightning":
        drawn["weather"] = "storm"
    if accent == "bench":
        drawn["figures"] = 0
    elif accent == "balloons":
        drawn["figures"] = max(1, drawn["figures"])
    return drawn


def _painting(**factors) -> Factors:
    calm = dict(
        gesture="still",
        accent="none",
        warmth=0.0,
        luminance=0.0,
        saturation=0.55,
        texture=0.2,
        bare=0.2,
        lit=0.5,
        bowed=0.1,
        flowers=0.3,
        weather="clear",
    )
    return Factors(**{**calm, **factors})


PAINTINGS: dict[str, tuple[str, Factors]] = {  # sorrowful ones and others in turn
    "The Last Lamp in Saltmarket Street": (
        "sadness",
        _painting(
            place="village",
            hour="night",
            weather="snow",
            figures=1,
            bowed=0.9,
            lit=0.3,
            warmth=-0.3,
            luminance=0.45,
        ),
    ),
    "Orchard, First Warm Sunday": (
        "joy",
        _painting(
            place="field",
            hour="day",
            figures=3,
            gesture="raised",
            flowers=1.0,
            accent="kite",
            saturation=0.7,
            luminance=0.2,
        ),
    ),
    "She Left the Window Open": (
        "sadness",
        _painting(
            place="room",
            hour="dusk",
            weather="rain",
            figures=1,
            gesture="seated",
            bowed=1.0,
            bare=1.0,
            lit=0.2,
            flowers=0.1,
            luminance=0.2,
            warmth=-0.3,
        ),
    ),
    "Harbour with Two Who Stayed": (
        "love",
        _painting(
            place="sea", hour="dusk", figures=2, gesture="joined", saturation=0.65, warmth=0.3
        ),
    ),
    "November, the Bench by the Water": (
        "sadness",
        _painting(
            place="lake",
            hour="dusk",
            weather="clouds",
            figures=0,
            accent="bench",
            bare=1.0,
            flowers=0.0,
            warmth=-0.6,
            saturation=0.4,
            luminance=0.2,
        ),
    ),
    "The Night They Lit the Sky": (
        "surprise",
        _painting(
            place="lake",
            hour="night",
            figures=2,
            gesture="raised",
            accent="fireworks",
            lit=0.9,
            luminance=0.4,
        ),
    ),
    "Crows Over the Stubble Road": (
        "sadness",
        _painting(
            place="field",
            hour="dusk",
            weather="clouds",
            figures=1,
            bowed=0.8,
            bare=1.0,
            accent="crows",
            flowers=0.0,
            saturation=0.4,
        ),
    ),
    "The Hill That Would Not Forgive": (
        "anger",
        _painting(
            place="sea",
            hour="ember",
            figures=1,
            gesture="raised",
            accent="volcano",
            texture=0.5,
            saturation=0.7,
            luminance=0.3,
        ),
    ),
}
