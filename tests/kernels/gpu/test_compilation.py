"""The layers' kernels compiled for an H200 as the paper's grid launches them, without one: nothing spills.

Tensors on torch's `meta` device have shapes and no memory, and what would launch a kernel compiles it. Triton
decides when it is imported whether to interpret, so this has a process of its own.
"""

import json
import os
import subprocess
import sys

import pytest

COMPILE = """
import json, pathlib, re, subprocess, sys, tempfile
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from spsn.kernels.cpu.fire import LIF_PAPER, RELU, SPSN_GS, SPSN_SB, Neuron
from spsn.kernels.gpu import layers, weight_gradient as gradient
from spsn.kernels.gpu.layers import Down, Kept, Pass, Product, Rows, Top, backward, forward

NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.int32: "i32",
         torch.int64: "i64"}
PTXAS = pathlib.Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
found = []

class Compiles:
    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return self.compile

    def compile(self, *given, num_warps, num_stages=3, **constants):
        names = self.kernel.arg_names
        types = dict.fromkeys(constants, "constexpr")
        even = {}
        for k, (name, value) in enumerate(zip(names, given)):
            tensor = isinstance(value, torch.Tensor)
            number = "fp32" if isinstance(value, float) else "i32"
            types[name] = "*" + NAMES[value.dtype] if tensor else number
            if tensor or name == "apart":
                even[(k,)] = [["tt.divisibility", 16]]
        options = dict(num_warps=num_warps, num_stages=num_stages)
        source = ASTSource(self.kernel, types, constants, even)
        made = compile(source, target=GPUTarget("cuda", 90, 32), options=options)
        with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
            file.write(made.asm["ptx"])
            file.flush()
            said = subprocess.run(
                [PTXAS, "-v", "--gpu-name=sm_90a", file.name, "-o", "/dev/null"],
                capture_output=True, text=True, check=True,
            ).stderr
        found.append(dict(
            registers=int(re.search(r"Used (\\d+) registers", said)[1]) * 32 * num_warps,
            spilt=int(re.search(r"(\\d+) bytes spill stores", said)[1]), shared=made.metadata.shared,
            tensor_cores="wgmma.mma_async" in made.asm["ptx"],
        ))

layers.forward_kernel = Compiles(layers.forward_kernel)
layers.backward_kernel = Compiles(layers.backward_kernel)
gradient._weight_gradient = Compiles(gradient._weight_gradient)

S, B, T, W, Q = 80, 64, 1000, 128, 32

def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")

def case(kind, precision, direction):
    relu = kind == RELU
    drawn = meta(S, dtype=torch.int64), meta(2, dtype=torch.int64)
    of = Pass(Neuron(kind, 0.95, 0.95, 1.0), W, meta(S, dtype=torch.int32), *drawn, precision=precision)
    spikes, numbers = meta(S, B, Q, W, dtype=torch.int32), meta(S, B, T, W)
    kept = Kept(meta(S, B, W), None if relu else spikes, numbers if relu else None,
                None if relu else meta(S, B, T, W, dtype=torch.float16), meta(S, B, W))
    below, constant = numbers if relu else spikes, meta(S, W)
    if direction == "rows":
        forward(of, 0, Rows(numbers), kept, meta(S, T))
    elif direction == "product":
        forward(of, 1, Product(below, meta(S, W, W), constant), kept, meta(S, T))
    elif direction == "top":
        backward(of, Top(meta(S, B, W), meta(S, T)), kept, constant, numbers, meta(S, B, W))
    elif direction == "down":
        backward(of, Down(numbers, meta(S, W, W)), kept, constant, numbers, meta(S, B, W))
    else:
        gradient.weight_gradient(below, numbers, of.lengths, precision)

KINDS = dict(sb=SPSN_SB, gs=SPSN_GS, paper=LIF_PAPER, relu=RELU)
for text in json.loads(sys.argv[1]):
    kind, precision, direction = text.split()
    case(KINDS[kind], precision, direction)
print(json.dumps(found))
"""
CASES = [
    "gs split rows", "gs split product", "paper split down", "sb split gradient",
    "relu split product", "gs float32 product", "relu float32 down", "relu float32 gradient",
]  # fmt: skip
REGISTERS, SHARED = 65536, 227 * 1024  # of a multiprocessor, the latter in bytes


def test_nothing_spills_and_products_take_the_tensor_cores(tmp_path):
    pytest.importorskip("triton", minversion="3.6", reason="needs Triton 3.6 or later")
    environment = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, json.dumps(CASES)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name, made in zip(CASES, json.loads(done.stdout), strict=True):
        assert made["spilt"] == 0, name
        assert made["registers"] <= REGISTERS / (1 if "gradient" in name else 2), name
        assert made["shared"] <= SHARED / 2, name
        assert made["tensor_cores"] == ("split" in name and "rows" not in name), name
