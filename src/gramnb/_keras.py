"""Keras, imported once and quietly.

TensorFlow writes lines of its own to file descriptor 2 while it loads and when it first runs,
whatever its log level says, and advice through its Python logger. They would end up in notebooks,
in the book and in front of people who only asked about a photograph. `quiet` holds both back and
gives what the descriptor held to the real one if the block fails, so that nothing that explains an
error is lost. `load_model` reads models, of which no code is ever run.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back TensorFlow's advice and file descriptor 2; show the latter if the block raises."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
            logger.setLevel(level)


with quiet():
    import keras
    from keras import ops


def load_model(path: str | Path, compile: bool = False) -> keras.Model:
    """Return the model in a `.keras` file, compiled as it was saved if that is asked.

    A file is data: layers are found by name among Keras's and this package's own, and one that
    brings code, as a Lambda layer does, is refused.

    Raises:
        ValueError: there is no such file, or it holds anything else; one line that names it.
    """
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # Keras, zipfile and h5py raise a handful of types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: no model of this package or of Keras ({reason})") from error


__all__ = ["keras", "load_model", "ops", "quiet"]
