"""A whole training step of Table I's network: forward, backward, optimizer.

Measured in a process of its own. `seconds` is the median step; `grown_bytes` is the most memory that the
steps took beyond what was held before them (network, optimizer, batch), `peak_bytes` that of the process.
The dense input of `baseline` and `unbind` is made before the step, as data: `dense_bytes` of what was held.
"""

from spsn.timing.benchmark import contest_parser, digits, finish, measuring, megabytes, positive, run
from spsn.timing.contest import Contestant, contest
from spsn.timing.steps import BACKENDS, MODELS, STEP, check


def main() -> None:
    p = contest_parser(__doc__.partition("\n")[0], repeats=7)
    p.add_argument("--model", required=True, choices=MODELS)
    p.add_argument("--backend", required=True, choices=BACKENDS)
    p.add_argument("--batch", type=positive, default=64, help="samples")
    p.add_argument("--time-steps", type=positive, default=1000)
    p.add_argument("--runs", type=positive, default=1, help="networks that train side by side")
    p.add_argument("--malloc-tuned", action="store_true", help="let glibc keep large freed blocks")
    options = p.parse_args()
    check(options.model, options.backend, options.runs, options.time_steps)

    sizes = {key: getattr(options, key) for key in ("model", "backend", "batch", "time_steps", "runs")}
    with measuring(options) as (device, load):
        settings = sizes | {"device": str(device), "threads": options.threads}
        contestant = Contestant(options.backend, STEP, settings, options.malloc_tuned)
        outcome = contest([contestant], options.repeats, options.warmup)[options.backend]
        record = outcome.record() | sizes | {"dtype": "float32", "repeats": options.repeats}
        seconds, peak = record.pop("seconds"), record.pop("peak_bytes")
        text = (
            f"{options.model} {options.backend}, {options.batch} x {options.time_steps} steps, "
            f"{options.runs} run(s), {options.threads} threads, malloc {record['malloc']}: "
            f"{digits(seconds)} s a step, which adds {megabytes(record['grown_bytes'])} MB; "
            f"process peak {megabytes(peak)} MB"
        )
        what = f"training step, {options.model} {options.backend}"
        finish(options, device, seconds, peak, text=text, what=what, **record, **load)


if __name__ == "__main__":
    run(main)
