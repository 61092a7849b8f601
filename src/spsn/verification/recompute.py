"""Tables, claims, figures and macros made again by the functions that the notebooks and the report call.

A step reads files below one folder and writes others there; it never executes anything that a folder of
results holds. Steps stand in the order in which one's outputs are another's inputs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spsn import manifest
from spsn.manifest import EPOCH, LENGTH, NEURONS, RASTERS, RUNS, SAMPLES, TEST_SET, TRIALS
from spsn.replication import figures
from spsn.replication.claims import write_claims
from spsn.replication.compared import read_compared_runs, read_costs
from spsn.replication.comparison_table import write_comparison
from spsn.replication.data_table import read_published, write_table_data
from spsn.replication.facts.data import known_channels
from spsn.replication.golden_table import write_golden_table
from spsn.replication.report import write_macros
from spsn.replication.style import save
from spsn.replication.tables import write_table1, write_table2
from spsn.replication.typesetting import FULL_REPORT, REPORT, Edition
from spsn.settings import Settings

ALWAYS = (manifest.SETTINGS, manifest.DATA)


@dataclass(frozen=True)
class Place:
    """Where steps work: a folder of inputs to which they add, its settings, the repository's paper/."""

    folder: Path
    settings: Settings
    paper: Path

    def table(self, name: str, **options: Any) -> pd.DataFrame:
        return self.source.table(name, **options)

    @property
    def source(self) -> figures.Source:
        return figures.open_results(self.folder, self.paper / "reported.csv")


@dataclass(frozen=True)
class Step:
    """What makes some files from others (beside `ALWAYS`); a drawing's bytes hang on what drew it."""

    makes: tuple[str, ...]
    needs: tuple[str, ...]
    make: Callable[[Place], Any]
    drawing: bool = False


def steps(settings: Settings, *, comparison: bool) -> list[Step]:
    """Everything between the table of runs and the reader; with `comparison`, part II too."""
    authors = settings.golden.weights is not None
    tables = [*_TABLES, *([_GOLDEN_TABLE] if authors else []), *([_COMPARISON_TABLE] if comparison else [])]
    drawings = [*_FIGURES, *(_COMPARISON_FIGURES if comparison else [])]
    macros = [_macros(REPORT, tables), *([_macros(FULL_REPORT, tables)] if comparison else [])]
    return [*tables, *macros, *drawings]


def _table(name: str, make: Callable[[Place], Any]) -> Step:
    notebook = manifest.BY_RESULT[name]
    return Step(notebook.files, notebook.reads, make)


_TABLES = (
    _table(
        "table_data",
        lambda at: write_table_data(
            at.folder, at.table(SAMPLES), read_published(at.paper / "shd_published.csv")
        ),
    ),
    _table("table1", lambda at: write_table1(at.folder, at.settings)),
    _table("table2", lambda at: write_table2(at.folder, at.paper / "reported.csv", at.settings)),
    _table("claims", lambda at: write_claims(at.folder, at.paper / "claims.yaml", at.settings)),
)
_GOLDEN_TABLE = _table("table_golden", lambda at: write_golden_table(at.folder, at.paper / "golden.csv"))
_COMPARISON_TABLE = _table("comparison", lambda at: write_comparison(at.folder))


def _macros(edition: Edition, tables: list[Step]) -> Step:
    """The report's numbers; they rest on all that the tables rest on."""
    of_part_two = (*_COMPARISON_TABLE.makes, *_COMPARISON_TABLE.needs)
    names = {
        name for step in tables for name in (*step.makes, *step.needs) if name.endswith((".csv", ".json"))
    }
    names -= set() if edition.comparison else set(of_part_two)
    return Step(
        (edition.macros,),
        (*sorted(names), edition.provenance),
        lambda at: write_macros(at.folder, at.settings, at.folder / edition.macros, edition),
    )


def _figure(name: str, draw: Callable[[Place], Any]) -> Step:
    notebook = manifest.BY_RESULT[name]
    return Step(
        notebook.files,
        notebook.reads,
        lambda at: save(draw(at), at.folder / notebook.makes),
        drawing=True,
    )


def _figure_data(at: Place) -> Any:
    samples, published = (
        at.table(SAMPLES, dtype={"class": str}),
        read_published(at.paper / "shd_published.csv"),
    )
    known = known_channels(at.settings)
    return figures.figure_data(samples, at.table(RASTERS), published, at.source.context, frequencies=known)


_FIGURES = (
    _figure("figure_data", _figure_data),
    _figure("figure1", lambda at: figures.figure1(at.table(NEURONS), at.settings.network.threshold)),
    _figure("figure2", lambda at: figures.figure2(at.table(RUNS), at.source.context)),
    _figure("figure3", lambda at: figures.figure3(at.table(RUNS), at.table(EPOCH), at.source.context)),
    _figure("figure4", lambda at: figures.figure4(at.table(RUNS), at.source.context)),
    _figure("figure5", lambda at: figures.figure5(at.table(LENGTH), at.source.context)),
    _figure("figure6", lambda at: figures.figure6(at.table(TRIALS), at.table(TEST_SET), at.source.context)),
)
_COMPARISON_FIGURES = (
    _figure(
        "comparison_accuracy",
        lambda at: figures.comparison_accuracy(read_compared_runs(at.folder), at.source.context),
    ),
    _figure("comparison_cost", lambda at: figures.comparison_cost(read_costs(at.folder), at.source.context)),
    _figure(
        "comparison_controls",
        lambda at: figures.comparison_controls(read_compared_runs(at.folder), at.source.context),
    ),
)
