"""Where a figure's numbers come from: the files below `results/<name>/`, and nothing else.

Every reader says which file is missing or damaged and which command makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spsn.errors import RecordError
from spsn.manifest import DATA, REPORTED, SETTINGS
from spsn.replication.making import classes_of, make_command
from spsn.replication.run_table import REPORTED_COLUMNS, read_reported
from spsn.replication.table_files import read_table
from spsn.settings import Settings, load

__all__ = ["REPORTED_COLUMNS", "Context", "Source", "make_command", "open_results"]


@dataclass(frozen=True)
class Context:
    """What a figure says about its data.

    `chance` is the accuracy of guessing (0-1); `reported` holds the paper's own values (columns
    `REPORTED_COLUMNS`) where the data are SHD, else None: none is drawn then and `note` names the data.
    """

    dataset: str
    is_shd: bool
    chance: float
    reported: pd.DataFrame | None = None

    @property
    def note(self) -> str:
        """The line below a figure whose numbers cannot be held against the paper's; empty for SHD."""
        if self.is_shd:
            return ""
        return "a part of SHD, not the whole" if self.dataset == "shd" else f"{self.dataset}, not SHD"


@dataclass(frozen=True)
class Source:
    """An opened folder `results/<name>/`."""

    folder: Path
    settings: Settings
    context: Context

    def table(self, name: str, columns: Sequence[str] = (), **options: Any) -> pd.DataFrame:
        """The CSV file `name`; `options` are `pandas.read_csv`'s.

        Raises `RecordError` if it is absent, damaged or lacks one of `columns`.
        """
        return read_table(self.folder, name, columns, **options)


def open_results(results: str | Path, reported: str | Path = REPORTED) -> Source:
    """Open `results/<name>/`; the paper's values are read only where the data are SHD.

    Raises `SettingsError` or `RecordError` naming the file and the command that makes it.
    """
    folder = Path(results)
    for name in (SETTINGS, DATA):
        if not (folder / name).is_file():
            raise RecordError(f"{folder / name}: is missing; make it with {make_command(folder, name)}")
    settings = load(folder / SETTINGS)
    classes = classes_of(folder)
    values = read_reported(reported) if settings.is_shd else None
    return Source(folder, settings, Context(settings.dataset_name, settings.is_shd, 1 / classes, values))
