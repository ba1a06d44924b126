"""Keras, imported once and quietly; models are read here, and their code is never run.

TensorFlow writes to file descriptor 2 while it loads and when it first runs, whatever its log level
says, and advice through its Python logger. `quiet` holds both back.
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
    level, real = logger.level, os.dup(2)
    logger.setLevel(logging.ERROR)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, ValueError):  # which says itself what is wrong
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


@contextmanager
def policy(name: str) -> Iterator[None]:
    """Build layers of another dtype policy meanwhile, "mixed_float16" say."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def load_model(path: str | Path, compile: bool = False) -> keras.Model:
    """Return the model in a `.keras` file, compiled as it was saved if that is asked.

    Raises:
        ValueError: there is no such file, it holds anything else, or it brings code, as a Lambda
            layer does; one line that names it.
    """
    if not Path(path).is_file():  # a pipe would wait
        raise ValueError(f"{path}: no model: no such file")
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:  # Keras, zipfile and h5py raise a handful of types
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        if reason.startswith("File not found"):  # what Keras says of a file that is no archive
            reason = "damaged"
        raise ValueError(f"{path}: no model of this package or of Keras ({reason})") from error


__all__ = ["keras", "load_model", "ops", "policy", "quiet"]
