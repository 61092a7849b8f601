"""The rectified linear unit: no state, so that time steps do not know of one another."""

import torch

from spsn.neurons.non_spiking import NonSpiking


def test_value_and_gradient():
    x = torch.tensor([[-2.0], [0.0], [3.0]], requires_grad=True)
    y = NonSpiking()(x)
    y.sum().backward()
    assert y.flatten().tolist() == [0.0, 0.0, 3.0]
    assert x.grad.flatten().tolist() == [0.0, 0.0, 1.0]


def test_each_time_step_stands_alone():
    x = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    assert torch.equal(NonSpiking()(x[:, order]), NonSpiking()(x)[:, order])


def test_it_has_nothing_to_learn():
    assert not list(NonSpiking().parameters())
