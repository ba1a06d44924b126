"""Hostile lists and manifests, made by code: what each is, and what must be said of it."""

import os

import pyarrow as pa
import pyarrow.parquet as pq

URL = b"http://127.0.0.1:1/a.jpg"  # where nobody listens

# content -> what the one message names; None: the list is fine, strange as it looks
LISTS = {
    "nothing": (b"", "no list"),
    "blank": (b"\n \r\n\t\n", "no list"),
    "binary": (bytes(range(256)) * 40, "no list"),
    "utf-16": ("http://h/a.jpg 3\n".encode("utf-16"), "no list"),
    "long label": (URL + b" " + b"9" * 5000, "no list"),
    "zeros": (URL + b" " + b"0" * 5000 + b"7\n", None),
    "label 25": (URL + b" 25", "no list"),
    "label 1.5": (URL + b" 1.5", "no list"),
    "label -1": (URL + b" -1", "no list"),
    "other digits": (URL + " ٣".encode(), "no list"),
    "no address": (b"file:///etc/passwd 3", "no list"),
    "escape sequence": (b"\x1b[2J\x1b]0;x\x07 3", "no list"),
    "long line": (b"http://h/" + b"a" * 1_000_000 + b" x", "no list"),
    "spaces": (URL + b" " * 100_000 + b"x", "no list"),
    "many": (b"x\n" * 20_000, "no list"),
    "one of many": (b"x\n" * 20_000 + URL + b" 3", None),
    "byte order mark": (b"\xef\xbb\xbf" + URL + b" 3\r\n", None),
    "latin-1": (URL + b"\xe9\xff 3\n", None),
}  # fmt: skip


def _metadata(made_by):
    return lambda table, file: pq.write_table(
        table.replace_schema_metadata({"gramnb": made_by}), file
    )


def _column(name, values):
    """Return how a column is replaced, and the table written."""

    def write(table, file):
        place = table.schema.get_field_index(name)
        pq.write_table(table.set_column(place, name, pa.array(values)), file)

    return write


def _page(table, file):
    """Write 16 bytes of nonsense into the first page of data."""
    pq.write_table(table, file)
    with open(file, "r+b") as handle:
        handle.seek(40)
        handle.write(os.urandom(1) * 16)


# how a good table of four rows is written wrongly -> what the message names
MANIFESTS = {
    "empty": (lambda table, file: file.write_bytes(b""), ""),
    "page": (_page, ""),
    "cut": (lambda t, f: (pq.write_table(t, f), f.write_bytes(f.read_bytes()[:-9])), ""),
    "metadata": (_metadata(b"\xff{"), ""),
    "metadata of others": (_metadata(b"[1]"), ""),
    "labels 2": (_column("sadness", [0, 1, 2, 0]), "row 2: sadness is 2"),
    "labels -1": (_column("sadness", [0, -1, 1, 0]), "row 1: sadness is -1"),
    "labels NaN": (_column("sadness", [0.0, 1.0, float("nan"), 0.0]), "row 2: sadness is nan"),
    "labels in words": (_column("sadness", ["yes", "no", "yes", "no"]), "row 0: sadness is yes"),
    "folds too large": (_column("fold", [70_000, 1, 2, 3]), "70000"),
    "half a fold": (_column("fold", [0.5, 1, 2, 3]), "0.5"),
    "lists for paths": (_column("path", [["a"], ["b"], [], None]), ""),
    "unknown split": (_column("split", ["train", "test", "val", "Test"]), "row 3: split is 'Test'"),
    "no split": (_column("split", ["train", "test", None, "val"]), "row 2: split is ''"),
    "one column": (lambda t, f: pq.write_table(t.select(["path"]), f), "lacks the columns row"),
}
