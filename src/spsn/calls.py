"""The calls of Snakemake that made results, as `provenance.json` and the report name them.

On one machine every call makes the same files, whatever cores and targets it was given: one stands for all.
Where jobs are sent elsewhere, the executor is known, the number of jobs, and the profiles that the call
named; what else it was told, or a profile held, is not. Such calls are kept in a file of the results: who
makes the report on one machine afterwards is not to say that everything was made there.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from spsn.files import write_text

HERE = "--cores all"
PROFILES = ("--profile", "--workflow-profile")


def sent(executor: str, jobs: int, words: Sequence[str], variables: Mapping[str, str] = os.environ) -> str:
    """The options of a call that sends `jobs` at a time to `executor`; `words` follow `snakemake` in it."""
    named = {option: _values(words, option) for option in PROFILES}
    if not named["--profile"] and (profile := variables.get("SNAKEMAKE_PROFILE")):
        named["--profile"] = [profile]  # as Snakemake does
    profiles = [f"{option} {shlex.quote(value)}" for option in PROFILES for value in named[option]]
    return " ".join([*profiles, f"--executor {shlex.quote(executor)}", f"--jobs {jobs}"])


def _values(words: Sequence[str], option: str) -> list[str]:
    """What follows an option, as a word of its own or after '='."""
    apart = [after for word, after in zip(words, words[1:], strict=False) if word == option]
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return [value for value in apart + joined if value != "none"]  # Snakemake's word for no profile


def commands(options: str, earlier: Sequence[str], target: str = "") -> list[str]:
    """The commands of calls with the options of `earlier` ones and with `options`, each once."""
    return list(dict.fromkeys(_command(one, target) for one in (*earlier, options)))


def _command(options: str, target: str) -> str:
    target = f" {target}" if target else ""
    if options.startswith(HERE):
        return f"snakemake {HERE}{target}{options.removeprefix(HERE)}"
    return f"snakemake{target} {options}"  # first: options that take several words would take it too


def remembered(path: str | Path) -> list[str]:
    """The options of earlier calls that sent jobs elsewhere, as `remember` wrote them to `path`."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []


def remember(options: str, path: str | Path) -> None:
    """Add a call that sends jobs elsewhere to `path`, once."""
    lines = dict.fromkeys([*remembered(path), options])
    write_text(path, "".join(f"{line}\n" for line in lines))
