"""Layer 1 of Table I's network, 700 inputs to 128 neurons: forward and gradient of its parameters.

`dense` is torch's linear map of a dense input that is there already, `densify` the making of that input,
`events` and `fused` this package's forms, straight from events. One process a form; they take turns.
`points` holds every measurement; `ratio` is how many times as long `dense` takes with malloc as it comes.
`seconds` and `peak_bytes` are those of the last point, named in `what`.
"""

from typing import Any

import torch

from spsn.devices import lease
from spsn.timing.benchmark import (
    begin,
    contest_parser,
    finish,
    megabytes,
    positive,
    run,
    table,
    timed,
    times_faster,
)
from spsn.timing.contest import Contestant, compared, contest, with_tuned
from spsn.timing.first_layers import FIRST_LAYER, FIRST_LAYERS

BASE = "dense"
HEAD = ("form", "malloc", "ms (quartiles)", "dense / it (quartiles)", "adds MB")


def main() -> None:
    p = contest_parser(__doc__.partition("\n")[0], repeats=15)
    p.add_argument("--forms", nargs="+", default=tuple(FIRST_LAYERS), choices=FIRST_LAYERS)
    p.add_argument("--batch", type=positive, default=64, help="samples")
    p.add_argument("--time-steps", type=positive, default=1000)
    p.add_argument("--neurons", type=positive, default=128)
    tuned = [form for form in FIRST_LAYERS if form != "densify"]
    p.add_argument("--tuned", nargs="*", default=tuned, choices=FIRST_LAYERS, help="with malloc tuned too")
    options = p.parse_args()
    torch.set_num_threads(options.threads)
    load = begin()

    sizes = {"batch": options.batch, "time_steps": options.time_steps, "neurons": options.neurons}
    with lease(options.device) as device:
        shared = sizes | {"device": str(device), "threads": options.threads}
        named = {form: Contestant(form, FIRST_LAYER, shared | {"form": form}) for form in options.forms}
        contestants = with_tuned(named, options.tuned)
        records = compared(contest(contestants, options.repeats, options.warmup), BASE)
        points = [{"form": c.settings["form"], **records[c.name]} for c in contestants]
        last = points[-1]
        what = f"forward and backward of layer 1, {last['form']}"
        details = {**sizes, "dtype": "float32", "repeats": options.repeats, "points": points, **load}
        text = table(HEAD, map(_row, points))
        finish(options, device, last["seconds"], last["peak_bytes"], text=text, what=what, **details)


def _row(point: dict[str, Any]) -> tuple:
    return (
        point["form"],
        point["malloc"],
        timed(point, unit=1e-3),
        times_faster(point),
        megabytes(point["grown_bytes"]),
    )


if __name__ == "__main__":
    run(main)
