"""An IPython extension of the chapters: `%load_ext gramnb.parameters`.

papermill only warns of a parameter that a notebook lacks, and the run goes on with the defaults.
"""

import ast
from itertools import pairwise


def load_ipython_extension(shell) -> None:
    """Raise ValueError if papermill has given this notebook a name that it has no parameter for.

    papermill's cell begins with "# Parameters" and stands after the notebook's own parameters.
    """
    for own, given in pairwise(shell.user_ns["In"]):
        if given.startswith("# Parameters\n"):
            known = _assigned(own)
            if unknown := ", ".join(name for name in _assigned(given) if name not in known):
                names = ", ".join(known)
                raise ValueError(f"this notebook has no parameter named {unknown}; it has: {names}")


def _assigned(code: str) -> list[str]:
    lines = ast.parse(code).body
    return [line.targets[0].id for line in lines if isinstance(line, ast.Assign)]
