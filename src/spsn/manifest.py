"""Which files make up a folder of results: pure functions of the settings, for who writes provenance and who
verifies.

Names are POSIX paths below `results/<name>/`. What is no result is not among them: checkpoints, event stores,
logs, benchmarks, Snakemake's own report, and the reports themselves, which cite what stands here.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath as Path

from spsn import layout
from spsn.settings import Settings

# folders in which nothing else than results belongs
HOLDING = ("runs", "tables", "figures", "timing", "robustness", "golden", "data", "illustration", "notebooks")
FACTS = ("settings.json", "data.json", "data/samples.csv", "data/rasters.csv")
MEASURED = (
    "illustration/neurons.csv",
    "timing/epoch.csv",
    "timing/sequence_length.csv",
    "robustness/trials.csv",
    "robustness/test_set.csv",
)
GOLDEN = ("golden/weights.json", "golden/passes.csv", "golden/about.json")
RUNS, COMPARED, COSTS = "tables/runs.csv", "tables/comparison_runs.csv", "timing/methods.csv"
FIGURES = ("figure_data", *(f"figure{number}" for number in range(1, 7)))
TABLES = ("table_data", "table1", "table2", "claims")
COMPARISON_FIGURES = ("comparison_accuracy", "comparison_cost", "comparison_controls")
NOTEBOOKS = (
    *("figure_data", "table_data", "figure1_neurons", "figure2_loss_modes", "figure3_models"),
    *("figure4_regularization", "figure5_sequence_length", "figure6_robustness"),
    *("table1_parameters", "table2_accuracy", "claims"),
)


def report_files(settings: Settings) -> list[str]:
    """Every result that the report rests on."""
    authors = settings.golden.weights is not None
    return [
        *FACTS,
        *MEASURED,
        *(GOLDEN if authors else ()),
        *run_files(settings, layout.all_records(settings)),
        RUNS,
        *_tables((*TABLES, *(["table_golden"] if authors else []))),
        *_figures(FIGURES),
        *_notebooks((*NOTEBOOKS, *(["table_golden"] if authors else []))),
    ]


def comparison_files(settings: Settings) -> list[str]:
    """What the report with part II rests on beyond `report_files`."""
    return [
        COSTS,
        *run_files(settings, layout.comparison_records(settings)),
        COMPARED,
        *_tables(("comparison",)),
        *_figures(COMPARISON_FIGURES),
        *_notebooks(("comparison_table", *COMPARISON_FIGURES)),
    ]


def run_files(settings: Settings, records: Iterable[Path]) -> list[str]:
    """Names of records, each followed by its weights."""
    names = (path.relative_to(layout.results(settings)) for path in records)
    return [name.with_suffix(suffix).as_posix() for name in names for suffix in (".json", ".safetensors")]


def records_among(names: Iterable[str]) -> list[str]:
    """Those of the names that are run records."""
    return [name for name in names if name.startswith("runs/") and name.endswith(".json")]


def _tables(names: Iterable[str]) -> list[str]:
    return [f"tables/{name}{suffix}" for name in names for suffix in (".csv", ".tex")]


def _figures(names: Iterable[str]) -> list[str]:
    return [f"figures/{name}{suffix}" for name in names for suffix in (".pdf", ".png")]


def _notebooks(names: Iterable[str]) -> list[str]:
    return [f"notebooks/{name}.ipynb" for name in names]
