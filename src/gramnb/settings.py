"""Settings that check themselves: strict types, ranges, no unknown names, no NaN or infinity."""

import reprlib
from typing import Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError


def _distinct(values: list | tuple) -> list | tuple:
    if len(set(values)) < len(values):
        raise ValueError(f"{values} says one of them twice")
    return values


Distinct = AfterValidator(_distinct)


class _OneLine(type(BaseModel)):
    """Settings are checked in one line when they are called; those inside others by pydantic."""

    def __call__(cls, **values):
        try:
            return super().__call__(**values)
        except ValidationError as error:
            raise ValueError(one_line(error)) from None


class Settings(BaseModel, metaclass=_OneLine):
    """Frozen settings; raise ValueError, in one line, for every value that cannot be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def model_validate(cls, values: object, **options) -> Self:
        """Return the settings that a mapping holds; `extra="ignore"` skips names it has beside."""
        try:
            return super().model_validate(values, **options)
        except ValidationError as error:
            raise ValueError(one_line(error)) from None

    def replace(self, **changes) -> Self:
        """Return these settings with changes, checked again."""
        return type(self)(**{**dict(self), **changes})


def one_line(error: ValidationError) -> str:
    """Return what pydantic found as "k must be greater than or equal to 0, got -1; ..."."""
    found = []
    for each in error.errors():
        name = ".".join(map(str, each["loc"]))
        name = name if name.isprintable() else ascii(name)
        if each["type"] == "extra_forbidden":
            found.append(f"{error.title} has no setting {name}")
        elif each["type"] == "value_error":  # of a validator of ours, which has said it in words
            found.append(f"{name}: {each['ctx']['error']}".removeprefix(": "))
        else:
            words = each["msg"].replace("Input should be", "must be").replace("List should", "must")
            words = words.replace("Field", "is")
            found.append(f"{name or error.title} {words}, got {reprlib.repr(each['input'])}")
    return "; ".join(dict.fromkeys(found))
