"""What is trained: named rows, each with every seed on every fold, over shared settings.

One format for `profiles/*.yaml` (whose file may also hold the notebooks' parameters) and
`results/<study>/study.yaml`, and one function that expands it. CONTRIBUTING.md has an example.
"""

import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, NonNegativeInt

from gramnb.config import TrainConfig
from gramnb.runs import resolve
from gramnb.settings import Distinct, Settings

STUDY = "results/{}/study.yaml"
CHAPTER = re.compile(r"\d\d_\w+")
NotEmpty = Field(min_length=1)


class _Reader(yaml.SafeLoader):
    """YAML's safe reader, which takes the last of two equal keys; here they are a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(problem=f"{twice[0]} twice",
                                                    problem_mark=node.start_mark)  # fmt: skip
        return super().construct_mapping(node, deep)


class Experiment(Settings):
    """An experiment's file; every row is trained with each seed on each fold."""

    seeds: Annotated[list[NonNegativeInt], NotEmpty, Distinct] = [0]  # or a row's own
    folds: Annotated[list[int], NotEmpty, Distinct] = [-1]  # -1: the manifest's split
    # settings of `TrainConfig` that all rows share; `head` holds those of `HeadOptions`. In
    # `manifest`, "{seed}" is the seed: another partition for each repetition
    base: dict[str, Any] = {}
    rows: dict[str, dict[str, Any] | None] = {}  # a row's name and the settings it changes
    k: Annotated[list[NonNegativeInt], Distinct] = []  # short for rows "k = 4" that change k alone
    runs: str = ""  # folder of the runs, relative to the project root
    data: str = ""  # a study's images in words; a profile's image folder
    baseline: str = ""  # of a study: the row that the others are compared with
    # of a study: whose predictions are recorded
    splits: Annotated[list[Literal["val", "test"]], NotEmpty, Distinct] = ["test"]
    # of a study: other data sets that every run answers, name to manifest; of a profile: folders
    # between commas
    transfer: dict[str, str] | str = {}
    sadness: str = ""  # of a profile: classes that count as sadness
    artworks: str = ""  # of a profile: a folder of pictures
    shown: str = ""  # of a profile: the row that is chapter 3; the last if it does not say
    # of a profile: each notebook's parameters, in the file under the notebook's name
    chapters: dict[str, dict[str, Any]] = {}
    file: str = ""  # where it stands, for messages

    @classmethod
    def parse(cls, content: Mapping, file: str) -> "Experiment":
        """Return the experiment that a file's content describes.

        Raises:
            ValueError: a key or a value that cannot be, one line with file and key.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"{file}: settings by name are expected, not {reprlib.repr(content)}")
        chapters = {key: own or {} for key, own in content.items() if CHAPTER.fullmatch(str(key))}
        own = {key: value for key, value in content.items() if key not in chapters}
        if hidden := sorted({"chapters", "file"} & set(own)):
            raise ValueError(f"{file}: Experiment has no setting {hidden[0]}")
        try:
            return cls.model_validate({**own, "chapters": chapters, "file": file})
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    @classmethod
    def study(cls, name: str) -> "Experiment":
        """Return the study of this name, its settings checked.

        Raises:
            FileNotFoundError: there is no such study.
            ValueError: as `parse` and `configs`; something that a study has to say is lacking.
        """
        file = STUDY.format(name)
        if not resolve(file).exists():
            there = sorted(path.parent.name for path in resolve("results").glob("*/study.yaml"))
            raise FileNotFoundError(f"{file}: not there; studies: {', '.join(there)}")
        try:
            content = yaml.load(resolve(file).read_bytes(), _Reader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ValueError(f"{file}: {' '.join(str(error).split())}") from None
        found = cls.parse({} if content is None else content, file)
        asked = ("data", "baseline", "runs", "seeds")
        if lacking := [key for key in asked if not content or not content.get(key)]:
            raise ValueError(f"{file}: lacks {', '.join(lacking)}")
        if found.baseline not in found.configs():
            raise ValueError(f"{file}: the baseline {found.baseline!r} is no row")
        return found

    @property
    def name(self) -> str:
        """Of the study's folder."""
        return Path(self.file).parent.name

    @property
    def others(self) -> dict[str, str]:
        """Data sets that every run answers beside its own: name to manifest."""
        return self.transfer if isinstance(self.transfer, dict) else {}

    def expanded(self) -> dict[str, list[dict[str, Any]]]:
        """Return each row's settings, one a fold and seed: its own over the shared ones."""
        found = {}
        shared = {"seeds": self.seeds, "folds": self.folds, **self.base}
        short = {f"k = {k}": {"k": k} for k in self.k}
        if twice := sorted(set(short) & set(self.rows)):
            raise ValueError(f"{self.file}: row {twice[0]!r} is made by `k` too; name it otherwise")
        for row, own in (short | self.rows).items():
            settings = shared | (own or {})
            heads = [each.get("head") or {} for each in (shared, settings)]
            lists = [seeds, folds] = settings.pop("seeds"), settings.pop("folds")
            if not all(isinstance(head, dict) for head in heads):
                raise ValueError(f"{self.file}: row {row!r}: head must be settings by name")
            if not all(each and isinstance(each, list) for each in lists):
                raise ValueError(f"{self.file}: row {row!r}: seeds and folds must be lists")
            if said := {"seed", "fold"} & set(settings):
                raise ValueError(f"{self.file}: row {row!r}: {said.pop()}: say seeds or folds: [0]")
            settings["head"] = heads[0] | heads[1]
            found[row] = [
                _of_seed(settings, seed) | {"fold": fold} for fold in folds for seed in seeds
            ]
        return found

    def configs(self) -> dict[str, list[TrainConfig]]:
        """Return each row's configurations, one a fold and seed.

        Raises:
            ValueError: a setting that there is not or that cannot be, with file and row.
        """
        found = {}
        for row, each in self.expanded().items():
            try:
                found[row] = [TrainConfig.model_validate(one) for one in each]
            except ValueError as error:
                raise ValueError(f"{self.file}: row {row!r}: {error}") from None
        return found


def _of_seed(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    name = settings.get("manifest")
    manifest = {"manifest": name.replace("{seed}", str(seed))} if isinstance(name, str) else {}
    return settings | manifest | {"seed": seed}
