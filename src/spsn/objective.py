"""The objective (arXiv 2306.12666): readout over time, cross entropy (equation 20), rate penalty (21).

Equation 21 as the authors' program computes it, r_n being neuron n's mean over batch and (padded) time steps:

    L_reg = relu( sum_n r_n - theta_reg N )^2        N: hidden neurons, coefficient 1

so the mean over the batch stands inside the square. theta_reg counts spikes per time step and neuron.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def readout(potential: Tensor, mode: str, lengths: Sequence[int]) -> Tensor:
    """Logits (S, B, C) of the readout's potential (S, B, T, C): its mean, greatest or last value over time.

    Run r lives in the last `lengths[r]` steps; what lies before them does not count.
    """
    steps = potential.shape[2]
    if mode == "last":
        return potential[:, :, -1]
    own = [potential[r, :, steps - length :] for r, length in enumerate(lengths)]
    if mode == "max":
        return torch.stack([p.amax(dim=1) for p in own])
    if mode == "mean":
        return torch.stack([p.mean(dim=1) for p in own])
    raise ValueError(f"loss mode must be 'mean', 'max' or 'last', not {mode!r}")


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of each run, (S,), in nats; logits (S, B, C), labels (S, B)."""
    log_probability = torch.log_softmax(logits, dim=2).gather(2, labels.unsqueeze(2))
    return -log_probability.mean(dim=(1, 2))


def per_step_cross_entropy(potential: Tensor, labels: Tensor, lengths: Sequence[int]) -> Tensor:
    """Mean over samples and own steps of each run's cross entropy, (S,), in nats.

    The readout's potential (S, B, T, C) at every step stands for logits; labels (S, B); run r lives in the
    last `lengths[r]` steps.
    """
    steps = potential.shape[2]
    wanted = labels[:, :, None, None].expand(-1, -1, steps, 1)
    log_probability = torch.log_softmax(potential, dim=3).gather(3, wanted).squeeze(3).mean(dim=1)  # (S, T)
    return -torch.stack([of[steps - own :].mean() for of, own in zip(log_probability, lengths, strict=True)])


def rate_penalty(rates: Sequence[Tensor], threshold: float) -> Tensor:
    """Equation 21 for each run, (S,); `rates` per hidden layer (S, N), `threshold` = theta_reg."""
    total = torch.stack([rate.sum(dim=1) for rate in rates]).sum(dim=0)
    neurons = sum(rate.shape[1] for rate in rates)
    return torch.relu(total - threshold * neurons).square()


def objective(
    logits: Tensor,
    labels: Tensor,
    rates: Sequence[Tensor],
    threshold: float | None,
    potentials: Tensor | None = None,
    lengths: Sequence[int] = (),
) -> Tensor:
    """Loss of each run, (S,): cross entropy, plus the regulariser where `threshold` is given.

    The cross entropy is that of the logits, or of the readout's potentials (S, B, T, C) step by step where
    these are given, with the runs' own `lengths`.
    """
    if potentials is None:
        loss = cross_entropy(logits, labels)
    else:
        loss = per_step_cross_entropy(potentials, labels, lengths)
    return loss if threshold is None else loss + rate_penalty(rates, threshold)
