"""Dataclasses from plain mappings, with every key and type checked and every complaint in words.

Understood are the types that settings use: int, float, bool, str, None, Literal, tuple[X, ...],
Mapping[str, X], unions of these, and further dataclasses.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal

from spsn.errors import SettingsError


def build(cls: type, mapping: Any, place: str = "") -> Any:
    """Make dataclass `cls` from `mapping`; messages name the dotted path from `place` on."""
    if not isinstance(mapping, Mapping):
        raise SettingsError(f"configuration: {place or 'the whole'} must be a mapping, not {mapping!r}")
    hints = typing.get_type_hints(cls)
    for key in mapping:
        if key not in hints:
            raise SettingsError(_unknown_key(str(key), list(hints), place))
    values = {}
    for f in fields(cls):
        where = f"{place}.{f.name}" if place else f.name
        if f.name in mapping:
            values[f.name] = _convert(hints[f.name], mapping[f.name], where)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise SettingsError(f"configuration: key {where} is missing")
    return cls(**values)


def _unknown_key(key: str, known: list[str], place: str) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"configuration: unknown key {key!r}{f' in {place}' if place else ''}; {hint}"


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check `value` against a type hint of the dataclasses above and return it in that type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            near = get_close_matches(str(value), [str(a) for a in arguments], n=1, cutoff=0.5)
            hint_text = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(str, arguments))}"
            raise SettingsError(f"configuration: {where} cannot be {value!r}; {hint_text}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not value:
            raise SettingsError(
                f"configuration: {where} must be a list with at least one entry, not {value!r}"
            )
        return tuple(_convert(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SettingsError(f"configuration: {where} must be a mapping, not {value!r}")
        return {str(k): _convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if is_dataclass(hint):
        return build(hint, value, where)
    return _convert_scalar(hint, value, where)


def _convert_union(options: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    if isinstance(value, Mapping):
        kinds = [o for o in options if is_dataclass(o)]
        # the one whose keys it has; of several equals the first
        options = tuple(sorted(kinds, key=lambda kind: -_keys_in_common(kind, value))) or options
    else:
        options = tuple(o for o in options if not is_dataclass(o) and o is not type(None)) or options
    return _convert(options[0], value, where)


def _keys_in_common(kind: type, value: Mapping) -> int:
    return len({f.name for f in fields(kind)} & set(value))


def _convert_scalar(hint: type, value: Any, where: str) -> Any:
    good = {
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        bool: isinstance(value, bool),
        str: isinstance(value, str),
    }[hint]
    if not good:
        kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]
        raise SettingsError(f"configuration: {where} must be {kind}, not {value!r}")
    return hint(value)
