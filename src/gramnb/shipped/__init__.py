"""The models that ship with the package: their files, each checked against its card.

`<name>.onnx` is a whole network for ONNX Runtime, which answers without TensorFlow's start.
`<name>.npz` holds the weights that training changed, for the same network in Keras
(`training.load_shipped`). `<name>.json` is the card. `studies/ship.py` makes all three.
"""

import hashlib
import json
from pathlib import Path

MODELS = ("best", "gram")  # the most reliable on unknown collections; the paper's kind
SHIPPED = Path(__file__).parent


def card(name: str = MODELS[0]) -> dict:
    """Return what is known of a shipped model: network, calibration, threshold, data, metrics."""
    return json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8"))


def content(name: str, kind: str) -> bytes:
    """Return the bytes of a shipped model's file; `kind` is "onnx" or "npz".

    Raises:
        ValueError: the file is not the one of its card.
    """
    file = SHIPPED / f"{name}.{kind}"
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != card(name)["sha256"][kind]:
        raise ValueError(f"{file}: not the published weights; install gramnb again")
    return data
