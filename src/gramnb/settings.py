"""Settings that check themselves: strict types, ranges, no unknown names, no NaN or infinity.

A run's settings, a head's choices, a manifest's recipe and a study's file are each a class of
`Settings`: a frozen pydantic model whose mistakes are a ValueError of one line. What a field takes
is said in words made from its own schema, so a range is written once.
"""

import reprlib
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class _OneLine(type(BaseModel)):
    """Settings are checked in one line when they are called; those inside others by pydantic."""

    def __call__(cls, **values):
        try:
            return super().__call__(**values)
        except ValidationError as error:
            raise ValueError(one_line(error, cls, values)) from None


class Settings(BaseModel, metaclass=_OneLine):
    """Frozen settings; raise ValueError, in one line, for every value that cannot be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def model_validate(cls, values: object, **options) -> Self:
        """Return the settings that a mapping holds; `extra="ignore"` skips names it has beside."""
        try:
            return super().model_validate(values, **options)
        except ValidationError as error:
            raise ValueError(one_line(error, cls, values)) from None

    def replace(self, **changes) -> Self:
        """Return these settings with changes, checked again."""
        return type(self)(**{**dict(self), **changes})


def one_line(error: ValidationError, model: type[BaseModel], values: object) -> str:
    """Return pydantic's findings as "k must be a whole number of 0 or more, got 2.5; ..."."""
    return "; ".join(dict.fromkeys(_mistake(found, model, values) for found in error.errors()))


def _mistake(found: Mapping, model: type[BaseModel], given: object) -> str:
    if found["type"] == "value_error":  # of a validator of ours, which has said it in words
        return str(found["ctx"]["error"])
    path = []
    for step in found["loc"]:  # down to the field, through settings within settings
        fields = model.model_fields
        path.append(str(step))
        given = given.get(step) if isinstance(given, Mapping) else found["input"]
        if step not in fields:
            return f"{model.__name__} has no setting {'.'.join(path)}"
        inner = fields[step].annotation
        nested = isinstance(inner, type) and issubclass(inner, BaseModel)
        if not (nested and isinstance(given, Mapping)):
            break
        model = inner
    if not path or nested and isinstance(given, Mapping):
        return f"{model.__name__} must be settings by name, got {reprlib.repr(given)}"
    if given is None and found["type"] == "missing":
        return f"{'.'.join(path)} is missing"
    schema = model.model_json_schema()["properties"][path[-1]]
    return f"{'.'.join(path)} must be {_words(schema)}, got {reprlib.repr(given)}"


def _words(schema: Mapping) -> str:
    """Say what a JSON schema takes."""
    if "anyOf" in schema:
        return ", or ".join(map(_words, schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "prefixItems" in schema:
        parts = [_words(part) for part in schema["prefixItems"]]
        return f"{len(parts)} values ({', '.join(parts)})"
    if "items" in schema:
        return f"a list, each of it {_words(schema['items'])}"
    kinds = {"integer": "a whole number", "number": "a number", "boolean": "True or False",
             "string": "text", "null": "None", "object": "a mapping"}  # fmt: skip
    kind = kinds.get(schema.get("type"), schema.get("$ref", "").split("/")[-1])
    if "minimum" in schema and "maximum" in schema:
        return f"{kind} from {schema['minimum']} to {schema['maximum']}"
    bounds = {"minimum": "of {} or more", "exclusiveMinimum": "above {}",
              "maximum": "of {} or less", "exclusiveMaximum": "below {}"}  # fmt: skip
    ends = [words.format(schema[name]) for name, words in bounds.items() if name in schema]
    return " ".join([kind, " and ".join(ends)]).strip()
