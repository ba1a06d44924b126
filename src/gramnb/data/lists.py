"""WEBEmo's lists of addresses: their labels, a reader, and an audit of what they contradict.

A list has one `URL label` a line, the label a number from 0 to 24. The same address stands there
more than once, often under different labels; nobody can learn both, so `audit_list` counts them.
Which labels the paper calls sadness it does not say; `sadness_subsets` lists those that could be.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from gramnb.data.images import SUFFIXES
from gramnb.runs import resolve

# WEBEmo's category.txt, spelling as published: by number a label's name and its level-2 class.
CATEGORIES = pd.read_csv(Path(__file__).with_name("webemo.csv"), index_col="number")
SADNESS = tuple(CATEGORIES["name"][CATEGORIES["emotion"] == "sadness"])
MALFORMED = "malformed line"  # status, or reason to drop, of a line that is not `URL label`
_LINE = r"^\s*(?P<url>https?://\S+)\s+0*(?P<label>2[0-4]|1?[0-9])\s*$"


def sadness_subsets(lines: Mapping[str, int], most_lost: float = 0.3) -> pd.DataFrame:
    """Return every subset of the six labels of sadness that could be the paper's (Section 4.1).

    A subset fits if it has at least the paper's 28,059 sadness images and loses no more than a
    share `most_lost` (0-1) of its images, since only others are undersampled. `lines` holds the
    lines of each of the 25 labels. Columns: labels, lines, images (those retrieved, estimated by
    the share of the lines), lost (share, 0-1), the fewest lost first.
    """
    from gramnb.paper import DATA  # loads scipy.stats: not for those who download

    kept = sum(part.sadness for part in (DATA.train, DATA.validation, DATA.test))
    subsets = [x for size in range(len(SADNESS)) for x in combinations(SADNESS, size + 1)]
    table = pd.DataFrame({"labels": [", ".join(labels) for labels in subsets]})
    table["lines"] = [sum(lines[label] for label in labels) for labels in subsets]
    table["images"] = (table["lines"] / sum(lines.values()) * DATA.retrieved).round().astype(int)
    table["lost"] = 1 - kept / table["images"]
    return table[table["lost"].between(0, most_lost)].sort_values("lost", ignore_index=True)


def read_lists(paths: Sequence[str | Path]) -> pd.DataFrame:
    """Return WEBEmo's lists at `paths` as one table.

    Columns: line (from 1), url, label (0-24), list (the file's name), name and emotion (of the
    label). Bytes of an address that are no UTF-8 stand there as %E9 and the like, as they are asked
    for: no two addresses become one. A line that is not `URL label` has the label -1 and no url.

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
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
        text = re.sub("[\udc80-\udcff]", lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", text)
        lines = pd.Series(text.split("\n"), dtype=object)
        lines.index += 1
        table = lines[lines.str.strip() != ""].str.extract(_LINE).fillna({"url": "", "label": "-1"})
        if (table["url"] == "").all():
            raise ValueError(f"{path}: no list: no line of it is a URL and a label from 0 to 24")
        tables.append(table.rename_axis("line").reset_index().assign(list=path.name))
    table = pd.concat(tables, ignore_index=True).astype({"label": "int64"})
    return table.join(CATEGORIES, on="label").fillna("")


def place(url: str) -> str:
    """Return where the image of an address is kept, relative to the folder of a download."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    suffix = PurePosixPath(re.split("[?#]", url)[0]).suffix.lower()
    return f"images/{name[:2]}/{name}{suffix if suffix in SUFFIXES else ''}"


def audit_list(paths: Sequence[str | Path]) -> dict[str, dict[str, float]]:
    """Count how WEBEmo's lists at `paths` contradict themselves: each by its name, and `together`.

    Counted are lines (without malformed ones), malformed_lines, distinct_urls, conflicting_urls
    (two labels or more), sadness_conflicts (labelled both sadness and others), accuracy_ceiling
    (the share of lines that the best function of the image can get right, sadness against others),
    overlap (URLs in more than one list) and the lines of each of the 25 labels.

    Raises:
        FileNotFoundError, ValueError: as `read_lists`.
    """
    listed = read_lists(paths)
    counts = {name: _contradictions(own) for name, own in listed.groupby("list", sort=False)}
    return counts | {"together": _contradictions(listed)}


def _contradictions(listed: pd.DataFrame) -> dict[str, float]:
    good = listed[listed["label"] >= 0]
    urls = good.assign(sadness=good["emotion"] == "sadness").groupby("url")
    lines, sad = urls.size(), urls["sadness"].sum()
    return {
        "lines": len(good),
        "malformed_lines": len(listed) - len(good),
        "distinct_urls": len(lines),
        "conflicting_urls": int((urls["label"].nunique() > 1).sum()),
        "sadness_conflicts": int(sad.between(0, lines, inclusive="neither").sum()),
        "accuracy_ceiling": float(np.maximum(sad, lines - sad).sum() / max(len(good), 1)),
        "overlap": int((urls["list"].nunique() > 1).sum()),
        **good["name"].value_counts().reindex(CATEGORIES["name"], fill_value=0).to_dict(),
    }
