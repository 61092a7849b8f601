"""Tables below a results folder: read under the names of the manifest, written as CSV and TeX."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from spsn import manifest
from spsn.files import write_text
from spsn.replication.making import make_command
from spsn.replication.run_table import read_csv, write_csv


def read_table(results: str | Path, name: str, columns: Iterable[str] = (), **options: Any) -> pd.DataFrame:
    """The CSV file `name` of the results with at least these columns; `options` are `pandas.read_csv`'s.

    Raises `RecordError` naming what is wrong and the command that makes the file.
    """
    folder = Path(results)
    return read_csv(folder / name, columns, how=make_command(folder, name), **options)


def write_table(results: str | Path, name: str, table: pd.DataFrame, tex: str) -> None:
    """Write the numbers of a table of the report (`table1`) as CSV and what is typeset of it as TeX.

    Raises `KeyError` for a table that the manifest does not name.
    """
    for_numbers, for_paper = (Path(results) / path for path in manifest.BY_RESULT[name].files)
    write_csv(table, for_numbers)
    write_text(for_paper, tex)
