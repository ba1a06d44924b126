"""The book's promises name tests that there are, and its scale is what the command computes."""

import re
from pathlib import Path

from studies import pages, scale

ROOT = Path(__file__).parents[1]


def test_every_promise_has_a_test():
    promises = re.findall(r"^\| [A-Z].*", (ROOT / "book/promises.md").read_text(), re.MULTILINE)[1:]
    assert len(promises) > 20
    for promise in promises:
        file, name = re.search(r"`(tests/\S+\.py)::(test_\w+)`", promise).groups()
        assert f"\ndef {name}(" in (ROOT / file).read_text(), promise


def test_the_scale_is_what_the_command_computes():
    said = (ROOT / scale.PAGE).read_text(encoding="utf-8")
    assert pages.filled(said, {"scale": scale.scale()}) == said
