"""Keras, imported once and quietly.

TensorFlow writes lines of its own to file descriptor 2 while it loads and when it first runs,
whatever its log level says, and advice through its Python logger. They would end up in notebooks,
in the book and in front of people who only asked about a photograph. `quiet` holds both back and
gives what the descriptor held to the real one if the block fails, so that nothing that explains an
error is lost.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


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

__all__ = ["keras", "ops", "quiet"]
