"""The fused pass over time without a GPU: interpreted on a small motion, and compiled but not run.

Triton decides when it is imported whether to interpret, so each test has a process of its own.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", minversion="3.7", reason="needs Triton 3.7 or later")

INTERPRET = """
import json
from dataclasses import replace
import numpy as np, torch
from spsn.data import inner_ear
from spsn.data.inner_ear_torch import fire_batch

rng, lengths, found = np.random.default_rng(1), (70, 51), []
motion = (500 * rng.normal(size=(70, 2, 17)) * rng.random((2, 17))).astype(np.float32)
# nearly every fibre fires, in bursts that reach a chance of 1; and the usual cell
for cell in (replace(inner_ear.CODE, h=40 * inner_ear.CODE.h), inner_ear.CODE):
    how = {"seed": 3, "constants": cell, "first": 683}
    ours = fire_batch(torch.from_numpy(motion), "ab", lengths=lengths, form="triton", **how)
    for r, name in enumerate("ab"):
        steps, units = inner_ear.fire(np.ascontiguousarray(motion[: lengths[r], r].T), name=name, **how)
        order = np.argsort(steps, kind="stable")
        same = np.array_equal(ours[r][0], steps[order]) and np.array_equal(ours[r][1], units[order])
        found.append((same, len(steps)))
print(json.dumps(found))
"""

COMPILE = """
import json
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from spsn.data import inner_ear_triton as kernel
from spsn.data.inner_ear import FIBRES, REFRACTORY

types = dict(motion="*fp32", bases="*i64", ends="*i64", numbers="*fp64", emitted="*u8", T="i32", lanes="i32")
fixed = dict(FIBRES=FIBRES, REFRACTORY=REFRACTORY, BLOCK=kernel.BLOCK)
source = ASTSource(kernel._emit, types | dict.fromkeys(fixed, "constexpr"), fixed)
options = dict(num_warps=1, enable_fp_fusion=False)
print(json.dumps(compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm["ptx"]))
"""


def output_of(program: str, **environment: str):
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_interpreted_kernel_gives_the_same_spikes():
    """Two programs, the second not full; recordings of different lengths."""
    found = output_of(INTERPRET, TRITON_INTERPRET="1")
    assert all(same for same, _ in found)
    assert min(count for _, count in found) > 5


def test_the_kernel_compiles_and_fuses_no_multiplication_with_an_addition(tmp_path):
    ptx = output_of(COMPILE, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    for instruction in ("mul.rn.f64", "add.rn.f64", "div.rn.f64", "shr.u64"):
        assert instruction in ptx
    assert "fma." not in ptx
    assert f"{0xBF58476D1CE4E5B9 - 2**64}" in ptx and f"{0x94D049BB133111EB - 2**64}" in ptx
