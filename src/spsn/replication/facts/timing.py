"""What the timing study measured, and which part of the speed-up belongs to the baseline.

The paper divides LIF's time by SPSN's. Its LIF loop slices the pre-activation at every time step, and the backward of
each slice fills a tensor as long as the whole sequence: work that grows with T^2 and has nothing to do with the neuron.
With t(...) the medians of one row of the tables,

    t(LIF, paper) / t(SB, paper)  =  t(LIF, paper) / t(LIF, unbind)  x  t(LIF, unbind) / t(SB, paper)
        the paper's comparison           the baseline's slices             what remains for the neuron

where `unbind` is the same loop without that backward.
"""

from collections.abc import Callable, Iterable

import pandas as pd

from spsn.replication import latex
from spsn.replication.facts.common import distinct
from spsn.replication.style import (
    IMPLEMENTATIONS,
    MODELS,
    STATUS_LABELS,
    implementation_look,
    model_look,
    ordered,
)

Times = Callable[[str, str], float | None]


def decomposition(seconds: Times) -> tuple[float | None, float | None, float | None]:
    """The paper's comparison, the baseline's part and the rest, from seconds by model and implementation."""
    lif, loop, spsn = seconds("lif", "paper"), seconds("lif", "unbind"), seconds("spsn-sb", "paper")
    return _over(lif, spsn), _over(lif, loop), _over(loop, spsn)


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _decomposition_macros(prefix: str, seconds: Times) -> tuple[dict[str, str], dict[str, bool]]:
    whole, baseline, rest = decomposition(seconds)
    plain = _over(seconds("lif", "unbind"), seconds("spsn-sb", "torch"))
    fused = _over(seconds("lif", "fused"), seconds("spsn-sb", "fused"))
    parts = {"Whole": whole, "Baseline": baseline, "Rest": rest, "Plain": plain, "Fused": fused}
    macros = {f"{prefix.capitalize()}Ratio{name}": latex.number(value, 3) for name, value in parts.items()}
    return macros, {
        f"{prefix}ratio": None not in (whole, baseline, rest),
        f"{prefix}fused": fused is not None,
    }


def epoch_macros(epochs: pd.DataFrame) -> tuple[dict[str, str], dict[str, bool]]:
    """Figure 3C: a table of every measurement, its circumstances, and the comparison taken apart.

    Where both kinds were measured, the comparison is of epochs with augmentation, as the paper's.
    """
    chosen = epochs[epochs.augmented] if epochs.augmented.any() else epochs
    measured = chosen[chosen.status == "measured"].set_index(["model", "implementation"])

    def seconds(column: str) -> Times:
        return lambda model, implementation: _lookup(measured, (model, implementation), column)

    macros, switches = _decomposition_macros("epoch", seconds("seconds_per_epoch"))
    compute, _ = _decomposition_macros("compute", seconds("seconds_compute"))
    head = (
        "neuron", "implementation", "augmented", "seconds an epoch", "of which computing", "of which data",
        "batches measured",
    )  # fmt: skip
    lines = [_epoch_line(row) for row in _sorted(epochs).itertuples()]
    columns = r"@{}lll*{4}{>{\raggedleft\arraybackslash}p{0.12\linewidth}}@{}"
    return macros | compute | {
        "EpochTable": latex.tabular(columns, head, lines),
        "EpochCircumstances": _circumstances(epochs, mean_steps="mean $T$"),
    }, switches  # fmt: skip


