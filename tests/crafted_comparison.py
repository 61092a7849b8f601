"""Made-up results of the comparison: what its table, figures and report read; nothing of it was measured."""

import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
from crafted_results import TEX, figure

from spsn.grid import comparison_blocks, run_settings
from spsn.manifest import COMPARED, COSTS
from spsn.methods import METHODS, TRAITS
from spsn.replication.compared import read_compared
from spsn.replication.comparison_table import write_comparison
from spsn.replication.figures import Context, comparison_accuracy, comparison_controls, comparison_cost
from spsn.replication.report import build_pdf, write_macros
from spsn.replication.style import save
from spsn.replication.typesetting import FULL_REPORT
from spsn.settings import Settings

TEST_TOTAL = 200
# model: test accuracy (0-1), spikes per ms
LEVELS = {
    "lif": (0.72, 9.0), "spsn-sb": (0.76, 150.0), "spsn-gs": (0.74, 165.0), "non-spiking": (0.55, np.nan),
    "psu": (0.05, 2.0), "ipsu-code": (0.61, 60.0), "ipsu-sigmoid": (0.42, 14.0), "rpsu": (0.33, 8.0),
    "bptt": (0.79, 16.0), "bptt-detached": (0.74, 17.5), "exodus": (0.79, 16.0), "slayer": (0.74, 17.5),
    "ottt": (0.66, 21.0), "saf-e": (0.66, 21.0), "saf-f": (0.48, 40.0), "spike-representation": (0.48, 40.0),
}  # fmt: skip
# variant: what it changes in accuracy, by what it multiplies the rate
CHANGES = {"": (0, 1), "per-step": (-0.05, 1.2), "centred": (0.25, 1.5), "final": (-0.09, 1.6),
           "instantaneous-input": (-0.06, 0.9)}  # fmt: skip
EQUAL = {"bptt": "exodus", "bptt-detached": "slayer", "saf-e": "ottt", "spike-representation": "saf-f"}
FORMS = {"none": ("eager",), "neuron": ("eager", "fused"), "network": ("eager", "fused")}
TIMED = ("lif", "spsn-sb", "spsn-gs", "non-spiking", "psu", "rpsu", "bptt", "exodus", "slayer", "ottt",
         "saf-e", "saf-f")  # fmt: skip
LENGTHS = (100, 300, 1000, 3000, 10_000)


def runs(settings: Settings) -> pd.DataFrame:
    """`tables/comparison_runs.csv` of the whole grid.

    Literal PSU stays at chance and silent; SAF-E and Spike Representation equal their partners run by run,
    BPTT differs from EXODUS by noise.
    """
    lines = []
    for block in comparison_blocks(settings):
        for seed in block.seeds:
            run = run_settings(settings, block, seed, classes=20, train_digest="t", test_digest="e")
            fused = TRAITS[run.model].fused != "none"
            lines.append(
                {name: getattr(run, name) for name in _SHARED}
                | _result(run.model, run.condition, seed)
                | {"backend": "fused" if fused else "torch", "device": "cpu", "classes": 20}
                | {"epoch_seconds": 1.5 if fused else 6.0, "test_seconds": 0.5, "peak_bytes": 10**9}
            )
    return pd.DataFrame(lines)


_SHARED = (
    *("experiment", "model", "condition", "seed", "rate_threshold", "loss_mode", "epochs", "batch_size"),
    *("time_step", "dataset", "threads"),
)


def _result(model: str, condition: str, seed: int) -> dict:
    step, _, variant = condition.partition("-")
    accuracy, rate = LEVELS[model]
    gain, factor = CHANGES[variant]
    same = EQUAL.get(model, model) if model in ("saf-e", "spike-representation") else model
    draw = np.random.default_rng(crc32(f"{same}{condition}{seed}".encode()))
    learns = accuracy + gain > 0.1
    share = accuracy + gain - 0.04 * (step == "1ms") + draw.normal(0, 0.012) if learns else 0.05
    hits = round(TEST_TOTAL * share)
    fired = rate * factor * (1 + draw.normal(0, 0.02)) if learns or np.isnan(rate) else 0.0
    return {
        "test_accuracy": hits / TEST_TOTAL, "train_accuracy": min(1.0, share + 0.1), "train_loss": 1.0,
        "test_hits": hits, "test_total": TEST_TOTAL, "test_accuracy_seen": np.nan,
        "test_accuracy_unseen": np.nan, "spikes_per_ms": fired, "spikes_per_ms_1": fired / 3,
    }  # fmt: skip


