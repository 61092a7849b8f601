"""What pairs of methods tell: whether programs agree where theory says so, and what one change does."""

from collections.abc import Iterable

import pandas as pd

from spsn.replication import latex
from spsn.replication.facts.comparison_protocol import label, milliseconds
from spsn.replication.method_pairs import (
    AGREES,
    HIGHER,
    IDENTICAL,
    LOWER,
    UNKNOWN,
    Pair,
    contrast_pairs,
    control_pairs,
)
from spsn.replication.statistics import CONFIDENCE, Summary
from spsn.replication.text import cell, interval_text, number_text

CONTROL_WORDS = {
    IDENTICAL: "identical",
    AGREES: "yes",
    HIGHER: r"\textbf{no}",
    LOWER: r"\textbf{no}",
    UNKNOWN: "no interval",
}
CONTRAST_WORDS = {
    IDENTICAL: "identical",
    AGREES: "not told apart",
    HIGHER: "higher",
    LOWER: "lower",
    UNKNOWN: "no interval",
}


def pair_macros(runs: pd.DataFrame) -> tuple[dict[str, str], dict[str, bool]]:
    """Tables and counts of `control_pairs` and `contrast_pairs` of `compared.read_compared_runs`' runs."""
    controls, contrasts = control_pairs(runs), contrast_pairs(runs)
    macros, switches = _control_macros(controls)
    told = [pair for _, pair in contrasts if pair.verdict in (HIGHER, LOWER)]
    judged = sum(pair.verdict != UNKNOWN for _, pair in contrasts)
    macros |= {
        "ContrastTable": _contrast_table(contrasts),
        "ContrastJudged": latex.integer(judged),
        "ContrastTold": latex.integer(len(told)),
        "ContrastByChance": latex.fixed((1 - CONFIDENCE) * judged, 1),
    }
    return macros, switches | {"contrasts": bool(contrasts), "contrastsknown": judged > 0}


def _control_macros(pairs: list[Pair]) -> tuple[dict[str, str], dict[str, bool]]:
    found = {name: [pair for pair in pairs if pair.verdict == name] for name in CONTROL_WORDS}
    differing = found[HIGHER] + found[LOWER]
    drawn = len(found[AGREES]) + len(differing)  # those that a difference by chance could have put anywhere
    macros = {
        "ControlTable": _control_table(pairs),
        "ControlCount": latex.integer(len(pairs)),
        "ControlIdentical": latex.integer(len(found[IDENTICAL])),
        "ControlAgree": latex.integer(len(found[AGREES])),
        "ControlDiffer": latex.integer(len(differing)),
        "ControlUnknown": latex.integer(len(found[UNKNOWN])),
        "ControlDifferList": _listed(differing),
        "ControlByChance": latex.percent(1 - CONFIDENCE**drawn, 0),
    }
    switches = {
        "controls": bool(pairs),
        "controlsknown": len(found[UNKNOWN]) < len(pairs),
        "controlsunknown": bool(found[UNKNOWN]),
        "controlsidentical": bool(found[IDENTICAL]),
        "controlsagree": bool(found[AGREES]),
        "controlsdiffer": bool(differing),
    }
    return macros, switches


def _listed(pairs: Iterable[Pair]) -> str:
    return latex.listed(f"{label(p.one)} and {label(p.other)} ({milliseconds(p.time_step)})" for p in pairs)


def _control_table(pairs: list[Pair]) -> str:
    head = ("pair", "step", "$n$", *_stacks(), latex.stacked("interval", "contains 0"))
    lines = [
        (
            f"{label(pair.one)} $-$ {label(pair.other)}",
            milliseconds(pair.time_step),
            latex.integer(len(pair.differences)),
            *_differences(pair),
            CONTROL_WORDS[pair.verdict],
        )
        for pair in pairs
    ]
    return latex.tabular("@{}llrrrr@{}", head, lines)


def _contrast_table(contrasts: list[tuple]) -> str:
    head = ("what the first has", "first $-$ second", "step", "$n$", *_stacks(), "accuracy")
    lines, before = [], ""
    for contrast, pair in contrasts:
        about = "" if contrast.about == before else cell(contrast.about)
        before = contrast.about
        lines.append(
            (
                about,
                f"{label(pair.one)} $-$ {label(pair.other)}",
                milliseconds(pair.time_step),
                latex.integer(len(pair.differences)),
                *_differences(pair),
                CONTRAST_WORDS[pair.verdict],
            )
        )
    return latex.tabular("@{}lllrrrl@{}", head, lines)


def _stacks() -> tuple[str, str]:
    return latex.stacked("accuracy", "(points)"), latex.stacked("spikes per ms", r"(\% of the second)")


def _differences(pair: Pair) -> tuple[str, str]:
    return ("0", "0") if pair.identical else (_difference(pair.accuracy), _difference(pair.rate))


def _difference(summary: Summary) -> str:
    """A mean with its interval; signs are kept, nothing is cut off."""
    if not summary.n:
        return latex.ABSENT
    mean = cell(number_text(summary.mean, "", 1))
    interval = interval_text(summary.low, summary.high, "", 1)
    return f"{mean} ({cell(interval)})" if summary.known else mean
