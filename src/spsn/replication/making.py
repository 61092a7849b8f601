"""How a file of the results is made: what every reader of one says where it is missing or damaged."""

from pathlib import Path
from typing import Any

from spsn.errors import RecordError
from spsn.files import parse_object


def make_command(folder: Path, name: str) -> str:
    """The command that makes `name`; the target stands first: `--configfile` takes every file after it."""
    config = "" if folder.name == "paper" else f" --configfile config/{folder.name}.yaml"
    return f"`snakemake {folder / name} --cores all{config}`"


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file `name` of the results. Raises `RecordError` naming file and command."""
    path, how = folder / name, make_command(folder, name)
    if not path.is_file():
        raise RecordError(f"{path}: is missing; make it with {how}")
    try:
        return parse_object(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON ({error}); make it again with {how}") from error


def classes_of(folder: Path) -> int:
    """How many classes the test file has, from `data.json`. Raises `RecordError`."""
    facts = read_json(folder, "data.json")
    try:
        classes = int(facts["splits"]["test"]["classes"])
        if classes < 1:
            raise ValueError(f"{classes} classes")
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{folder / 'data.json'}: states no number of classes ({error!r}); make it again with "
            f"{make_command(folder, 'data.json')}"
        ) from error
    return classes
