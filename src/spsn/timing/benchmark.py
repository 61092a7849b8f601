"""What the commands in `benchmarks/` share: their options, and the one JSON object that each prints."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from spsn import provenance
from spsn.devices import has_fused, lease
from spsn.errors import SpsnError
from spsn.files import write_json
from spsn.timing.contest import Contestant, compared, contest, with_tuned
from spsn.timing.study import device_name

Name = tuple[str, str]  # model, implementation


def parser(description: str, names: Iterable[Name] = ()) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has, and two that choose among `names`."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    made.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="CPU threads")
    made.add_argument("--output", type=Path, help="keep the record in this file too")
    names = list(names)
    if names:
        for option, part in (("--models", 0), ("--implementations", 1)):
            choices = list(dict.fromkeys(name[part] for name in names))
            made.add_argument(option, nargs="+", default=choices, choices=choices)
    return made


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text}")
    return int(text)


def contest_parser(description: str, repeats: int) -> argparse.ArgumentParser:
    """A parser for a command that prints something readable, or with `--json` its record."""
    made = parser(description)
    made.add_argument("--repeats", type=positive, default=repeats, help="rounds, one call of each")
    made.add_argument("--warmup", type=positive, default=2, help="rounds before, which are not counted")
    made.add_argument("--json", action="store_true", help="print the record, one JSON object")
    return made


def run(main: Callable[[], None]) -> None:
    """Call a command's `main`; what a person can put right is said without a traceback, with status 1."""
    try:
        main()
    except SpsnError as error:
        raise SystemExit(f"benchmarks: {error}") from None


def chosen(options: argparse.Namespace, names: Iterable[Name], device: torch.device) -> list[Name]:
    """Those of `names` that `--models` and `--implementations` leave and that `device` can do.

    Raises `SpsnError` where none is left.
    """
    left = [name for name in names if name[0] in options.models and name[1] in options.implementations]
    left = [name for name in left if name[1] != "fused" or has_fused(device)]
    if not left:
        raise SpsnError(
            f"none of {', '.join(options.models)} has an implementation on {device.type} that is called "
            f"{', '.join(options.implementations)}; benchmarks/README.md lists them"
        )
    return left


def begin() -> dict[str, Any]:
    """The machine before the measurement: its load, which is processes at work (1, 5, 15 minutes)."""
    return {"load_average": [round(load, 2) for load in os.getloadavg()]}


@contextmanager
def measuring(options: argparse.Namespace) -> Iterator[tuple[torch.device, dict[str, Any]]]:
    """Yield the device that `--device` names, held for as long as this lasts, and what `begin` says; torch
    gets `--threads`.
    """
    torch.set_num_threads(options.threads)
    load = begin()
    with lease(options.device) as device:
        yield device, load


def beside(
    contestants: Mapping[str, Contestant], options: argparse.Namespace, base: str, about: Sequence[str]
) -> list[dict[str, Any]]:
    """Points of contestants that take turns, those that `--tuned` names a second time with malloc tuned: of
    their settings what `about` names, then their records, compared with the one called `base`.
    """
    own = with_tuned(contestants, options.tuned)
    records = compared(contest(own, options.repeats, options.warmup), base)
    return [{key: c.settings[key] for key in about} | records[c.name] for c in own]


def finish_points(
    options: argparse.Namespace,
    device: torch.device,
    points: Sequence[Mapping[str, Any]],
    load: Mapping[str, Any],
    *,
    text: str | None = None,
    **details: Any,
) -> None:
    """`finish` where the last one of several points is the record's."""
    last = points[-1]
    finish(options, device, last["seconds"], last["peak_bytes"], text=text, **details, points=points, **load)


def finish(
    options: argparse.Namespace,
    device: torch.device,
    seconds: float | None,
    peak_bytes: int | None,
    *,
    text: str | None = None,
    **details: Any,
) -> dict[str, Any]:
    """Print the record, or `text` unless `--json` is given, and keep the record where `--output` says.

    seconds: a median; peak_bytes: see `memory.py`.
    """
    record = {
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        **details,
        "device": device_name(device),
        "threads": options.threads,
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
        "command": command(),
    }
    print(json.dumps(record, indent=1) if text is None or options.json else text)
    if options.output:
        write_json(options.output, record)
    return record


def command() -> str:
    """The command that this process runs, as one would type it in the repository's root."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name.startswith("benchmarks."):
        return shlex.join(["python", "-m", spec.name, *sys.argv[1:]])
    script = Path(sys.argv[0])
    return shlex.join(["python", str(Path(script.parent.name) / script.name), *sys.argv[1:]])


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; what is None becomes a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join("-" if x is None else str(x) for x in line) + " |" for line in lines)


def digits(number: float | None, count: int = 3) -> str | None:
    """A number with so many significant digits, never in powers of ten."""
    if number is None:
        return None
    shown = f"{number:.{count}g}"
    return f"{float(shown):.0f}" if "e+" in shown else shown


def megabytes(number: int | None) -> str | None:
    """Bytes as MB (10^6)."""
    return None if number is None else f"{number / 1e6:.0f}"


def with_range(number: float | None, quartiles: Sequence[float] | None) -> str | None:
    """`number (first-third quartile)`."""
    if number is None or quartiles is None:
        return digits(number)
    return f"{digits(number)} ({digits(quartiles[0])}-{digits(quartiles[1])})"


def timed(point: Mapping[str, Any], unit: float = 1.0) -> str:
    """The median of a point with its quartiles, in units of `unit` seconds, or why there is none."""
    if point["seconds"] is None:
        return point["status"]
    return with_range(point["seconds"] / unit, [q / unit for q in point["quartiles"]])


def times_faster(point: Mapping[str, Any]) -> str | None:
    """The ratio of a point with its quartiles (`contest.compared`)."""
    return with_range(point.get("ratio"), point.get("ratio_quartiles"))
