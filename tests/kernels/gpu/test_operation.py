"""The stack by a GPU's kernels against the plain form in float64, on shapes around a tile of 32 steps."""

from dataclasses import replace

import pytest
import torch
from fused import assert_close, batch_of, decided, fused_network, gradients, noise_of, spike_totals
from support import small_run

from spsn.data.batches import Batch
from spsn.fused import Fused
from spsn.kernels.gpu.engine import stored_on
from spsn.network import StackedNetwork
from spsn.objective import objective
from spsn.optimizer import Adamax

KINDS = {
    "lif": {"model": "lif"},
    "lif-paper": {"model": "lif", "lif_reset": "paper"},
    "spsn-sb": {"model": "spsn-sb"},
    "spsn-gs": {"model": "spsn-gs"},
    "non-spiking": {"model": "non-spiking"},
}
# Steps of each run, samples, neurons of a hidden layer, hidden layers.
SHAPES = [((1,), 1, 16, 1), ((33, 2), 2, 20, 2), ((32,), 3, 5, 3)]
TOLERANCE = 1.5e-3  # of gradients: slopes are kept in float16


def cases():
    for k, kind in enumerate(KINDS):
        for n, (lengths, samples, size, layers) in enumerate(SHAPES):
            settings = small_run(
                **KINDS[kind], hidden_size=size, hidden_layers=layers, classes=5, time_step=0.001,
                threshold=0.1 if max(lengths) > 2 else 0.02, loss_mode=("mean", "max", "last")[(n + k) % 3],
                rate_threshold=(0.01, None)[(n + k) % 2],
            )  # fmt: skip
            name = f"{kind}-T{max(lengths)}-S{len(lengths)}-B{samples}-N{size}-L{layers}-{settings.loss_mode}"
            yield pytest.param(settings, lengths, samples, (n + k) % 2 == 1, id=name)


def on_gpu(network: StackedNetwork, batch: Batch, device: torch.device) -> tuple[StackedNetwork, Batch]:
    """The network with a GPU's kernels, on it where there is one, and its batch."""
    network = network.to(device)
    network._fused = Fused(network, for_gpu=True)
    return network, batch.to(device)


@pytest.mark.parametrize(("settings", "lengths", "samples", "augmented"), list(cases()))
def test_the_stack_is_the_plain_one(device, settings, lengths, samples, augmented):
    batch, seeds = batch_of(lengths, samples, augmented), (4, 0)[: len(lengths)]
    fused, plain, noise = decided(settings, seeds, batch)
    judge, expected = gradients(plain, batch, noise)
    network, moved = on_gpu(fused, batch, device)
    output, grads = gradients(network, moved, replace(noise, device=device))
    if settings.model != "non-spiking":
        for ours, theirs in zip(*(spike_totals(o, batch) for o in (output, judge)), strict=True):
            assert torch.equal(ours.cpu(), theirs)  # else a decision was not clear
    assert_close(output.logits.cpu(), judge.logits, 1e-5)
    for ours, theirs in zip(output.rates, judge.rates, strict=True):
        assert_close(ours.cpu(), theirs, 1e-5)
    for ours, theirs in zip(grads, expected, strict=True):
        assert_close(ours.cpu(), theirs, TOLERANCE)
    assert (expected[0] != 0).any()


def passed(device: torch.device, lengths=(33, 7), seeds=(4, 0), runs=slice(None), **changes):
    """Logits and gradients of a pass of small runs, or of some of them alone."""
    whole = batch_of(lengths, 2, augmented=True)
    batch = whole._batches.gather(
        whole.samples.numpy()[runs], whole.shifts[runs].copy(), whole.zooms[runs].copy()
    )
    settings = small_run(classes=5, hidden_size=20, hidden_layers=2, **changes)
    network, moved = on_gpu(fused_network(settings, seeds[runs]), batch, device)
    output = network(moved, replace(noise_of(seeds[runs]), device=device))
    loss = objective(output.logits, moved.labels, output.rates, None).sum()
    return output.logits.detach(), torch.autograd.grad(loss, list(network.parameters()))


def test_two_passes_give_the_same_bits(device):
    (logits, grads), (again, grads_again) = passed(device), passed(device)
    assert torch.equal(logits, again)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_again, strict=True))


@pytest.mark.parametrize("model", ["spsn-sb", "lif"])
def test_hidden_layers_of_a_run_do_not_know_its_stack(device, model):
    """Their weights' gradients differ by the readout's rounding alone, which is torch's."""
    _, together = passed(device, model=model)
    _, alone = passed(device, runs=slice(1, 2), model=model)
    for ours, own in zip(together, alone, strict=True):
        assert_close(ours[1:].cpu(), own.cpu().double(), 1e-5)


def test_a_pass_without_gradients_gives_the_same(device):
    logits, _ = passed(device)
    with torch.no_grad():
        settings = small_run(classes=5, hidden_size=20, hidden_layers=2)
        network, batch = on_gpu(fused_network(settings, (4, 0)), batch_of((33, 7), 2, augmented=True), device)
        output = network(batch, replace(noise_of((4, 0)), device=device))
    assert torch.equal(output.logits, logits) and not output.logits.requires_grad


def test_a_step_lowers_the_loss(device):
    """Forward, backward and Adamax of a stack, its kernels all from one device."""
    batch, noise = batch_of((20, 20), 2), noise_of((4, 0))
    network, moved = on_gpu(
        fused_network(small_run(model="lif", classes=5, hidden_size=20, threshold=0.1), (4, 0)), batch, device
    )
    optimizer, losses = Adamax(network.parameters(), lr=0.003), []
    for _ in range(3):
        output = network(moved, noise)
        loss = objective(output.logits, moved.labels, output.rates, None)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        losses.append(loss.detach().cpu())
    assert (losses[-1] < losses[0]).all()


def test_a_stack_of_another_size_is_refused(device):
    network, batch = on_gpu(fused_network(small_run(classes=5), (4, 0)), batch_of((7,), 2), device)
    with pytest.raises(ValueError, match="2 runs needs a batch and seeds of so many, not 1 and 2"):
        network(batch, noise_of((4, 0)))


def test_a_store_is_brought_to_a_device_once(device):
    store = batch_of((7,), 2).store
    assert stored_on(store, device) is stored_on(store, device)
    assert stored_on(batch_of((7,), 2).store, device) is not stored_on(store, device)
