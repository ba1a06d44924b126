"""WEBEmo's lists of addresses: its label table, a reader, and an audit of what they contradict.

A list has one `URL label` a line, the label a number from 0 to 24. The same address stands there
more than once, often under different labels; nobody can learn both, so `audit_list` counts them.
Which labels the paper calls sadness it does not say; `sadness_subsets` lists those that could be.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

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

LEVEL_2 = "level-2"  # names, where labels are asked for, all six of level-2 class sadness
SADNESS = tuple(label for label, emotion in CATEGORIES if emotion == "sadness")


def sadness_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Return WEBEmo's labels that `names` mean: themselves, or for "level-2" the class of six.

    Raises:
        ValueError: a name that no label has.
    """
    labels = [label for label, _ in CATEGORIES]
    if unknown := sorted(set(names) - {LEVEL_2, *labels}):
        raise ValueError(
            f"WEBEmo has no label {', '.join(unknown)}; {LEVEL_2} means {', '.join(SADNESS)}; "
            f"all labels: {', '.join(labels)}"
        )
    return tuple(label for name in names for label in (SADNESS if name == LEVEL_2 else [name]))


def sadness_subsets(lines: Mapping[str, int], most_lost: float = 0.3) -> pd.DataFrame:
    """Return every subset of the six labels of sadness that could be the paper's (Section 4.1).

    The images retrieved of a label are estimated by its share of the lines. A subset fits if it has
    at least the paper's 28,059 sadness images and no more than a share `most_lost` of its images
    would have to be lost, to the text filter and as copies, since only others are undersampled.

    Args:
        lines: lines of each label, as `audit_list` counts them (`labels`): all 25.
        most_lost: share, 0-1. With 1 all subsets are returned that have enough images.

    Returns:
        Columns labels, lines, images (estimated of those retrieved), lost (share, 0-1), with the
        fewest lost first.
    """
    total = sum(lines.values())
    kept = sum(part.sadness for part in (DATA.train, DATA.validation, DATA.test))
    rows = []
    for size in range(1, len(SADNESS) + 1):
        for labels in combinations(SADNESS, size):
            listed = sum(lines[label] for label in labels)
            images = round(listed / total * DATA.retrieved)
            rows.append((", ".join(labels), listed, images, 1 - kept / images))
    table = pd.DataFrame(rows, columns=["labels", "lines", "images", "lost"])
    table = table[table["lost"].between(0, most_lost)]
    return table.sort_values("lost", ignore_index=True)


def read_list(path: str | Path) -> pd.DataFrame:
    """Return WEBEmo's list at `path`: columns line (from 1), url, label (0-24).

    Raises:
        FileNotFoundError: there is no such list.
        ValueError: lines that are not `URL label`: all of them, with their numbers.
    """
    path = resolve(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list; WEBEmo's are train25.txt and test25.txt")
    rows, malformed = [], []
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            match line.split():
                case [url, label] if _is_url(url) and _is_label(label):
                    rows.append((number, url, int(label)))
                case [_, *_]:  # an empty line lists nothing
                    malformed.append((number, line))
    raise_malformed(path, malformed, f"a URL and a label from 0 to {len(CATEGORIES) - 1}")
    return pd.DataFrame(rows, columns=["line", "url", "label"])


def raise_malformed(path: Path, lines: list[tuple[int, str]], expected: str) -> None:
    """Raise one ValueError that shows every malformed line with its number, if there is any."""
    if lines:
        shown = "".join(f"\n  line {number}: {line.strip()[:120]}" for number, line in lines)
        raise ValueError(f"{path}: {len(lines)} malformed lines, each should be {expected}{shown}")


def audit_list(paths: Sequence[str | Path]) -> dict:
    """Count how WEBEmo's lists at `paths` contradict themselves, together and each alone.

    Keys: lines, distinct_urls, conflicting_urls (two labels or more), sadness_conflicts (labelled
    both sadness and others), accuracy_ceiling (the share of lines that the best function of the
    image can get right, sadness against others). `lists` holds the same counts for each file, by
    its name; with two lists or more, `overlap` is the number of URLs that stand in more than one.
    `labels` holds the lines of each of the 25 labels, over all lists.

    Raises:
        ValueError: malformed lines, or two lists of the same name.
    """
    tables = {Path(path).name: read_list(path) for path in paths}
    if len(tables) < len(paths):
        raise ValueError("two of the lists have the same file name; rename one to tell them apart")
    listed = pd.concat(tables.values())
    counts = _conflicts(listed)
    times = listed["label"].value_counts()
    counts["labels"] = {name: int(times.get(n, 0)) for n, (name, _) in enumerate(CATEGORIES)}
    counts["lists"] = {name: _conflicts(table) for name, table in tables.items()}
    if len(tables) > 1:
        times = Counter(url for table in tables.values() for url in table["url"].unique())
        counts["overlap"] = sum(n > 1 for n in times.values())
    return counts


def audit_report(paths: Sequence[str | Path], form: str = "table") -> str:
    """Return `audit_list` as text: "json", or as "table" one column a list and one for all.

    Below the table stand the lines of each label, with its level-2 class.
    """
    if form not in ("table", "json"):
        raise ValueError(f"the report is a table or json, got {form!r}")
    counts = audit_list(paths)
    if form == "json":
        return json.dumps(counts, indent=2)
    columns, lines = counts.pop("lists"), counts.pop("labels")
    labels = pd.DataFrame(CATEGORIES, columns=["label", "level 2"]).assign(lines=[*lines.values()])
    if len(columns) > 1:
        columns["together"] = counts
    cells = {
        name: {key: f"{n:.4f}" if isinstance(n, float) else f"{n:,}" for key, n in column.items()}
        for name, column in columns.items()
    }
    table = pd.DataFrame(cells).fillna("").to_string()
    labels["lines"] = labels["lines"].map("{:,}".format)
    return f"{table}\n\n{labels.to_string(index=False)}"


def _conflicts(listed: pd.DataFrame) -> dict:
    sadness = np.array([emotion == "sadness" for _, emotion in CATEGORIES])
    urls = listed.assign(sadness=sadness[listed["label"]]).groupby("url", sort=False)
    labels, sad, lines = urls["label"].nunique(), urls["sadness"].sum(), urls.size()
    return {
        "lines": len(listed),
        "distinct_urls": len(lines),
        "conflicting_urls": int((labels > 1).sum()),
        "sadness_conflicts": int(((sad > 0) & (sad < lines)).sum()),
        "accuracy_ceiling": float(np.maximum(sad, lines - sad).sum() / max(len(listed), 1)),
    }


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _is_label(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) < len(CATEGORIES)
