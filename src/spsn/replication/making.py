"""How a file of the results is made: what every reader of one says where it is missing."""

from pathlib import Path


def make_command(folder: Path, name: str) -> str:
    """The command that makes `name`; the target stands first: `--configfile` takes every file after it."""
    config = "" if folder.name == "paper" else f" --configfile config/{folder.name}.yaml"
    return f"`snakemake {folder / name} --cores all{config}`"
