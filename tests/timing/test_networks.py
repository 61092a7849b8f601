"""The networks whose epochs are timed compute the same function, from the same data."""

import pytest
import torch

from spsn.data.batches import Batches
from spsn.grid import RunSettings
from spsn.network import StackedNetwork
from spsn.objective import cross_entropy
from spsn.timing.networks import TRAINERS, paper_network
from spsn.timing.random_store import random_store


def run_settings(model: str, **changes) -> RunSettings:
    values = {
        "experiment": "timing", "model": model, "condition": "augmented", "seed": 3, "dataset": "random",
        "classes": 20, "train_digest": "", "test_digest": "", "hidden_layers": 3, "hidden_size": 24,
        "tau_mem": 0.005, "tau_syn": 0.005, "threshold": 0.3, "time_step": 0.001, "lif_reset": "code",
        "loss_mode": "mean", "rate_threshold": None, "shift": 0.1, "scale": 0.3, "epochs": 1, "batch_size": 4,
        "learning_rate": 1e-3, "backend": "torch", "threads": 1,
    }  # fmt: skip
    return RunSettings(**values | changes)


PAPER = [name for name in TRAINERS if name[1] in ("paper", "unbind")]


@pytest.mark.parametrize(("model", "implementation"), PAPER)
def test_the_paper_s_network_computes_the_package_s_function(model, implementation):
    """Logits and gradients of every parameter, float64; T is long enough for the FFT's wrap to vanish."""
    run = run_settings(model)
    package = StackedNetwork(run, [run.seed]).double()
    paper = paper_network(run, implementation, package.run_state(0)).double()
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(3, 250, 700, generator=generator) < 0.02).double()
    labels = torch.tensor([4, 0, 19])
    uniforms = torch.rand(3, 3, 250, 24, generator=generator, dtype=torch.float64)

    output = package(spikes.unsqueeze(0), noise=lambda layer, shape, lengths: uniforms[layer].unsqueeze(0))
    logits = paper(spikes, list(uniforms))
    torch.testing.assert_close(logits, output.logits[0], rtol=1e-9, atol=1e-9)
    assert logits.std() > 1e-3

    cross_entropy(output.logits, labels.unsqueeze(0)).sum().backward()
    torch.nn.functional.cross_entropy(logits, labels).backward()
    for layer, weight, bias in zip(paper.layers, package.weights, package.biases, strict=True):
        torch.testing.assert_close(layer.weight.grad, weight.grad[0], rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(layer.bias.grad, bias.grad[0], rtol=1e-7, atol=1e-9)
        assert weight.grad.abs().max() > 0


def test_the_paper_s_network_has_table_i_s_size():
    run = run_settings("lif", hidden_size=128)
    network = paper_network(run, "paper", StackedNetwork(run, [0]).run_state(0))
    assert sum(p.numel() for p in network.parameters()) == 125_332


def test_stochastic_networks_draw_anew_without_uniforms():
    run = run_settings("spsn-sb")
    network = paper_network(run, "paper", StackedNetwork(run, [0]).run_state(0))
    spikes = torch.zeros(2, 20, 700)
    assert not torch.equal(network(spikes), network(spikes))


@pytest.mark.parametrize(("model", "implementation"), TRAINERS)
def test_a_trainer_prepares_the_batch_and_moves_every_parameter(model, implementation):
    store = random_store(samples=4, spikes=400, time_step_ms=20.0)
    run = run_settings(model, time_step=0.02, tau_mem=0.02, tau_syn=0.02)
    trainer = TRAINERS[model, implementation](run, torch.device("cpu"))
    before = [p.detach().clone() for p in trainer.network.parameters()]
    batch = Batches(store, 4, (0,)).gather([[2, 0, 3, 1]])
    prepared = trainer.prepare(batch)
    if (model, implementation) in PAPER:
        spikes, labels = prepared
        assert spikes.sum() == store.offsets[-1]
        torch.testing.assert_close(spikes[0, -store.length[2] :], torch.from_numpy(store.dense(2)).float())
        assert labels.tolist() == store.label[[2, 0, 3, 1]].tolist()
    trainer.step(prepared, 0)
    for old, new in zip(before, trainer.network.parameters(), strict=True):
        assert not torch.equal(old, new.detach())
        assert new.isfinite().all()


def test_every_trainer_starts_from_the_same_parameters():
    for model in ("lif", "spsn-sb", "spsn-gs", "non-spiking"):
        run = run_settings(model)
        made = [make(run, torch.device("cpu")) for name, make in TRAINERS.items() if name[0] == model]
        sums = {sum(p.double().sum().item() for p in trainer.network.parameters()) for trainer in made}
        assert len(made) >= 2 and max(sums) - min(sums) < 1e-9


@pytest.mark.parametrize("backend", ["torch", "fused"])
def test_the_package_s_own_trains_a_stack_of_runs_by_its_backend(backend):
    store = random_store(samples=4, spikes=400, time_step_ms=20.0)
    run = run_settings("spsn-gs", time_step=0.02, tau_mem=0.02, tau_syn=0.02)
    trainer = TRAINERS["spsn-gs", backend](run, torch.device("cpu"), runs=2)
    assert trainer.network.seeds == (3, 4) and trainer.network.settings.backend == backend
    trainer.step(trainer.prepare(Batches(store, 4, (3, 4)).gather([[2, 0, 3, 1], [0, 1, 2, 3]])), 0)
    assert all(p.shape[0] == 2 and p.isfinite().all() for p in trainer.network.parameters())
