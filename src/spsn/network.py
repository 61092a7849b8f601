"""A stack of feedforward networks that train side by side: 700 - 128 - 128 - 128 - 20 in the paper.

Every layer is an affine map with a trainable bias, applied at every time step. Hidden layers fire
(`neurons/`); the readout of spiking networks is a layer of leaky integrators that do not. Run r of the stack
lives in the last T_r of the T steps: before them its pre-activation and its output are 0, its means divide by
T_r, its noise counts its own t.

Initialisation, run by run from its own seed, as in the authors' program: spiking networks
U(+-sqrt(3 / fan_in)) with biases 0; the non-spiking one U(+-1 / sqrt(fan_in)), biases too.

Shapes: S runs, B samples, T steps, N neurons, C classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from spsn import accumulating, noise
from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.fused import Fused, fused_of
from spsn.grid import RunSettings
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.methods import TRAITS
from spsn.neurons import MODELS
from spsn.neurons.integrator import LeakyIntegrator, decay, mean_coefficients
from spsn.noise import Purpose
from spsn.objective import readout
from spsn.signals import Noise, Output, SpikeNoise, event_sum, own_steps


class StackedNetwork(nn.Module):
    """S networks of one model and one architecture with their own weights.

    `weights[l]` (S, out, in) and `biases[l]` (S, out). With `collapse` (the default) the readout that is only
    averaged over time becomes a weighted sum over time of the last hidden layer, which is exact. `learned[l]`
    holds what layer l's neurons learn themselves, every parameter with a leading S.
    """

    def __init__(self, settings: RunSettings, seeds: Sequence[int], *, collapse: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.seeds = tuple(seeds)
        self.kind = MODELS[settings.model]
        if settings.backend not in ("torch", "fused"):
            raise ValueError(f"a network's backend is 'torch' or 'fused', not {settings.backend!r}")
        self.collapse = collapse
        self.neuron = self.kind.make(settings)
        # Not by Fourier transform: where nothing has come in yet it leaves noise instead of 0, and of equal
        # values it would pick one as the greatest.
        constants = settings.tau_mem, settings.tau_syn, settings.time_step
        self.integrator = LeakyIntegrator(*constants, method="chunks") if self.kind.spiking else None
        self._fused: Fused | None = None  # made by the first batch that needs it
        sizes = [CHANNELS] + [settings.hidden_size] * settings.hidden_layers + [settings.classes]
        initial = [initial_parameters(sizes, seed, self.kind.spiking) for seed in self.seeds]
        self.weights = nn.ParameterList(
            torch.stack([w[i] for w, _ in initial]) for i in range(len(sizes) - 1)
        )
        self.biases = nn.ParameterList(torch.stack([b[i] for _, b in initial]) for i in range(len(sizes) - 1))
        self.learned = nn.ModuleList(self._initially_learned(i) for i in range(settings.hidden_layers))

    def forward(
        self, inputs: Batch | Tensor, noise: Noise | None = None, lengths: Sequence[int] = ()
    ) -> Output:
        """Logits and rates of a batch of events, or of dense input (S, B, T, 700) whose runs have `lengths`.

        `noise(layer, shape, lengths)` gives the uniforms of stochastic neurons; left out, torch's generator
        draws them. Where the settings name the fused backend, batches of events take its kernels, whose noise
        is a `SpikeNoise`; dense input always takes the plain form.
        """
        whole = self.settings.backend == "fused" and TRAITS[self.settings.model].fused == "network"
        if isinstance(inputs, Batch) and whole:
            return self._run_fused(inputs, noise)
        lengths = (
            inputs.lengths
            if isinstance(inputs, Batch)
            else tuple(lengths) or (inputs.shape[2],) * len(inputs)
        )
        if self.kind.accumulates:
            return accumulating.run(self, inputs, lengths)
        signal, rates, alive = inputs, [], None
        for layer in range(self.settings.hidden_layers):
            x = self._affine(layer, signal)  # (S, B, T, N)
            alive = alive if layer else own_steps(lengths, x)
            signal = self._fire(layer, x if alive is None else x * alive, noise, lengths, alive)
            signal = signal if alive is None else signal * alive
            divisor = x.new_tensor([x.shape[1] * own for own in lengths]).unsqueeze(1)
            rates.append(signal.sum(dim=(1, 2)) / divisor)
        logits, potentials = self.read(signal, lengths)
        return Output(logits, rates, potentials)

    def _run_fused(self, batch: Batch, noise: Noise | None) -> Output:
        """The same by the fused kernels."""
        if self.kind.stochastic and not isinstance(noise, SpikeNoise):
            raise ValueError("the fused kernels draw their noise themselves: give a SpikeNoise")
        return Output(*fused_of(self)(self, batch, _address(noise, self.seeds)))

    def _fire(
        self, layer: int, x: Tensor, noise: Noise | None, lengths: tuple[int, ...], alive: Tensor | None
    ) -> Tensor:
        if self.kind.learns:
            parameters = {name: p.unsqueeze(1) for name, p in self.learned[layer].items()}  # (S, 1, ...)
            return self.neuron.fire(x, parameters, alive)
        if not self.kind.stochastic:
            return self.neuron(x)
        return self.neuron(x, None if noise is None else noise(layer, tuple(x.shape), lengths))

    def _affine(self, layer: int, signal: Batch | Tensor) -> Tensor:
        weight, bias = self.weights[layer], self.biases[layer]
        if isinstance(signal, Batch):
            return event_sum(signal, weight) + bias[:, None, None, :]
        runs, samples, steps, width = signal.shape
        flat = torch.baddbmm(
            bias.unsqueeze(1), signal.reshape(runs, samples * steps, width), weight.transpose(1, 2)
        )
        return flat.view(runs, samples, steps, -1)

    @property
    def averages(self) -> bool:
        """Whether the readout is a weighted sum over time of the last hidden layer, and nothing else."""
        mode = self.settings.loss_mode
        return mode == "final" or (self.collapse and mode == "mean")

    def read(self, signal: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Logits (S, B, C) of the last hidden layer's output (S, B, T, N), run r in the last T_r steps.

        And the readout's potential (S, B, T, C), where the objective looks at every step.
        """
        if self.averages:
            return self._collapsed(signal, lengths), None
        x = self._affine(self.settings.hidden_layers, signal)
        alive = own_steps(lengths, x)
        x = x if alive is None else x * alive
        return self.read_potential(x if self.integrator is None else self.integrator(x), lengths)

    def read_potential(self, potential: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """The same of the readout's potential (S, B, T, C)."""
        if self.settings.loss_mode == "per-step":
            return readout(potential, "mean", lengths), potential
        return readout(potential, self.settings.loss_mode, lengths), None

    def _collapsed(self, signal: Tensor, lengths: Sequence[int]) -> Tensor:
        """A weighted mean over time of a linear readout: W (sum_t c[t] s[t]) + b sum_t c[t]."""
        steps = signal.shape[2]
        coefficients = np.zeros((len(lengths), 1, 1, steps))
        for r, own in enumerate(lengths):
            coefficients[r, ..., steps - own :] = self.mean_coefficients(own)
        c = torch.tensor(coefficients, dtype=signal.dtype, device=signal.device)
        return self.read_average(torch.matmul(c, signal).squeeze(2), c.sum(dim=3))

    def read_average(self, averaged: Tensor, total: Tensor) -> Tensor:
        """Logits (S, B, C) of the weighted sum (S, B, N) and the sum of its weights (S, 1, 1)."""
        bias = self.biases[-1].unsqueeze(1) * total
        return torch.baddbmm(bias, averaged, self.weights[-1].transpose(1, 2))

    def mean_coefficients(self, steps: int) -> np.ndarray:
        """c (T,), float64: what is read out after T steps is sum_t c[t] x[t], x the readout's pre-activation.

        It is the mean of the readout's potential; or, where only the last step counts, x weighted as the
        membrane remembers it: c[t] = lam^(T-1-t) / sum_k lam^k.
        """
        if self.settings.loss_mode == "final":
            remembered = decay(self.settings.tau_mem, self.settings.time_step) ** np.arange(steps)[::-1]
            return remembered / remembered.sum()
        if self.integrator is None:
            return np.full(steps, 1.0 / steps)
        return mean_coefficients(self.integrator.alpha, self.integrator.beta, steps)

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.weights[0].device

    def release(self) -> None:
        """Let go of the kernels' memory; the next batch takes it anew."""
        self._fused = None

    def __getstate__(self) -> dict:
        """What a copy takes along: not the kernels' memory."""
        return {**self.__dict__, "_fused": None}

    def finite_runs(self) -> list[bool]:
        """Of every run, whether all its parameters are finite."""
        finite = [p.detach().flatten(1).isfinite().all(dim=1) for p in self.parameters()]
        return torch.stack(finite).all(dim=0).tolist()

    def run_state(self, run: int) -> dict[str, Tensor]:
        """A copy of one run's parameters on the CPU: `0.weight` (out, in), `0.bias` (out,), `1.weight` ..."""
        state = {}
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            state[f"{layer}.weight"] = weight[run].detach().cpu().clone()
            state[f"{layer}.bias"] = bias[run].detach().cpu().clone()
        for layer, learned in enumerate(self.learned):
            state |= {f"{layer}.{name}": p[run].detach().cpu().clone() for name, p in learned.items()}
        return state

    def load_run_state(self, run: int, state: dict[str, Tensor]) -> None:
        """Put parameters in the form of `run_state` in place of those of one run."""
        with torch.no_grad():
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                weight[run].copy_(state[f"{layer}.weight"])
                bias[run].copy_(state[f"{layer}.bias"])
            for layer, learned in enumerate(self.learned):
                for name, parameter in learned.items():
                    parameter[run].copy_(state[f"{layer}.{name}"])

    def _initially_learned(self, layer: int) -> nn.ParameterDict:
        """What the neurons of a layer learn, run by run from its seed."""
        if not self.kind.learns:
            return nn.ParameterDict()
        drawn = [self.neuron.initial_parameters(seed, layer) for seed in self.seeds]
        return nn.ParameterDict({name: torch.stack([of[name] for of in drawn]) for name in drawn[0]})


def initial_parameters(sizes: Sequence[int], seed: int, spiking: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Weights (out, in) and biases (out,) of every layer, drawn from `seed` alone."""
    weights, biases = [], []
    for layer, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        words = noise.words(seed, Purpose.INITIAL_WEIGHTS, fan_out * (fan_in + 1), layer=layer)
        signed = torch.from_numpy(2 * noise.to_uniform(words) - 1)
        weight = signed[: fan_out * fan_in].view(fan_out, fan_in)
        bias = signed[fan_out * fan_in :]
        weights.append(weight * ((3.0 if spiking else 1.0) / fan_in) ** 0.5)
        biases.append(torch.zeros(fan_out) if spiking else bias * fan_in**-0.5)
    return weights, biases


def _address(noise: Noise | None, seeds: tuple[int, ...]) -> NoiseAddress:
    if isinstance(noise, SpikeNoise):
        return NoiseAddress(noise.seeds, noise.purpose, noise.epoch, noise.step)
    return NoiseAddress(seeds)
