"""Where the time of a fused training step goes, part by part, and what its products take in other forms.

`points`: every part's milliseconds a step on one thread (`spsn.timing.parts` says how), its share of their
sum, and the whole step's milliseconds on one thread as measured beside them. `forms`: the products of one
layer with spikes by torch in float32 and in bfloat16, and by this package, each on one thread.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import torch

from spsn import threads
from spsn.errors import SpsnError
from spsn.timing.benchmark import begin, contest_parser, finish, positive, run, table
from spsn.timing.measure import Function, measure
from spsn.timing.parts import TILE, product_forms, spiking_parts
from spsn.timing.steps import step_subject

DENSITY = {"lif": 0.05, "spsn-sb": 0.4, "spsn-gs": 0.4}  # spikes a neuron and step, about as after training
LAYERS = 3
TILES = 500  # in one measured call
CPU = torch.device("cpu")


def main() -> None:
    p = contest_parser(__doc__.partition("\n")[0], repeats=9)
    p.add_argument("--models", nargs="+", default=tuple(DENSITY), choices=DENSITY)
    p.add_argument("--batch", type=positive, default=64, help="samples")
    p.add_argument("--time-steps", type=positive, default=1000)
    options = p.parse_args()
    threads.use("fused", 1)
    options.threads = 1
    load = begin()
    points = [point for model in options.models for point in _points(options, model)]
    forms = _forms(options)
    sizes = {"batch": options.batch, "time_steps": options.time_steps}
    text = table(("model", "part", "ms", "share"), map(_row, points))
    text += "\n" + table(("product of one layer", "ms"), ((name, f"{ms:.1f}") for name, ms in forms.items()))
    details = {
        "what": "parts of a fused step on one thread",
        **sizes,
        "points": points,
        "forms": forms,
        **load,
    }
    finish(options, CPU, None, None, text=text, **details)


def _points(options, model: str) -> list[dict[str, Any]]:
    tiles = options.batch * options.time_steps / TILE
    parts = {
        name: _seconds(options, call) / TILES * tiles * (LAYERS - less)
        for name, (less, call) in spiking_parts(model, DENSITY[model]).items()
    }
    subject = step_subject(model, "fused", batch=options.batch, time_steps=options.time_steps, threads=1)
    whole = _median(options, subject.call)
    drawn = parts.get("random numbers", 0.0)
    rest = whole - sum(parts.values()) + drawn
    parts["all else: layer 1, optimizer, Python"] = rest
    return [
        {"model": model, "part": name, "seconds": seconds, "share": seconds / whole, "step_seconds": whole}
        for name, seconds in parts.items()
    ]


def _forms(options) -> dict[str, float]:
    """Milliseconds of one layer's products."""
    rows = options.batch * options.time_steps
    found = {}
    for name, call in product_forms(rows, DENSITY["spsn-sb"]):
        found[name] = 1e3 * _median(options, call)
    ours = spiking_parts("spsn-sb", DENSITY["spsn-sb"])
    for short, name in (("forward", "forward"), ("weight gradient", "weight gradient")):
        _, call = ours[f"product with spikes, {name}"]
        found[f"{short}, sums made ahead"] = 1e3 * _seconds(options, call) / TILES * rows / TILE
    return found


def _seconds(options, call: Callable[[int], None]) -> float:
    """Median seconds of a call for `TILES` tiles."""
    return _median(options, lambda lap: call(TILES))


def _median(options, function: Function) -> float:
    """Median seconds of a call, after a first one that does not count."""
    found = measure(function, repeats=options.repeats, warmup=1, device=CPU, budget_seconds=inf)
    if found.median is None:
        raise SpsnError("memory did not suffice for a part; make --batch or --time-steps smaller")
    return found.median


def _row(point: dict[str, Any]) -> tuple[str, ...]:
    return point["model"], point["part"], f"{1e3 * point['seconds']:.1f}", f"{point['share']:.0%}"


if __name__ == "__main__":
    run(main)
