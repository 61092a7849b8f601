"""What the commands in `benchmarks/` share: their options, and the one JSON object that each prints."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from spsn import provenance
from spsn.files import write_json
from spsn.timing.study import device_name

Name = tuple[str, str]  # model, implementation


def parser(description: str, names: Iterable[Name] = ()) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has, and two that choose among `names`."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    made.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    made.add_argument("--output", type=Path, help="keep the record in this file too")
    names = list(names)
    if names:
        for option, part in (("--models", 0), ("--implementations", 1)):
            choices = list(dict.fromkeys(name[part] for name in names))
            made.add_argument(option, nargs="+", default=choices, choices=choices)
    return made


def chosen(options: argparse.Namespace, names: Iterable[Name]) -> list[Name]:
    """Those of `names` that `--models` and `--implementations` leave. Ends where none is left."""
    left = [name for name in names if name[0] in options.models and name[1] in options.implementations]
    if not left:
        raise SystemExit(
            f"none of {options.models} has an implementation called {options.implementations}; "
            "benchmarks/README.md lists them"
        )
    return left


def begin() -> dict[str, Any]:
    """The machine before the measurement: its load, which is processes at work (1, 5, 15 minutes)."""
    return {"load_average": [round(load, 2) for load in os.getloadavg()]}


def finish(
    options: argparse.Namespace,
    device: torch.device,
    seconds: float | None,
    peak_bytes: int | None,
    **details: Any,
) -> dict[str, Any]:
    """Print the record, and keep it where `--output` says. seconds: a median; peak_bytes: see `memory.py`."""
    record = {
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        **details,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "command": command(),
    }
    print(json.dumps(record, indent=1))
    if options.output:
        write_json(options.output, record)
    return record


def command() -> str:
    """The command that this process runs, as one would type it in the repository's root."""
    script = Path(sys.argv[0])
    return shlex.join(["python", str(Path(script.parent.name) / script.name), *sys.argv[1:]])
