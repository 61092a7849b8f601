"""What the timing study measured, and which part of the speed-up belongs to the baseline.

The paper divides LIF's time by SPSN's. Its LIF loop slices the pre-activation at every time step, and the
backward of each slice fills a tensor as long as the whole sequence: work that grows with T^2 and has nothing
to do with the neuron. With t(...) the medians of one row of the tables,

    t(LIF, paper) / t(SB, paper)  =  t(LIF, paper) / t(LIF, unbind)  x  t(LIF, unbind) / t(SB, paper)
        the paper's comparison           the baseline's slices             what remains

where `unbind` is the same loop without that backward. Beside them stands t(LIF, fused) / t(SB, fused): both
neurons by kernels of one kind, each in one pass over time.
"""

from collections.abc import Callable, Iterable

import pandas as pd

from spsn.replication import latex
from spsn.replication.evidence import on_gpu
from spsn.replication.facts.common import devices, distinct, whole_numbers
from spsn.replication.style import (
    IMPLEMENTATIONS,
    MODELS,
    STATUS_LABELS,
    implementation_look,
    model_look,
    ordered,
)

GROWING = (("lif", "paper"), ("lif", "unbind"), ("spsn-sb", "paper"), ("lif", "fused"), ("spsn-sb", "fused"))
Times = Callable[[str, str], float | None]
KEYS = ["steps", "model", "implementation"]
_CIRCUMSTANCES = ("model", "implementation", "status", "batch_size", "device", "threads", "dtype")
EPOCH_COLUMNS = (
    *_CIRCUMSTANCES,
    *("seconds_per_epoch", "seconds_compute", "seconds_data", "batches_measured", "batches_per_epoch"),
    *("mean_steps", "augmented"),
)
LENGTH_COLUMNS = (
    *_CIRCUMSTANCES,
    *("steps", "repeat", "seconds", "seconds_unsynchronised", "inputs", "neurons"),
)


def decomposition(seconds: Times) -> tuple[float | None, float | None, float | None]:
    """The paper's comparison, the baseline's part, the rest; `seconds(model, implementation)` may be None."""
    lif, loop, spsn = seconds("lif", "paper"), seconds("lif", "unbind"), seconds("spsn-sb", "paper")
    return _over(lif, spsn), _over(lif, loop), _over(loop, spsn)


def fused_ratio(seconds: Times) -> float | None:
    """LIF over SPSN-SB where both are fused."""
    return _over(seconds("lif", "fused"), seconds("spsn-sb", "fused"))


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above and below else None


def _ratio_macros(prefix: str, seconds: Times) -> tuple[dict[str, str], dict[str, bool]]:
    whole, baseline, rest = decomposition(seconds)
    fused = fused_ratio(seconds)
    parts = {"Whole": whole, "Baseline": baseline, "Rest": rest, "Fused": fused}
    macros = {f"{prefix.capitalize()}Ratio{name}": latex.number(value) for name, value in parts.items()}
    gains = {model: _over(seconds(model, "paper"), seconds(model, "fused")) for model in ("lif", "spsn-sb")}
    macros |= {f"{prefix.capitalize()}Gain{latex.letters(m)}": latex.number(v) for m, v in gains.items()}
    return macros, {
        f"{prefix}ratio": None not in (whole, baseline, rest),
        f"{prefix}fused": fused is not None,
        f"{prefix}gain": None not in gains.values(),  # how much faster fused is than the paper's way
        f"{prefix}faster": rest is not None and rest < 1,  # LIF, without the slices, faster than SPSN-SB
    }


def epoch_macros(epochs: pd.DataFrame) -> tuple[dict[str, str], dict[str, bool]]:
    """Figure 3C: a table of every measurement, its circumstances, and the comparison taken apart.

    Where both kinds were measured, the comparison is of epochs with augmentation, as the paper's.
    """
    chosen = epochs[epochs.augmented] if epochs.augmented.any() else epochs
    measured = chosen[chosen.status == "measured"].drop_duplicates(KEYS[1:]).set_index(KEYS[1:])

    def seconds(column: str) -> Times:
        return lambda model, way: _positive(measured[column].get((model, way)))

    macros, switches = _ratio_macros("epoch", seconds("seconds_per_epoch"))
    compute, _ = _ratio_macros("compute", seconds("seconds_compute"))
    head = (
        *("neuron", "implementation", "augmented"),
        latex.stacked("seconds", "an epoch"),
        latex.stacked("of which", "computing"),
        latex.stacked("of which", "data"),
        latex.stacked("batches", "measured"),
    )
    lines = [_epoch_line(row) for row in _sorted(epochs).itertuples()]
    table = {
        "EpochTable": latex.tabular("@{}lllrrrr@{}", head, lines),
        "EpochMeasured": _measured_batches(epochs[epochs.status == "measured"]),
        "EpochCircumstances": f"mean $T$ {whole_numbers(epochs.mean_steps)}, {circumstances(epochs)}",
    }
    return macros | compute | table, switches


def _measured_batches(measured: pd.DataFrame) -> str:
    """How much of an epoch was measured, listed where programs differ."""
    pairs = sorted(set(zip(measured.batches_measured, measured.batches_per_epoch, strict=True)))
    texts = [f"{latex.integer(count)} of {latex.integer(whole)}" for count, whole in pairs if count < whole]
    if not texts:
        return "all batches of an epoch" if pairs else "no batch"
    return f"{latex.listed(texts)} batches of an epoch"


