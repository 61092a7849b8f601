"""The first layer from events on a device: against the affine map of the dense picture, in float64."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import triton
from fused import SILENT, assert_close, batch_of, picture, store_of
from torch import Tensor

from spsn.data.batches import Batch, Batches
from spsn.data.shd import CHANNELS
from spsn.kernels.gpu import events
from spsn.kernels.gpu.events import GROUP, first_gradient, first_rows
from spsn.kernels.gpu.store import DeviceStore, Draws

COMPILE = """
import json
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from spsn.kernels.gpu import adamax, events, feed, tables

arrays = {
    "*i16": "channels bins",
    "*i32": "samples own_samples lengths own_lengths row_begins column_begins begins ends columns rows most",
    "*i64": "offsets row_offsets bases moment labels own_labels table",
    "*fp32": "weight bias out dx parts gradient totals own_totals means coefficients constants rates",
    "*fp64": "shifts own_shifts zooms own_zooms",
}
types = {name: kind for kind, names in arrays.items() for name in names.split()}

def ptx(kernel, options, others=None, **fixed):
    own = types | (others or {})
    signature = {n: "constexpr" if n in fixed else own.get(n, "i32") for n in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, t in enumerate(signature.values()) if t[0] == "*"}
    source = ASTSource(kernel, signature, fixed, aligned)
    return compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]

block, narrow = dict(CHANNELS=700, BLOCK=tables.BLOCK), dict(num_warps=1)
sizes = dict(STEPS=events.STEPS, AT_ONCE=events.STEPS_AT_ONCE, EVENTS=events.EVENTS_AT_ONCE)
made = {"row tables": ptx(tables._row_tables, tables.OPTIONS, **block)}
made["column tables"] = ptx(tables._column_tables, tables.OPTIONS, **block)
for w in (16, 128, 256):
    wide = dict(CHANNELS=700, W=w)
    made[f"rows {w}"] = ptx(events._rows, narrow, BLOCK=min(w, events.FORWARD_WIDTH), **wide, **sizes)
    made[f"columns {w}"] = ptx(
        events._columns, narrow, BLOCK=min(w, events.BACKWARD_WIDTH), EVENTS=events.EVENTS_AT_ONCE, **wide
    )
made["groups"] = ptx(events._add_groups, dict(num_warps=4), SIZE=700 * 128, BLOCK=events.BLOCK)
made["take"] = ptx(
    feed._take, dict(num_warps=4), {"begins": "*i64", "columns": "i32"}, BLOCK=feed.BLOCK
)
for at_step in (True, False):
    options = dict(BLOCK=adamax.BLOCK, AT_STEP=at_step)
    made[f"update {at_step}"] = ptx(adamax._update, dict(num_warps=4), **options)
print(json.dumps(made))
"""
GATHERING = ("rows ", "columns ")  # rows of weights, four numbers at a time


def own_steps(batch: Batch, dense: Tensor) -> Tensor:
    """(S, B, T, ...) by a run's own steps: run r's T_r steps first, and 0 after them."""
    rows = [torch.roll(of_run, own, dims=1) for of_run, own in zip(dense, batch.lengths, strict=True)]
    return torch.stack(rows)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def beyond(batch: Batch) -> Tensor:
    """Whether a step is at or beyond its run's length (S, 1, T, 1)."""
    return (torch.arange(batch.shape[2]) >= torch.tensor(batch.lengths)[:, None])[:, None, :, None]


