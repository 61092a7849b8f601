"""Which files make up a folder of results, and what each is called: pure functions of the settings, for the
workflow, for who writes provenance and who verifies.

Names are POSIX paths below `results/<name>/`. What is no result is not among them: checkpoints, event stores,
logs, benchmarks, Snakemake's own report, and the reports themselves, which cite what stands here.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath as Path

from spsn import layout
from spsn.settings import Settings

# folders in which nothing else than results belongs
HOLDING = ("runs", "tables", "figures", "timing", "robustness", "golden", "data", "illustration", "notebooks")
SETTINGS, DATA = "settings.json", "data.json"
SAMPLES, RASTERS = "data/samples.csv", "data/rasters.csv"
NEURONS = "illustration/neurons.csv"
EPOCH, LENGTH, COSTS = "timing/epoch.csv", "timing/sequence_length.csv", "timing/methods.csv"
TRIALS, TEST_SET = "robustness/trials.csv", "robustness/test_set.csv"
WEIGHTS, PASSES, ABOUT = "golden/weights.json", "golden/passes.csv", "golden/about.json"
RUNS, COMPARED = "tables/runs.csv", "tables/comparison_runs.csv"

# notebook: the figure or table that it makes
NOTEBOOKS = {
    "figure_data": "figure_data",
    "table_data": "table_data",
    "figure1_neurons": "figure1",
    "figure2_loss_modes": "figure2",
    "figure3_models": "figure3",
    "figure4_regularization": "figure4",
    "figure5_sequence_length": "figure5",
    "figure6_robustness": "figure6",
    "table1_parameters": "table1",
    "table2_accuracy": "table2",
    "claims": "claims",
}
GOLDEN_NOTEBOOKS = {"table_golden": "table_golden"}  # where the authors' weights are tried
COMPARISON_NOTEBOOKS = {
    "comparison_table": "comparison",
    "comparison_accuracy": "comparison_accuracy",
    "comparison_cost": "comparison_cost",
    "comparison_controls": "comparison_controls",
}
TABLES = ("table_data", "table1", "table2", "claims", "table_golden", "comparison")  # the others are figures


def notebooks(settings: Settings) -> dict[str, str]:
    """Every notebook of the report and what it makes."""
    return NOTEBOOKS | (GOLDEN_NOTEBOOKS if settings.golden.weights is not None else {})


def made(name: str) -> list[str]:
    """The files of a table (CSV and TeX) or of a figure (PDF and PNG)."""
    folder, endings = ("tables", ("csv", "tex")) if name in TABLES else ("figures", ("pdf", "png"))
    return [f"{folder}/{name}.{ending}" for ending in endings]


def report_files(settings: Settings) -> list[str]:
    """Every result that the report rests on."""
    authors = settings.golden.weights is not None
    return [
        *(SETTINGS, DATA, SAMPLES, RASTERS),
        *(NEURONS, EPOCH, LENGTH, TRIALS, TEST_SET),
        *((WEIGHTS, PASSES, ABOUT) if authors else ()),
        *run_files(settings, layout.all_records(settings)),
        RUNS,
        *_of_notebooks(notebooks(settings)),
    ]


def comparison_files(settings: Settings) -> list[str]:
    """What the report with part II rests on beyond `report_files`."""
    return [
        COSTS,
        *run_files(settings, layout.comparison_records(settings)),
        COMPARED,
        *_of_notebooks(COMPARISON_NOTEBOOKS),
    ]


def run_files(settings: Settings, records: Iterable[Path]) -> list[str]:
    """Names of records, each followed by its weights."""
    names = (path.relative_to(layout.results(settings)) for path in records)
    return [name.with_suffix(suffix).as_posix() for name in names for suffix in (".json", ".safetensors")]


def records_among(names: Iterable[str]) -> list[str]:
    """Those of the names that are run records."""
    return [name for name in names if name.startswith("runs/") and name.endswith(".json")]


def _of_notebooks(makes: Mapping[str, str]) -> list[str]:
    """Tables, figures, and the notebooks themselves."""
    tables = [file for name in makes.values() if name in TABLES for file in made(name)]
    figures = [file for name in makes.values() if name not in TABLES for file in made(name)]
    return [*tables, *figures, *(f"notebooks/{notebook}.ipynb" for notebook in makes)]
