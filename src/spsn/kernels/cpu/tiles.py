"""Small things that are done to tiles, (TILE, N) with N a multiple of `LANES`."""

from spsn.compiled import jit
from spsn.kernels.cpu.simd import LANES, load, splat, store, store_past_cache


@jit
def clear(array, begin, end):
    """array.flat[begin:end] = 0; both are multiples of 16."""
    for at in range(begin, end, LANES):
        store(array, at, splat(0.0))


@jit
def copy(array, first, tile, steps):
    """tile[:steps] = the rows of `array` from the flat index `first` on."""
    for at in range(0, steps * tile.shape[1], LANES):
        store(tile, at, load(array, first + at))


@jit
def send(tile, steps, out, first):
    """The first rows of a tile to `out`, flat from `first` on, past the cache; see `store_past_cache`."""
    for at in range(0, steps * tile.shape[1], LANES):
        store_past_cache(out, first + at, load(tile, at))


@jit
def add_to_rows(tile, steps, row):
    """tile[t] += row (N,) for the first `steps` rows."""
    width = tile.shape[1]
    for column in range(0, width, LANES):
        value = load(row, column)
        for t in range(steps):
            at = t * width + column
            store(tile, at, load(tile, at) + value)


@jit
def add_over_time(tile, steps, total):
    """total (N,) += sum_t tile[t]: the gradient of a bias."""
    width = tile.shape[1]
    for column in range(0, width, LANES):
        value = load(total, column)
        for t in range(steps):
            value = value + load(tile, t * width + column)
        store(total, column, value)
