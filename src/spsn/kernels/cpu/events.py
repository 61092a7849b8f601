"""The first layer straight from a sample's events: no dense input, no augmented copy of the events.

A sample is drawn on its own canvas with one shift and one zoom (`spsn.data.batches`): row t of the canvas
reads the recording's row f(t), and the recording's channel c fills the columns first[c] ... first[c] +
count[c] - 1. So a row's pre-activation is the bias and the sum of those columns' weight rows, and the weight
gradient adds the row's gradient to each of them; both walk through the events in one fixed order.

The canvas is `own` steps long and ends with the batch: it begins at the run's step `steps_of_run - own`.
"""

from collections import namedtuple

from spsn.compiled import jit
from spsn.data.batches import column_runs, source_index
from spsn.kernels.cpu.simd import LANES, WIDE, load, load_wide, store

# The event store's arrays: time bins and channels of all events, and where a sample's begin.
Events = namedtuple("Events", "time_bin channel offsets length")
# A stack's samples (S, B) with their shifts and zooms, and the number of steps of each run (S,).
Draws = namedtuple("Draws", "samples shifts zooms lengths")


@jit
def _first_event(time_bin, begin, end, row):
    """The first event at or after a row of the recording."""
    while begin < end:
        middle = (begin + end) // 2
        if time_bin[middle] < row:
            begin = middle + 1
        else:
            end = middle
    return begin


@jit
def _gather_rows(channels, begin, end, columns, weights, tile, t):
    """tile[t] += the weight rows of the events begin ... end-1."""
    width = tile.shape[1]
    first, count = columns[0], columns[1]
    wide = width - width % WIDE
    for column in range(0, wide, WIDE):
        total = load_wide(tile, t * width + column)
        for e in range(begin, end):
            channel = channels[e]
            at = int(first[channel]) * width + column
            for _ in range(count[channel]):
                total = total + load_wide(weights, at)
                at += width
        store(tile, t * width + column, total)
    for column in range(wide, width, LANES):
        part = load(tile, t * width + column)
        for e in range(begin, end):
            channel = channels[e]
            at = int(first[channel]) * width + column
            for _ in range(count[channel]):
                part = part + load(weights, at)
                at += width
        store(tile, t * width + column, part)


@jit
def _scatter_rows(channels, begin, end, columns, weights, tile, t):
    """weights[row] += tile[t] for the rows of the events begin ... end-1."""
    width = tile.shape[1]
    first, count = columns[0], columns[1]
    wide = width - width % WIDE
    for column in range(0, wide, WIDE):
        row = load_wide(tile, t * width + column)
        for e in range(begin, end):
            channel = channels[e]
            at = int(first[channel]) * width + column
            for _ in range(count[channel]):
                store(weights, at, load_wide(weights, at) + row)
                at += width
    for column in range(wide, width, LANES):
        part = load(tile, t * width + column)
        for e in range(begin, end):
            channel = channels[e]
            at = int(first[channel]) * width + column
            for _ in range(count[channel]):
                store(weights, at, load(weights, at) + part)
                at += width


@jit
def _walk(events, draws, run, item, t0, steps, columns, weights, tile, scatter):
    """Row by row, the events of a tile as the canvas has them: some twice, some not at all."""
    sample, zoom = draws.samples[run, item], draws.zooms[run, item]
    own = int(events.length[sample])
    empty = int(draws.lengths[run]) - own
    at, stop = events.offsets[sample], events.offsets[sample + 1]
    begin = max(0, empty - t0)
    if begin < steps:
        at = _first_event(events.time_bin, at, stop, source_index(t0 + begin - empty, own, zoom, 0.0))
    for t in range(begin, steps):
        row = source_index(t0 + t - empty, own, zoom, 0.0)
        while at < stop and events.time_bin[at] < row:
            at += 1
        end = at  # a row may be read twice: `at` waits at its beginning
        while end < stop and events.time_bin[end] == row:
            end += 1
        if end > at and scatter:
            _scatter_rows(events.channel, at, end, columns, weights, tile, t)
        elif end > at:
            _gather_rows(events.channel, at, end, columns, weights, tile, t)


@jit
def prepare_columns(draws, run, item, columns):
    """columns (2, 700) int32: the first column that each channel fills, and how many."""
    column_runs(columns[0], columns[1], columns.shape[1], draws.zooms[run, item], draws.shifts[run, item])


@jit
def add_events(events, draws, run, item, t0, steps, columns, weights, bias, tile):
    """tile (TILE, N) = bias + the weight rows (700, N) of the sample's events in `steps` steps from t0 on."""
    width = tile.shape[1]
    for t in range(steps):
        for column in range(0, width, LANES):
            store(tile, t * width + column, load(bias, column))
    _walk(events, draws, run, item, t0, steps, columns, weights, tile, False)


@jit
def add_event_gradient(events, draws, run, item, t0, steps, columns, gradient, tile):
    """gradient (700, N) += the tile's rows dL/dx at the columns of the sample's events."""
    _walk(events, draws, run, item, t0, steps, columns, gradient, tile, True)
