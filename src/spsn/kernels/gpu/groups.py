"""What a program of a layer's kernels has, forward and back: some samples of one run, a lane for each neuron.

Arrays as in `layers.py`: S runs of B samples, W neurons, T steps in tiles of TILE.
"""

import triton
import triton.language as tl


@triton.jit
def group_of(program, samples, SAMPLES: tl.constexpr):
    """A program's run, the first of its samples there, and how many they are."""
    groups = tl.cdiv(samples, SAMPLES)
    run, first = program // groups, (program % groups).to(tl.int32) * SAMPLES
    return run, first, tl.minimum(samples - first, SAMPLES)


@triton.jit
def lanes_of(run, first, samples, T, SAMPLES: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr):
    """The samples of a group (SAMPLES,), its neurons (WIDTH,), which lanes have a sample; then a lane's place
    in what has one number a neuron, one a neuron and step, one a neuron and tile.
    """
    item, n = first + tl.arange(0, SAMPLES), tl.arange(0, WIDTH)
    exists = (item < samples)[:, None] & (n >= 0)[None, :]
    number = run * samples + item
    state = number[:, None] * WIDTH + n[None, :]
    signal = number[:, None] * T * WIDTH + n[None, :]
    word = number[:, None] * tl.cdiv(T, TILE) * WIDTH + n[None, :]
    return item, n, exists, state, signal, word
