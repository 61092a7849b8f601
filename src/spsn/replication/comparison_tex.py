r"""The comparison's table as LaTeX: for each time step `\methodtable{number of ms}{table}`, families apart.

The document may define `\methodtable` first, to make a float with a caption of it; else the tables stand
where they are. Needs booktabs.
"""

import pandas as pd

from spsn.replication import latex
from spsn.replication.compared import LONG, MEASURED, STATUSES
from spsn.replication.method_style import FAMILIES, by_family, method_look
from spsn.replication.text import ABSENT, cell, interval_text, number_text

DAGGER, STAR = r"\,$\dagger$", r"\rlap{*}"
GRADIENTS = {  # what the notes say of a gradient that is not plainly exact
    "without the reset's": "ignores the reset",
    "exact, straight-through": "exact for the straight-through estimator",
    "this step's; the weights' from traces": "of the current step only, with traces for the weights",
    "of the last step's rates": "of the rates at the last step",
}
FUSED = {"plain": "no", "fused neuron": "neuron", "fused": "network"}
_HEAD = (  # alignment, words one above the other
    ("l", "method"),
    ("l", "in", "parallel"),
    ("l", "exact", "gradient"),
    ("l", "reset"),
    ("r", "accuracy", r"(\%)"),
    ("r", r"95\,\%", "interval"),
    ("r", "spikes", "per ms"),
    ("r", "seconds", "an epoch"),
    ("l", "fused"),
    ("r", "GiB at", rf"$T={latex.integer(LONG)}$"),
    ("r", "time", r"$\sim T^p$"),
    ("r", "memory", r"$\sim T^p$"),
)


def to_tex(table: pd.DataFrame) -> str:
    r"""`comparison_table`'s lines, a `\methodtable` for each time step, families under their names."""
    marks = gradient_marks(table)
    parts = [
        rf"\methodtable{{{1000 * step:g}}}{{{_tabular(rows, marks)}}}"
        for step, rows in table.groupby("time_step", sort=True)
    ]
    return "\n".join([r"\providecommand{\methodtable}[2]{#2\par\bigskip}", *parts]) + "\n"


def gradient_marks(table: pd.DataFrame) -> dict[str, str]:
    """A letter for every kind of gradient that is not plainly exact, in the order of the methods."""
    kinds = [kind for kind in dict.fromkeys(table.gradient) if kind != "exact"]
    return {kind: chr(ord("a") + i) for i, kind in enumerate(kinds)}


def table_notes(table: pd.DataFrame) -> list[str]:
    """What each letter stands for, dagger and star where they are drawn, and intervals; LaTeX."""
    notes = [
        rf"\textsuperscript{{{mark}}}\,{cell(GRADIENTS.get(kind, kind))}"
        for kind, mark in gradient_marks(table).items()
    ]
    if not table.learned.all():
        notes.append(r"$\dagger$\,not distinguishable from always naming the most frequent class")
    if any(map(_other_form, table.itertuples())):
        notes.append("*\\,of the eager form; the fused form was not timed")
    if ((table.n > 1) & table.accuracy_low.isna()).any():
        notes.append("fewer than six seeds with equal values give no interval")
    if (table.accuracy_low < 0).any() or (table.accuracy_high > 100).any():
        notes.append(r"intervals are cut off at 0 and 100\,\%")
    return notes


def _tabular(rows: pd.DataFrame, marks: dict[str, str]) -> str:
    lines: list[list[str]] = []
    for family, members in by_family(list(rows.method)).items():
        lines.append([rf"\multicolumn{{{len(_HEAD)}}}{{@{{}}l}}{{\emph{{{cell(FAMILIES[family][1])}}}}}"])
        lines += [_line(row, marks) for row in rows[rows.method.isin(members)].itertuples()]
    form = "@{}" + "".join(column[0] for column in _HEAD) + "@{}"
    return latex.tabular(form, [_heading(*column) for column in _HEAD], lines)


def _heading(alignment: str, *words: str) -> str:
    return rf"\shortstack[{alignment}]{{" + r"\\".join(words) + "}" if len(words) > 1 else words[0]


def _other_form(row) -> bool:
    """Whether memory and powers are of another form than the runs'."""
    return row.form != "plain" and row.timed == "eager"


def _line(row, marks: dict[str, str]) -> list[str]:
    gradient = "yes" if row.gradient.startswith("exact") else "no"
    mark = rf"\textsuperscript{{{marks[row.gradient]}}}" if row.gradient in marks else ""
    star = STAR if _other_form(row) else ""
    return [
        rf"\hspace{{0.6em}}{cell(method_look(row.method).label)}" + ("" if row.learned else DAGGER),
        "yes" if row.parallel else "no",
        gradient + mark,
        cell(row.reset),
        cell(number_text(row.accuracy, "%", 1)),
        cell(interval_text(row.accuracy_low, row.accuracy_high, "%", 1)),
        cell(number_text(row.spikes_per_ms, "spikes/ms", 1)),
        latex.number(row.epoch_seconds),
        cell(FUSED.get(row.form, row.form)),
        memory_text(row) + star,
        cell(number_text(row.time_power, "exponent")) + star,
        cell(number_text(row.memory_power, "exponent")) + star,
    ]


def memory_text(row) -> str:
    """Peak memory in GiB, or why there is none; LaTeX."""
    if row.memory_status == MEASURED:
        return latex.number(row.memory_bytes / 2**30)
    status = STATUSES.get(row.memory_status, row.memory_status)
    return rf"\emph{{{cell(status)}}}" if status else cell(ABSENT)
