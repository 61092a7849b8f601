"""The fused stack against the plain form in float64: values and gradients of every parameter, on shapes that
end within, at and after a tile of 64 steps, a vector of 16 neurons, a group of 8 samples.
"""

import pytest
import torch
from fused import assert_close, batch_of, decided, fused_network, gradients, noise_of, spike_totals
from support import small_run

MODES = ("mean", "max", "last")
KINDS = {
    "lif": {"model": "lif"},
    "lif-paper": {"model": "lif", "lif_reset": "paper"},
    "spsn-sb": {"model": "spsn-sb"},
    "spsn-gs": {"model": "spsn-gs"},
    "non-spiking": {"model": "non-spiking"},
}
# Steps of each run, samples, neurons of a hidden layer, hidden layers.
SHAPES = [
    ((1,), 1, 1, 1),
    ((2,), 9, 70, 3),
    ((7, 3, 5), 3, 16, 2),
    ((64,), 3, 70, 2),
    ((65, 64, 1), 3, 20, 3),
    ((65,), 1, 128, 3),
    ((1000,), 1, 16, 2),
    ((130, 1000, 7), 1, 20, 1),
    ((66, 2, 129), 9, 1, 3),
    ((7, 2, 1), 9, 128, 1),
    ((64, 63, 65), 1, 70, 2),
    ((192,), 9, 16, 1),
]
# A float32 potential is good to about 1e-6; LIF's slope 1 / (100 |d| + 1)^2 makes up to 200 times that of it.
TOLERANCE = {"lif": 1e-4, "lif-paper": 1e-4, "spsn-sb": 3e-5, "spsn-gs": 3e-5, "non-spiking": 3e-5}


def cases():
    for k, kind in enumerate(KINDS):
        for n, (lengths, samples, size, layers) in enumerate(SHAPES):
            settings = small_run(
                **KINDS[kind], hidden_size=size, hidden_layers=layers, classes=5, threshold=0.1 if max(lengths) > 2 else 0.02,
                time_step=0.001, loss_mode=MODES[(n + n // 3 + k) % 3],
                rate_threshold=(0.01, None)[(n + k) % 2],
            )  # fmt: skip
            augmented = (n // 2 + k) % 2 == 1
            name = f"{kind}-T{max(lengths)}-S{len(lengths)}-B{samples}-N{size}-L{layers}"
            name += f"-{settings.loss_mode}" + "-augmented" * augmented + "-penalty" * (n + k + 1 & 1)
            yield pytest.param(settings, lengths, samples, augmented, TOLERANCE[kind], id=name)


@pytest.mark.parametrize(("settings", "lengths", "samples", "augmented", "tolerance"), list(cases()))
def test_the_fused_stack_is_the_plain_one(settings, lengths, samples, augmented, tolerance):
    batch, seeds = batch_of(lengths, samples, augmented), (4, 0, 9)[: len(lengths)]
    assert batch.lengths == lengths
    fused, plain, noise = decided(settings, seeds, batch)
    output, grads = gradients(fused, batch, noise)
    judge, expected = gradients(plain, batch, noise)
    if settings.model != "non-spiking":
        for ours, theirs in zip(*(spike_totals(o, batch) for o in (output, judge)), strict=True):
            assert torch.equal(ours, theirs)  # else a decision was not clear
    assert_close(output.logits, judge.logits, 1e-5)
    for ours, theirs in zip(output.rates, judge.rates, strict=True):
        assert_close(ours, theirs, 1e-5)
    assert judge.rates[0].sum() > 0 or max(lengths) == 1
    for ours, theirs in zip(grads, expected, strict=True):
        assert_close(ours, theirs, tolerance)
    assert all((gradient != 0).any() for gradient in expected[-1:])
