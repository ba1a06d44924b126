"""Published data sets, class folders and drawn demo images, each read into one manifest.

`read` knows the layouts as their authors ship them, spelling included, and counts what it finds
against what was published. What is missing or was left out stands, in words, in the table's
`.attrs["report"]`; nothing is opened yet, so a picture may still turn out to be none.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gramnb.data import demo, manifest
from gramnb.data.images import find_pictures
from gramnb.data.lists import (
    CATEGORIES,
    LEVEL_2,
    audit_list,
    audit_report,
    raise_malformed,
    read_list,
    sadness_labels,
)
from gramnb.runs import cache_dir, resolve

__all__ = ["PUBLISHED", "SOURCES", "audit_list", "audit_report", "read", "read_list"]

EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")  # Emotion6's classes

PUBLISHED = {  # images of each class (of WEBEmo: lines of each list), as the authors ship them
    "webemo": {"train25.txt": 213_952, "test25.txt": 53_489},
    "unbiasedemo": {
        "anger": 440, "fear": 153, "joy": 587, "love": 650, "sadness": 758, "surprise": 457
    },
    "emotion-6": {
        "anger": 1604, "fear": 1280, "joy": 1964, "love": 724, "sadness": 2221, "surprise": 557
    },
    "emotion6": dict.fromkeys(EMOTIONS, 330),
}  # fmt: skip


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
        ValueError: an unknown source, another layout than expected, malformed lines, or names of
            sadness that match no class.
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
    if source == "webemo":
        labels = sadness_labels(sadness or [LEVEL_2])
        report.append(_counted(rows, labels))
        rows["sadness"] = rows["label"].isin(labels)
    else:
        rows["sadness"] = _is_sadness(rows, set(sadness), folder)
    table = manifest.new(rows.assign(source=source))
    table.attrs["report"] = report
    return table


def _is_sadness(rows: pd.DataFrame, names: set[str], root: Path) -> pd.Series:
    """Return which rows are sadness: by the names of classes, or without any by their emotion."""
    classes = {label: {label, *label.split("/")} for label in sorted(rows["label"].unique())}
    found = ", ".join(classes)
    if unknown := names.difference(*classes.values()):
        raise ValueError(
            f"{root}: no class is named {', '.join(sorted(unknown))}; the classes are: {found}"
        )
    if names:
        return rows["label"].map({label: not names.isdisjoint(x) for label, x in classes.items()})
    sad = rows["emotion"] == "sadness"
    if not sad.any():
        raise ValueError(f"{root}: no class is named sadness; name those that count as it: {found}")
    return sad


def _counted(rows: pd.DataFrame, chosen: Sequence[str]) -> str:
    """Say how many images are sadness by the labels chosen, and would be by the two extremes."""
    there = rows.loc[rows["path"].fillna("") != "", "label"]
    choices = {"chosen": chosen, LEVEL_2: sadness_labels([LEVEL_2]), "sadness alone": ["sadness"]}
    counts = [f"{name} {there.isin(labels).sum():,}" for name, labels in choices.items()]
    return f"WEBEmo: images of sadness by choice of labels: {', '.join(counts)}"


def _class_folders(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `<class>/.../<picture>`: the class is label and emotion."""
    rows, report = _pictures(root, "<class>/<picture>.jpg")
    rows["label"] = rows["emotion"] = rows["folders"].str[0]
    return rows.drop(columns="folders"), report


