"""Whole training steps of several backends beside each other, one network each.

One process a backend; they take turns, a step each (`contest.py`). `points` holds every measurement;
`seconds` and `peak_bytes` are those of the last one, named in `what`. `ratio` is how many times as long the
baseline takes, `memory_ratio` how many times as much memory its steps add.
"""

from typing import Any

from spsn.timing.benchmark import (
    beside,
    contest_parser,
    digits,
    finish_points,
    measuring,
    megabytes,
    positive,
    run,
    table,
    timed,
    times_faster,
)
from spsn.timing.contest import Contestant
from spsn.timing.steps import BACKENDS, MODELS, STEP

HEAD = (
    "model", "backend", "malloc", "s a step (quartiles)", "baseline / it (quartiles)", "adds MB",
    "baseline / it", "process MB",
)  # fmt: skip


def main() -> None:
    p = contest_parser(__doc__.partition("\n")[0], repeats=7)
    p.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    p.add_argument("--backends", nargs="+", default=tuple(BACKENDS), choices=BACKENDS)
    p.add_argument("--tuned", nargs="*", default=["baseline"], choices=BACKENDS, help="with malloc tuned too")
    p.add_argument("--batch", type=positive, default=64, help="samples")
    p.add_argument("--time-steps", type=positive, default=1000)
    options = p.parse_args()

    with measuring(options) as (device, load):
        points = [point for model in options.models for point in _points(options, model, str(device))]
        details = {
            "what": f"training step, {points[-1]['model']} {points[-1]['backend']}",
            "batch": options.batch,
            "time_steps": options.time_steps,
            "runs": 1,
            "dtype": "float32",
            "repeats": options.repeats,
        }
        finish_points(options, device, points, load, text=table(HEAD, map(_row, points)), **details)


def _points(options, model: str, device: str) -> list[dict[str, Any]]:
    """The backends of one model, measured beside each other."""
    shared = {"model": model, "batch": options.batch, "time_steps": options.time_steps}
    shared |= {"device": device, "threads": options.threads}
    own = [name for name in options.backends if name != "unbind" or model == "lif"]
    named = {name: Contestant(f"{model} {name}", STEP, shared | {"backend": name}) for name in own}
    return beside(named, options, f"{model} baseline", ("model", "backend"))


def _row(point: dict[str, Any]) -> tuple:
    return (
        point["model"],
        point["backend"],
        point["malloc"],
        timed(point),
        times_faster(point),
        megabytes(point["grown_bytes"]),
        digits(point.get("memory_ratio")),
        megabytes(point["peak_bytes"]),
    )


if __name__ == "__main__":
    run(main)
