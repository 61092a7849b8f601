"""Adamax (Kingma and Ba 2015, algorithm 2) in one pass over a parameter's memory.

    m = b1 m + (1 - b1) g        v = max(b2 v, |g| + eps)        p -= lr / (1 - b1^t) m / v

torch writes it as six operations on whole tensors, each of which reads and writes memory again and, for small
networks, takes as long to call as to compute.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from spsn.compiled import jit
from spsn.kernels.cpu.lanes import above, magnitude, select
from spsn.kernels.cpu.simd import LANES, fma, load, splat, store


class Adamax:
    """Updates contiguous float32 parameters on a CPU. `state` has the form of torch's Adamax."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        """Raises ValueError for parameters of another type, place or order in memory."""
        self.parameters = list(parameters)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.state: dict[Tensor, dict[str, Tensor]] = {p: {} for p in self.parameters}
        for p in self.parameters:
            if p.dtype != torch.float32 or p.device.type != "cpu" or not p.is_contiguous():
                has = f"{p.dtype} on {p.device} with strides {p.stride()}"
                raise ValueError(f"the fused Adamax takes contiguous float32 parameters on a CPU, not {has}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                self._update(parameter.detach(), parameter.grad.contiguous(), self.state[parameter])

    def _update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> None:
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_inf"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = self.betas
        rate = self.lr / (1 - beta1 ** state["step"].item())
        arrays = (t.view(-1).numpy() for t in (parameter, gradient, state["exp_avg"], state["exp_inf"]))
        _update(*arrays, rate, 1 - beta1, beta2, self.eps)


@jit
def _update(parameter, gradient, average, largest, rate, share, kept, eps):
    """All (N,); in place but for the gradient. What is no number stays so."""
    whole = parameter.size // LANES * LANES
    for at in range(0, whole, LANES):
        g, m = load(gradient, at), load(average, at)
        m = fma(splat(share), g - m, m)
        old, new = splat(kept) * load(largest, at), magnitude(g) + splat(eps)
        largest_now = select(above(old, new), old, new)
        store(average, at, m)
        store(largest, at, largest_now)
        store(parameter, at, load(parameter, at) - splat(rate) * m / largest_now)
    for n in range(whole, parameter.size):
        g = gradient[n]
        average[n] += share * (g - average[n])
        old, new = kept * largest[n], abs(g) + eps
        largest[n] = old if old > new else new
        parameter[n] -= rate * average[n] / largest[n]
