"""Two tables of runs held against each other on the runs that both hold."""

from pathlib import Path

import pandas as pd

from spsn.replication.run_table import write_csv
from spsn.verification.compare import differences

KEY = ["experiment", "model", "condition", "seed"]


def shared_differences(found: Path, some: Path) -> list[str]:
    """How the lines of `found` differ from those of the table `some`, which holds a part of its runs.

    Columns that only one of them has are left out: the deepest network may be missing in `some`. Raises as
    pandas does where `found` is no such table.
    """
    whole, part = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (found, some))
    columns = [name for name in whole if name in part]
    runs = part[KEY].agg("/".join, axis=1)
    own = whole[KEY].agg("/".join, axis=1)
    whole = whole[own.isin(set(runs))]
    pair = some.with_suffix(".found.csv"), some.with_suffix(".expected.csv")
    for table, path in zip((whole, part), pair, strict=True):
        write_csv(table[columns].sort_values(KEY), path)
    return differences(found.name, *pair)