def _lookup(table: pd.DataFrame, key: tuple, column: str) -> float | None:
    if key not in table.index:
        return None
    value = float(table[column].loc[[key]].iloc[0])
    return value if value > 0 else None


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Models and implementations in the order in which they stand everywhere."""
    models, ways = ordered(table.model, MODELS), ordered(table.implementation, IMPLEMENTATIONS)
    order = table.assign(a=table.model.map(models.index), b=table.implementation.map(ways.index))
    return order.sort_values(["a", "b"], kind="stable").drop(columns=["a", "b"])


def _epoch_line(row) -> tuple[str, ...]:
    if row.status == "measured":
        numbers = [latex.number(v, 3) for v in (row.seconds_per_epoch, row.seconds_compute, row.seconds_data)]
        batches = f"{latex.integer(row.batches_measured)} of {latex.integer(row.batches_per_epoch)}"
    else:
        numbers, batches = [_status(row.status), latex.ABSENT, latex.ABSENT], latex.ABSENT
    names = (
        latex.escape(model_look(row.model).label),
        latex.escape(implementation_look(row.implementation).label),
    )
    return (*names, "yes" if row.augmented else "no", *numbers, batches)


def _status(status: str) -> str:
    return rf"\textit{{{latex.escape(STATUS_LABELS.get(status, status))}}}"


def _circumstances(table: pd.DataFrame, **columns: str) -> str:
    """Device, batch, threads and number type of a table, each listed where they differ."""
    parts = [f"{name} {_whole_numbers(table[column])}" for column, name in columns.items()]
    parts += [f"batch {_whole_numbers(table.batch_size)}", distinct(table.device)]
    parts += [f"CPU threads {_whole_numbers(table.threads)}", distinct(table["dtype"])]
    return ", ".join(parts)


def _whole_numbers(values: pd.Series) -> str:
    return latex.listed(latex.integer(v) for v in sorted(set(values.dropna().round())))


def length_macros(lengths: pd.DataFrame) -> tuple[dict[str, str], dict[str, bool]]:
    """Figure 5: medians at every length, and the comparison taken apart at the longest length that allows it."""
    measured = lengths[lengths.status == "measured"]
    medians = measured.groupby(["steps", "model", "implementation"]).seconds.median()
    raw = measured.groupby(["steps", "model", "implementation"]).seconds_unsynchronised.median()
    steps = sorted(set(lengths.steps))
    longest = max((t for t in steps if decomposition(_at(medians, t))[0]), default=None)
    taken_apart = max((t for t in steps if None not in decomposition(_at(medians, t))), default=longest)
    macros, switches = _decomposition_macros("length", _at(medians, taken_apart))
    on_gpu = measured.device.astype(str).str.contains("cuda|nvidia|gpu", case=False).any()
    return macros | {
        "LengthTable": _length_table(lengths, medians, steps),
        "LengthCircumstances": _circumstances(lengths),
        "LengthInputs": _whole_numbers(lengths.inputs),
        "LengthNeurons": _whole_numbers(lengths.neurons),
        "LengthRepeats": latex.integer(lengths.repeat.max() + 1),
        "LengthLongest": latex.integer(taken_apart) if taken_apart else latex.ABSENT,
        "LengthUnsynchronised": latex.number(decomposition(_at(raw, taken_apart))[0], 3),
        "LengthSpread": latex.percent(_largest_spread(measured), 0),
        **_growth_macros(medians, steps),
    }, switches | {"lengthongpu": bool(on_gpu)}  # fmt: skip


def _at(medians: pd.Series, steps: int | None) -> Times:
    def seconds(model: str, implementation: str) -> float | None:
        value = medians.get((steps, model, implementation))
        return float(value) if value and value > 0 else None

    return seconds


def _growth_macros(medians: pd.Series, steps: Iterable[int]) -> dict[str, str]:
    """For each of the paper's programs: its own range of measured lengths, and how its time grew over that range."""
    macros = {}
    for model, way in (("lif", "paper"), ("lif", "unbind"), ("spsn-sb", "paper"), ("spsn-sb", "torch")):
        known = {t: s for t in steps if (s := _at(medians, t)(model, way)) is not None}
        suffix = latex.letters(model) + latex.letters(way)
        first, last = (min(known), max(known)) if known else (None, None)
        macros[f"GrowthTime{suffix}"] = latex.number(_over(known.get(last), known.get(first)), 3)
        macros[f"GrowthLength{suffix}"] = latex.number(_over(last, first), 3)
    return macros


def _largest_spread(measured: pd.DataFrame) -> float | None:
    """The largest (longest - shortest) / median over the repeats of one point."""
    groups = measured.groupby(["steps", "model", "implementation"]).seconds
    spreads = (groups.max() - groups.min()) / groups.median()
    return float(spreads.max()) if len(spreads) else None


def _length_table(lengths: pd.DataFrame, medians: pd.Series, steps: Iterable[int]) -> str:
    series = list(dict.fromkeys(zip(_sorted(lengths).model, _sorted(lengths).implementation, strict=True)))
    head = [
        rf"\shortstack[r]{{{_escaped(model_look(m).label)}\\{_escaped(implementation_look(w).label)}}}"
        for m, w in series
    ]
    lines = []
    for t in steps:
        rows = lengths[lengths.steps == t]
        cells = [
            _length_cell(rows[(rows.model == m) & (rows.implementation == w)], medians, t, m, w)
            for m, w in series
        ]
        whole, baseline, rest = decomposition(_at(medians, t))
        lines.append((latex.integer(t), *cells, *(latex.number(v, 3) for v in (whole, baseline, rest))))
    parts = [
        rf"\shortstack[r]{{{a}\\{b}}}"
        for a, b in (("paper's", "ratio"), ("of it,", "slices"), ("of it,", "rest"))
    ]
    return latex.tabular(f"@{{}}r{'r' * len(series)}@{{\\qquad}}rrr@{{}}", ["$T$", *head, *parts], lines)


def _escaped(text: str) -> str:
    return latex.escape(text)


def _length_cell(rows: pd.DataFrame, medians: pd.Series, steps: int, model: str, way: str) -> str:
    median = medians.get((steps, model, way))
    if median is not None:
        return latex.number(float(median), 3)
    return _status(rows.status.iloc[0]) if len(rows) else latex.ABSENT
