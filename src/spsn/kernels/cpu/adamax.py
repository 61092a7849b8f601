"""One step of Adamax (`spsn.optimizer`), sixteen numbers at a time."""

from collections.abc import Sequence

from torch import Tensor

from spsn.compiled import jit
from spsn.kernels.cpu.lanes import above, magnitude, select
from spsn.kernels.cpu.simd import LANES, fma, load, splat, store


def update(
    arrays: Sequence[tuple[Tensor, ...]], rates: Sequence[float], beta1: float, beta2: float, eps: float
) -> None:
    """For each parameter p its gradient g, m and v, contiguous float32: p, m and v change in place."""
    for tensors, rate in zip(arrays, rates, strict=True):
        _update(*(t.detach().view(-1).numpy() for t in tensors), rate, 1 - beta1, beta2, eps)


@jit
def _update(parameter, gradient, average, largest, rate, share, kept, eps):
    """All (N,). What is no number stays so."""
    whole = parameter.size // LANES * LANES
    for at in range(0, whole, LANES):
        g, m = load(gradient, at), load(average, at)
        m = fma(splat(share), g - m, m)
        old, new = splat(kept) * load(largest, at), magnitude(g) + splat(eps)
        v = select(above(old, new), old, new)
        store(average, at, m)
        store(largest, at, v)
        store(parameter, at, load(parameter, at) - splat(rate) * m / v)
    for n in range(whole, parameter.size):
        g = gradient[n]
        average[n] += share * (g - average[n])
        old, new = kept * largest[n], abs(g) + eps
        largest[n] = old if old > new else new
        parameter[n] -= rate * average[n] / largest[n]
