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

from gramnb.choices import check_choice
from gramnb.data import demo, manifest
from gramnb.data.images import find_pictures
from gramnb.data.lists import MALFORMED, SADNESS, place, read_lists
from gramnb.runs import cache_dir, resolve

# Images of each class (of WEBEmo: lines of each list), as the authors ship them.
PUBLISHED = pd.read_csv(Path(__file__).with_name("published.csv"), index_col=["source", "part"])
NAMES = {"webemo": "WEBEmo", "unbiasedemo": "UnBiasedEmo", "emotion-6": "Emotion-6"}
LEVEL_2 = "level-2"  # names, where WEBEmo's labels are asked for, all six of that class of sadness


def read(
    source: str, root: str | Path = "", sadness: Sequence[str] = (), count: int | None = None
) -> pd.DataFrame:
    """Return the manifest of the data set below `root`: sorted, nothing dropped yet.

    `source` is one of `SOURCES`. A row is sadness if its label, or one of the label's folders, is
    among the names in `sadness`, or "sadness" where there are none. Of WEBEmo, "level-2", or no
    name, means the six labels of that class. A drawn demo set is drawn if it is not there yet, with
    `count` images, and without a `root` into the cache.

    Raises:
        FileNotFoundError: there is no `root`, or no list in it.
        ValueError: an unknown source, another layout than expected, or names of sadness that match
            no class.
    """
    check_choice("source", source, SOURCES)
    folder = resolve(root or cache_dir() / f"{source}-{count or 'all'}")
    if source in demo.DATASETS:
        demo.draw_dataset(folder, name=source, count=count)
    elif not (root and folder.is_dir()):
        raise FileNotFoundError(f"{root or 'no root was given'}: no such folder (source {source})")
    rows, report = SOURCES[source](folder)
    names = set(sadness) or {LEVEL_2 if source == "webemo" else "sadness"}
    if source == "webemo" and LEVEL_2 in names:
        names = names - {LEVEL_2} | set(SADNESS) & set(rows["label"])
    folders = {label: {label, *label.split("/")} for label in sorted(set(rows["label"]) - {""})}
    if unknown := names.difference(*folders.values()):
        raise ValueError(
            f"{folder}: no class is named {', '.join(sorted(unknown))}; "
            f"the classes are: {', '.join(folders)}"
        )
    sad = [label for label, own in folders.items() if names & own]
    table = manifest.new(rows.assign(source=source, sadness=rows["label"].isin(sad)))
    table.attrs["report"] = report
    return table


def _class_folders(root: Path, source: str = "folder") -> tuple[pd.DataFrame, list[str]]:
    """Read `<class>/.../<picture>`; the class is the emotion, and the label but for Emotion-6.

    Published sets lie so in `images`, in a folder named as their archive: Emotion-6 as
    `<emotion>/<level 2>/<level 3>/<file>` (all of that is its label; disgust is anger/digust),
    UnbiasedEmo as `<emotion>/<object>/<file>`.
    """
    if source in NAMES:
        inside = (root / NAMES[source] / "images", root / "images", root)
        root = next(folder for folder in inside if folder.is_dir())
    found = find_pictures(root)
    odd = [x for x in found.pictures if x != x.encode(errors="ignore").decode()]
    rows = pd.DataFrame({"path": [x for x in found.pictures if x not in odd]})
    rows["folders"] = [Path(path).relative_to(root).parts[:-1] for path in rows["path"]]
    loose = rows["folders"].str.len() == 0
    others = [path for path in found.others if Path(path).parent != root]
    if loose.all():
        raise ValueError(
            f"{root}: no pictures in class folders ({len(rows)} pictures beside each other, "
            f"{len(others)} other files in folders); expected <class>/<picture>.jpg"
        )
    left_out = {
        "pictures in no class folder": rows["path"][loose].tolist(),
        "names that are no Unicode": odd,
        "files that are no pictures": others,
        "folders that cannot be read or are links": found.closed,
    }
    rows = rows[~loose].sort_values(["folders", "path"], ignore_index=True)
    rows["label"] = rows["emotion"] = rows["folders"].str[0]
    report = _missing(source, rows["emotion"]) if source in NAMES else []
    for what, left in left_out.items():
        if left:
            names = [Path(path).relative_to(root).as_posix() for path in left[:3]]
            first = ", ".join(name if name.isprintable() else ascii(name) for name in names)
            more = ", ..." if len(left) > 3 else ""
            report.append(f"{root.name}: {what}, left out: {len(left)} ({first}{more})")
    if source == "emotion-6":
        rows["label"] = rows["folders"].str.join("/")
    return rows.drop(columns="folders"), report


