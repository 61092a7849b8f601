"""A stack of feedforward networks that train side by side: 700 - 128 - 128 - 128 - 20 in the paper.

Every layer is an affine map with a trainable bias, applied at every time step. Hidden layers fire
(`neurons/`); the readout of spiking networks is a layer of leaky integrators that do not. Run r of the stack
lives in the last T_r of the T steps: before them its pre-activation and its output are 0, its means divide by
T_r, its noise counts its own t.

Initialisation, run by run from its own seed, as in the authors' program: spiking networks
U(+-sqrt(3 / fan_in)) with biases 0; the non-spiking one U(+-1 / sqrt(fan_in)), biases too.

Shapes: S runs, B samples, T steps, N neurons, C classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spsn import noise
from spsn.data.batches import Batch
from spsn.data.shd import CHANNELS
from spsn.fused import Fused
from spsn.grid import RunSettings
from spsn.kernels.cpu.engine import NoiseAddress
from spsn.neurons import MODELS
from spsn.neurons.integrator import LeakyIntegrator, mean_coefficients
from spsn.noise import Purpose
from spsn.objective import readout

Noise = Callable[[int, tuple[int, int, int, int], tuple[int, ...]], Tensor]


@dataclass(frozen=True)
class Output:
    """logits (S, B, C); rates: per hidden layer (S, N), a neuron's mean output over samples and own steps."""

    logits: Tensor
    rates: list[Tensor]


@dataclass(frozen=True)
class SpikeNoise:
    """Uniforms for every run's spikes: a function of (seed, purpose, epoch, step, layer, element) alone."""

    seeds: tuple[int, ...]
    purpose: Purpose
    epoch: int
    step: int
    device: torch.device | str = "cpu"

    def __call__(self, layer: int, shape: tuple[int, int, int, int], lengths: tuple[int, ...]) -> Tensor:
        """Uniforms (S, B, T, N) in (0, 1); run r's first own step lies at T - T_r; before it they are 1/2."""
        _, samples, steps, neurons = shape
        address = {"epoch": self.epoch, "step": self.step, "layer": layer}
        drawn = [
            self._uniforms(seed, (samples, own, neurons), address)
            for seed, own in zip(self.seeds, lengths, strict=True)
        ]
        if len(drawn) == 1 and lengths[0] == steps:
            return drawn[0].unsqueeze(0)
        out = torch.full(shape, 0.5, device=self.device)
        for r, own in enumerate(lengths):
            out[r, :, steps - own :] = drawn[r]
        return out

    def _uniforms(self, seed: int, shape: tuple[int, int, int], address: dict[str, int]) -> Tensor:
        if torch.device(self.device).type == "cpu":
            return torch.from_numpy(noise.uniforms(seed, self.purpose, shape, **address))
        return noise.uniforms_torch(seed, self.purpose, shape, **address, device=self.device)


