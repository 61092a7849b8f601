"""How a training step grows with the number of time steps T and with the number of runs S that share it.

One process a size; they take turns. `points` holds every measurement, `orders` the power of T and of S with
which the seconds grow (least squares of the logarithms): 1 is linear. `seconds` and `peak_bytes` are those of
the last point, named in `what`.
"""

from typing import Any

import numpy as np

from spsn.timing.benchmark import (
    contest_parser,
    digits,
    finish_points,
    measuring,
    megabytes,
    positive,
    run,
    table,
    timed,
)
from spsn.timing.contest import Contestant, contest
from spsn.timing.steps import BACKENDS, MODELS, STEP, check

HEAD = ("model", "T", "S", "s a step (quartiles)", "ms a run and 1000 steps", "adds MB")


def main() -> None:
    p = contest_parser(__doc__.partition("\n")[0], repeats=7)
    p.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    p.add_argument("--backend", default="fused", choices=BACKENDS)
    p.add_argument("--batch", type=positive, default=64, help="samples of a run")
    lengths = [250, 500, 1000, 2000]
    p.add_argument("--time-steps", type=positive, nargs="+", default=lengths, help="T where S is 1")
    p.add_argument("--runs", type=positive, nargs="+", default=[1, 2, 4], help="S at one T")
    p.add_argument("--runs-time-steps", type=positive, default=1000, help="that T")
    options = p.parse_args()
    for model in options.models:
        check(model, options.backend, max(options.runs), max(options.time_steps))
    with measuring(options) as (device, load):
        points = [point for model in options.models for point in _points(options, model, str(device))]
        last = points[-1]
        size = f"T = {last['time_steps']}, S = {last['runs']}"
        details = {
            "what": f"training step, {last['model']} {options.backend}, {size}",
            "batch": options.batch,
            "dtype": "float32",
            "backend": options.backend,
            "repeats": options.repeats,
            "orders": orders(points),
        }
        text = table(HEAD, map(_row, points)) + "\n\n" + _said(details["orders"])
        finish_points(options, device, points, load, text=text, **details)


def _points(options, model: str, device: str) -> list[dict[str, Any]]:
    """The sizes of one model, measured beside each other."""
    shared = {"model": model, "backend": options.backend, "batch": options.batch}
    shared |= {"device": device, "threads": options.threads}
    sizes = [(steps, 1) for steps in options.time_steps]
    sizes += [(options.runs_time_steps, runs) for runs in options.runs]
    contestants = {
        size: Contestant(f"{model} T={size[0]} S={size[1]}", STEP, _sized(shared, *size))
        for size in dict.fromkeys(sizes)
    }
    outcomes = contest(list(contestants.values()), options.repeats, options.warmup)
    return [
        {"model": model, "time_steps": size[0], "runs": size[1], **outcomes[c.name].record()}
        for size, c in contestants.items()
    ]


def _sized(shared: dict[str, Any], steps: int, runs: int) -> dict[str, Any]:
    return shared | {"time_steps": steps, "runs": runs}


def orders(points: list[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Per model the powers of T (at S = 1) and of S (at the T that has several) in the seconds."""
    found = {}
    for model in dict.fromkeys(point["model"] for point in points):
        own = [point for point in points if point["model"] == model and point["seconds"]]
        stacked = {point["time_steps"] for point in own if point["runs"] > 1}
        found[model] = {
            "time_steps": _order([p for p in own if p["runs"] == 1], "time_steps"),
            "runs": _order([p for p in own if p["time_steps"] in stacked], "runs"),
        }
    return found


def _order(points: list[dict[str, Any]], key: str) -> float | None:
    if len({point[key] for point in points}) < 2:
        return None
    logarithms = np.log([[point[key], point["seconds"]] for point in points])
    return float(np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)[0])


def _said(found: dict[str, dict[str, float | None]]) -> str:
    rows = [(model, digits(of["time_steps"]), digits(of["runs"])) for model, of in found.items()]
    return table(("model", "seconds grow with T to the power", "with S to the power"), rows)


def _row(point: dict[str, Any]) -> tuple:
    seconds = point["seconds"]
    per = None if seconds is None else 1e6 * seconds / (point["time_steps"] * point["runs"])
    return (
        point["model"],
        point["time_steps"],
        point["runs"],
        timed(point),
        digits(per),
        megabytes(point["grown_bytes"]),
    )


if __name__ == "__main__":
    run(main)