def both_ways(batch: Batch, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pre-activations and gradient of the kernels; what lies beyond a run is no number, before and after."""
    (runs, samples, steps), none = batch.shape, torch.tensor(float("nan"))
    store, draws = DeviceStore.of(batch.store, device), Draws.of(batch, device)
    out = torch.full((runs, samples, steps, width), float("nan"), device=device)
    weight, bias = random(1, runs, events.CHANNELS, width), random(2, runs, width)
    first_rows(store, draws, weight.to(device), bias.to(device), out)
    out = out.cpu()
    assert torch.equal(out.isnan(), beyond(batch).expand_as(out))
    dx = torch.where(beyond(batch), none, random(3, runs, samples, steps, width))
    return out.nan_to_num(), first_gradient(store, draws, dx.to(device)).cpu()


def assert_layer(batch: Batch, width: int, device: torch.device) -> None:
    """Both ways are those of the dense picture."""
    runs, samples, steps = batch.shape
    x, gradient = both_ways(batch, width, device)
    dense, real = own_steps(batch, batch.dense().double()), ~beyond(batch)
    weight, bias = random(1, runs, events.CHANNELS, width).double(), random(2, runs, width).double()
    judge = torch.where(real, dense @ weight[:, None] + bias[:, None, None], 0.0)
    assert_close(x, judge, 1e-6)
    dx = torch.where(real, random(3, runs, samples, steps, width), 0.0).double()
    assert_close(gradient, torch.einsum("rbtk,rbtn->rkn", dense, dx), 2e-6)


def one_sample(counts: np.ndarray, shift: float = 0.0, zoom: float = 1.0) -> Batch:
    batches = Batches(store_of([counts, SILENT]), 1, (0,))
    return batches.gather(np.array([[0]]), np.array([[shift]]), np.array([[zoom]]))


@pytest.mark.parametrize(
    ("lengths", "samples", "width", "augmented"),
    [((1,), 1, 16, False), ((1,), 1, 16, True), ((21, 8), 2, 128, True), ((12,), 1, 256, False)],
)
def test_it_is_the_affine_map_of_the_picture_and_its_gradient(lengths, samples, width, augmented, device):
    assert_layer(batch_of(lengths, samples, augmented), width, device)


@pytest.mark.usefixtures("few_channels")
def test_more_samples_than_one_program_adds(device):
    batch = batch_of((1,), GROUP + 1, augmented=True)
    assert batch.dense()[:, -GROUP // 2 :].any() and batch.dense()[:, : GROUP // 2].any()
    assert_layer(batch, 16, device)


@pytest.mark.parametrize(("zoom", "shift"), [(0.05, 0.0), (0.5, 71.0), (1.9999, -350.0)])
def test_the_ends_of_zoom_and_shift(zoom, shift, device):
    assert_layer(one_sample(picture(23, 1), shift, zoom), 16, device)


def test_a_picture_shifted_off_the_canvas_is_silence(device):
    batch = one_sample(picture(20, 1), 2000.0)
    x, gradient = both_ways(batch, 16, device)
    assert torch.equal(x, random(2, 1, 16)[:, None, None].expand_as(x))
    assert not gradient.any()


@pytest.mark.parametrize("zoom", [1.0, 1.9])
def test_many_events_in_one_cell(zoom, device):
    counts = np.zeros((65, CHANNELS), int)
    counts[0, 349], counts[31, 349], counts[32, 350], counts[64, 351] = 200, 1, 300, 77
    assert_layer(one_sample(counts, 0.0, zoom), 16, device)


def test_time_bins_past_32767(device):
    """With weights of 1 a step counts its events; a column's gradient names its steps."""
    counts = np.zeros((2**16, CHANNELS), int)
    counts[[0, 32767, 32768, 65535], [699, 5, 5, 0]] = 1, 2, 1, 3
    batch = one_sample(counts)
    store, draws = DeviceStore.of(batch.store, device), Draws.of(batch, device)
    dx = torch.arange(2.0**16, device=device)[None, None, :, None].expand(1, 1, 2**16, 16).contiguous()
    gradient = first_gradient(store, draws, dx)[0]
    assert gradient.sum(dim=1).nonzero().flatten().tolist() == [0, 5]
    assert gradient[0].eq(3 * 65535).all() and gradient[5].eq(2 * 32767 + 32768).all()


def test_samples_without_events_among_others(device):
    gaps = picture(36, 3)
    gaps[4:34] = 0
    for chosen in ([SILENT], [SILENT, gaps, SILENT]):
        numbers = np.arange(len(chosen))[None]
        assert_layer(Batches(store_of(chosen), len(chosen), (0,)).gather(numbers), 16, device)


def test_a_run_has_the_bits_in_a_stack_that_it_has_alone(device, few_channels):
    stack = batch_of((9, 17), 1, augmented=True)
    x, gradient = both_ways(stack, 16, device)
    alone = Batch(Batches(stack.store, 1, (0,)), stack.samples[:1].numpy(), stack.shifts[:1], stack.zooms[:1])
    store, draws = DeviceStore.of(stack.store, device), Draws.of(alone, device)
    out = torch.empty(1, 1, 9, 16, device=device)
    first_rows(
        store, draws, random(1, 2, few_channels, 16)[:1].to(device), random(2, 2, 16)[:1].to(device), out
    )
    assert torch.equal(out.cpu(), x[:1, :, :9])
    dx = random(3, 2, 1, 17, 16)[:1, :, :9].contiguous().to(device)
    assert torch.equal(first_gradient(store, draws, dx).cpu(), gradient[:1])


def test_what_does_not_fit_is_refused(device):
    batch = batch_of((10,), 2)
    store, draws = DeviceStore.of(batch.store, device), Draws.of(batch, device)
    weight, bias = torch.zeros(1, CHANNELS, 16, device=device), torch.zeros(1, 16, device=device)
    out = torch.zeros(1, 2, 10, 16, device=device)
    for given in ((weight[:, 1:], bias, out), (weight, bias[:, :8], out), (weight, bias, out[:, :, 1:])):
        with pytest.raises(ValueError, match="float32 tensor of shape"):
            first_rows(store, draws, *given)
    with pytest.raises(ValueError, match="not torch.float64"):
        first_gradient(store, draws, out.double())
    with pytest.raises(ValueError, match="power of two, not 12"):
        first_gradient(store, draws, torch.zeros(1, 2, 10, 12, device=device))


def registers_and_spills(ptx: str, folder: Path) -> tuple[int, int]:
    """What the assembler says of a kernel on a Hopper card."""
    (folder / "kernel.ptx").write_text(ptx)
    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    command = [assembler, "-v", "--gpu-name", "sm_90a", folder / "kernel.ptx", "-o", folder / "kernel.cubin"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", said))
    return int(re.search(r"Used (\d+) registers", said)[1]), spilled


def test_the_kernels_compile_for_a_card_and_keep_their_numbers_in_registers(tmp_path):
    """And the tables round as the CPU does: true divisions, and nothing fused."""
    place = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=os.environ | place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    for name, ptx in made.items():
        registers, spilled = registers_and_spills(ptx, tmp_path)
        assert spilled == 0 and registers <= 128, name  # so that a multiprocessor holds 16 programs of a warp
        if "tables" in name:
            assert "div.rn.f64" in ptx and "fma." not in ptx
        elif name.startswith(GATHERING):
            assert "ld.global.v4" in ptx, name
