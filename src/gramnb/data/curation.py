"""From a data set as it is published to one that can be trained on, after Section 4.1 of the paper.

The paper keeps what it could retrieve, discards images with text, undersamples others and splits.
Here these steps stand among checks it does not report. In order:

1. decode check: files that are no pictures are dropped, each with its reason;
2. rows that show one picture share a `group`; of files with the same bytes one is kept;
3. groups labelled both sadness and others are treated by the policy `conflicts`;
4. near-duplicates of the images of another manifest are dropped (`exclude`, for transfer sets);
5. images with more text than `text_threshold` are dropped, and, if asked for, those with faces;
6. others are undersampled to `sadness_share`;
7. the rest is split by class and by group, so that no picture stands on two sides of a split.

Chance is the order of sha256(seed, step, image): the same images are drawn on any machine.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, Strict, model_validator

from gramnb.data import duplicates, manifest, sources
from gramnb.data.filters import TEXT_THRESHOLD
from gramnb.data.inspection import inspect_all, measure
from gramnb.data.manifest import SPLITS
from gramnb.runs import resolve
from gramnb.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


def _names(given: object) -> object:
    """Return names that commands and profiles give between commas."""
    named = isinstance(given, str)
    return [name.strip() for name in given.split(",") if name.strip()] if named else given


class Recipe(Settings):
    """Everything a manifest follows from; it is stored in the manifest's file."""

    source: Literal[*sources.SOURCES] = "demo"
    root: str = ""  # where its images are, relative to the project root; a demo needs none
    # classes that count as sadness, in a list or between commas; () = the one of that name
    sadness: Annotated[tuple[str, ...], Strict(False), BeforeValidator(_names)] = ()
    conflicts: Literal["drop", "majority", "keep"] = "drop"  # groups with both labels
    # bits of 64, in each direction, in which near-duplicates differ
    duplicate_distance: Annotated[int, Field(ge=0, le=16)] = 6
    text_threshold: Share | None = TEXT_THRESHOLD  # share of the area; None = no text filter
    face_threshold: Share | None = None  # share of the area; None = no face filter, 1 = measure
    # of the images kept (Section 4.1); None = keep all others
    sadness_share: Annotated[float, Field(gt=0, lt=1)] | None = 0.46
    # train, val, test; (0, 0, 1) for a transfer set
    fractions: Annotated[tuple[Share, Share, Share], Strict(False)] = (0.8, 0.1, 0.1)
    folds: Annotated[int, Field(ge=0)] = 0  # 2 or more: `fold` is filled in beside `split`
    seed: Annotated[int, Field(ge=0)] = 0
    count: Annotated[int, Field(ge=1)] | None = None  # of a drawn demo set; None = its usual number
    exclude: str = ""  # a manifest; near-duplicates of the images it keeps are dropped

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError(f"fractions must add up to 1, got {self.fractions}")
        if self.folds == 1:
            raise ValueError("folds must be 0 or at least 2, got 1")
        return self

    def record(self) -> dict:
        """Return the recipe as a manifest stores it, with the sha256 of the one it excludes."""
        record = self.model_dump(mode="json")
        if self.exclude:
            excluded = resolve(self.exclude).read_bytes()
            record["excluded_sha256"] = hashlib.sha256(excluded).hexdigest()
        return record


def transfer_recipe(
    source: str, root: str = "", sadness: Sequence[str] = (), exclude: str = ""
) -> Recipe:
    """Return the recipe of a data set that is only tested on: nothing undersampled, all of it test.

    Of the names of sadness those count that the set's folders have: one list serves several sets.
    """
    folders = {path.name for path in resolve(root).glob("*/")} if root else set()
    names = [name for name in Recipe(sadness=sadness).sadness if name in folders]
    tested = {"sadness_share": None, "fractions": (0, 0, 1)}
    return Recipe(source=source, root=root, sadness=names, exclude=exclude, **tested)


def curate(path: str | Path, recipe: Recipe | None = None, progress: bool = True) -> pd.DataFrame:
    """Return the curated manifest at `path`, made now unless it is there already.

    It is made again if another recipe made it, or if the source lists other files by now.
    `.attrs` holds the `recipe` and the source's `report`.

    Raises:
        FileNotFoundError: no such root, list, or manifest to exclude.
        ValueError: what `sources.read` refuses, or too few images of a class for a split with both
            in each part; said as early as it can be known.
    """
    recipe = recipe or Recipe()
    record = recipe.record()
    listed = sources.read(recipe.source, recipe.root, recipe.sadness, recipe.count)
    table = manifest.read(path) if resolve(path).is_file() else None
    given = ["url", "line", "path", "label", "sadness"]
    if table is None or table.attrs["recipe"] != record or not table[given].equals(listed[given]):
        split(listed.assign(group=listed["row"]), recipe)  # refused before a file is opened
        table = drop_duplicates(inspect_all(listed, progress), recipe)
        table = drop_excluded(drop_conflicts(table, recipe), recipe)
        split(table, recipe)  # refused before the hours that reading text may take
        table = drop_text_and_faces(table, recipe, progress)
        table = split(undersample(table, recipe), recipe)
        manifest.write(table, path, record)
    table.attrs = {"recipe": record, "report": listed.attrs["report"]}
    return table


