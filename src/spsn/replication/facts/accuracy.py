"""Accuracies and spike rates over seeds, which conditions stayed at chance, which networks do not fire."""

from collections.abc import Iterable

import pandas as pd

from spsn.replication import latex
from spsn.replication.facts.common import devices, distinct, spread
from spsn.replication.run_table import SILENT
from spsn.replication.statistics import share, summarize
from spsn.replication.style import MODELS, model_look
from spsn.replication.text import cell, interval_text

CONDITIONS = ("basic", "augmented")
COLUMNS = (
    *("experiment", "model", "condition", "seed", "test_accuracy", "train_accuracy"),
    *("test_hits", "test_total", "spikes_per_ms", "epochs", "epoch_seconds", "device", "backend"),
)


def accuracy_macros(runs: pd.DataFrame, classes: int) -> tuple[dict[str, str], dict[str, bool]]:
    """Accuracies and rates by model and condition, a line for every condition, those at chance."""
    groups = list(runs.groupby(["experiment", "model", "condition"], sort=False))
    chance = [key for key, group in groups if at_chance(group, classes)]
    still = [key for key, group in groups if silent(group)]
    macros = {
        "RunCount": latex.integer(len(runs)),
        "RunRows": latex.rows(_run_line(key, group, key in chance) for key, group in groups),
        "ConditionCount": latex.integer(len(groups)),
        "AtChanceCount": latex.integer(len(chance)),
        "AtChanceList": _condition_names(chance),
        "SilentList": _condition_names(still),
        "TrainingDevices": devices(runs.device),
        "Backends": distinct(runs.backend),
    }
    switches = {
        "atchance": bool(chance),
        "regularizedatchance": any(experiment == "regularization" for experiment, _, _ in chance),
        "silent": bool(still),
    }
    return _model_macros(runs) | macros, switches | _drawn_switches(runs)


def _drawn_switches(runs: pd.DataFrame) -> dict[str, bool]:
    """Which kinds of runs there are, that the text speaks of them only then."""
    plain = runs[runs.experiment == "accuracy"]
    augmented = plain[plain.condition == "augmented"]
    swept = runs[runs.experiment == "regularization"].model
    return {
        "basicruns": bool((plain.condition == "basic").any()),
        "augmentedruns": not augmented.empty,
        "augmentedlif": bool((augmented.model == "lif").any()),
        "augmentedswept": bool(augmented.model.isin(swept).any()),
    }


def _model_macros(runs: pd.DataFrame) -> dict[str, str]:
    macros = {}
    for model in MODELS:
        for condition in CONDITIONS:
            group = runs[
                (runs.experiment == "accuracy") & (runs.model == model) & (runs.condition == condition)
            ]
            suffix = latex.letters(model) + latex.letters(condition)
            macros[f"TestAccuracy{suffix}"] = spread(100 * group.test_accuracy, 1, r"\,\%")
            macros[f"SpikesPerMs{suffix}"] = spread(group.spikes_per_ms.dropna(), 1)
    for condition in CONDITIONS:
        for name in ("TestAccuracy", "SpikesPerMs"):
            values = {m: macros[f"{name}{latex.letters(m)}{latex.letters(condition)}"] for m in MODELS}
            found = [f"{value} ({_in_a_sentence(m)})" for m, value in values.items() if value != latex.ABSENT]
            macros[f"{name}List{latex.letters(condition)}"] = latex.listed(found)
    return macros


def _in_a_sentence(model: str) -> str:
    return latex.escape(model_look(model).label.replace("Non-", "non-"))


def at_chance(group: pd.DataFrame, classes: int) -> bool:
    """Whether the 95 % interval (Clopper and Pearson) of the pooled share of hits reaches guessing.

    The hits of all seeds are pooled as if each had been tested on samples of its own. They share the test
    samples, so their hits are not independent: the interval is narrower than it should be, and a condition
    that hardly learned may count as better than guessing. It marks networks that learned nothing, and is no
    test between models.
    """
    return share(group.test_hits.sum(), group.test_total.sum()).low <= 1 / classes


def silent(group: pd.DataFrame) -> bool:
    """Whether the networks of a condition fire, on average, below `SILENT`; not so where nothing can fire."""
    return bool(group.spikes_per_ms.mean() < SILENT)


def _condition_names(keys: Iterable[tuple[str, str, str]]) -> str:
    return "; ".join(_condition_name(*key) for key in keys) or latex.ABSENT


def _condition_name(experiment: str, model: str, condition: str) -> str:
    name = f"{model_look(model).label} {condition}"
    return latex.escape(name if experiment == "accuracy" else f"{name} ({experiment.replace('_', ' ')})")


def _run_line(key: tuple[str, str, str], group: pd.DataFrame, chance: bool) -> str:
    experiment, model, condition = key
    cells = (
        latex.escape(experiment.replace("_", " ")),
        latex.escape(model_look(model).label),
        latex.escape(condition) + (r"\,$\dagger$" if chance else ""),
        latex.integer(len(group)),
        latex.integer(group.epochs.max()),
        spread(100 * group.train_accuracy, 1),
        spread(100 * group.test_accuracy, 1),
        _interval(100 * group.test_accuracy),
        spread(group.spikes_per_ms.dropna(), 1),
        latex.number(float(group.epoch_seconds.median()), 3),
    )
    return latex.row(*cells)


def _interval(values: pd.Series) -> str:
    summary = summarize(values)
    return cell(interval_text(summary.low, summary.high, "%")) if summary.known else latex.ABSENT
