"""Layer 1 of Table I's network, 700 inputs to 128 neurons: forward and gradient of its parameters.

`dense` is torch's linear map of a dense input that is there already, `densify` the making of that input,
`events` and `fused` this package's forms, straight from events. One process a form; they take turns.
`points` holds every measurement; `ratio` is how many times as long `dense` takes with malloc as it comes.
`seconds` and `peak_bytes` are those of the last point, named in `what`.
"""

from typing import Any

from spsn.timing.benchmark import (
    beside,
    contest_parser,
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

    sizes = {"batch": options.batch, "time_steps": options.time_steps, "neurons": options.neurons}
    with measuring(options) as (device, load):
        shared = sizes | {"device": str(device), "threads": options.threads}
        named = {form: Contestant(form, FIRST_LAYER, shared | {"form": form}) for form in options.forms}
        points = beside(named, options, BASE, ("form",))
        details = {"what": f"forward and backward of layer 1, {points[-1]['form']}", **sizes}
        details |= {"dtype": "float32", "repeats": options.repeats}
        finish_points(options, device, points, load, text=table(HEAD, map(_row, points)), **details)


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
