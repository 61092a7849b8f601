"""Adamax (Kingma and Ba 2015, algorithm 2) for the fused backend.

    m = b1 m + (1 - b1) g        v = max(b2 v, |g| + eps)        p -= lr / (1 - b1^t) m / v

torch writes it as six operations on whole tensors for each parameter, each of which reads and writes memory
again and, for small networks, takes as long to call as to compute. The kernels make one pass.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Adamax:
    """Updates contiguous float32 parameters on one device. `state` has the form of torch's Adamax."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        """Raises ValueError for parameters of another type or order in memory, or on several devices."""
        self.parameters = list(parameters)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.state: dict[Tensor, dict[str, Tensor]] = {p: {} for p in self.parameters}
        for p in self.parameters:
            if p.dtype != torch.float32 or p.device.type == "meta" or not p.is_contiguous():
                has = f"{p.dtype} on {p.device} with strides {p.stride()}"
                raise ValueError(f"the fused Adamax takes contiguous float32 parameters, not {has}")
        if len({p.device for p in self.parameters}) > 1:
            raise ValueError("the fused Adamax takes parameters on one device")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, which are None afterwards. Raises ValueError where they should be 0."""
        if not set_to_none:
            raise ValueError("the fused Adamax sets gradients to None")
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        moved = [p for p in self.parameters if p.grad is not None]
        if not moved:
            return
        beta1, beta2 = self.betas
        rates = [self._rate(self._advance(parameter)) for parameter in moved]
        arrays = [(p, p.grad.contiguous(), self.state[p]["exp_avg"], self.state[p]["exp_inf"]) for p in moved]
        update = _kernel(moved[0].device)
        update(arrays, rates, beta1, beta2, self.eps)

    def begun(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Every parameter with its m and v, which are 0 where it has made no step."""
        states = [self._begun(parameter) for parameter in self.parameters]
        return [(p, s["exp_avg"], s["exp_inf"]) for p, s in zip(self.parameters, states, strict=True)]

    def rates(self, steps: int) -> list[float]:
        """lr / (1 - b1^t) of so many steps to come, for all parameters alike.

        Raises ValueError where some have made more steps than others.
        """
        done = {self._begun(parameter)["step"].item() for parameter in self.parameters}
        if len(done) > 1:
            raise ValueError(f"the parameters have made different numbers of steps: {sorted(done)}")
        (done,) = done
        return [self._rate(done + step) for step in range(1, steps + 1)]

    def count(self, steps: int) -> None:
        """So many steps of all parameters were made elsewhere, at their `rates`."""
        for parameter in self.parameters:
            self._begun(parameter)["step"] += steps

    def _advance(self, parameter: Tensor) -> float:
        """Count one more step of a parameter; returns how many there are."""
        state = self._begun(parameter)
        state["step"] += 1
        return state["step"].item()

    def _begun(self, parameter: Tensor) -> dict[str, Tensor]:
        """The state of a parameter, made where there is none."""
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_inf"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state

    def _rate(self, steps: float) -> float:
        return self.lr / (1 - self.betas[0] ** steps)


def _kernel(device: torch.device):
    if device.type == "cpu":
        from spsn.kernels.cpu.adamax import update
    else:
        from spsn.kernels.gpu.adamax import update
    return update
