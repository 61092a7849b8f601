"""Table II: test accuracy in per cent, the paper's mean and spread beside our mean, sd and 95 % interval.

The third column of the paper's table is trained with the thresholds of its Table I. Of several thresholds the
one that does best here has a line of its own, marked as chosen on the test set: it is a maximum, not an
estimate.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from spsn.grid import regularized_name
from spsn.replication import latex
from spsn.replication.comparable import obstacle
from spsn.replication.statistics import NOTHING, summarize
from spsn.replication.style import model_look
from spsn.replication.text import cell, interval_text, spread_text
from spsn.settings import Settings

CHOSEN = "chosen on the test set"
SPEAKERS = {"seen": "speakers in the training file", "unseen": "speakers not in the training file"}


def table2(runs: pd.DataFrame, reported: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """A line for each model and training of the paper's Table II that the configuration has, in per cent.

    `runs` is `read_runs`' table, `reported` is `read_reported`'s. Columns: model, condition, rate_threshold
    (spikes per time step and neuron), paper, paper_spread, mean, sd, low, high, n over seeds; the same five
    for the speakers that are in the training file (`seen_`) and those that are not (`unseen_`), NaN where the
    data have none; chance; note; comparable (bool: whether the paper's numbers may be held against these).
    """
    values = reported[reported.quantity == "test_accuracy"].set_index(["model", "condition"])
    rows = []
    for model in settings.experiments.accuracy.models:
        for condition in settings.experiments.accuracy.conditions:
            rows.append(_line(runs, "accuracy", model, condition) | _paper(values, model, condition))
        if model in settings.experiments.regularization.models:
            rows += _regularized(runs, values, settings, model)
    return pd.DataFrame(rows)[_COLUMNS].assign(comparable=not _obstacle(settings))


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`table2` for the eye: model, training, paper, ours, 95 % interval, seeds, [seen, unseen,] note."""
    columns = {
        "model": [model_look(model).label for model in table.model],
        "training": [_training(*pair) for pair in zip(table.condition, table.rate_threshold, strict=True)],
        "paper": [spread_text(*pair, "%") for pair in zip(table.paper, table.paper_spread, strict=True)],
        "ours": [spread_text(*pair, "%") for pair in zip(table["mean"], table.sd, strict=True)],
        "95 % interval": [interval_text(*pair, "%") for pair in zip(table.low, table.high, strict=True)],
        "seeds": table.n,
    }
    if table.unseen_mean.notna().any():
        for name in SPEAKERS:
            pairs = zip(table[f"{name}_mean"], table[f"{name}_sd"], strict=True)
            columns[name] = [spread_text(*pair, "%", decimals=1) for pair in pairs]
    return pd.DataFrame(columns).assign(note=table.note)


def to_tex(table: pd.DataFrame, settings: Settings) -> str:
    """A booktabs table, as `readable`, with its notes below."""
    shown = readable(table)
    marks = {note: chr(ord("a") + i) for i, note in enumerate(dict.fromkeys(n for n in shown.note if n))}
    body = shown.drop(columns="note")
    lines = []
    for row, note in zip(body.itertuples(index=False), shown.note, strict=True):
        model, training, *numbers = map(cell, row)
        mark = rf"\textsuperscript{{{marks[note]}}}" if note else ""
        lines.append([model, training + mark, *numbers])
    columns = f"@{{}}ll{'r' * (len(body.columns) - 2)}@{{}}"
    table_lines = latex.tabular(columns, [cell(name) for name in body], lines)
    notes = [rf"\textsuperscript{{{mark}}} {cell(note)}" for note, mark in marks.items()]
    notes += map(cell, _notes(table, settings))
    below = "\\\\\n".join(notes)
    return (
        "{\\footnotesize\\setlength{\\tabcolsep}{4pt}%\n"
        f"{table_lines}\\par\\smallskip\n\\noindent\\parbox{{\\linewidth}}{{\\raggedright {below}}}}}\n"
    )


_NUMBERS = ("mean", "sd", "low", "high", "n")
_COLUMNS = [
    *("model", "condition", "rate_threshold", "paper", "paper_spread"),
    *(f"{prefix}{name}" for prefix in ("", "seen_", "unseen_") for name in _NUMBERS),
    *("chance", "note"),
]


def _regularized(
    runs: pd.DataFrame, values: pd.DataFrame, settings: Settings, model: str
) -> list[dict[str, Any]]:
    """The line of the paper's threshold, and that of the threshold that does best on the test set."""
    experiment, rows = settings.experiments.regularization, []
    theta = experiment.published.get(model)
    if theta is not None:
        row = _line(runs, "regularization", model, regularized_name(theta)) | _paper(
            values, model, "regularized"
        )
        note = "" if row["n"] else "this threshold is not in the configuration"
        rows.append(row | {"condition": "regularized", "rate_threshold": theta, "note": note})
    own = runs[(runs.experiment == "regularization") & (runs.model == model)]
    means = own.groupby("rate_threshold").test_accuracy.mean()
    if len(means) > 1:
        best = float(means.idxmax())
        row = _line(runs, "regularization", model, regularized_name(best)) | _paper(values, model, "")
        note = f"the best of {len(means)} thresholds, {CHOSEN}: its mean is therefore too high"
        rows.append(row | {"condition": "regularized, best", "rate_threshold": best, "note": note})
    return rows


def _line(runs: pd.DataFrame, experiment: str, model: str, condition: str) -> dict[str, Any]:
    """What the runs of one folder of records give."""
    chosen = runs[(runs.experiment == experiment) & (runs.model == model) & (runs.condition == condition)]
    row = {"model": model, "condition": condition, "rate_threshold": np.nan, "note": ""}
    for prefix, column in (("", ""), ("seen_", "_seen"), ("unseen_", "_unseen")):
        accuracies = 100 * chosen[f"test_accuracy{column}"].dropna()
        summary = summarize(accuracies) if len(accuracies) else NOTHING
        row |= {f"{prefix}{name}": value for name, value in asdict(summary).items()}
    return row | {"chance": 100 / runs.classes.iloc[0]}


def _paper(values: pd.DataFrame, model: str, condition: str) -> dict[str, float]:
    known = (model, condition) in values.index
    value, spread = values.loc[(model, condition), ["value", "spread"]] if known else (np.nan, np.nan)
    return {"paper": float(value), "paper_spread": float(spread)}


def _training(condition: str, threshold: float) -> str:
    name = condition.replace("regularized", "regularised")  # spelt as in the report
    return f"{name} ({threshold:g})" if np.isfinite(threshold) else name


def _obstacle(settings: Settings) -> str:
    return obstacle(settings, ("accuracy", "regularization"))


def _notes(table: pd.DataFrame, settings: Settings) -> list[str]:
    """What holds for the whole table."""
    notes = [
        f"Chance: {table.chance.iloc[0]:g} %. In brackets: threshold in spikes per time step and neuron."
    ]
    if table.unseen_mean.notna().any():
        notes.append("; ".join(f"{name}: {what}" for name, what in SPEAKERS.items()) + ".")
    if (table.n == 1).any():
        notes.append("A single seed has neither a spread nor an interval.")
    if ((table.n > 1) & table.low.isna()).any():
        notes.append("Fewer than six seeds with equal values give no interval.")
    if (table.low < 0).any() or (table.high > 100).any():
        notes.append("Intervals are cut off at 0 and 100 %.")
    reason = _obstacle(settings)
    return notes + ([f"The paper's numbers are not comparable here: {reason}."] if reason else [])
