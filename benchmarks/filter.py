"""The leaky integrator alone, forward and backward, against the number of time steps T.

`fft` is the paper's (length 2T, three spectra multiplied), `chunks` and `fused` this package's. One process a
form; they take turns. The batch falls with T so that memory stays reasonable. `points` holds every
measurement, with the errors against the recurrence in float64; `ratio` is how many times as long `fft` takes
with malloc as it comes.
`seconds` and `peak_bytes` are those of the last point, named in `what`.
"""

from typing import Any

from spsn.timing.benchmark import (
    beside,
    contest_parser,
    finish_points,
    measuring,
    positive,
    run,
    table,
    timed,
    times_faster,
)
from spsn.timing.contest import Contestant
from spsn.timing.filters import FILTER, FILTERS, samples_for

BASE = "fft"
HEAD = (
    "B x T x N", "form", "malloc", "ms (quartiles)", "fft / it (quartiles)", "error of u", "error of dL/dx",
)  # fmt: skip


def main() -> None:
    p = contest_parser(__doc__.partition("\n")[0], repeats=9)
    p.add_argument("--lengths", type=positive, nargs="+", default=[100, 1000, 10_000, 100_000], help="T")
    p.add_argument("--forms", nargs="+", default=tuple(FILTERS), choices=FILTERS)
    p.add_argument("--neurons", type=positive, default=128)
    p.add_argument("--tau", type=float, default=0.02, help="both time constants, s, in steps of 1 ms")
    tuned = ["fft", "fused"]
    p.add_argument("--tuned", nargs="*", default=tuned, choices=FILTERS, help="with malloc tuned too")
    options = p.parse_args()

    with measuring(options) as (device, load):
        points = [point for steps in options.lengths for point in _points(options, steps, str(device))]
        last = points[-1]
        what = f"forward and backward of the leaky integrator, {last['form']}, T = {last['time_steps']}"
        details = {"what": what, "dtype": "float32", "neurons": options.neurons, "tau": options.tau}
        details |= {"repeats": options.repeats}
        text = table(HEAD, (_row(point, options.neurons) for point in points))
        finish_points(options, device, points, load, text=text, **details)


def _points(options, steps: int, device: str) -> list[dict[str, Any]]:
    """The forms at one length, measured beside each other."""
    shared = {"time_steps": steps, "batch": samples_for(steps), "neurons": options.neurons}
    shared |= {"tau": options.tau, "device": device, "threads": options.threads}
    named = {form: Contestant(form, FILTER, shared | {"form": form}) for form in options.forms}
    return beside(named, options, BASE, ("form", "time_steps", "batch"))


def _row(point: dict[str, Any], neurons: int) -> tuple:
    errors = [point.get(key) for key in ("error", "gradient_error")]
    return (
        f"{point['batch']} x {point['time_steps']} x {neurons}",
        point["form"],
        point["malloc"],
        timed(point, unit=1e-3),
        times_faster(point),
        *(None if error is None else f"{error:.1e}" for error in errors),
    )


if __name__ == "__main__":
    run(main)