class StackedNetwork(nn.Module):
    """S networks of one model and one architecture with their own weights.

    `weights[l]` (S, out, in) and `biases[l]` (S, out). With `collapse` (the default) the readout that is only
    averaged over time becomes a weighted sum over time of the last hidden layer, which is exact.
    """

    def __init__(self, settings: RunSettings, seeds: Sequence[int], *, collapse: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.seeds = tuple(seeds)
        self.kind = MODELS[settings.model]
        if settings.backend not in ("torch", "fused"):
            raise ValueError(f"a network's backend is 'torch' or 'fused', not {settings.backend!r}")
        self.collapse = collapse
        constants = settings.tau_mem, settings.tau_syn, settings.time_step
        self.neuron = self.kind.make(*constants, settings.threshold, settings.lif_reset)
        # Not by Fourier transform: where nothing has come in yet it leaves noise instead of 0, and of equal
        # values it would pick one as the greatest.
        self.integrator = LeakyIntegrator(*constants, method="chunks") if self.kind.spiking else None
        self._fused: Fused | None = None  # made by the first batch that needs it
        sizes = [CHANNELS] + [settings.hidden_size] * settings.hidden_layers + [settings.classes]
        initial = [initial_parameters(sizes, seed, self.kind.spiking) for seed in self.seeds]
        self.weights = nn.ParameterList(
            torch.stack([w[i] for w, _ in initial]) for i in range(len(sizes) - 1)
        )
        self.biases = nn.ParameterList(torch.stack([b[i] for _, b in initial]) for i in range(len(sizes) - 1))

    def forward(
        self, inputs: Batch | Tensor, noise: Noise | None = None, lengths: Sequence[int] = ()
    ) -> Output:
        """Logits and rates of a batch of events, or of dense input (S, B, T, 700) whose runs have `lengths`.

        `noise(layer, shape, lengths)` gives the uniforms of stochastic neurons; left out, torch's generator
        draws them. Where the settings name the fused backend, batches of events take its kernels, whose noise
        is a `SpikeNoise`; dense input always takes the plain form.
        """
        if isinstance(inputs, Batch) and self.settings.backend == "fused":
            return self._run_fused(inputs, noise)
        lengths = (
            inputs.lengths
            if isinstance(inputs, Batch)
            else tuple(lengths) or (inputs.shape[2],) * len(inputs)
        )
        signal, rates, alive = inputs, [], None
        for layer in range(self.settings.hidden_layers):
            x = self._affine(layer, signal)  # (S, B, T, N)
            alive = alive if layer else own_steps(lengths, x)
            signal = self._fire(layer, x if alive is None else x * alive, noise, lengths)
            signal = signal if alive is None else signal * alive
            divisor = x.new_tensor([x.shape[1] * own for own in lengths]).unsqueeze(1)
            rates.append(signal.sum(dim=(1, 2)) / divisor)
        return Output(self.read(signal, lengths), rates)

    def _run_fused(self, batch: Batch, noise: Noise | None) -> Output:
        """The same by the fused kernels."""
        if self.kind.stochastic and not isinstance(noise, SpikeNoise):
            raise ValueError("the fused kernels draw their noise themselves: give a SpikeNoise")
        if self._fused is None or self._fused.device != self.device:
            self._fused = Fused(self)
        return Output(*self._fused(self, batch, _address(noise, self.seeds)))

    def _fire(self, layer: int, x: Tensor, noise: Noise | None, lengths: tuple[int, ...]) -> Tensor:
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

    def read(self, signal: Tensor, lengths: Sequence[int]) -> Tensor:
        """Logits (S, B, C) of the last hidden layer's output (S, B, T, N), run r in the last T_r steps."""
        if self.collapse and self.settings.loss_mode == "mean":
            return self._collapsed(signal, lengths)
        x = self._affine(self.settings.hidden_layers, signal)
        alive = own_steps(lengths, x)
        x = x if alive is None else x * alive
        return readout(x if self.integrator is None else self.integrator(x), self.settings.loss_mode, lengths)

    def _collapsed(self, signal: Tensor, lengths: Sequence[int]) -> Tensor:
        """mean_t of a linear readout: W (sum_t c[t] s[t]) + b sum_t c[t]."""
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
        """c (T,), float64: the mean over T steps of the readout's potential is sum_t c[t] x[t]."""
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
        return state

    def load_run_state(self, run: int, state: dict[str, Tensor]) -> None:
        """Put parameters in the form of `run_state` in place of those of one run."""
        with torch.no_grad():
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                weight[run].copy_(state[f"{layer}.weight"])
                bias[run].copy_(state[f"{layer}.bias"])


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


def own_steps(lengths: Sequence[int], like: Tensor) -> Tensor | None:
    """1 in the last T_r of T steps of run r, else 0: (S, 1, T, 1); None where every run fills all steps."""
    steps = like.shape[2]
    if all(own == steps for own in lengths):
        return None
    first = torch.tensor([steps - own for own in lengths], device=like.device)
    mask = torch.arange(steps, device=like.device) >= first[:, None]
    return mask.to(like.dtype)[:, None, :, None]


def event_sum(batch: Batch, weight: Tensor) -> Tensor:
    """Layer 1 from events: the sum of every spike's weight row, (S, B, T, N), for weights (S, N, 700)."""
    runs, samples, steps = batch.shape
    rows = (
        weight.transpose(1, 2).reshape(runs * CHANNELS, -1).contiguous()
    )  # contiguous rows take the fast path
    total = nn.functional.embedding_bag(batch.channels, rows, batch.offsets.reshape(-1), mode="sum")
    return total.view(runs, samples, steps, -1)
