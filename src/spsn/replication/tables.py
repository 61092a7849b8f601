"""Tables for the report: runs, Table I, Table II, each as a data frame and as files below
`results/<name>/tables/`.
"""

from pathlib import Path

from spsn.manifest import RUNS
from spsn.replication import accuracy_table, parameters_table
from spsn.replication.accuracy_table import readable, table2
from spsn.replication.making import classes_of
from spsn.replication.parameters_table import table1
from spsn.replication.run_table import collect_runs, read_reported, read_runs, write_runs
from spsn.replication.table_files import write_table
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


def write_table1(results: str | Path, settings: Settings) -> None:
    """Write `tables/table1.csv` and `.tex` below `results`; its `data.json` states the number of classes."""
    table = table1(settings, classes_of(Path(results)))
    write_table(results, "table1", table, parameters_table.to_tex(table))


def write_table2(results: str | Path, reported: str | Path, settings: Settings) -> None:
    """Write `tables/table2.csv` (numbers) and `.tex` (as `readable`) below `results`, from its run table."""
    table = table2(read_runs(Path(results) / RUNS), read_reported(reported), settings)
    write_table(results, "table2", table, accuracy_table.to_tex(table, settings))
