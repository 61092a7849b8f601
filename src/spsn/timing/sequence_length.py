"""Figure 5: forward and backward of one layer against the number of time steps T.

The layer: an affine map of `inputs` to `neurons`, then the neuron; the input: random spikes, one in twenty
cells, the same for all. The paper gives neither batch nor sizes, so they are settings. All implementations of
all models are measured in turn at one T, from the shortest to the longest. A point is not run where shorter
ones predict that its repeats pass `seconds_per_point` (`measure.predict`) or, on a CPU, that it needs more
memory than there is.

On a CPU every implementation computes with the same number of threads: torch's, or the fused kernels'
(`threads.py`), whose affine map, which is torch's, has one thread. On a GPU the fused forms are Triton's
(`layers.fused_neurons`); a compiler's work falls into the calls before the measurement.
torch's wait by spinning for some milliseconds (6.5 on one machine: libgomp's GOMP_SPINCOUNT), which would
take the cores from what is measured next. Forbidding it (OMP_WAIT_POLICY=passive) makes the loops over time
twice as slow, which would do the baselines wrong; so on a CPU each call is preceded by a rest.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spsn import noise, threads
from spsn.devices import has_fused
from spsn.memory import available_bytes, is_out_of_memory, release
from spsn.network import initial_parameters
from spsn.noise import Purpose
from spsn.settings import NetworkSettings, SequenceLengthTiming
from spsn.timing.layers import LAYERS, layer_pass
from spsn.timing.measure import (
    OUT_OF_MEMORY,
    TOO_SLOW,
    Call,
    Clock,
    Function,
    Lap,
    Measurement,
    WallClock,
    clock_for,
    default_warm_up,
    measure_in_turn,
    predict,
)

log = logging.getLogger(__name__)

DENSITY = 0.05  # spikes per time step and input
MAKING = 13  # bytes per cell of a sample while it is made: word, uniform, flag, spike
REST = 0.01  # seconds, after which idle threads of OpenMP sleep
LONG = 1000  # time steps: nothing so long is begun without a shorter one to predict from
Name = tuple[str, str]  # model, implementation


@dataclass(frozen=True)
class LengthRow:
    """A line of `timing/sequence_length.csv`: one repeat, or the reason why there is none. Seconds; bytes."""

    model: str
    implementation: str
    steps: int
    repeat: int
    status: str
    seconds: float | None
    forward_seconds: float | None
    backward_seconds: float | None
    seconds_unsynchronised: float | None
    peak_bytes: int | None
    batch_size: int
    inputs: int
    neurons: int
    device: str
    threads: int
    dtype: str


class RestedClock(WallClock):
    """A wall clock that waits until idle threads of OpenMP have fallen asleep."""

    def wait(self) -> None:
        """Rest."""
        time.sleep(REST)


def measure_lengths(
    timing: SequenceLengthTiming,
    network: NetworkSettings,
    device: torch.device,
    *,
    names: Sequence[Name] = tuple(LAYERS),
    clock: Clock | None = None,
) -> dict[int, dict[Name, Measurement]]:
    """Measurements by T and (model, implementation), of those of `names` that the device has, with as many
    threads as torch has now.
    """
    clock = clock or (RestedClock() if device.type == "cpu" else clock_for(device))
    names = [name for name in names if name[1] != "fused" or has_fused(device)]
    _rehearse(timing, network, device, names)
    found: dict[int, dict[Name, Measurement]] = {}
    for steps in _walk(timing.lengths):
        here = timing if steps in timing.lengths else replace(timing, repeats=1)
        found[steps] = _measure_length(here, network, steps, device, names, found, clock)
        for (model, implementation), m in found[steps].items():
            seconds = "" if m.median is None else f" {m.median:.4g} s"
            log.info("T = %d, %s, %s: %s%s", steps, model, implementation, m.status, seconds)
    return {steps: found[steps] for steps in timing.lengths}


def _rehearse(
    timing: SequenceLengthTiming, network: NetworkSettings, device: torch.device, names: Sequence[Name]
) -> None:
    """A tiny pass of what is compiled at its first call, so that this is no part of a measurement."""
    tiny = replace(timing, batch_size=2)
    for name in (name for name in names if name[1] == "fused"):
        layer_pass(LAYERS[name].make(name[0], network), *_layer(tiny, 8, device))(lambda: None)


def _walk(lengths: Sequence[int]) -> Iterator[int]:
    """The lengths, ascending; two short ones before where the first is too long to be begun blindly."""
    ascending = sorted(set(lengths))
    if ascending[0] >= LONG:
        yield from (ascending[0] // 20, ascending[0] // 10)
    yield from ascending


def _measure_length(
    timing: SequenceLengthTiming,
    network: NetworkSettings,
    steps: int,
    device: torch.device,
    names: Sequence[Name],
    earlier: Mapping[int, Mapping[Name, Measurement]],
    clock: Clock | None,
) -> dict[Name, Measurement]:
    found: dict[Name, Measurement] = {}
    for name in names:
        history = {t: of[name] for t, of in earlier.items() if t < steps}
        refused = refusal(history, steps, LAYERS[name].order, timing, device)
        if refused:
            found[name] = Measurement(refused)
    wanted = [name for name in names if name not in found]
    try:
        layer = _layer(timing, steps, device)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        release()
        return found | {name: Measurement(OUT_OF_MEMORY) for name in wanted}
    count = torch.get_num_threads()
    passes = {name: _own_pass(name, network, layer, count, device) for name in wanted}
    options = {"repeats": timing.repeats, "budget_seconds": timing.seconds_per_point}
    options |= {"warmup": default_warm_up(device), "device": device, "clock": clock}
    measured = measure_in_turn(passes, **options)
    threads.use("torch", count, device)
    return {name: (found | measured)[name] for name in names}


def _own_pass(
    name: Name, network: NetworkSettings, layer: Sequence[Tensor], count: int, device: torch.device
) -> Function:
    """An implementation's pass through `layer` (`_layer`), with its own kind of threads; to change them takes
    microseconds.
    """
    model, implementation = name
    function = layer_pass(LAYERS[name].make(model, network), *layer)

    def call(lap: Lap) -> None:
        threads.use(implementation, count, device)
        function(lap)

    return call


def refusal(
    history: Mapping[int, Measurement],
    steps: int,
    order: int,
    timing: SequenceLengthTiming,
    device: torch.device,
) -> str | None:
    """Why a length should not be begun, as its status; None where nothing speaks against it.

    `history` holds shorter lengths of the same implementation: time grows with the power `order` of T, memory
    in proportion. What failed for want of memory fails at every greater length.
    """
    if any(m.status == OUT_OF_MEMORY for m in history.values()):
        return OUT_OF_MEMORY
    grown = {t: float(m.grown_bytes) for t, m in history.items() if m.grown_bytes is not None}
    cells, room = timing.batch_size * steps * timing.inputs, available_bytes(device)
    making = MAKING * steps * timing.inputs  # a sample at a time
    needed = 4 * cells + max(making, predict(grown, steps, 1) or 0.0)
    if room is not None and needed > room:
        return OUT_OF_MEMORY
    seconds = predict({t: m.median for t, m in history.items() if m.median is not None}, steps, order)
    too_slow = seconds is not None and seconds * timing.repeats > timing.seconds_per_point
    return TOO_SLOW if too_slow else None


def _layer(timing: SequenceLengthTiming, steps: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes (B, T, inputs), weight and bias; the first steps of a longer input are the shorter one.

    They are drawn sample by sample, since a long input alone may take most of the memory.
    """
    spikes = torch.empty(timing.batch_size, steps, timing.inputs, device=device)
    for sample in range(timing.batch_size):
        uniforms = noise.uniforms(0, Purpose.TIMING, (1, steps, timing.inputs), epoch=sample)
        spikes[sample] = torch.from_numpy(uniforms[0] < DENSITY)
    weights, biases = initial_parameters([timing.inputs, timing.neurons], 0, spiking=True)
    return spikes, weights[0].to(device), biases[0].to(device)


def length_rows(
    found: Mapping[int, Mapping[Name, Measurement]], timing: SequenceLengthTiming, device_name: str
) -> list[LengthRow]:
    """The lines of the table, a line per repeat; one line, without numbers, for what was not measured."""
    fixed = (
        timing.batch_size,
        timing.inputs,
        timing.neurons,
        device_name,
        torch.get_num_threads(),
        "float32",
    )
    rows = []
    for steps, measurements in found.items():
        for (model, implementation), m in measurements.items():
            for repeat, call in enumerate(m.calls or (None,)):
                rows.append(
                    LengthRow(model, implementation, steps, repeat, m.status, *_numbers(call, m), *fixed)
                )
    return rows


def _numbers(call: Call | None, m: Measurement) -> tuple:
    if call is None:
        return None, None, None, None, None
    return call.seconds, call.parts[0], call.parts[1], call.unsynchronised, m.peak_bytes
