"""Files that appear whole: written beside their place, then renamed into it."""

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place on success, remove it on failure.

    A reader therefore sees the old file or the new one, never a part of either, whenever the writer is
    killed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) so that `path` appears whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: object) -> None:
    """Write `value` as indented JSON (NaN refused), lists of numbers on one line, so that `path` appears
    whole.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    write_text(
        path, re.sub(r"\[\s+[-+.\deE,\s]*\]", lambda found: " ".join(found.group().split()), text) + "\n"
    )


def write_rows(rows: Iterable[Mapping[str, object]], path: str | os.PathLike, columns: Iterable[str]) -> None:
    """Write mappings as a CSV file of `columns` that appears whole."""
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
