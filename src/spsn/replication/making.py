"""How a file of the results is made: what every reader of one says where it is missing or damaged."""

import shlex
from pathlib import Path
from typing import Any

from spsn.errors import RecordError
from spsn.files import parse_object, read_text
from spsn.manifest import DATA, FULL_PROVENANCE, PROVENANCE

UNKNOWN = " with the configuration that made it"
# Anybody may have written what a results folder says: nothing else of its commands is passed on.
OPTIONS = ("--cores", "--jobs", "--executor", "--profile", "--workflow-profile", "--configfile", "--config")
LONGEST = 2000  # characters of a command that is shown


def make_command(folder: Path, name: str) -> str:
    """The command that makes `name`, with the options that the folder's provenance names. Where it names none
    a configuration goes with it, which the folder's name does not tell: any file may hold it.

    The target stands first: `--configfile` takes every file after it.
    """
    target = f"snakemake {shlex.quote(str(folder / name))}"
    for made in (PROVENANCE, FULL_PROVENANCE):
        if options := _options(folder / made):
            return f"`{target} {options}`"
    return f"`{target} --cores all`{UNKNOWN}"


def _options(path: Path) -> str | None:
    """The options of the first command in a provenance that is Snakemake's; None where there is none."""
    try:
        commands = parse_object(read_text(path)).get("commands")
    except (OSError, ValueError):
        return None
    found = map(_of_snakemake, commands if isinstance(commands, list) else ())
    return next(filter(None, found), None)


def _of_snakemake(command: Any) -> str | None:
    """`--cores all --configfile config/demo.yaml` of a command that has, besides, `comparison` at most."""
    if not isinstance(command, str) or len(command) > LONGEST:
        return None
    try:
        program, *words = shlex.split(command)
    except ValueError:
        return None
    words = [word for word in words if word != "comparison"]
    known = all(word in OPTIONS for word in words if word.startswith("-"))
    return shlex.join(words) if program == "snakemake" and words and known else None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file `name` of the results. Raises `RecordError` naming file and command."""
    path, how = folder / name, make_command(folder, name)
    if not path.is_file():
        raise RecordError(f"{path}: is missing; make it with {how}")
    try:
        return parse_object(read_text(path))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read as JSON ({error}); make it again with {how}") from error


def classes_of(folder: Path) -> int:
    """How many classes the test file has, from `data.json`. Raises `RecordError`."""
    facts = read_json(folder, DATA)
    try:
        classes = int(facts["splits"]["test"]["classes"])
        if classes < 1:
            raise ValueError(f"{classes} classes")
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{folder / DATA}: states no number of classes ({error!r}); make it again with "
            f"{make_command(folder, DATA)}"
        ) from error
    return classes