def _unbiasedemo(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `UnBiasedEmo/images/<emotion>/<object>/<n>.jpg`: no split, no label file."""
    rows, report = _class_folders(_inner(root, "UnBiasedEmo"))
    return rows, _missing("UnbiasedEmo", "unbiasedemo", rows["emotion"]) + report


def _emotion_6(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `Emotion-6/images/<emotion>/<level 2>/<level 3>/<file>.jpg`; disgust is anger/digust."""
    rows, report = _pictures(_inner(root, "Emotion-6"), "<emotion>/<level 2>/<level 3>/<file>.jpg")
    rows["label"], rows["emotion"] = rows["folders"].str.join("/"), rows["folders"].str[0]
    report = _missing("Emotion-6", "emotion-6", rows["emotion"]) + report
    return rows.drop(columns="folders"), report


def _emotion6(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `Emotion6/images/<keyword>/<n>.jpg` and `ground_truth.txt`, shares of people's votes.

    The label is the keyword that found the image; the emotion is what most people voted for
    (neutral may win; where the keyword shares the first place, it is the keyword).
    """
    folder = _inner(root, "Emotion6")
    rows, report = _class_folders(folder)
    report = _missing("Emotion6", "emotion6", rows["label"]) + report
    truth = folder.parent / "ground_truth.txt"
    if not truth.is_file():
        return rows, [*report, f"{truth.name} is not there: emotions are the search keywords"]
    votes = _read_votes(truth)
    names = pd.Series([Path(path).relative_to(folder).as_posix() for path in rows["path"]])
    if absent := sorted(set(votes) - set(names)):
        report.append(f"listed in {truth.name}, not there: {', '.join(absent)}")
    if unlisted := sorted(set(names) - set(votes)):
        report.append(f"not in {truth.name}, so the keyword counts: {', '.join(unlisted)}")
    rows["emotion"] = [
        _most_voted(votes.get(name, {keyword: 1.0}), keyword)
        for name, keyword in zip(names, rows["label"], strict=True)
    ]
    return rows, report


def _most_voted(shares: dict[str, float], keyword: str) -> str:
    return max(shares, key=lambda emotion: (shares[emotion], emotion == keyword))


def _read_votes(path: Path) -> dict[str, dict[str, float]]:
    """Return file -> emotion -> share of votes; below a header, file, valence, arousal, shares."""
    votes, malformed = {}, []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines[1:], start=2):
        name, *figures = line.split("\t")
        try:
            _, _, *shares = map(float, figures)
            votes[name] = dict(zip((*EMOTIONS, "neutral"), shares, strict=True))
        except ValueError:
            if line.strip():
                malformed.append((number, line))
    raise_malformed(path, malformed, "a file, valence, arousal and 7 shares between tabs")
    return votes


def _webemo(root: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read `train25.txt`, `test25.txt` and `fetch.parquet`, what `gramnb fetch` has downloaded.

    The table may lie in `root` or in a folder of its own in it, one for each list or one for both.
    Rows of the lists for which no image was fetched keep an empty path.
    """
    lists = [name for name in PUBLISHED["webemo"] if (root / name).is_file()]
    if not lists:
        raise FileNotFoundError(f"{root}: neither {' nor '.join(PUBLISHED['webemo'])} is there")
    rows = pd.concat([read_list(root / name).assign(list=name) for name in lists])
    report = _missing("WEBEmo", "webemo", rows["list"], "lines")
    tables = [*root.glob("fetch.parquet"), *sorted(root.glob("*/fetch.parquet"))]
    if fetched := [_read_fetched(path) for path in tables]:
        rows = rows.merge(pd.concat(fetched), "left", ["list", "line"], validate="1:1")
        if other := (rows["fetched"].notna() & (rows["fetched"] != rows["url"])).sum():
            raise ValueError(f"{root}: {other} images were fetched for other lists than these")
    else:
        rows["path"] = ""
    absent = int((rows["path"].fillna("") == "").sum())
    report += [f"WEBEmo: no image for {absent:,} of {len(rows):,} lines"] if absent else []
    names = pd.DataFrame(CATEGORIES, columns=["label", "emotion"]).loc[rows["label"]]
    rows = rows.assign(label=names["label"].to_numpy(), emotion=names["emotion"].to_numpy())
    return rows[["url", "line", "path", "label", "emotion"]], report


def _read_fetched(path: Path) -> pd.DataFrame:
    """Return list, line, fetched (the URL) and the absolute path of each image there is."""
    table = pd.read_parquet(path)
    table = table[table["path"].fillna("") != ""]
    return pd.DataFrame(
        {
            "list": table["list"].map(lambda name: Path(name).name),
            "line": table["line"],
            "fetched": table["url"],
            "path": [str(path.parent / name) for name in table["path"]],
        }
    )


def _inner(root: Path, name: str) -> Path:
    """Return the folder of images: `root`, or one in it, or one in the archive unpacked in it."""
    return next(f for f in (root / name / "images", root / "images", root) if f.is_dir())


def _pictures(root: Path, layout: str) -> tuple[pd.DataFrame, list[str]]:
    """Return path and folders (the names between root and file) of every picture in a folder.

    What looks like a picture but is of a format that is not read has a row too, which the decode
    check drops. What is left out, or not read, is counted and named in the report.
    """
    found = find_pictures(root)
    rows = [(Path(x).relative_to(root).parts[:-1], x) for x in found.pictures + found.unread]
    pictures = [row for row in rows if row[0]]
    loose = [path for folders, path in rows if not folders]
    others = [x for x in found.others if Path(x).parent != root]  # beside the classes lie notes
    if not pictures:
        raise ValueError(
            f"{root}: no pictures in class folders ({len(loose)} pictures beside each other, "
            f"{len(others)} other files in folders); expected {layout}"
        )
    parts = {
        "pictures in no class folder, left out": loose,
        "pictures of formats that are not read": found.unread,
        "files that are no pictures, left out": others,
        "folders that cannot be read, left out": found.closed,
    }
    report = [f"{root.name}: {_named(root, x, what)}" for what, x in parts.items() if x]
    return pd.DataFrame(sorted(pictures), columns=["folders", "path"]), report


def _named(root: Path, paths: list[str], what: str, most: int = 3) -> str:
    """Say how many files there are of a kind, and which the first are."""
    first = [Path(path).relative_to(root).as_posix() for path in paths[:most]]
    return f"{what}: {len(paths)} ({', '.join(first)}{', ...' if len(paths) > most else ''})"


def _missing(title: str, source: str, found: pd.Series, what: str = "images") -> list[str]:
    """Say in one line how the counts found differ from those published; nothing if they do not."""
    counts, published = found.value_counts(), PUBLISHED[source]
    if dict(counts) == published:
        return []
    names = [*published, *sorted(set(counts.index) - set(published))]
    differ = [
        f"{name} {counts.get(name, 0):,} of {published.get(name, 0):,}"
        for name in names
        if counts.get(name, 0) != published.get(name, 0)
    ]
    total = f"{len(found):,} of {sum(published.values()):,}"
    return [f"{title}: {total} {what}; {', '.join(differ)}"]


SOURCES = {
    "demo": _class_folders,
    "demo-unbiased": _class_folders,
    "demo-emotion6": _class_folders,
    "folder": _class_folders,
    "webemo": _webemo,
    "unbiasedemo": _unbiasedemo,
    "emotion-6": _emotion_6,
    "emotion6": _emotion6,
}
