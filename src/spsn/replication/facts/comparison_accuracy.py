"""Which methods of the comparison learned nothing, and what in their equations may be why; which learned
best.

A reason is a macro of `paper/comparison.tex` that says what the equations say. It is not shown to be the
cause.
"""

from collections.abc import Iterable

import pandas as pd

from spsn.methods import METHODS, TRAITS
from spsn.replication import latex
from spsn.replication.compared import Compared, by_seed, in_order, learned, of, steps_of
from spsn.replication.facts.comparison_protocol import label, milliseconds
from spsn.replication.method_pairs import AGREES, verdict
from spsn.replication.run_table import SILENT
from spsn.replication.statistics import difference, summarize
from spsn.replication.text import cell, interval_text, number_text


def accuracy_macros(compared: Compared) -> tuple[dict[str, str], dict[str, bool]]:
    """Methods at guessing, with reasons; at each time step the highest mean and what is not told from it."""
    failed = {
        method: steps
        for method in in_order(compared.runs.method)
        if (steps := _failed_steps(compared, method))
    }
    cases, lost = len(compared.runs.groupby(["method", "time_step"])), sum(map(len, failed.values()))
    macros = {
        "ComparisonGuess": latex.percent(compared.guess),
        "ComparisonCases": latex.integer(cases),
        "ComparisonFailedCount": latex.integer(lost),
        "ComparisonFailed": latex.rows(_failure(compared, *item) for item in failed.items()),
        "ComparisonBest": " ".join(_best(compared.runs, step) for step in steps_of(compared.runs)),
    }
    silent = any(_silent(of(compared.runs, m, step)) for m, steps in failed.items() for step in steps)
    return macros, {
        "comparisonfailed": bool(failed),
        "comparisonmostfailed": lost > cases / 2,
        "comparisonfailedsilent": silent,
    }


def reason(method: str) -> str:
    """The macro that says what a method's equations have to do with its failing.

    The last step's rates come first: what they read is another thing than what all others read.
    """
    of_method = METHODS[method]
    model, traits = of_method.model, TRAITS[of_method.model]
    if of_method.objective == "final":
        return r"\whyfinal"
    if model == "ipsu-code":
        return r"\whyinput"
    if traits.family == "PSU":
        return r"\whycentred" if of_method.psu_reset == "centred" else r"\whyrest"
    if model in ("slayer", "bptt-detached"):
        return r"\whygrowth"
    if model in ("ottt", "saf-e"):
        return r"\whyinstant"
    if model in ("spsn-sb", "spsn-gs"):
        return r"\whynoise"
    return r"\whyunknown"


def _failed_steps(compared: Compared, method: str) -> list[float]:
    cases = ((step, of(compared.runs, method, step)) for step in steps_of(compared.runs))
    return [step for step, runs in cases if len(runs) and not learned(runs, compared.guess)]


def _failure(compared: Compared, method: str, steps: Iterable[float]) -> str:
    """A line of the list of methods that learned nothing."""
    cases = []
    for step in steps:
        runs = of(compared.runs, method, step)
        mute = ", silent" if _silent(runs) else ""
        cases.append(f"{milliseconds(step)}: {latex.percent(float(runs.test_accuracy.mean()))}{mute}")
    square = r" \whysquare{}" if TRAITS[METHODS[method].model].square else ""
    return rf"\item \emph{{{label(method)}}} ({'; '.join(cases)}). {reason(method)}{{}}{square}"


def _silent(runs: pd.DataFrame) -> bool:
    """Whether the networks fire next to never; not so where nothing can fire."""
    return bool(runs.spikes_per_ms.mean() < SILENT)


def _best(runs: pd.DataFrame, step: float) -> str:
    """A sentence: the highest mean at this time step, and which methods its seeds do not tell from it."""
    here = runs[runs.time_step == step]
    means = {method: of(here, method, step).test_accuracy.mean() for method in in_order(here.method)}
    best = max(means, key=means.__getitem__)
    summary = summarize(100 * of(here, best, step).test_accuracy)
    others = [method for method in means if method != best]
    like = [label(method) for method in others if _not_told(here, best, method)]
    interval = f" ({cell(interval_text(summary.low, summary.high, '%', 1))})" if summary.known else ""
    sentence = (
        f"At {milliseconds(step)}, {label(best)} reaches "
        rf"{cell(number_text(summary.mean, '%', 1))}\,\%{interval}"
    )
    if not summary.known:
        return f"{sentence}."
    return f"{sentence}; not told apart from it: {latex.listed(like) if like else 'none'}."


def _not_told(runs: pd.DataFrame, best: str, other: str) -> bool:
    sides = (by_seed(runs[runs.method == name], "test_accuracy") for name in (best, other))
    between = difference(*sides)
    return not between.known or verdict(between) == AGREES