def _webemo(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `train25.txt`, `test25.txt` and the images that `gramnb fetch` has downloaded.

    These lie in `root` or in folders of it, one for each download. Lines without an image keep an
    empty path, malformed ones are dropped.
    """
    published = PUBLISHED.loc["webemo"].index
    lists = [root / name for name in published if (root / name).is_file()]
    if not lists:
        raise FileNotFoundError(f"{root}: neither {' nor '.join(published)} is there")
    rows = read_lists(lists)
    report = _missing("webemo", rows["list"])
    files = [*root.glob("*/images/*/*"), *root.glob("images/*/*")]
    there = {file.name: str(file) for file in files}
    rows["path"] = [there.get(Path(place(url)).name, "") for url in rows["url"]]
    if missing := (rows["path"] == "").sum():
        report.append(f"WEBEmo: no image for {missing:,} of {len(rows):,} lines")
    rows["dropped"] = np.where(rows["label"] >= 0, "", MALFORMED)
    return rows.drop(columns=["list", "label"]).rename(columns={"name": "label"}), report


def _missing(source: str, found: pd.Series) -> list[str]:
    """Say in one line how the counts found differ from those published; nothing if they do not."""
    counts = PUBLISHED.loc[source].join(found.value_counts().rename("found"), how="outer")
    counts = counts.fillna(0).astype(int)
    differ = [f"{part} {n:,} of {of:,}" for part, of, n in counts.itertuples() if n != of]
    total = f"{NAMES[source]}: {len(found):,} of {counts['published'].sum():,} published"
    return [f"{total}; {', '.join(differ)}"] if differ else []


def transfer_sets(text: str) -> dict[str, tuple[str, str]]:
    """Return name -> (source, root) of the transfer sets that a parameter names.

    A set is a folder, or `name:source:folder`; several stand between commas, and none at all means
    the two drawn sets. A folder alone is named after itself. One named as a published set has that
    layout, another holds class folders.

    Raises:
        FileNotFoundError: no such folder, or source.
        ValueError: two sets of one name.
    """
    sets: dict[str, tuple[str, str]] = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name = resolve(entry).name
        source = name.lower() if name.lower() in NAMES else "folder"
        name, source, root = entry.split(":", 2) if entry.count(":") > 1 else (name, source, entry)
        if source not in SOURCES or not resolve(root).is_dir():
            raise FileNotFoundError(
                f"{entry}: no such folder of a transfer set; give folders, or name:source:folder, "
                f"between commas (sources: {', '.join(SOURCES)})"
            )
        if name in sets:
            raise ValueError(f"two transfer sets are named {name}; write name:source:folder")
        sets[name] = (source, root)
    return sets or {name: (name, "") for name in ("demo-unbiased", "demo-emotion6")}


SOURCES = {
    "demo": _class_folders,
    "demo-unbiased": _class_folders,
    "demo-emotion6": _class_folders,
    "folder": _class_folders,
    "webemo": _webemo,
    "unbiasedemo": partial(_class_folders, source="unbiasedemo"),
    "emotion-6": partial(_class_folders, source="emotion-6"),
}
