"""The gradient of the weights by the kernel for GPUs against float64."""

import pytest
import torch
from gpu_layers import assert_close, pack, random, random_spikes

from spsn.kernels.gpu import weight_gradient as module
from spsn.kernels.gpu.weight_gradient import weight_gradient

PRECISIONS = {"float32": 2e-6, "split": 2e-5}


def case(lengths, samples: int, below: int, width: int, spiking: bool):
    """Signals, their packed form, dx with rows beyond a run's end that must not be read, and the judge."""
    steps = max(lengths)
    s = random_spikes(lengths, samples, steps, below - 2, below)
    dx = random(len(lengths), samples, steps, width, seed=1)
    s = s if spiking else s * random(*s.shape, seed=2).abs()
    judge = torch.stack(
        [
            torch.einsum("btk,btw->kw", s[run, :, :own].double(), dx[run, :, :own].double())
            for run, own in enumerate(lengths)
        ]
    )
    for run, own in enumerate(lengths):
        dx[run, :, own:] = float("nan")
        if not spiking:
            s[run, :, own:] = float("nan")
    return (pack(s) if spiking else s), dx, judge


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("spiking", [True, False])
@pytest.mark.parametrize("lengths", [(1, 2), (33, 64), (31, 32)])
def test_sums_over_samples_and_own_steps(lengths, spiking, precision, device):
    below, dx, judge = case(lengths, 2, 32, 16, spiking)
    ends = torch.tensor(lengths, dtype=torch.int32, device=device)
    ours = weight_gradient(below.to(device), dx.to(device), ends, precision)
    assert_close(ours, judge, PRECISIONS[precision])


@pytest.mark.parametrize("programs", [1, 2, 100])
def test_groups_of_samples_and_blocks_of_the_gradient(programs, device, monkeypatch):
    monkeypatch.setattr(module, "PROGRAMS", programs)
    monkeypatch.setattr(module, "BLOCK", 16)
    below, dx, judge = case((5,), 3, 32, 32, True)
    ends = torch.tensor([5], dtype=torch.int32, device=device)
    ours = weight_gradient(below.to(device), dx.to(device), ends)
    assert_close(ours, judge, PRECISIONS["float32"])
    assert torch.equal(ours, weight_gradient(below.to(device), dx.to(device), ends))


def test_refuses_an_unknown_precision(device):
    below, dx, _ = case((2,), 1, 16, 16, True)
    with pytest.raises(ValueError, match="'half'"):
        weight_gradient(below.to(device), dx.to(device), torch.tensor([2], dtype=torch.int32), "half")
