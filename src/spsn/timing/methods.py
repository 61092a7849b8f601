"""The comparison's cost: seconds and peak memory of a training step against the number of time steps T.

Every method trains the comparison's whole network, one seed, in the implementations that its model has
(`methods.TRAITS`):

    eager   torch's operations, one after another, as `spsn.neurons` writes them beside the equations.
            lif                             a loop over time forwards, its closed form a loop backwards
            bptt, bptt-detached             a loop in autograd's graph, which goes back through all of it
            exodus, slayer                  a loop forwards; backwards a scan, a filter over time
            ottt, saf-e                     a loop forwards; backwards every step by itself, all at once
            saf-f, spike-representation     a loop forwards; backwards no time at all
            psu, spsn-sb, spsn-gs           filters over time, no loop
            ipsu, rpsu                      products with T x T matrices, no loop
            non-spiking                     knows no time
            A loop is a handful of operations on (B, N) a step, its results written in place where no graph is
            needed; it is not the paper's, which `sequence_length.py` times.
    fused   the package's own kernels. For lif, spsn and non-spiking they do the whole network; for the others
            the neuron alone, between torch's affine maps, which on a CPU then have one thread.

So eager against fused tells what belongs to the implementation; one method against another within eager, or
within fused, what belongs to the method. The objective is that of each method, and so is the readout.

Every point is measured in a process of its own (`method_step.py`), from the shortest T to the longest, all
methods in turn at one T. A point that shorter ones predict to pass `seconds_per_point` (`measure.predict`) is
not begun, nor one that needs more memory than there is: T x T matrices are counted, what they take while they
are drawn and what with gradient and Adamax's two moments, and the rest is predicted. What takes far longer
than predicted is ended. On a GPU memory is left to run out, but for what is drawn on the host.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from statistics import median, quantiles

import torch

from spsn.devices import has_fused
from spsn.errors import SpsnError
from spsn.grid import RunSettings, method_run
from spsn.memory import available_bytes
from spsn.methods import METHODS, TRAITS
from spsn.settings import Settings
from spsn.timing.apart import ask
from spsn.timing.measure import MEASURED, OUT_OF_MEMORY, TOO_SLOW, predict
from spsn.timing.method_step import MEASURE_STEP
from spsn.timing.random_store import CLASSES, check_steps
from spsn.timing.remote import STOPPED
from spsn.timing.study import device_name

log = logging.getLogger(__name__)

TIME_STEP = 0.001  # s: that of SHD's 7.7 spikes a step; it changes numbers, not what is computed
CPU = torch.device("cpu")
HELD = 16  # bytes of a learned number: itself, its gradient, Adamax's two moments
DRAWN = 36  # bytes of a number of the matrix that is being drawn
STARTING = 300.0  # seconds for libraries, compilers and the batch
KILLED = "its process ended with -9"  # by a system short of memory: nobody else does
BACKENDS = {"eager": "torch", "fused": "fused"}
Name = tuple[str, str]  # method, implementation


@dataclass(frozen=True)
class MethodRow:
    """A line of `timing/methods.csv`: one point, whose numbers are None unless `status` is measured.

    `status`: measured, too_slow, out_of_memory. `seconds_q1` and `seconds_q3` are quartiles of the repeats;
    for `peak_bytes` see `method_step.py`.
    """

    method: str
    model: str
    implementation: str
    steps: int
    status: str
    seconds_median: float | None
    seconds_q1: float | None
    seconds_q3: float | None
    peak_bytes: int | None
    batch_size: int
    repeats: int
    device: str
    threads: int
    dtype: str


@dataclass(frozen=True)
class Point:
    """What one process found: `seconds` of every repeat, none unless `status` is measured."""

    status: str
    seconds: tuple[float, ...] = ()
    peak_bytes: int | None = None


def method_study(settings: Settings, device: torch.device) -> list[MethodRow]:
    """`timing/methods.csv`. Raises `SpsnError` where a point fails for another reason than time or memory."""
    timing, rows = settings.experiments.comparison.timing, []
    found: dict[Name, dict[int, Point]] = {}
    for steps in sorted(set(timing.lengths)):
        check_steps(steps)
        for method in timing.methods:
            for implementation in implementations(METHODS[method].model, device):
                run = timed_run(settings, method, implementation, steps)
                earlier = found.setdefault((method, implementation), {})
                refused = refusal(earlier, run, steps, timing.repeats, timing.seconds_per_point, device)
                point = Point(refused) if refused else _measured(settings, method, run, steps, device)
                earlier[steps] = point
                rows.append(_row(point, method, implementation, steps, run, timing.repeats, device))
                seconds = f" {rows[-1].seconds_median:.4g} s" if point.seconds else ""
                log.info("T = %d, %s, %s: %s%s", steps, method, implementation, point.status, seconds)
    return rows


def implementations(model: str, device: torch.device) -> list[str]:
    """Those of a model on a device: "eager", and "fused" where both have it."""
    fused = TRAITS[model].fused != "none" and has_fused(device)
    return ["eager", "fused"] if fused else ["eager"]


def timed_run(settings: Settings, method: str, implementation: str, steps: int) -> RunSettings:
    """The run of a method whose training step is timed, seed 0, without augmentation: T is exact."""
    known = {"classes": CLASSES, "train_digest": "", "test_digest": "", "steps": steps}
    run = method_run(settings, method, TIME_STEP, 0, **known, backend=BACKENDS[implementation])
    batch_size = settings.experiments.comparison.timing.batch_size
    return replace(run, batch_size=batch_size, shift=0.0, scale=0.0)


def refusal(
    earlier: Mapping[int, Point],
    run: RunSettings,
    steps: int,
    repeats: int,
    seconds_per_point: float,
    device: torch.device,
) -> str | None:
    """Why T = `steps` should not be begun, as its status; None where nothing speaks against it.

    `earlier` holds smaller T of the same method and implementation: what failed there fails here.
    """
    failed = {point.status for point in earlier.values()} & {TOO_SLOW, OUT_OF_MEMORY}
    if failed:
        return failed.pop()
    host, room = available_bytes(CPU), available_bytes(device)
    undrawable = host is not None and drawing_bytes(run, steps) > host
    if undrawable or (room is not None and needed_bytes(earlier, run, steps) > room):
        return OUT_OF_MEMORY
    seconds = _predicted({t: median(point.seconds) for t, point in earlier.items()}, steps)
    return TOO_SLOW if seconds * repeats > seconds_per_point else None


def needed_bytes(earlier: Mapping[int, Point], run: RunSettings, steps: int) -> float:
    """Bytes of the T x T matrices, and what smaller T predict of the rest."""
    peaks = {t: point.peak_bytes for t, point in earlier.items() if point.peak_bytes is not None}
    rest = {t: max(0.0, peak - matrix_bytes(run, t)) for t, peak in peaks.items()}
    return matrix_bytes(run, steps) + _predicted(rest, steps)


def matrix_bytes(run: RunSettings, steps: int) -> float:
    """Bytes of the learned T x T matrices, one a hidden layer, and of what belongs to them in training."""
    return float(HELD * run.hidden_layers * steps**2) if TRAITS[run.model].square else 0.0


def drawing_bytes(run: RunSettings, steps: int) -> float:
    """Bytes on the host while the last of these is drawn."""
    each = DRAWN + 4 * (run.hidden_layers - 1)
    return float(each * steps**2) if TRAITS[run.model].square else 0.0


def _predicted(known: Mapping[int, float], steps: int) -> float:
    """In proportion from one smaller T, with a part that grows as T^2 from two; 0 from none."""
    return predict(known, steps, min(2, len(known))) or 0.0


def _measured(settings: Settings, method: str, run: RunSettings, steps: int, device: torch.device) -> Point:
    timing = settings.experiments.comparison.timing
    wanted = {
        "run": asdict(run),
        "steps": steps,
        "device": str(device),
        "repeats": timing.repeats,
        "budget_seconds": timing.seconds_per_point,
    }
    said = ask(MEASURE_STEP, wanted, STARTING + 3 * timing.seconds_per_point)
    if said["status"] == MEASURED:
        return Point(MEASURED, tuple(said["seconds"]), said["peak_bytes"])
    if said["status"] in (TOO_SLOW, STOPPED):
        return Point(TOO_SLOW)
    if said["status"] == OUT_OF_MEMORY or said["why"] == KILLED:
        return Point(OUT_OF_MEMORY)
    raise SpsnError(f"{method} cannot be measured at T = {steps} with backend {run.backend}: {said['why']}")


def _row(
    point: Point,
    method: str,
    implementation: str,
    steps: int,
    run: RunSettings,
    repeats: int,
    device: torch.device,
) -> MethodRow:
    return MethodRow(
        method,
        run.model,
        implementation,
        steps,
        point.status.replace("-", "_"),
        *_quartiles(point.seconds),
        point.peak_bytes if point.seconds else None,
        run.batch_size,
        repeats,
        device_name(device),
        run.threads,
        "float32",
    )


def _quartiles(seconds: tuple[float, ...]) -> tuple[float | None, float | None, float | None]:
    """Median, first and third quartile."""
    if not seconds:
        return None, None, None
    first, middle, third = quantiles(seconds * 2 if len(seconds) == 1 else seconds, method="inclusive")
    return middle, first, third
