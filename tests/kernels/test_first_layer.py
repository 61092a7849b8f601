"""The first layer alone: the affine map of the dense picture, in float64, and its gradient."""

import pytest
import torch
from fused import assert_close, batch_of

from spsn import threads
from spsn.kernels.cpu.first_layer import event_affine


@pytest.fixture(autouse=True)
def thread_count_restored():
    before = threads.kernel_threads()
    yield
    threads.set_kernel_threads(before)


def parameters(runs: int, neurons: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(neurons)
    weight = torch.randn(runs, neurons, 700, generator=generator)
    return weight.requires_grad_(), torch.randn(runs, neurons, generator=generator).requires_grad_()


@pytest.mark.parametrize("augmented", [False, True])
@pytest.mark.parametrize("neurons", [1, 16, 70, 128])
@pytest.mark.parametrize(("lengths", "samples"), [((1,), 1), ((65, 3), 3), ((20, 130, 64), 9)])
def test_it_is_the_affine_map_of_the_picture(lengths, samples, neurons, augmented):
    batch = batch_of(lengths, samples, augmented)
    weight, bias = parameters(len(lengths), neurons)
    x = event_affine(batch, weight, bias)
    w, b = weight.detach().double().requires_grad_(), bias.detach().double().requires_grad_()
    judge = batch.dense().double() @ w.transpose(1, 2)[:, None] + b[:, None, None]
    own = torch.zeros_like(judge[:, :1, :, :1])
    for run, steps in enumerate(lengths):
        own[run, :, max(lengths) - steps :] = 1
    judge = judge * own
    assert_close(x, judge, 1e-6)
    assert not x[own.expand_as(x) == 0].any()
    weigh = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    found = torch.autograd.grad((x * weigh).sum(), (weight, bias))
    for ours, theirs in zip(found, torch.autograd.grad((judge * weigh).sum(), (w, b)), strict=True):
        assert_close(ours, theirs, 2e-6)


def test_threads_change_no_bit():
    batch, results = batch_of((20, 130), 19, True), []
    for count in (1, 2, 5):
        threads.set_kernel_threads(count)
        weight, bias = parameters(2, 20)
        x = event_affine(batch, weight, bias)
        results.append((x.detach(), *torch.autograd.grad(x.square().sum(), (weight, bias))))
    assert all(torch.equal(*pair) for r in results[1:] for pair in zip(r, results[0], strict=True))
