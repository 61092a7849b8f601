"""The filter in chunks of time against the recurrence in float64; all kernels compiled for a card."""

import json
import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton", reason="needs Triton")

from spsn.kernels.gpu import streams
from spsn.kernels.gpu.streams import Decays, chunks_for, filtered
from spsn.neurons.integrator import impulse_response, recurrence

PAIRS = [(0.9, 0.95), (0.9999, 0.9999), (0.0, 0.0), (0.0, 0.95), (0.95, 0.0), (0.2, 0.1), (0.95, 0.9500001)]


@pytest.fixture
def cut(monkeypatch):
    """Chunks of so many steps, however short the sequence."""
    return lambda steps: monkeypatch.setattr(streams, "LEAST", steps)


def assert_near(ours, judge, share=1e-6):
    judge = judge.to(ours.device)
    assert (ours.double() - judge).abs().max() <= share * judge.abs().max()


@pytest.mark.parametrize(("alpha", "beta"), PAIRS)
def test_the_filter_and_its_adjoint_in_chunks(device, cut, alpha, beta):
    cut(64)
    x = torch.randn(2, 203, 5, generator=torch.Generator().manual_seed(0)).to(device)
    forward, back = Decays(alpha, beta, 1 - beta), Decays(beta, alpha, 1 - beta, reverse=True)
    assert chunks_for(forward, *x.shape).count == 4
    share = 1e-6 if alpha < 0.999 else 1e-5  # what rounds alpha counts 200 times
    assert_near(filtered(x, forward), recurrence(x.double(), alpha, beta), share)
    assert_near(filtered(x, back), recurrence(x.double().flip(1), alpha, beta).flip(1), share)


@pytest.mark.parametrize("steps", [1, 7, 31, 32, 33, 64, 65, 100])
def test_every_length_alike_with_chunks_and_without(device, cut, steps):
    x, decays = torch.randn(1, steps, 3, device=device), Decays(0.9, 0.8, 0.2)
    whole = filtered(x, decays)
    cut(32)
    assert chunks_for(decays, *x.shape).count == -(-steps // 32)
    assert_near(filtered(x, decays), whole.double())
    assert_near(whole, recurrence(x.double(), 0.9, 0.8))


@pytest.mark.parametrize("reverse", [False, True])
def test_slopes_and_strides(device, cut, reverse):
    """A gradient may be one number for all, or lie otherwise in memory; neurons that fill no program."""
    cut(32)
    decays = Decays(0.9, 0.8, 0.2, reverse)
    slopes = torch.rand(2, 75, 130, device=device).half()
    lying = torch.randn(2, 130, 75, device=device).transpose(1, 2)
    for x in (torch.full((), 0.3, device=device).expand(2, 75, 130), lying):
        value = x.double() * slopes.double()
        exact = recurrence(value.flip(1) if reverse else value, 0.9, 0.8)
        assert_near(filtered(x, decays, slopes), exact.flip(1) if reverse else exact)


def test_chunks_fill_a_card_and_reach_no_further_than_matters():
    tau = 0.951229424500714
    decays = Decays(tau, tau, 1 - tau)
    chunks = chunks_for(decays, 1, 1_000_000, 128)
    assert chunks.length % streams.ROWS == 0 and chunks.count * 128 <= streams.LANES
    assert (chunks.count - 1) * chunks.length < 1_000_000 <= chunks.count * chunks.length
    assert chunks.carry is None and chunks.reach < chunks.length
    response = impulse_response(tau, tau, 3000)
    assert response[chunks.reach :].max() <= streams.TINY * response.max() < response[chunks.reach - 40]
    assert chunks_for(decays, 64, 1000, 128).count == 1
    assert chunks_for(decays, 512, 100_000, 128).count == 1


def test_slow_decays_are_chained():
    chunks = chunks_for(Decays(0.9999, 0.999, 0.001), 1, 1_000_000, 128)
    assert chunks.reach == chunks.length
    states = torch.zeros(1, chunks.length + 1, 1, dtype=torch.float64)
    states[0, 0] = 1.0  # the current at the last step of the chunk before
    u = recurrence(states, 0.9999, 0.999) - 0.001 * 0.999 ** torch.arange(chunks.length + 1.0)[:, None]
    assert chunks.carry == pytest.approx((0.9999**chunks.length, u[0, -1].item(), 0.999**chunks.length))


COMPILE = """
import json, os, re, subprocess, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from spsn.kernels.gpu import lif, neurons, soft_reset, streams

PTXAS = os.path.join(os.path.dirname(triton.__file__), "backends", "nvidia", "bin", "ptxas")
floats = "a b gain cross alpha beta threshold decay inverse lost unit".split()
whole = "x_sample g_sample T chunks length reach seed key step epoch".split()

def spilled(name, kernel, warps, **fixed):
    kinds = {n: "fp32" if n in floats else "i32" if n in whole else "*fp32" for n in kernel.arg_names}
    kinds |= {"slopes": "*fp16"} if "slopes" in kinds else {}
    kinds |= dict.fromkeys(fixed, "constexpr")
    made = compile(ASTSource(kernel, kinds, fixed), target=GPUTarget("cuda", 90, 32),
                   options=dict(num_warps=warps))
    with open("kernel.ptx", "w") as file:
        file.write(made.asm["ptx"])
    said = subprocess.run([PTXAS, "-v", "--gpu-name", "sm_90a", "kernel.ptx", "-o", "kernel.cubin"],
                          capture_output=True, text=True, check=True).stderr
    wanted = r"(\\d+) bytes spill stores", r"(\\d+) registers"
    return name, *(int(re.search(pattern, said)[1]) for pattern in wanted)

flow = dict(x_step=128, x_lane=1, N=128, BLOCK=128)
back = dict(g_step=128, g_lane=1, N=128, BLOCK=32)
print(json.dumps([
    spilled("filter", streams._filter, 4, REVERSE=False, WEIGHED=False, CARRIED=True, ROWS=32, **flow),
    spilled("adjoint", streams._filter, 4, REVERSE=True, WEIGHED=True, CARRIED=True, ROWS=16,
            **flow | dict(x_step=0, x_lane=0)),
    spilled("ends", streams._ends, 4, REVERSE=True, WEIGHED=True, ROWS=16, **flow),
    spilled("chain", streams._chain, 1, N=128, ROWS=16, BLOCK=32),
    *(spilled(f"fire {kind}", neurons._fire, 4, KIND=kind, CARRIED=True, ROWS=16, N=128, BLOCK=128)
      for kind in (0, 1)),
    spilled("lif", lif.lif_forward, 1, KIND=2, ROWS=8, N=128, BLOCK=32),
    spilled("lif by the paper, back", lif.lif_backward, 1, KIND=3, ROWS=8, **back),
    spilled("soft reset", soft_reset._forward, 1, SURROGATE=1, ACCUMULATES=False, ROWS=8, N=128, BLOCK=32),
    spilled("soft reset, back", soft_reset._backward, 1, ROWS=8, **back),
]))
"""


def test_the_kernels_compile_for_a_card_and_spill_nothing(tmp_path):
    """Neurons with a reset have fewer rows at once here than on a card: these take a compiler long."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, spilled, registers in json.loads(done.stdout):
        assert spilled == 0, name
        assert registers <= 128, name  # of 65,536, for 512 lanes of a processor
