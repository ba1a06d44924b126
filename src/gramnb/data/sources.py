"""Published data sets, class folders and drawn demo images, each read into one manifest.

`read` knows the layouts as their authors ship them, spelling included, and counts what it finds
against what was published. What is missing or was left out stands, in words, in the table's
`.attrs["report"]`; nothing is opened yet, so a picture may still turn out to be none.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from gramnb.data import demo, manifest
from gramnb.data.images import find_pictures
from gramnb.data.lists import EMOTIONS, LABELS, MALFORMED, SADNESS, read_fetched, read_lists
from gramnb.runs import cache_dir, resolve

PUBLISHED = {  # images of each class (of WEBEmo: lines of each list), as the authors ship them
    "webemo": {"train25.txt": 213_952, "test25.txt": 53_489},
    "unbiasedemo": {
        "anger": 440, "fear": 153, "joy": 587, "love": 650, "sadness": 758, "surprise": 457
    },
    "emotion-6": {
        "anger": 1604, "fear": 1280, "joy": 1964, "love": 724, "sadness": 2221, "surprise": 557
    },
}  # fmt: skip
ARCHIVES = {"unbiasedemo": "UnBiasedEmo", "emotion-6": "Emotion-6"}
LEVEL_2 = "level-2"  # names, where WEBEmo's labels are asked for, all six of that class of sadness


def read(
    source: str, root: str | Path = "", sadness: Sequence[str] = (), count: int | None = None
) -> pd.DataFrame:
    """Return the manifest of the data set below `root`: sorted, nothing dropped yet.

    `source` is one of `SOURCES`. A row is sadness if its `emotion` is; or, where `sadness` gives
    names, if its label or one of the label's folders is named so; of WEBEmo, "level-2" names its
    six labels of that class. A drawn demo set is drawn if it is not there yet, with `count` images,
    and without a `root` into the cache.

    Raises:
        FileNotFoundError: there is no `root`, or no list in it.
        ValueError: an unknown source, another layout than expected, or names of sadness that match
            no class.
    """
    if source not in SOURCES:
        raise ValueError(f"no source is named {source!r}; there are: {', '.join(SOURCES)}")
    if source in demo.DATASETS:
        folder = resolve(root or cache_dir() / f"{source}-{count or 'all'}")
        demo.draw_dataset(folder, name=source, count=count)
    elif root and resolve(root).is_dir():
        folder = resolve(root)
    else:
        raise FileNotFoundError(f"{root or 'no root was given'}: no such folder (source {source})")
    rows, report = SOURCES[source](folder)
    names = set(sadness)
    if source == "webemo" and LEVEL_2 in names:
        names = names - {LEVEL_2} | set(SADNESS) & set(rows["label"])
    table = manifest.new(rows.assign(source=source, sadness=_is_sadness(rows, names, folder)))
    table.attrs["report"] = report
    return table


def _is_sadness(rows: pd.DataFrame, names: set[str], root: Path) -> pd.Series:
    """Return which rows are sadness: by the names of classes, or without any by their emotion."""
    labels = sorted(filter(None, rows["label"].unique()))
    classes = {label: {label, *label.split("/")} for label in labels}
    if unknown := names.difference(*classes.values()):
        wrong = f"no class is named {', '.join(sorted(unknown))}"
    elif names:
        sad = [label for label, own in classes.items() if not names.isdisjoint(own)]
        return rows["label"].isin(sad)
    elif (sad := rows["emotion"] == "sadness").any():
        return sad
    else:
        wrong = "no class is named sadness; name those that count as it"
    raise ValueError(f"{root}: {wrong}; the classes are: {', '.join(classes)}")


def _class_folders(root: Path, source: str = "folder") -> tuple[pd.DataFrame, list[str]]:
    """Read `<class>/.../<picture>`; the class is the emotion, and the label but for Emotion-6.

    Published sets lie so in `images`, in a folder named as their archive: Emotion-6 as
    `<emotion>/<level 2>/<level 3>/<file>` (all of that is its label; disgust is anger/digust),
    UnbiasedEmo as `<emotion>/<object>/<file>`.
    Pictures of a format that is not read have a row too, which the decode check drops.
    """
    if archive := ARCHIVES.get(source):
        inside = (root / archive / "images", root / "images", root)
        root = next(folder for folder in inside if folder.is_dir())
    found = find_pictures(root)
    odd = [x for x in sum(found, []) if x != x.encode(errors="ignore").decode()]
    files = sorted({*found.pictures, *found.unread}.difference(odd))
    rows = pd.DataFrame({"path": files})
    rows["folders"] = [Path(path).relative_to(root).parts[:-1] for path in files]
    loose = rows["folders"].str.len() == 0
    others = [x for x in found.others if x not in odd and Path(x).parent != root]
    if loose.all():
        raise ValueError(
            f"{root}: no pictures in class folders ({len(rows)} pictures beside each other, "
            f"{len(others)} other files in folders); expected <class>/<picture>.jpg"
        )
    left_out = {
        "pictures in no class folder, left out": rows.loc[loose, "path"].tolist(),
        "names that are no Unicode, left out": odd,
        "pictures of formats that are not read": [x for x in found.unread if x not in odd],
        "files that are no pictures, left out": others,
        "folders that cannot be read or are links, left out": found.closed,
    }
    rows = rows[~loose].sort_values(["folders", "path"], ignore_index=True)
    rows["label"] = rows["emotion"] = rows["folders"].str[0]
    report = _missing(source, rows["emotion"]) if archive else []
    for what, left in left_out.items():
        if left:
            names = [Path(path).relative_to(root).as_posix() for path in left[:3]]
            first = ", ".join(name if name.isprintable() else ascii(name) for name in names)
            more = ", ..." if len(left) > 3 else ""
            report.append(f"{root.name}: {what}: {len(left)} ({first}{more})")
    if source == "emotion-6":
        rows["label"] = rows["folders"].str.join("/")
    return rows.drop(columns="folders"), report


def _webemo(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `train25.txt`, `test25.txt` and `fetch.parquet`, what `gramnb fetch` has downloaded.

    The table may lie in `root` or in a folder of its own in it, one for each list or one for both.
    Rows of the lists for which no image was fetched keep an empty path, malformed ones are dropped.
    """
    lists = [root / name for name in PUBLISHED["webemo"] if (root / name).is_file()]
    if not lists:
        raise FileNotFoundError(f"{root}: neither {' nor '.join(PUBLISHED['webemo'])} is there")
    rows = read_lists(lists)
    report = _missing("webemo", rows["list"])
    fetched = [rows.head(0)[["list", "line", "url"]].assign(path="")]
    for file in [*root.glob("fetch.parquet"), *sorted(root.glob("*/fetch.parquet"))]:
        table = read_fetched(file, ["list", "line", "path", "url"])
        table = table[table["path"].fillna("") != ""]
        fetched.append(table.assign(path=[str(file.parent / path) for path in table["path"]]))
    fetched = pd.concat(fetched)
    if fetched.duplicated(["list", "line"]).any():
        raise ValueError(f"{root}: two tables of gramnb fetch have images of one line; move one")
    rows = rows.merge(fetched, "left", ["list", "line"], suffixes=("", "_fetched"))
    if other := len(fetched) - (rows["url_fetched"] == rows["url"]).sum():
        raise ValueError(
            f"{root}: {other} images were fetched for other lists than these; fetched: "
            f"{', '.join(sorted(map(str, fetched['list'].unique())))}; here: "
            f"{', '.join(path.name for path in lists)}"
        )
    there, listed = rows["path"].notna(), rows["label"] >= 0
    label = pd.Series(LABELS[rows["label"]]).where(listed, "")
    if not there.all():
        report.append(f"WEBEmo: no image for {(~there).sum():,} of {len(rows):,} lines")
    choices = {LEVEL_2: SADNESS, "sadness alone": ["sadness"]}
    counts = [f"{choice} {label[there].isin(x).sum():,}" for choice, x in choices.items()]
    report.append(f"WEBEmo: images of sadness by choice of labels: {', '.join(counts)}")
    emotion = pd.Series(EMOTIONS[rows["label"]]).where(listed, "")
    rows = rows.assign(emotion=emotion, label=label, dropped=np.where(listed, "", MALFORMED))
    return rows[["url", "line", "path", "label", "emotion", "dropped"]], report


