"""What the tests of the kernels for GPUs share: a layer by its equations in float64, and random layers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spsn.kernels.cpu.fire import LIF_CODE, LIF_PAPER, RELU, SPSN_GS, SPSN_SB, Neuron
from spsn.kernels.gpu.layers import Kept, Pass
from spsn.neurons.integrator import recurrence
from spsn.neurons.lif import autograd_lif, surrogate
from spsn.neurons.spsn import bernoulli_spikes, gumbel_spikes
from spsn.noise import Purpose, uniforms

CLEAR = 1e-5  # distance of every potential from its decision: well above what rounding in float32 moves
KINDS = {"sb": SPSN_SB, "gs": SPSN_GS, "lif": LIF_CODE, "lif-paper": LIF_PAPER, "relu": RELU}
SPIKING = ["sb", "gs", "lif", "lif-paper"]
THRESHOLD, ALPHA, BETA = 0.4, 0.9, 0.8


@dataclass(frozen=True)
class Layer:
    """A layer of S runs by its equations, each run in its own steps; all float64 (B, T_r, N)."""

    x: list[Tensor]  # pre-activations, leaves
    s: list[Tensor]  # outputs, differentiable
    slopes: list[Tensor]  # ds/du
    margin: float


def plain_layer(of: Pass, layer: int, x: list[Tensor]) -> Layer:
    """Outputs of every run's pre-activations (B, T_r, N), with the noise of `spsn.noise`."""
    leaves = [own.detach().double().requires_grad_() for own in x]
    runs = [_fire(of, layer, run, own) for run, own in enumerate(leaves)]
    margin = min(float(distance.detach().abs().min()) for _, _, distance in runs)
    return Layer(leaves, [s for s, _, _ in runs], [slope.detach() for _, slope, _ in runs], margin)


def _fire(of: Pass, layer: int, run: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, slopes, and distances from the decisions."""
    kind, alpha, beta, threshold = of.neuron
    if kind == RELU:
        return torch.relu(x), (x > 0).double(), x
    if kind in (LIF_CODE, LIF_PAPER):
        s, u = autograd_lif(x, alpha, beta, threshold, "code" if kind == LIF_CODE else "paper")
        return s, surrogate(u - threshold), u - threshold
    (step, epoch), seed, shape = of.moment.tolist(), int(of.seeds[run]) % 2**32, tuple(x.shape)
    address = {"epoch": epoch, "step": step, "layer": layer}
    r = torch.from_numpy(uniforms(seed, Purpose(of.purpose), shape, **address)).double()
    u = recurrence(x, alpha, beta)
    if kind == SPSN_SB:
        rho = torch.sigmoid(u)
        return bernoulli_spikes(u, r), rho * rho * (1 - rho), u - torch.logit(r)
    y = torch.sigmoid(2 * u + torch.logit(r))
    return gumbel_spikes(u, r), 2 * y * (1 - y), 2 * u + torch.logit(r)


def pass_of(kind: str, size: int, lengths, device, step: int = 0, precision: str = "float32") -> Pass:
    """Runs with seeds of their own, one of which has its highest bit set."""
    seeds = [2**32 - 5 - k if k % 2 else 3 + k for k in range(len(lengths))]
    return Pass(
        Neuron(KINDS[kind], ALPHA, BETA, THRESHOLD), size,
        torch.tensor(lengths, dtype=torch.int32, device=device), torch.tensor(seeds, device=device),
        torch.tensor([step, 7], device=device), int(Purpose.TRAINING_SPIKES), precision,
    )  # fmt: skip


def kept_for(of: Pass, samples: int, steps: int, width: int, gradient: bool = True) -> Kept:
    """Room for what a layer leaves, filled with what must not be read."""
    device, runs = of.lengths.device, len(of.lengths)
    relu = of.neuron.kind == RELU

    def room(*shape: int, dtype=torch.float32) -> Tensor:
        return torch.full((runs, samples, *shape), -77, dtype=dtype, device=device)

    return Kept(
        totals=room(width),
        spikes=None if relu else room(-(-steps // 32), width, dtype=torch.int32),
        outputs=room(steps, width) if relu else None,
        slopes=room(steps, width, dtype=torch.float16) if gradient and not relu else None,
        averaged=room(width),
    )


def random(*shape: int, seed: int = 0, device="cpu") -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def random_spikes(lengths, samples: int, steps: int, size: int, width: int, seed: int = 0) -> Tensor:
    """Spikes (S, B, T, W) of 0 and 1: none beyond a run's own steps or in columns beyond `size`."""
    spikes = (random(len(lengths), samples, steps, width, seed=seed) > 0.5).float()
    spikes[..., size:] = 0
    for run, own in enumerate(lengths):
        spikes[run, :, own:] = 0
    return spikes


def pack(spikes: Tensor) -> Tensor:
    """(S, B, T, W) of 0 and 1 as int32 words (S, B, Q, W)."""
    runs, samples, steps, width = spikes.shape
    padded = torch.zeros(runs, samples, -(-steps // 32) * 32, width, dtype=torch.int64)
    padded[:, :, :steps] = spikes.long()
    words = (padded.view(runs, samples, -1, 32, width) << torch.arange(32).view(32, 1)).sum(3)
    return torch.where(words >= 2**31, words - 2**32, words).int()


def unpack(words: Tensor, steps: int) -> Tensor:
    """The other way round, float64."""
    bits = (words.cpu().long()[:, :, :, None] >> torch.arange(32).view(32, 1)) & 1
    return bits.flatten(2, 3)[:, :, :steps].double()


def assert_close(ours: Tensor, judge: Tensor, tolerance: float = 2e-6) -> None:
    """The greatest difference is below `tolerance` of the greatest value."""
    assert ours.shape == judge.shape
    error = (ours.detach().cpu().double() - judge.detach()).abs().max()
    assert error <= tolerance * judge.detach().abs().max() + 1e-30, error
