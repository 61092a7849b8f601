"""Claims as `paper/claims.yaml` writes them down, checked.

A claim has an id, a statement, a section and parts; a part has a label, a rule (see `rules`), a unit, what
the rule needs, and the paper's numbers where it prints any. What counts as holding is a range: `at_least` and
`at_most`, or around the paper's number `spreads`, `relative` or `factor`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import hypot, inf, isnan, nan
from pathlib import Path
from typing import Any

import yaml

from spsn.errors import SpsnError
from spsn.replication.statistics import printed, welch
from spsn.replication.text import interval_text, number_text, spread_text

# rule: the keys that it needs, those that it may have
_SIDES = ("greater", "lesser")
RULE_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "value": (("of",), ()),
    "bound": (("of",), ()),
    "ordering": (_SIDES, ("same_conditions", "similar_rate")),
    "difference": (_SIDES, ()),
    "ratio": (_SIDES, ("steps", "margin")),
    "flat": (("of",), ()),
    "growth": (("of",), ("covers", "up_to")),
    "durations": (("of",), ()),
    "share": (("of", "trials"), ()),
    "labels": (("of", "trials"), ()),
    "errors": (("of", "trials"), ()),
    "seconds": (("of",), ()),
}
RANGE_KEYS = ("at_least", "at_most", "spreads", "relative", "factor")
_PART_KEYS = ("label", "rule", "unit", "paper", "judged", "reading", "optional", "shd_only")
_CLAIM_KEYS = ("id", "statement", "section", "parts", "note")


class ClaimsError(SpsnError):
    """A claims file that cannot be used; the message names file, claim and key."""


@dataclass(frozen=True)
class Part:
    """A part of a claim.

    `accepted` is the range of what counts as holding, (-inf, inf) where nothing is judged. `value` and
    `spread` are the paper's (NaN: none), `decided` the 95 % interval that its own spreads give a difference.
    `reading` names one of several networks that the paper may mean. `optional`: left out where not measured.
    `shd_only`: a number of SHD, which other data need not have (any part of rule value).
    """

    label: str
    rule: str
    unit: str
    options: Mapping[str, Any]
    value: float = nan
    spread: float = nan
    decided: tuple[float, float] = (nan, nan)
    accepted: tuple[float, float] = (-inf, inf)
    judged: bool = True
    reading: str = ""
    optional: bool = False
    shd_only: bool = False

    @property
    def paper_text(self) -> str:
        """The paper's number in `unit`: `85.09 ± 1.57`, `3.09 (1.83 to 4.35)`; empty where it prints none."""
        if isnan(self.value):
            return ""
        if isnan(self.decided[0]):
            return spread_text(self.value, self.spread, self.unit)
        return f"{number_text(self.value, self.unit)} ({interval_text(*self.decided, self.unit)})"

    @property
    def accepted_text(self) -> str:
        """What counts as holding: `71.67 to 76.31`, `> 0`, `≥ 99.5`; empty where nothing is judged."""
        if not self.judged:
            return ""
        return "> 0" if self.rule == "ordering" else interval_text(*self.accepted, self.unit)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper; `note` is what a reader should know whatever came out."""

    id: str
    statement: str
    section: str
    parts: tuple[Part, ...]
    note: str = ""


def read_claims(path: str | Path) -> tuple[Claim, ...]:
    """Read and check a claims file. Raises `ClaimsError` naming the claim and the unknown or missing key."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ClaimsError(f"{path}: cannot be read as claims ({error}); take the repository's own") from error
    entries = content.get("claims") if isinstance(content, dict) and set(content) == {"claims"} else None
    if not isinstance(entries, list) or not entries:
        raise ClaimsError(f"{path}: must hold one key, 'claims', with a list of claims")
    claims = tuple(_claim(entry, f"{path}: claim {number}") for number, entry in enumerate(entries, 1))
    ids = [claim.id for claim in claims]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise ClaimsError(f"{path}: more than one claim is called {', '.join(twice)}")
    return claims


