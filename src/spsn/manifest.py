"""Which files make up a folder of results, and what each is called: pure functions of the settings, for the
workflow, for who writes provenance and who verifies.

Names are POSIX paths below `results/<name>/`. What is no result is not among them: checkpoints, event stores,
logs, benchmarks, Snakemake's own report, and the reports themselves, which cite what stands here.

A new figure or table is three new files,

    src/spsn/replication/...                draws or tabulates it from what it reads
    notebooks/<notebook>.ipynb              shows and writes it
    workflow/report/<figure>.rst            its caption in Snakemake's report

and three places in others; tests fail for what is forgotten of them all but for the last:

    `NOTEBOOKS` below                       what the notebook makes and reads: its rule, all that rests on it
    src/spsn/verification/recompute.py      the call that makes it again for `spsn verify`
    paper/report.tex                        where the report shows it
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

# no results: the two reports, what each says of its making, and what the repository holds of the paper
REPORT, FULL_REPORT = "report/report.pdf", "report/full_report.pdf"
MACROS, FULL_MACROS = "report/macros.tex", "report/full_macros.tex"
PROVENANCE, FULL_PROVENANCE = "provenance.json", "report/full_provenance.json"
REPORTED, PUBLISHED = "paper/reported.csv", "paper/shd_published.csv"


@dataclass(frozen=True)
class Notebook:
    """`notebooks/<name>.ipynb`: the figure or table that it makes, without an ending; what it reads, results
    beside `SETTINGS` and `DATA`, and files of the repository.
    """

    name: str
    makes: str
    reads: tuple[str, ...] = ()
    paper: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """The figure or table by its name: `figure2` of `figures/figure2`."""
        return Path(self.makes).name

    @property
    def is_table(self) -> bool:
        return self.makes.startswith("tables/")

    @property
    def files(self) -> tuple[str, ...]:
        """CSV and TeX of a table, PDF and PNG of a figure."""
        endings = ("csv", "tex") if self.is_table else ("pdf", "png")
        return tuple(f"{self.makes}.{ending}" for ending in endings)

    @property
    def executed(self) -> str:
        """The notebook with its outputs."""
        return f"notebooks/{self.name}.ipynb"


NOTEBOOKS = (
    Notebook("figure_data", "figures/figure_data", (SAMPLES, RASTERS), (PUBLISHED,)),
    Notebook("table_data", "tables/table_data", (SAMPLES,), (PUBLISHED,)),
    Notebook("figure1_neurons", "figures/figure1", (NEURONS,)),
    Notebook("figure2_loss_modes", "figures/figure2", (RUNS,), (REPORTED,)),
    Notebook("figure3_models", "figures/figure3", (RUNS, EPOCH), (REPORTED,)),
    Notebook("figure4_regularization", "figures/figure4", (RUNS,), (REPORTED,)),
    Notebook("figure5_sequence_length", "figures/figure5", (LENGTH,), (REPORTED,)),
    Notebook("figure6_robustness", "figures/figure6", (TRIALS, TEST_SET)),
    Notebook("table1_parameters", "tables/table1"),
    Notebook("table2_accuracy", "tables/table2", (RUNS,), (REPORTED,)),
    Notebook(
        "claims", "tables/claims", (RUNS, EPOCH, LENGTH, TRIALS, TEST_SET), (REPORTED, "paper/claims.yaml")
    ),
)
# where the authors' weights are tried
GOLDEN_NOTEBOOKS = (Notebook("table_golden", "tables/table_golden", (PASSES, ABOUT), ("paper/golden.csv",)),)
COMPARISON_NOTEBOOKS = (
    Notebook("comparison_table", "tables/comparison", (COMPARED, COSTS)),
    Notebook("comparison_accuracy", "figures/comparison_accuracy", (COMPARED,)),
    Notebook("comparison_cost", "figures/comparison_cost", (COSTS,)),
    Notebook("comparison_controls", "figures/comparison_controls", (COMPARED,)),
)
BY_RESULT = {notebook.result: notebook for notebook in (*NOTEBOOKS, *GOLDEN_NOTEBOOKS, *COMPARISON_NOTEBOOKS)}


def notebooks(settings: Settings) -> tuple[Notebook, ...]:
    """Every notebook of the report."""
    return NOTEBOOKS + (GOLDEN_NOTEBOOKS if settings.golden.weights is not None else ())


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


def made(of: Iterable[Notebook], *, tables: bool) -> list[str]:
    """The files of the tables, or of the figures, that notebooks make."""
    return [name for notebook in of if notebook.is_table is tables for name in notebook.files]


def _of_notebooks(of: Sequence[Notebook]) -> list[str]:
    """Tables, figures, and the notebooks themselves."""
    return [*made(of, tables=True), *made(of, tables=False), *(notebook.executed for notebook in of)]
