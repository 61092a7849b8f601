"""The fused Adamax against torch's, and against its laws."""

import pytest
import torch
from torch import Tensor, nn

from spsn.kernels.cpu import adamax as cpu
from spsn.optimizer import Adamax


def parameters(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """Normal random numbers, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]


def gradient(like: Tensor, step: int) -> Tensor:
    """Random, of changing size, and now and then nothing at all."""
    generator = torch.Generator().manual_seed(step)
    drawn = torch.randn(like.shape, generator=generator) * 10.0 ** (step % 4 - 2)
    return (drawn * (step % 5 > 0)).to(like.dtype)


def train(optimizer: Adamax | torch.optim.Adamax, steps: range) -> list[Tensor]:
    """Some steps; returns the parameters."""
    found = optimizer.parameters if isinstance(optimizer, Adamax) else optimizer.param_groups[0]["params"]
    for step in steps:
        for parameter in found:
            parameter.grad = gradient(parameter, step)
        optimizer.step()
    return found


SHAPES = (3, 5, 7), (1,), (2, 64), (1, 128, 700)


def test_it_is_torchs_adamax():
    ours = train(Adamax(parameters(*SHAPES), lr=0.01, betas=(0.8, 0.99)), range(30))
    exact = parameters(*SHAPES, dtype=torch.float64)
    judge = train(torch.optim.Adamax(exact, lr=0.01, betas=(0.8, 0.99)), range(30))
    for own, judged in zip(ours, judge, strict=True):
        torch.testing.assert_close(own.double(), judged, rtol=1e-5, atol=2e-6)


def test_its_state_has_torchs_form():
    ours, judge = Adamax(parameters(*SHAPES)), torch.optim.Adamax(parameters(*SHAPES))
    for own, judged in zip(train(ours, range(4)), train(judge, range(4)), strict=True):
        assert ours.state[own].keys() == judge.state[judged].keys()
        for name, value in judge.state[judged].items():
            torch.testing.assert_close(ours.state[own][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_first_step_has_the_length_of_the_learning_rate(size):
    (parameter,) = parameters((40,))
    before, optimizer = parameter.detach().clone(), Adamax([parameter], lr=0.25)
    parameter.grad = size * gradient(parameter, 2).sign()
    optimizer.step()
    torch.testing.assert_close(before - parameter, 0.25 * parameter.grad.sign(), rtol=0.02, atol=0)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_shows_where_it_is_and_nowhere_else(poison):
    (parameter,) = parameters((40,))
    optimizer = Adamax([parameter])
    parameter.grad = gradient(parameter, 1)
    parameter.grad[7] = poison
    optimizer.step()
    assert (~parameter.isfinite()).nonzero().flatten().tolist() == [7]


def test_a_parameter_without_a_gradient_stays():
    still, moved = parameters((3,), (3,))
    before = still.detach().clone()
    optimizer = Adamax([still, moved])
    moved.grad = gradient(moved, 1)
    optimizer.step()
    assert torch.equal(still, before) and not optimizer.state[still]
    optimizer.zero_grad()
    assert moved.grad is None


@pytest.mark.parametrize(
    "parameter", [torch.zeros(3, dtype=torch.float64), torch.zeros(4, 3).T, torch.zeros(3, device="meta")]
)
def test_what_it_cannot_take_is_refused(parameter):
    with pytest.raises(ValueError, match="contiguous float32 parameters"):
        Adamax([parameter])
    with pytest.raises(ValueError, match="None"):
        Adamax(parameters((3,))).zero_grad(set_to_none=False)


def test_the_rates_of_steps_to_come_are_those_of_the_steps():
    """Counted elsewhere or made here; refused where the parameters are not of one age."""
    made, counted = Adamax(parameters((3,), (2,)), betas=(0.8, 0.99)), Adamax(parameters((3,), (2,)))
    train(made, range(2))
    assert made.rates(3) == [0.002 / (1 - 0.8**steps) for steps in (3, 4, 5)]
    counted.count(2)
    assert [s["step"].item() for s in counted.state.values()] == [2.0, 2.0]
    assert all(not m.any() and not v.any() and m.shape == p.shape for p, m, v in counted.begun())
    counted.parameters[0].grad = torch.ones(3)
    counted.step()
    with pytest.raises(ValueError, match=r"different numbers of steps: \[2.0, 3.0\]"):
        counted.rates(1)


def test_where_everything_lies_on_a_gpu_steps_have_the_same_bits():
    """The rate is found by the number of the step; gradients may lie in any order in memory."""
    gpu = pytest.importorskip("spsn.kernels.gpu.adamax")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shapes = (3, 5, 7), (1,), (2, 40, 16)
    led, alone = ([p.detach().to(device) for p in parameters(*shapes)] for _ in range(2))
    states = [[(torch.zeros_like(p), torch.zeros_like(p)) for p in of] for of in (led, alone)]
    arrays = [(p, *state) for p, state in zip(alone, states[1], strict=True)]
    update, moment = gpu.Update(arrays, 0.9, 0.999, 1e-8), torch.tensor([0, 77], device=device)
    rates = torch.tensor([0.1, 0.05, 1e-7], device=device)
    for step in range(3):
        drawn = [gradient(p, step).to(device) for p in led]
        once = [(p, g, *state) for p, g, state in zip(led, drawn, states[0], strict=True)]
        gpu.update(once, [rates[step].item()] * len(led), 0.9, 0.999, 1e-8)
        turned = [g.transpose(0, -1).contiguous().transpose(0, -1) for g in drawn]
        update(turned, rates, moment)
        moment[0] += 1
    for ours, judge in zip([*alone, *sum(states[1], ())], [*led, *sum(states[0], ())], strict=True):
        assert torch.equal(ours, judge)


def test_on_a_gpu_it_is_the_same():
    """One launch for tensors of different sizes, interpreted where there is no GPU."""
    gpu = pytest.importorskip("spsn.kernels.gpu.adamax")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = [p.detach() for p in parameters(*SHAPES)]
    judged = [[p.clone(), gradient(p, 3), gradient(p, 4), gradient(p, 6).abs()] for p in start]
    ours = [[tensor.clone().to(device) for tensor in tensors] for tensors in judged]
    rates = [0.1, 0.01, 0.003, 1.0]
    gpu.update(ours, rates, 0.9, 0.999, 1e-8)
    cpu.update(judged, rates, 0.9, 0.999, 1e-8)
    for own, judge, before in zip(ours, judged, start, strict=True):
        assert not torch.equal(judge[0], before)
        for tensor, expected in zip(own, judge, strict=True):
            torch.testing.assert_close(tensor.cpu(), expected, rtol=1e-6, atol=1e-6)
