"""One table for every data set: what was listed, what became of each row, and by which recipe.

A manifest is a parquet file with the columns of `COLUMNS` and, in its metadata, the recipe that
made it. Rows are never deleted: dropping one writes the reason into `dropped`. In memory `path` is
absolute; in the file it is relative to the file's own folder, so that images move with it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gramnb import __version__
from gramnb.data import images
from gramnb.data.lists import MALFORMED
from gramnb.runs import atomic, resolve

# column -> (type, value where nothing is known)
_FIELDS = {
    "row": ("int64", 0),  # position in the listing, 0..n-1
    "source": ("str", ""),  # which published layout the row was read from
    "url": ("str", ""),
    "line": ("int64", 0),  # line of the list the row comes from; 0 = there is no list
    "path": ("str", ""),  # empty: no file, as for an address that no longer answers
    "image_id": ("str", ""),  # first 16 digits of the file's sha256
    "label": ("str", ""),  # as published
    "emotion": ("str", ""),  # the level at which sadness is one of the names
    "sadness": ("int8", 0),  # 1 sadness, 0 others
    "split": ("str", ""),  # train, val, test; empty while dropped or when folds are used
    "fold": ("int16", -1),
    "width": ("int32", 0),  # pixels, after the image is turned upright
    "height": ("int32", 0),
    "dhash": ("str", ""),  # difference hash, 16 hexadecimal digits
    "text_fraction": ("float32", np.nan),  # share of the area under text; NaN = not measured
    "face_fraction": ("float32", np.nan),  # share of the area of the largest face; NaN likewise
    "group": ("int64", -1),  # rows that show one image share it
    "dropped": ("str", ""),  # empty, or one of REASONS
}
COLUMNS = tuple(_FIELDS)
SPLITS = ("train", "val", "test")

# Why a row is dropped, in the order of curation; `attrition` lists them in this order.
_CURATION = ("duplicate", "label conflict", "excluded", "text", "face", "undersampled")
REASONS = (MALFORMED, *images.REASONS, *_CURATION)

_SCHEMA = pa.schema([(name, kind) for name, (kind, _) in _FIELDS.items()])


def new(rows: list[dict] | pd.DataFrame) -> pd.DataFrame:
    """Return a manifest of `rows`, in their order: all columns, typed, `row` numbered from 0.

    Columns that `rows` do not give, and missing values, get the column's empty value.

    Raises:
        ValueError: a column that no manifest has.
    """
    rows = pd.DataFrame(rows).reset_index(drop=True)
    if unknown := sorted(set(rows.columns) - set(COLUMNS)):
        raise ValueError(f"no manifest column is named {', '.join(unknown)}; there are: {COLUMNS}")
    for name, (kind, empty) in _FIELDS.items():
        rows[name] = rows.get(name, pd.Series(empty, rows.index)).fillna(empty).astype(kind)
    return rows[list(COLUMNS)].assign(row=np.arange(len(rows)))


def write(table: pd.DataFrame, path: str | Path, recipe: dict) -> Path:
    """Write the manifest whole or not at all; the same table and recipe give the same bytes."""
    path = resolve(path)
    table = table.assign(path=[x and os.path.relpath(x, path.parent) for x in table["path"]])
    made_by = json.dumps({"gramnb": __version__, "recipe": recipe}, sort_keys=True)
    content = pa.Table.from_pandas(table[list(COLUMNS)], _SCHEMA, preserve_index=False)
    with atomic(path) as temporary:
        pq.write_table(content.replace_schema_metadata({"gramnb": made_by}), temporary)
    return path


def read(path: str | Path) -> pd.DataFrame:
    """Return the manifest at `path`; its `.attrs["recipe"]` is the recipe that made it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no manifest, lacks columns or holds other types; a label is not 0 or
            1; a picture stands in two splits, or a kept row in none.
    """
    path = resolve(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such manifest; notebook 01 writes one")
    try:
        content = pq.ParquetFile(path).read()
        made_by = json.loads((content.schema.metadata or {}).get(b"gramnb", b"{}"))
        recipe = made_by.get("recipe", {})
        content = content.select(COLUMNS)
        for name, known in {"sadness": [0, 1], "dropped": ["", *REASONS]}.items():
            _check(name, content[name].to_pandas(), known)  # a missing one would train as others
        table = new(content.cast(_SCHEMA).to_pandas())
        _check_splits(table)
    except (
        pa.ArrowException, OSError, ValueError, LookupError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        why = str(error).splitlines()[0][:200]
        raise ValueError(f"{path}: not a manifest: {why}; notebook 01 makes one") from None
    table["path"] = [os.path.normpath(path.parent / p) if p else "" for p in table["path"]]
    table.attrs["recipe"] = recipe
    return table


def _check(name: str, column: pd.Series, known: Iterable) -> None:
    if len(odd := column[~column.isin(known)]):
        raise ValueError(f"row {odd.index[0]}: {name} is '{odd.iloc[0]}'")


def _check_splits(table: pd.DataFrame) -> None:
    """Raise ValueError for a kept row that no split would use, or a picture that two would."""
    rows = kept(table)
    for name, known in {"split": SPLITS, "fold": range(1 << 15)}.items():
        if (rows[name] == _FIELDS[name][1]).all():
            continue
        _check(name, rows[name], known)
        for key in ("image_id", "group"):
            same = rows[rows[key] != _FIELDS[key][1]].groupby(key)
            twice = same[name].transform("nunique") > 1
            if twice.any():
                where = f"row {twice.idxmax()}: its {key} stands in another {name} too"
                raise ValueError(f"{where}, {twice.sum()} rows: none may be trained on and tested")


def kept(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that no step dropped."""
    return table[table["dropped"] == ""]


def drop(table: pd.DataFrame, mask, reason: str) -> pd.DataFrame:
    """Return a copy in which the rows of `mask` that are still kept carry one of `REASONS`."""
    fresh = np.asarray(mask, bool) & (table["dropped"] == "").to_numpy()
    return table.assign(dropped=table["dropped"].mask(fresh, reason))


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return how many images were listed, what each reason cost and how many are kept, per class.

    Indexed by `step`: "listed", the reasons that occur in the order of curation, "kept"; columns
    others, sadness, total.
    """
    counts = pd.crosstab(table["dropped"].replace("", "kept"), table["sadness"])
    counts = counts.reindex(columns=[0, 1], fill_value=0).set_axis(["others", "sadness"], axis=1)
    counts.loc["listed"] = counts.sum()
    order = ["listed", *(reason for reason in REASONS if reason in counts.index), "kept"]
    counts = counts.reindex(order, fill_value=0).astype("int64").rename_axis("step")
    return counts.assign(total=counts.sum(axis=1))