def length_macros(lengths: pd.DataFrame) -> tuple[dict[str, str], dict[str, bool]]:
    """Figure 5: medians at every length, and the comparison taken apart at the longest that allows it."""
    measured = lengths[lengths.status == "measured"]
    medians = measured.groupby(KEYS).seconds.median()
    steps = sorted(set(lengths.steps))
    compared = [t for t in steps if decomposition(_at(medians, t))[0]]
    longest = max(
        [t for t in compared if None not in decomposition(_at(medians, t))] or compared, default=None
    )
    macros, switches = _ratio_macros("length", _at(medians, longest))
    raw = measured.groupby(KEYS).seconds_unsynchronised.median()
    fused = max([t for t in steps if fused_ratio(_at(medians, t))], default=None)
    text = {
        "LengthTable": _length_table(lengths, medians, steps),
        "LengthCircumstances": circumstances(lengths),
        "LengthInputs": whole_numbers(lengths.inputs),
        "LengthNeurons": whole_numbers(lengths.neurons),
        "LengthRepeats": latex.integer(lengths.repeat.max() + 1),
        "LengthLongest": latex.integer(longest) if longest else latex.ABSENT,
        "LengthFusedLongest": latex.integer(fused) if fused else latex.ABSENT,
        "LengthRatioFusedLongest": latex.number(fused_ratio(_at(medians, fused))),
        "LengthUnsynchronised": latex.number(decomposition(_at(raw, longest))[0]),
        "LengthSpread": latex.percent(_largest_spread(measured), 0),
    }
    switches["lengthlonger"] = fused is not None and fused > (longest or 0)
    switches["lengthongpu"] = len(measured) > 0 and on_gpu(measured.device)
    return macros | text | _growth_macros(medians, steps), switches


def _at(medians: pd.Series, steps: int | None) -> Times:
    """Seconds by model and implementation at one length."""
    return lambda model, way: _positive(medians.get((steps, model, way)))


def _positive(seconds: float | None) -> float | None:
    return float(seconds) if seconds is not None and seconds > 0 else None


def _growth_macros(medians: pd.Series, steps: Iterable[int]) -> dict[str, str]:
    """For each program: over its own range of measured lengths, how its time grew."""
    macros = {}
    for model, way in GROWING:
        known = {t: s for t in steps if (s := _at(medians, t)(model, way)) is not None}
        suffix = latex.letters(model) + latex.letters(way)
        first, last = (min(known), max(known)) if known else (None, None)
        macros[f"GrowthTime{suffix}"] = latex.number(_over(known.get(last), known.get(first)))
        macros[f"GrowthLength{suffix}"] = latex.number(_over(last, first))
    return macros


def _largest_spread(measured: pd.DataFrame) -> float | None:
    """The largest (longest - shortest) / median over the repeats of one point."""
    groups = measured.groupby(KEYS).seconds
    spreads = (groups.max() - groups.min()) / groups.median()
    return float(spreads.max()) if len(spreads) else None


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """Models and implementations in the order in which they stand everywhere."""
    models, ways = ordered(table.model, MODELS), ordered(table.implementation, IMPLEMENTATIONS)
    order = table.assign(a=table.model.map(models.index), b=table.implementation.map(ways.index))
    return order.sort_values(["a", "b"], kind="stable").drop(columns=["a", "b"])


def _epoch_line(row) -> tuple[str, ...]:
    names = _names(row.model, row.implementation)
    if row.status != "measured":
        return (*names, _yes(row.augmented), _status(row.status), *[latex.ABSENT] * 3)
    numbers = [latex.number(v) for v in (row.seconds_per_epoch, row.seconds_compute, row.seconds_data)]
    batches = f"{latex.integer(row.batches_measured)} of {latex.integer(row.batches_per_epoch)}"
    return (*names, _yes(row.augmented), *numbers, batches)


def _length_table(lengths: pd.DataFrame, medians: pd.Series, steps: Iterable[int]) -> str:
    table = _sorted(lengths)
    series = list(dict.fromkeys(zip(table.model, table.implementation, strict=True)))
    lines = []
    for t in steps:
        rows = lengths[lengths.steps == t]
        cells = [_length_cell(rows[(rows.model == m) & (rows.implementation == w)]) for m, w in series]
        ratios = *decomposition(_at(medians, t)), fused_ratio(_at(medians, t))
        lines.append((latex.integer(t), *cells, *map(latex.number, ratios)))
    parts = (("paper's", "ratio"), ("of it,", "slices"), ("of it,", "rest"), ("both", "fused"))
    head = [
        "$T$",
        *(latex.stacked(*_names(*pair)) for pair in series),
        *(latex.stacked(*pair) for pair in parts),
    ]
    return latex.tabular(f"@{{}}r{'r' * len(series)}@{{\\qquad}}rrrr@{{}}", head, lines)


def _length_cell(rows: pd.DataFrame) -> str:
    seconds = rows.seconds[rows.status == "measured"]
    if len(seconds):
        return latex.number(float(seconds.median()))
    return _status(rows.status.iloc[0]) if len(rows) else latex.ABSENT


def _names(model: str, way: str) -> tuple[str, str]:
    return latex.escape(model_look(model).label), latex.escape(implementation_look(way).label)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _status(status: str) -> str:
    return rf"\textit{{{latex.escape(STATUS_LABELS.get(status, status))}}}"


def circumstances(table: pd.DataFrame) -> str:
    """Batch, device, threads and number type of a table, each listed where they differ."""
    sizes = f"batch {whole_numbers(table.batch_size)}, {devices(table.device)}"
    threads = whole_numbers(table.threads)
    return f"{sizes}, {threads} thread{'' if threads == '1' else 's'}, {distinct(table['dtype'])}"
