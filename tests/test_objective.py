"""Readout, cross entropy and regulariser by hand, and where their gradients go."""

import math

import pytest
import torch
from torch import nn

from spsn.objective import cross_entropy, objective, rate_penalty, readout

# (S = 2, B = 1, T = 4, C = 2); the second run lives in the last two steps.
POTENTIAL = torch.tensor(
    [
        [[[1.0, 8.0], [2.0, 4.0], [6.0, 0.0], [3.0, -4.0]]],
        [[[99.0, 99.0], [99.0, 99.0], [5.0, 1.0], [3.0, 2.0]]],
    ]
)
LENGTHS = (4, 2)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mean", [[[3.0, 2.0]], [[4.0, 1.5]]]),
        ("max", [[[6.0, 8.0]], [[5.0, 2.0]]]),
        ("last", [[[3.0, -4.0]], [[3.0, 2.0]]]),
    ],
)
def test_readout_over_the_own_steps(mode, expected):
    assert readout(POTENTIAL, mode, LENGTHS).tolist() == expected


@pytest.mark.parametrize(
    ("mode", "expected"), [("mean", [0, 0, 0.5, 0.5]), ("max", [0, 0, 1, 0]), ("last", [0, 0, 0, 1])]
)
def test_gradient_of_the_readout(mode, expected):
    potential = POTENTIAL.clone().requires_grad_()
    readout(potential, mode, LENGTHS)[1, 0, 0].backward()
    assert potential.grad[1, 0, :, 0].tolist() == expected
    assert potential.grad[0].abs().sum() == 0 and potential.grad[1, 0, :, 1].abs().sum() == 0


def test_an_unknown_readout_is_refused():
    with pytest.raises(ValueError, match="loss mode"):
        readout(POTENTIAL, "median", LENGTHS)


def test_cross_entropy_by_hand():
    logits = torch.tensor([[[0.0, math.log(3.0)], [0.0, 0.0]]])  # probabilities 1/4, 3/4 and 1/2, 1/2
    loss = cross_entropy(logits, torch.tensor([[1, 0]]))
    assert loss.tolist() == pytest.approx([(math.log(4 / 3) + math.log(2)) / 2])


def test_cross_entropy_is_torchs_run_by_run():
    generator = torch.Generator().manual_seed(0)
    logits = 100 * torch.randn(3, 5, 20, generator=generator, dtype=torch.float64)
    labels = torch.randint(20, (3, 5), generator=generator)
    expected = torch.stack([nn.functional.cross_entropy(x, y) for x, y in zip(logits, labels, strict=True)])
    torch.testing.assert_close(cross_entropy(logits, labels), expected, rtol=1e-14, atol=0)


def test_equal_logits_cost_the_log_of_the_classes():
    loss = cross_entropy(torch.zeros(2, 7, 20), torch.arange(14).view(2, 7))
    assert loss.tolist() == pytest.approx([math.log(20)] * 2)


# Two runs, hidden layers of two and of one neuron: N = 3.
RATES = [torch.tensor([[0.5, 0.25], [0.125, 0.0]]), torch.tensor([[0.75], [0.125]])]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.25, [(1.5 - 0.75) ** 2, 0.0]), (0.5, [0.0, 0.0]), (0.0, [1.5**2, 0.25**2])],
)
def test_rate_penalty_by_hand(threshold, expected):
    assert rate_penalty(RATES, threshold).tolist() == expected


def test_gradient_of_the_penalty_reaches_every_rate_above_the_threshold():
    rates = [rate.clone().requires_grad_() for rate in RATES]
    rate_penalty(rates, 0.25).sum().backward()
    slope = 2 * (1.5 - 0.75)
    assert [rate.grad.tolist() for rate in rates] == [[[slope, slope], [0, 0]], [[slope], [0]]]


def test_the_objective_is_cross_entropy_plus_penalty():
    logits, labels = torch.zeros(2, 1, 4), torch.tensor([[0], [3]])
    assert objective(logits, labels, RATES, None).tolist() == pytest.approx([math.log(4)] * 2)
    expected = [math.log(4) + 0.75**2, math.log(4)]
    assert objective(logits, labels, RATES, 0.25).tolist() == pytest.approx(expected)
