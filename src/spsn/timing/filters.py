"""The leaky integrator alone, forward and backward, as subjects to be measured.

x and dL/du are normal random numbers (B, T, N), the same for all; the backward gives dL/dx. What each form
computed is compared with the recurrence in float64 (its adjoint is the recurrence run backwards in time):
`error` is |u - u64| / |u64|, `gradient_error` the same of dL/dx (L2 norms).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from spsn.devices import has_fused
from spsn.errors import SpsnError
from spsn.neurons.integrator import chunks, decay, recurrence
from spsn.threads import use
from spsn.timing.baselines import wrapped_fft
from spsn.timing.layers import fused_neurons
from spsn.timing.measure import Lap
from spsn.timing.worker import Subject

Integrate = Callable[[Tensor, float, float], Tensor]
FILTER = f"{__name__}:filter_subject"  # what a contestant names
CELLS = 80_000  # samples x steps, where sequences are long
MOST_SAMPLES = 64
SMALL = 2, 8  # samples and steps of the pass that comes before all


def _fused(x: Tensor, alpha: float, beta: float) -> Tensor:
    return fused_neurons(x.device).integrate(x, alpha, beta)


FILTERS: dict[str, tuple[str, Integrate]] = {  # backend and function
    "fft": ("torch", wrapped_fft),
    "chunks": ("torch", chunks),
    "fused": ("fused", _fused),
}


def samples_for(steps: int) -> int:
    """The batch that keeps memory reasonable: 64 x 100, 64 x 1000, 8 x 10,000, 1 x 100,000."""
    return min(MOST_SAMPLES, max(1, CELLS // steps))


def filter_subject(
    form: str,
    *,
    time_steps: int,
    batch: int,
    neurons: int = 128,
    tau: float = 0.02,
    time_step: float = 0.001,
    device: str = "cpu",
    threads: int = 2,
) -> Subject:
    """Forward and backward of one form through (batch, time_steps, neurons). tau, time_step in seconds.

    Raises `SpsnError` for the fused form on a device that has none.
    """
    there, alpha = torch.device(device), decay(tau, time_step)
    backend, function = FILTERS[form]
    if backend == "fused" and not has_fused(there):
        raise SpsnError(
            f"the fused filter needs the package triton on {there.type}; install it, or measure the others "
            "alone with --forms fft chunks"
        )
    use(backend, threads, there)
    integrate = partial(function, alpha=alpha, beta=alpha)
    _pass(integrate, *_signals(*SMALL, neurons, there))(lambda: None)
    x, gradient = _signals(batch, time_steps, neurons, there)
    return Subject(
        _pass(integrate, x, gradient), there, lambda: errors(integrate, x, gradient, alpha) | {"batch": batch}
    )


def _signals(batch: int, steps: int, neurons: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """x, which wants a gradient, and dL/du: (B, T, N) each."""
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.randn(batch, steps, neurons, generator=generator).to(device) for _ in range(2))
    x, gradient = drawn
    return x.requires_grad_(), gradient


def _pass(integrate: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor) -> Callable[[Lap], None]:
    def forward_and_backward(lap: Lap) -> None:
        potential = integrate(x)
        lap()
        torch.autograd.grad(potential, x, gradient)

    return forward_and_backward


def errors(
    integrate: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor, decayed: float
) -> dict[str, float]:
    """`error` and `gradient_error`; see the module's text."""
    potential = integrate(x)
    (backward,) = torch.autograd.grad(potential, x, gradient)
    with torch.no_grad():
        exact = recurrence(x.double(), decayed, decayed)
        error = _distance(potential, exact)
        del exact
        adjoint = recurrence(gradient.double().flip(1), decayed, decayed).flip(1)
        return {"error": error, "gradient_error": _distance(backward, adjoint)}


def _distance(value: Tensor, exact: Tensor) -> float:
    return ((value.double() - exact).norm() / exact.norm()).item()
