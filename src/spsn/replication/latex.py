"""Text and numbers as LaTeX: escaped names, lines that can break, macros.

Everything that comes from a file passes through here, so that no name of a data set, path or version can
break the document or be read as a command.
"""

import math
import re
from collections.abc import Iterable, Mapping

ABSENT = "--"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "µ": r"\textmu{}",
    "\n": " ",
    "\t": " ",
} | {character: f"\\{character}" for character in "#$%&_"}
_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def escape(text: object) -> str:
    """Any text as LaTeX that prints the same characters.

    A character that the report's fonts lack (outside Latin-1 and Latin Extended-A) is printed as its code
    point.
    """
    return "".join(_character(c) for c in str(text))


def _character(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if c.isascii():
        return c if c.isprintable() else " "
    return c if "\u00bf" <= c <= "\u017f" else f"[U+{ord(c):04X}]"


def breakable(text: object) -> str:
    r"""Escaped text that may break after the signs that paths, commands and digests are made of."""
    parts = re.split(r"(?<=[/._=,:;-])", str(text))
    return r"\allowbreak{}".join(escape(part) for part in parts)


def code(text: object) -> str:
    r"""A path, command or key in typewriter letters that may break; `--` stays two hyphens."""
    return rf"\texttt{{{breakable(text).replace('-', '{-}')}}}"


def letters(name: str) -> str:
    """A name as LaTeX allows it for a macro, letters alone: `spsn-sb` becomes `SpsnSb`, `2` becomes `Two`."""
    words = re.findall(r"[A-Za-z]+|[0-9]", name)
    return "".join(_DIGITS[int(w)] if w.isdigit() else w[0].upper() + w[1:] for w in words)


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` significant digits, in groups of three; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")  # rounded: that of 9.996 is 1
    decimals = digits - 1 - int(exponent)
    if abs(value) < 1e-4:
        return rf"\ensuremath{{{mantissa}\times 10^{{{int(exponent)}}}}}"
    return grouped(f"{round(value, decimals):.{max(decimals, 0)}f}")


def fixed(value: float | None, decimals: int) -> str:
    """A number with so many decimals; a dash where there is none."""
    return ABSENT if value is None or not math.isfinite(value) else grouped(f"{value:.{decimals}f}")


def integer(value: float) -> str:
    """A whole number, thousands apart by thin spaces."""
    return grouped(f"{value:.0f}")


def grouped(text: str) -> str:
    """Five digits and more before the point in groups of three; a minus sign as one."""
    sign, digits, rest = re.fullmatch(r"(-?)(\d+)(.*)", text).groups()
    if len(digits) > 4:
        digits = r"\,".join(re.findall(r"\d{1,3}(?=(?:\d{3})*$)", digits))
    return (r"\ensuremath{-}" if sign else "") + digits + rest


def percent(share: float | None, decimals: int = 1) -> str:
    r"""A share (0-1) in percent: `71.4\,\%`."""
    if share is None or not math.isfinite(share):
        return ABSENT
    return rf"{fixed(100 * share, decimals)}\,\%"


def row(*cells: str) -> str:
    """A line of a table, the cells being LaTeX already."""
    return " & ".join(cells) + r" \\"


def rows(lines: Iterable[str]) -> str:
    """Lines of a table, one below the other."""
    return "\n".join(lines)


def listed(items: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *head, tail = list(items) or [ABSENT]
    return f"{', '.join(head)} {last} {tail}" if head else tail


def definitions(macros: Mapping[str, str], switches: Mapping[str, bool]) -> str:
    r"""`\newcommand`s for `macros` and `\newif`s, set, for `switches` (name `shd` gives `\ifshd`)."""
    lines = [rf"\newcommand{{\{name}}}{{{text}}}" for name, text in macros.items()]
    lines += [rf"\newif\if{name} \{name}{'true' if value else 'false'}" for name, value in switches.items()]
    for name in (*macros, *switches):
        if not re.fullmatch(r"[A-Za-z]+", name):
            raise ValueError(f"{name!r} cannot be the name of a LaTeX macro")
    return "\n".join(lines) + "\n"


def stacked(*lines: str) -> str:
    """Short lines, one above the other, in one cell of a table's head; flush right as numbers are."""
    return r"\shortstack[r]{" + r"\\".join(lines) + "}"


def tabular(columns: str, head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A booktabs table; `columns` is LaTeX's column specification, the cells are LaTeX already."""
    body = rows(row(*line) for line in lines)
    head = row(*(rf"\textbf{{{cell}}}" for cell in head))
    parts = (
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        body,
        r"\bottomrule",
        r"\end{tabular}",
    )
    return rows(parts)
