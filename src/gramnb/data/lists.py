"""WEBEmo's lists of addresses: its label table, a reader, and an audit of what they contradict.

A list has one `URL label` a line, the label a number from 0 to 24. The same address stands there
more than once, often under different labels; nobody can learn both, so `audit_list` counts them.
Which labels the paper calls sadness it does not say; `sadness_subsets` lists those that could be.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from gramnb.paper import DATA
from gramnb.runs import resolve

# WEBEmo's category.txt, spelling as published: label 0, 1, ... 24, its name and level-2 class.
CATEGORIES = (
    ("affection", "love"), ("cheerfullness", "joy"), ("confusion", "confusion"),
    ("contentment", "joy"), ("disappointment", "sadness"), ("disgust", "anger"),
    ("enthrallment", "joy"), ("envy", "anger"), ("exasperation", "anger"), ("gratitude", "love"),
    ("horror", "fear"), ("irritabilty", "anger"), ("lust", "love"), ("neglect", "sadness"),
    ("nervousness", "fear"), ("optimism", "joy"), ("pride", "joy"), ("rage", "anger"),
    ("relief", "joy"), ("sadness", "sadness"), ("shame", "sadness"), ("suffering", "sadness"),
    ("surprise", "surprise"), ("sympathy", "sadness"), ("zest", "joy"),
)  # fmt: skip
LABELS, EMOTIONS = (np.array(names, object) for names in zip(*CATEGORIES, strict=True))

MALFORMED = "malformed line"  # status, or reason to drop, of a line that is not `URL label`
SADNESS = tuple(LABELS[EMOTIONS == "sadness"])
MAX_LIST = 1 << 30  # bytes; room for ten million lines
_LINE = r"^\s*(?P<url>https?://\S+)\s+0*(?P<label>2[0-4]|1?[0-9])\s*$"


def sadness_subsets(lines: Mapping[str, int], most_lost: float = 0.3) -> pd.DataFrame:
    """Return every subset of the six labels of sadness that could be the paper's (Section 4.1).

    A subset fits if it has at least the paper's 28,059 sadness images and loses no more than a
    share `most_lost` (0-1) of its images, since only others are undersampled. `lines` holds the
    lines of each of the 25 labels. Columns: labels, lines, images (those retrieved, estimated by
    the share of the lines), lost (share, 0-1), the fewest lost first.
    """
    kept = sum(part.sadness for part in (DATA.train, DATA.validation, DATA.test))
    sizes = range(1, len(SADNESS) + 1)
    subsets = [*chain.from_iterable(combinations(SADNESS, size) for size in sizes)]
    table = pd.DataFrame({"labels": [", ".join(labels) for labels in subsets]})
    table["lines"] = [sum(lines[label] for label in labels) for labels in subsets]
    table["images"] = (table["lines"] / sum(lines.values()) * DATA.retrieved).round().astype(int)
    table["lost"] = 1 - kept / table["images"]
    return table[table["lost"].between(0, most_lost)].sort_values("lost", ignore_index=True)


def read_lists(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return WEBEmo's lists at `paths` as one table.

    Columns: line (from 1), url, label (0-24), list (the file's name). Bytes of an address that are
    no UTF-8 stand there as %E9 and the like, as they are asked for: no two addresses become one. A
    line that is not `URL label` has no url and the label -1; an empty one lists nothing.

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: no line is `URL label`, or two lists have the same name.
    """
    paths = [resolve(path) for path in paths]
    if len({path.name for path in paths}) < len(paths):
        raise ValueError("two of the lists have the same file name; rename one to tell them apart")
    tables = []
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such list; WEBEmo's are train25.txt, test25.txt")
        if path.stat().st_size > MAX_LIST:
            raise ValueError(f"{path}: over {MAX_LIST} bytes, which no such list has")
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
        text = re.sub("[\udc80-\udcff]", lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", text)
        lines = pd.Series(text.split("\n"), dtype=object)
        lines.index += 1
        table = lines[lines.str.strip() != ""].str.extract(_LINE).fillna({"url": "", "label": "-1"})
        if (table["url"] == "").all():
            raise ValueError(f"{path}: no list: no line of it is a URL and a label from 0 to 24")
        tables.append(table.rename_axis("line").reset_index().assign(list=path.name))
    return pd.concat(tables, ignore_index=True).astype({"label": "int64"})


def read_fetched(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of what `gramnb fetch` wrote; ValueError names a file that is damaged."""
    try:
        table = pd.read_parquet(file, columns=list(columns), partitioning=None)
        numbers = table["line"].dtype.kind == "i" and table["url"].notna().all()
        if not (numbers and table.get("label", pd.Series([0])).isin(range(-1, 25)).all()):
            raise ValueError("lines, labels or addresses are none")
        return table
    except (ValueError, pa.ArrowException, OSError) as error:
        why = f"not a table of gramnb fetch ({str(error).splitlines()[0][:120]})"
        raise ValueError(f"{file}: {why}; move it away, fetch again: images stay") from None


def audit_list(paths: Sequence[str | Path]) -> dict:
    """Count how WEBEmo's lists at `paths` contradict themselves, together and each alone.

    Keys: lines (malformed ones are left out; where there are any, malformed_lines says how many),
    distinct_urls, conflicting_urls (two labels or more), sadness_conflicts (labelled
    both sadness and others), accuracy_ceiling (the share of lines that the best function of the
    image can get right, sadness against others), `labels` (lines of each of the 25), `lists` (the
    same counts for each file, by name) and, with two or more, `overlap` (URLs in more than one).

    Raises:
        FileNotFoundError, ValueError: as `read_lists`.
    """
    every = read_lists(paths)
    listed = every[every["label"] >= 0]
    counts = _conflicts(listed)
    if malformed := len(every) - len(listed):
        counts["malformed_lines"] = malformed
    times = np.bincount(listed["label"], minlength=len(LABELS))
    counts["labels"] = dict(zip(LABELS, times.tolist(), strict=True))
    counts["lists"] = {name: _conflicts(x) for name, x in listed.groupby("list", sort=False)}
    if len(counts["lists"]) > 1:
        counts["overlap"] = int((listed.groupby("url")["list"].nunique() > 1).sum())
    return counts


def audit_report(counts: dict) -> str:
    """Return `audit_list`'s counts as text: one column a list and one for all, then the labels."""
    counts = dict(counts)
    columns, lines = counts.pop("lists"), counts.pop("labels")
    table = pd.DataFrame(columns | ({"together": counts} if len(columns) > 1 else {}))
    shown = table.map("{:,.10g}".format).replace("nan", "")
    labels = pd.DataFrame({"label": LABELS, "level 2": EMOTIONS, "lines": lines.values()})
    labels["lines"] = labels["lines"].map("{:,}".format)
    return f"{shown.to_string()}\n\n{labels.to_string(index=False)}"


def _conflicts(listed: pd.DataFrame) -> dict:
    sadness = EMOTIONS[listed["label"]] == "sadness"
    urls = listed.assign(sadness=sadness).groupby("url", sort=False)
    labels, sad, lines = urls["label"].nunique(), urls["sadness"].sum(), urls.size()
    return {
        "lines": len(listed),
        "distinct_urls": len(lines),
        "conflicting_urls": int((labels > 1).sum()),
        "sadness_conflicts": int(((sad > 0) & (sad < lines)).sum()),
        "accuracy_ceiling": float(np.maximum(sad, lines - sad).sum() / max(len(listed), 1)),
    }
