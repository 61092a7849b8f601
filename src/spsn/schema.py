"""The configuration's JSON schema, derived from the dataclasses of `settings.py`: `python -m spsn.schema >
FILE`.
"""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal

from spsn.settings import INHERITED, INHERITING, Settings

SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean"}


def schema() -> dict[str, Any]:
    """The schema of a whole configuration; unknown keys are refused at every level."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object(Settings)}


def _object(cls: type, partial: bool = False) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    properties = {}
    for f in fields(cls):
        hint = hints[f.name]
        properties[f.name] = _object(hint, partial=True) if _inherited(cls, f) else _of(hint)
    required = [f.name for f in fields(cls) if _required(cls, f) and not partial]
    found = {"type": "object", "description": _first_line(cls), "properties": properties}
    return {**found, **({"required": required} if required else {}), "additionalProperties": False}


def _required(cls: type, f: Field) -> bool:
    return f.default is MISSING and f.default_factory is MISSING and not _inherited(cls, f)


def _inherited(cls: type, f: Field) -> bool:
    """Whether an experiment takes this from the whole configuration, key by key."""
    return cls in INHERITING.values() and f.name in INHERITED


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").splitlines()[0]


def _of(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(argument) for argument in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0]), "minItems": 1}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    if hint is type(None):
        return {"type": "null"}
    return _object(hint) if is_dataclass(hint) else {"type": SCALARS[hint]}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1))