def costs(methods=TIMED, lengths=LENGTHS, limit: float = 20.0, memory: float = 8e9) -> pd.DataFrame:
    """`timing/methods.csv`: time and memory linear in T, eager ones slower; T x T matrices quadratic.

    OTTT's and SAF's eager forms keep one step alone. What takes longer than `limit` seconds was too slow,
    what needs more than `memory` bytes found none.
    """
    lines = []
    for place, name in enumerate(methods):
        traits = TRAITS[METHODS[name].model]
        for form in FORMS[traits.fused]:
            for steps in lengths:
                lines.append(_cost(name, form, steps, place, limit, memory))
    return pd.DataFrame(lines)


def _cost(name: str, form: str, steps: int, place: int, limit: float, memory: float) -> dict:
    model = METHODS[name].model
    traits = TRAITS[model]
    a_step = 2e-3 if form == "eager" and not traits.parallel else 1e-4 if form == "eager" else 3e-5
    seconds = (1 + 0.08 * place) * (5e-3 + a_step * steps + (2e-7 * steps**2 if traits.square else 0))
    size = (
        2e8
        + 64 * 128 * 4 * (6 if form == "eager" else 3) * 3 * steps
        + (100 * steps**2 if traits.square else 0)
    )
    if form == "eager" and traits.family == "SAF":
        size = 2.2e8
    status = "out_of_memory" if size > memory else "too_slow" if seconds > limit else "measured"
    known = status == "measured"
    return {
        "method": name, "model": model, "implementation": form, "steps": steps, "status": status,
        "seconds_median": seconds if known else None, "seconds_q1": 0.95 * seconds if known else None,
        "seconds_q3": 1.1 * seconds if known else None, "peak_bytes": size if known else None,
        "batch_size": 8, "repeats": 5, "device": "cpu", "threads": 2, "dtype": "float32",
    }  # fmt: skip


def write(folder: Path, settings: Settings, of_runs=None, of_costs=None) -> Path:
    """Write both tables below `folder`, those given in place of `runs` and `costs`; return it."""
    of_runs = runs(settings) if of_runs is None else of_runs
    of_costs = costs() if of_costs is None else of_costs
    for name, table in ((COMPARED, of_runs), (COSTS, of_costs)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / name, index=False)
    return folder


def complete(folder: Path, settings: Settings, *, drawn: bool = True) -> Path:
    """What else part II is made of, from the tables that `write` wrote beside `crafted_results`'; with small
    figures in place of those `drawn`.
    """
    write_comparison(folder)
    if drawn:
        draw(folder, settings)
    else:
        for name in ("accuracy", "cost", "controls"):
            figure(folder / f"figures/comparison_{name}.pdf", 7.16)
    (folder / "report").mkdir(exist_ok=True)
    shutil.copyfile(folder / "provenance.json", folder / FULL_REPORT.provenance)
    return folder


def draw(folder: Path, settings: Settings) -> None:
    """The figures of part II."""
    context = Context(settings.dataset_name, settings.is_shd, 0.05)
    compared = read_compared(folder)
    for name, made in {
        "accuracy": comparison_accuracy(compared.runs, context),
        "cost": comparison_cost(compared.costs, context),
        "controls": comparison_controls(compared.runs, context),
    }.items():
        save(made, folder / "figures" / f"comparison_{name}")


def typeset(folder: Path, settings: Settings) -> Path:
    """Macros and PDF of the report with part II."""
    write_macros(folder, settings, folder / FULL_REPORT.macros, FULL_REPORT)
    build_pdf(folder, TEX, folder / "report/full_report.pdf", FULL_REPORT)
    return folder / "report/full_report.pdf"
