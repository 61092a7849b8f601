"""Tables for the report: runs, Table I, Table II, each as a data frame and as files below
`results/<name>/tables/`.
"""

from pathlib import Path

import pandas as pd

from spsn.files import write_text
from spsn.replication import accuracy_table, parameters_table
from spsn.replication.accuracy_table import readable, table2
from spsn.replication.parameters_table import table1
from spsn.replication.run_table import collect_runs, read_csv, read_runs, write_csv, write_runs
from spsn.settings import Settings

__all__ = [
    "collect_runs",
    "read_reported",
    "read_runs",
    "readable",
    "table1",
    "table2",
    "write_runs",
    "write_table1",
    "write_table2",
]

REPORTED_COLUMNS = ("quantity", "model", "condition", "value", "spread", "unit", "section")


def read_reported(path: str | Path) -> pd.DataFrame:
    """The paper's numbers, columns `REPORTED_COLUMNS`. Raises `RecordError`."""
    return read_csv(path, REPORTED_COLUMNS, dtype={"model": str, "condition": str})


def write_table1(results: str | Path, settings: Settings) -> None:
    """Write `tables/table1.csv` and `.tex` below `results`; the number of classes is that of
    `tables/runs.csv`.
    """
    folder = Path(results) / "tables"
    table = table1(settings, int(read_runs(folder / "runs.csv").classes.iloc[0]))
    write_csv(table, folder / "table1.csv")
    write_text(folder / "table1.tex", parameters_table.to_tex(table))


def write_table2(results: str | Path, reported: str | Path, settings: Settings) -> None:
    """Write `tables/table2.csv` (numbers) and `.tex` (as `readable`) below `results` from its
    `tables/runs.csv`.
    """
    folder = Path(results) / "tables"
    table = table2(read_runs(folder / "runs.csv"), read_reported(reported), settings)
    write_csv(table, folder / "table2.csv")
    write_text(folder / "table2.tex", accuracy_table.to_tex(table, settings))
