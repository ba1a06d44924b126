"""Gram-matrix modules on EfficientNet: does an image convey sadness?

The package of a literate repository: the notebooks tell the story, these rooms hold what they
share. Nothing heavy is imported here; each module says what it holds in its first line.
"""

from importlib.metadata import version

__version__ = version("gramnb")