def drop_duplicates(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Fill in `group`, and keep one row of those with the same bytes and the same class.

    Bytes under both classes are no duplicates but a conflict: `drop_conflicts` treats them.
    """
    table = table.assign(group=duplicates.groups(table, recipe.duplicate_distance))
    files = manifest.kept(table)[["image_id", "sadness"]]
    again = files.index[files.duplicated() & (files["image_id"] != "")]
    return manifest.drop(table, table.index.isin(again), "duplicate")


def drop_conflicts(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Treat groups labelled both sadness and others by the policy; every row listed is a vote.

    "drop" drops the group, "majority" those outvoted (all at a tie), "keep" none.
    """
    if recipe.conflicts == "keep":
        return table
    votes = table.groupby("group")["sadness"].agg(["sum", "size"]).loc[table["group"]]
    sad, listed = votes["sum"].to_numpy(), votes["size"].to_numpy()
    agree = np.where(table["sadness"] == 1, sad, listed - sad)
    enough = agree == listed if recipe.conflicts == "drop" else 2 * agree > listed
    return manifest.drop(table, ~enough, "label conflict")


def drop_excluded(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Drop what shows the same picture as an image that the manifest `exclude` keeps."""
    if not recipe.exclude:
        return table
    other = manifest.kept(manifest.read(recipe.exclude))
    both = pd.concat([table, other], ignore_index=True)
    group = duplicates.groups(both, recipe.duplicate_distance)
    return manifest.drop(table, np.isin(group[: len(table)], group[len(table) :]), "excluded")


def drop_text_and_faces(table: pd.DataFrame, recipe: Recipe, progress: bool = True) -> pd.DataFrame:
    """Measure what is still kept, text first, and drop what is above a threshold of the recipe."""
    limits = {"text": recipe.text_threshold, "face": recipe.face_threshold}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    kept = manifest.kept(table)
    for name, shares in measure(kept["path"], kept["image_id"], limits, progress).items():
        share = pd.Series(shares, kept.index).reindex(table.index)
        table = table.assign(**{f"{name}_fraction": share})
        table = manifest.drop(table, share > limits[name], name)
    return table


def undersample(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Drop whole groups of others, never sadness, until sadness has its share of the images."""
    if recipe.sadness_share is None:
        return table
    groups = _in_chance_order(manifest.kept(table), recipe.seed, "undersample")
    others = groups["size"] - groups["sadness"]
    mixed = groups["sadness"] > 0  # under the policy "keep": these stay
    wanted = round(groups["sadness"].sum() * (1 / recipe.sadness_share - 1))
    surplus = groups.index[~mixed][others[~mixed].cumsum() > wanted - others[mixed].sum()]
    return manifest.drop(table, table["group"].isin(surplus), "undersampled")


def split(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Fill in `split`, and `fold` where the recipe asks for folds, for the rows that are kept.

    Class by class, the groups in chance order are laid end to end and cut at the fractions; a group
    goes where its middle lies. So a part holds its share of each class within one group's size.

    Raises:
        ValueError: a part would be without one of the classes.
    """
    kept = manifest.kept(table)
    table = table.assign(split="", fold=np.int16(-1))
    folds = {number: 1 / recipe.folds for number in range(recipe.folds)}
    parts = {"split": dict(zip(SPLITS, recipe.fractions, strict=True)), "fold": folds}
    for column, shares in parts.items():
        if shares:
            part = _deal(kept, shares, recipe.seed, column)
            table.loc[kept.index, column] = part.astype(table[column].dtype)
    return table


def _in_chance_order(kept: pd.DataFrame, seed: int, step: str) -> pd.DataFrame:
    """Return size and sadness (how many of them) of each group, the first image's turn first."""
    groups = (
        kept.sort_values("image_id")
        .groupby("group")
        .agg(size=("sadness", "size"), sadness=("sadness", "sum"), first=("image_id", "first"))
    )
    turn = [hashlib.sha256(f"{seed} {step} {x}".encode()).hexdigest() for x in groups["first"]]
    return groups.assign(turn=turn).sort_values("turn")


def _deal(kept: pd.DataFrame, parts: dict[str | int, float], seed: int, step: str) -> np.ndarray:
    """Return the part of each row kept, of parts with these shares: whole groups in one part."""
    groups = _in_chance_order(kept, seed, step)
    purity = groups["sadness"] / groups["size"]
    stratum = np.where(purity == 0, 0, np.where(purity == 1, 1, 2))  # 2: both, policy "keep"
    size = groups["size"].groupby(stratum)
    middle = (size.cumsum() - groups["size"] / 2) / size.transform("sum")
    cuts = np.cumsum(list(parts.values()))[:-1]
    part = pd.Series(np.array([*parts])[np.searchsorted(cuts, middle, "right")], groups.index)
    part = part.loc[kept["group"]].to_numpy()
    for value, label in enumerate(("others", "sadness")):
        own = kept["sadness"] == value
        for name, share in parts.items():
            if share > 0 and name not in part[own]:
                raise ValueError(
                    f"{step} {name} would hold no {label}: {own.sum()} images of {label} are kept, "
                    f"in {kept['group'][own].nunique()} groups of near-duplicates; add images or "
                    "change the fractions"
                )
    return part