def _claim(entry: Any, place: str) -> Claim:
    _check_keys(entry, _CLAIM_KEYS, ("id", "statement", "section", "parts"), place)
    place = f"{place} ({entry['id']})"
    if not isinstance(entry["parts"], list) or not entry["parts"]:
        raise ClaimsError(f"{place}: 'parts' must be a list with at least one part")
    parts = tuple(_part(part, f"{place}, part {number}") for number, part in enumerate(entry["parts"], 1))
    texts = {key: " ".join(str(entry.get(key, "")).split()) for key in ("id", "statement", "section", "note")}
    return Claim(parts=parts, **texts)


def _part(entry: Any, place: str) -> Part:
    if not isinstance(entry, dict) or "rule" not in entry:
        raise ClaimsError(f"{place}: must be a mapping with a 'rule'")
    if entry["rule"] not in RULE_KEYS:
        raise ClaimsError(f"{place}: unknown rule {entry['rule']!r}; {_near(str(entry['rule']), RULE_KEYS)}")
    needed, allowed = RULE_KEYS[entry["rule"]]
    known = (*_PART_KEYS, *needed, *allowed, *RANGE_KEYS)
    _check_keys(entry, known, ("label", "rule", "unit", *needed), place)
    value, spread, decided = _paper(entry.get("paper"), entry["rule"], place)
    judged = bool(entry.get("judged", True))
    return Part(
        label=entry["label"],
        rule=entry["rule"],
        unit=entry["unit"],
        options={key: entry[key] for key in (*needed, *allowed) if key in entry},
        value=value,
        spread=spread,
        decided=decided,
        accepted=_accepted(entry, value, spread, place) if judged else (-inf, inf),
        judged=judged,
        reading=entry.get("reading", ""),
        optional=bool(entry.get("optional", False)),
        shd_only=bool(entry.get("shd_only", entry["rule"] == "value")),
    )


def _paper(numbers: Any, rule: str, place: str) -> tuple[float, float, tuple[float, float]]:
    """The paper's value and spread, and the interval of a difference.

    `numbers` is {value, spread} or {greater, lesser}, each of these [value] or [value, spread]: of a ratio
    their quotient is meant, else their difference.
    """
    nothing = (nan, nan)
    if numbers is None:
        return nan, nan, nothing
    _check_keys(numbers, ("value", "spread", *_SIDES), (), f"{place}, paper")
    if "value" in numbers:
        return float(numbers["value"]), float(numbers.get("spread", nan)), nothing
    _check_keys(numbers, _SIDES, _SIDES, f"{place}, paper")
    (a, *sa), (b, *sb) = (map(float, numbers[side]) for side in _SIDES)
    if rule == "ratio":
        return a / b, nan, nothing
    if not (sa and sb):
        return a - b, nan, nothing
    interval = welch(printed(a, *sa), printed(b, *sb))
    return a - b, hypot(*sa, *sb), (interval.low, interval.high)


def _accepted(entry: Mapping[str, Any], value: float, spread: float, place: str) -> tuple[float, float]:
    if entry["rule"] == "ordering":
        return 0.0, inf
    if "at_least" in entry or "at_most" in entry:
        return float(entry.get("at_least", -inf)), float(entry.get("at_most", inf))
    given = [key for key in ("spreads", "relative", "factor") if key in entry]
    if len(given) != 1 or isnan(value) or (given == ["spreads"] and isnan(spread)):
        raise ClaimsError(
            f"{place}: needs a range: at_least, at_most or both; or, with the paper's number, one of spreads "
            "(which needs its spread), relative and factor; or judged: false"
        )
    size = float(entry[given[0]])
    if given == ["factor"]:
        return value / size, value * size
    half = size * (spread if given == ["spreads"] else abs(value))
    return value - half, value + half


def _check_keys(entry: Any, known: Iterable[str], needed: Iterable[str], place: str) -> None:
    if not isinstance(entry, dict):
        raise ClaimsError(f"{place}: must be a mapping, not {entry!r}")
    for key in entry:
        if key not in known:
            raise ClaimsError(f"{place}: unknown key {key!r}; {_near(str(key), known)}")
    missing = [key for key in needed if key not in entry]
    if missing:
        raise ClaimsError(f"{place}: lacks {', '.join(missing)}")


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
