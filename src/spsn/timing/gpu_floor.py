"""What the kernels of a training step take on a GPU, and the least that they could take.

Two ceilings are measured on the same card: bytes a second of a copy of more than any cache holds, read and
written counted, and operations a second of a product of two random bfloat16 matrices. A kernel's floor is the
longer of the times in which these would move its bytes and do its products:

    floor = max(bytes / copy, operations / product)          fraction = floor / measured time

Its bytes are those that must come from memory or go there once: what stays in a cache (weights, scratch,
gathered rows of weights) is not counted, so that a fraction of 1 cannot be reached where a kernel computes or
gathers. Its operations are those of the tensor cores, 2 for a multiplication and an addition, each product
counted as often as its split operands ask for: spikes times split weights twice, two split operands three
times. `work` has them for the kernels of `spsn.kernels.gpu` by name; other kernels have no floor.

E is the number of neurons and steps of one layer: a run's own steps x samples x width, of all runs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.stack import Stack
from spsn.timing.measure import Function, measure
from spsn.timing.shd_like import shd_like
from spsn.timing.stacks import begin, prepared, stack_runs

REPEATS, WARMUP = 10, 3
Row = tuple[str, float]  # a kernel's name, seconds of one launch


@dataclass(frozen=True)
class StepSize:
    """A training step: E, layers, width W, events of all samples, parameters of all runs, and what the layers
    keep a neuron and step: `signal` bytes (spikes 1/8, outputs 4) and `slope` bytes (0 for ReLU).
    """

    elements: int
    layers: int
    width: int
    events: int
    parameters: int
    signal: float
    slope: int

    @classmethod
    def of(cls, stack: Stack, batch: Batch) -> "StepSize":
        """The size of a step of `stack` on `batch`."""
        settings, samples = stack.runs[0], batch.samples.numpy()
        width = max(16, 1 << (settings.hidden_size - 1).bit_length())
        offsets = batch.store.offsets
        spiking = stack.network.kind.spiking
        return cls(
            elements=sum(batch.lengths) * samples.shape[1] * width,
            layers=settings.hidden_layers,
            width=width,
            events=int((offsets[samples + 1] - offsets[samples]).sum()),
            parameters=sum(p.numel() for p in stack.network.parameters()),
            signal=1 / 8 if spiking else 4.0,
            slope=2 if spiking else 0,
        )

    @property
    def product(self) -> float:
        """Operations of one layer's product, and how often its operands' pieces ask for it."""
        return 2.0 * self.elements * self.width * (2 if self.slope else 3)


def work(size: StepSize) -> dict[str, tuple[float, float]]:
    """Bytes and operations of all launches of a step together, by kernel."""
    e, deeper = size.elements, size.layers - 1
    back = 2.0 * e * size.width * 3  # gradient times weights: both are split
    rows = 4 * size.width  # bytes of one row of float32
    kept = size.signal + size.slope
    read = size.slope or size.signal  # ReLU's outputs say where its slope is 1
    return {
        "_rows": (4.0 * e + 2 * size.events, 0.0),
        "_columns": (4.0 * e + 2 * size.events + rows * CHANNELS, 0.0),
        "forward_kernel": (
            e * (4 + kept) + deeper * e * (size.signal + kept),
            deeper * size.product,
        ),
        "backward_kernel": (
            e * (read + 4) + deeper * e * (4 + read + 4),
            deeper * back,
        ),
        "_weight_gradient": (deeper * e * (size.signal + 4), deeper * size.product),
        "_update": (28.0 * size.parameters, 0.0),
    }


def ceilings(device: str, *, copied: int = 1 << 31, width: int = 8192) -> dict[str, float]:
    """Bytes a second of a copy of `copied` bytes, operations a second of a bfloat16 product of two matrices
    (width, width).
    """
    there = torch.device(device)
    source = torch.randint(0, 255, (copied,), dtype=torch.uint8, device=there)
    target = torch.empty_like(source)
    moving = _seconds(lambda lap: target.copy_(source), there)
    a, b = (torch.randn(width, width, device=there).to(torch.bfloat16) for _ in range(2))
    multiplying = _seconds(lambda lap: torch.mm(a, b), there)
    return {"bytes_per_second": 2 * copied / moving, "operations_per_second": 2 * width**3 / multiplying}


def _seconds(function: Function, device: torch.device) -> float:
    """The median call. Raises `MemoryError` where memory does not suffice for one."""
    found = measure(function, repeats=REPEATS, warmup=WARMUP, device=device, budget_seconds=inf)
    if found.median is None:
        raise MemoryError
    return found.median


def step_kernels(
    model: str,
    backend: str,
    runs: int,
    *,
    augmented: bool,
    data: dict[str, Any],
    device: str,
    threads: int,
    limits: Mapping[str, float] | None = None,
    batch_size: int = 64,
    warmup: int = 4,
    steps: int = 4,
) -> dict[str, Any]:
    """Profile some training steps: kernels, the longest first, with their floors where `limits` is given
    (`ceilings`), and the sum of their times. On a CPU the operators take the kernels' place.
    """
    there, store = prepared(backend, device, threads), shd_like(**data)
    trained = begin(stack_runs(model, backend, runs, store, augmented, threads, batch_size), store, there)
    for _ in trained.steps(warmup):
        pass
    trained.clock.wait()
    sizes = []

    def train() -> None:
        for _, batch in trained.steps(steps):
            sizes.append(StepSize.of(trained.stack, batch))
        trained.clock.wait()

    launches = profiled(train, there)
    works = _summed(map(work, sizes)) if backend == "fused" and limits else {}
    rows = kernel_rows(launches, works, limits or {}, steps)
    return {"kernels": rows, "seconds": sum(row["seconds"] for row in rows), "steps_profiled": steps}


def profiled(call: Callable[[], None], device: torch.device) -> list[Row]:
    """The kernels that ran on the device during a call (on a CPU the operators), one entry a launch."""
    kind = DeviceType.CUDA if device.type == "cuda" else DeviceType.CPU
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as found:
        call()
    return [
        (event.name, 1e-6 * event.time_range.elapsed_us())
        for event in found.events()
        if event.device_type == kind and not getattr(event, "is_user_annotation", False)
    ]


def _summed(works: Iterable[dict[str, tuple[float, float]]]) -> dict[str, tuple[float, float]]:
    total: dict[str, tuple[float, float]] = {}
    for one in works:
        for name, (moved, done) in one.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = before[0] + moved, before[1] + done
    return total


def kernel_rows(
    launches: Iterable[Row],
    works: Mapping[str, tuple[float, float]],
    limits: Mapping[str, float],
    steps: int,
) -> list[dict[str, Any]]:
    """Seconds and launches a step by kernel, the longest first; with rates and fraction of the floor for
    those whose bytes and operations, of all steps together, are in `works`.
    """
    totals: dict[str, list[float]] = {}
    for name, seconds in launches:
        totals.setdefault(name, []).append(seconds)
    rows = []
    for name, each in sorted(totals.items(), key=lambda item: -sum(item[1])):
        row: dict[str, Any] = {"kernel": name, "seconds": sum(each) / steps, "launches": len(each) / steps}
        if name in works and limits and sum(each) > 0:
            moved, done = works[name]
            floor = max(moved / limits["bytes_per_second"], done / limits["operations_per_second"])
            row |= {"bytes_per_second": moved / sum(each), "operations_per_second": done / sum(each)}
            row |= {"floor_seconds": floor / steps, "fraction_of_floor": floor / sum(each)}
        rows.append(row)
    return rows
