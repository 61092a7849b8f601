"""Dataclasses from plain mappings, with every key and type checked and every complaint in words.

Understood are the types that settings use: int, float, bool, str, None, Literal, tuple[X, ...],
Mapping[str, X], unions of these, and further dataclasses.

A configuration may come from a stranger: a few lines of YAML can stand for a list of 10^9 entries (an alias
of aliases), a number of any length, a text that commands a terminal, or that a command takes for one of its
options. So no complaint repeats more than the beginning of a value, numbers are finite, and texts hold
neither control characters nor half characters and do not begin with a hyphen.
"""

import math
import re
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, Literal

from spsn.errors import SettingsError

MAX_TEXT = 4096  # characters; Linux allows a path no more bytes
WHOLE = 2**63  # whole numbers are smaller, whatever their sign
NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class MissingKeyError(SettingsError):
    """A configuration without a key that has no default."""


def build(cls: type, mapping: Any, place: str = "") -> Any:
    """Make dataclass `cls` from `mapping`; messages name the dotted path from `place` on."""
    if not isinstance(mapping, Mapping):
        raise SettingsError(f"configuration: {place or 'the whole'} must be a mapping, not {shown(mapping)}")
    hints = typing.get_type_hints(cls)
    for key in mapping:
        if key not in hints:
            raise SettingsError(_unknown_key(key, list(hints), place))
    values = {}
    for f in fields(cls):
        where = f"{place}.{f.name}" if place else f.name
        if f.name in mapping:
            values[f.name] = _convert(hints[f.name], mapping[f.name], where)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise MissingKeyError(f"configuration: key {where} is missing")
    return cls(**values)


class _Shown(reprlib.Repr):
    """The beginning of any value, in time and memory that do not depend on its size."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring, self.maxother, self.maxlevel = 200, 200, 2
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 8

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if abs(x) < 10**50 else f"a number of {x.bit_length()} bits"


shown = _Shown().repr


def _unknown_key(key: Any, known: list[str], place: str) -> str:
    key = key[:MAX_TEXT] if isinstance(key, str) else shown(key)
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"configuration: unknown key {shown(key)}{f' in {place}' if place else ''}; {hint}"


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Check `value` against a type hint of the dataclasses above and return it in that type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            near = get_close_matches(shown(value).strip("'\""), [str(a) for a in arguments], n=1, cutoff=0.5)
            hint_text = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(map(str, arguments))}"
            raise SettingsError(f"configuration: {where} cannot be {shown(value)}; {hint_text}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple) or not value:
            raise SettingsError(
                f"configuration: {where} must be a list with at least one entry, not {shown(value)}"
            )
        return tuple(_convert(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SettingsError(f"configuration: {where} must be a mapping, not {shown(value)}")
        keys = [_convert_scalar(str, key, f"a key of {where}") for key in value]
        return {key: _convert(arguments[1], value[key], f"{where}.{key}") for key in keys}
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
        raise SettingsError(
            f"configuration: {where} must be {kind}, not {shown(value)}{_remedy(hint, value, where)}"
        )
    return _within_bounds(hint, value, where)


def _remedy(hint: type, value: Any, where: str) -> str:
    """How a value of another kind is written as the wanted one, where it reads as one; else nothing.

    YAML 1.1 takes 1e-3 for a text, and Snakemake everything within {} on its command line.
    """
    key = where.rpartition(".")[2]
    if hint is str and type(value) in (int, float, bool):
        text = f'"{shown(value)}"'
        return f"; quote it: {key}: {text} in a file, '{key}={text}' on the command line"
    if isinstance(value, str) and (plain := _plain(hint, value)):
        return (
            f"; write {plain} without quotes in a file (on the command line values inside {{}} are texts: "
            "put them into a file for --configfile)"
        )
    return ""


def _plain(hint: type, text: str) -> str | None:
    """How YAML writes the value of a kind that `text` reads as; None where it reads as none."""
    if hint is bool:
        return text.lower() if text.lower() in ("true", "false") else None
    if hint is int and re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        return text
    number = re.fullmatch(r"([+-]?)([0-9]{0,40})(?:\.([0-9]{0,40}))?(?:[eE]([+-]?)([0-9]{1,3}))?", text)
    if hint is not float or not number or not (number[2] or number[3]):
        return None
    exponent = f"e{number[4] or '+'}{number[5]}" if number[5] else ""
    return f"{number[1]}{number[2] or '0'}.{number[3] or '0'}{exponent}"


def _within_bounds(hint: type, value: Any, where: str) -> Any:
    if hint is str and (len(value) > MAX_TEXT or value.startswith("-") or NO_TEXT.search(value)):
        raise SettingsError(
            f"configuration: {where} must be a text of at most {MAX_TEXT} characters without line breaks and "
            f"other control characters, and without '-' before it, not {shown(value)}"
        )
    if hint in (int, float) and not (abs(value) < WHOLE if isinstance(value, int) else math.isfinite(value)):
        raise SettingsError(f"configuration: {where} is {shown(value)}, which no computer can count with")
    return hint(value)
