"""Accuracies and spike rates over seeds, and which conditions stayed at chance."""

import pandas as pd

from spsn.replication import latex
from spsn.replication.facts.common import distinct, spread
from spsn.replication.statistics import share, summarize
from spsn.replication.style import MODELS, model_look
from spsn.replication.text import cell, interval_text

CONDITIONS = ("basic", "augmented")
COLUMNS = (
    *(
        "experiment",
        "model",
        "condition",
        "seed",
        "test_accuracy",
        "train_accuracy",
        "test_hits",
        "test_total",
    ),
    *("spikes_per_ms", "epochs", "epoch_seconds", "device"),
)


def accuracy_macros(runs: pd.DataFrame, classes: int) -> tuple[dict[str, str], dict[str, bool]]:
    """Accuracies and rates by model and condition, a line for every condition, those at chance."""
    groups = list(runs.groupby(["experiment", "model", "condition"], sort=False))
    chance = [key for key, group in groups if at_chance(group, classes)]
    macros = {
        "RunCount": latex.integer(len(runs)),
        "RunRows": latex.rows(_run_line(key, group, key in chance) for key, group in groups),
        "ConditionCount": latex.integer(len(groups)),
        "AtChanceCount": latex.integer(len(chance)),
        "AtChanceList": "; ".join(_condition_name(*key) for key in chance) or latex.ABSENT,
        "TrainingDevices": distinct(runs.device),
    }
    return _model_macros(runs) | macros, {"atchance": bool(chance)}


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
    return macros


def at_chance(group: pd.DataFrame, classes: int) -> bool:
    """Whether the 95 % interval (Clopper and Pearson) of the pooled share of hits reaches guessing."""
    return share(group.test_hits.sum(), group.test_total.sum()).low <= 1 / classes


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
