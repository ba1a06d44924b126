"""Gram-matrix modules on EfficientNet: does an image convey sadness?

The names below are loaded when they are first used, so that importing this is quick.
"""

from importlib import import_module
from importlib.metadata import version

__version__ = version("gramnb")

_ROOMS = {
    "GramMatrix": "layers",
    "GramModule": "layers",
    "GramBank": "layers",
    "build_classifier": "models",
    "TrainConfig": "config",
    "train": "training",
    "transfer": "training",
    "curate": "data.curation",
    "SadnessClassifier": "predict",
}
__all__ = list(_ROOMS)


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