def _missing(source: str, found: pd.Series) -> list[str]:
    """Say in one line how the counts found differ from those published; nothing if they do not."""
    published = PUBLISHED[source]
    counts = found.value_counts().to_dict()
    names = [*published, *sorted(set(counts) - set(published))]
    pairs = {name: (counts.get(name, 0), published.get(name, 0)) for name in names}
    differ = [f"{name} {n:,} of {of:,}" for name, (n, of) in pairs.items() if n != of]
    title, what = (ARCHIVES[source], "images") if source in ARCHIVES else ("WEBEmo", "lines")
    total = f"{title}: {len(found):,} of {sum(published.values()):,} {what}"
    return [f"{total}; {', '.join(differ)}"] if differ else []


def transfer_sets(text: str) -> dict[str, tuple[str, str]]:
    """Return name -> (source, root) of the transfer sets that a parameter names.

    A set is a folder, or `name:source:folder`; several stand between commas, and none at all means
    the two drawn sets. A folder alone is named after itself. One named as a published set has that
    layout, another holds class folders.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: two sets of one name.
    """
    sets: dict[str, tuple[str, str]] = {}
    rest = ""
    for piece in filter(None, text.split(",")):
        rest += f",{piece}" if rest else piece  # a comma may be part of a folder's name
        name, source, root = _transfer_set(rest.strip())
        if resolve(root).is_dir():
            if name in sets:
                raise ValueError(f"two transfer sets are named {name}; write name:source:folder")
            sets[name], rest = (source, root), ""
    if rest:
        raise FileNotFoundError(
            f"{root}: no such folder of a transfer set; give folders, or name:source:folder, "
            f"between commas (sources: {', '.join(SOURCES)})"
        )
    return sets or {name: (name, "") for name in ("demo-unbiased", "demo-emotion6")}


def _transfer_set(entry: str) -> tuple[str, str, str]:
    match entry.split(":", 2):
        case [name, source, root] if source in SOURCES:
            return name, source, root
    folder = resolve(entry)
    name = (folder.parent if folder.name == "images" else folder).name
    return name, name.lower() if name.lower() in PUBLISHED else "folder", entry


SOURCES = {
    "demo": _class_folders,
    "demo-unbiased": _class_folders,
    "demo-emotion6": _class_folders,
    "folder": _class_folders,
    "webemo": _webemo,
    "unbiasedemo": partial(_class_folders, source="unbiasedemo"),
    "emotion-6": partial(_class_folders, source="emotion-6"),
}
