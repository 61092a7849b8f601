"""The page of a record: what was measured, a table, the picture, what differs between the libraries, and what
they agree on once they are set alike (`tests/peers`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peer_networks.agreement import agreement
from benchmarks.peer_networks.inputs import CHANNELS, TAU
from benchmarks.peer_networks.picture import write_picture
from benchmarks.peer_networks.rounds import SLOW
from spsn.files import write_text
from spsn.timing.benchmark import digits, megabytes, table

BASE = "fused"  # what the others are compared with

PAGE = """# The LIF network beside four libraries

How long does a training step take here and in other libraries for spiking networks, and do their neurons
agree? `make peers` installs the libraries, compares the neurons, measures, and writes this page and its
picture. `python -m benchmarks.peers --draw RECORD` only writes them, from a record.

The task is one training step (forward, backward, Adamax; cross entropy of the readout's mean over time) of
the LIF network {sizes}: {batch} samples, float32, {threads} threads on a CPU ({processor},
{cores} cores). All systems get the same {spikes:g} spikes per step and sample and the same initial weights
({gain:g} times this package's, so that untrained neurons fire). Time constants are {tau:g} ms at steps of
1 ms, the threshold is 1.

Each system runs in its own process, which sleeps while the others work. The processes take turns, one
measured step per round. The table gives medians and, in brackets, the range and the number of steps, which
is smaller for slow systems. Each measured step follows one that is not measured, unless a step takes longer
than {slow:g} s. All processes tell the C library to keep freed memory, as this package's commands do. MB is
the memory of the whole process during a step: interpreter, libraries, the input (dense for the libraries and
the loops, events for `fused` and `torch`) and what the step itself takes.

![seconds of a training step per system](peers.png)

{times}
{missing}
## What differs

The table above compares time only. The libraries' neurons are similar, not equal:

{dynamics}

Neurons of order 2 have a synaptic current with its own time constant, as this package's LIF. Neurons of
order 1 have none, which is less work, and they fire less with the same weights. Spikes are given per 1000
neurons and time steps for each hidden layer at T = {longest:,}, after the measured steps; the libraries' work
does not depend on their number.

If the input is sliced at every step (`x[t]`, `x[:, t]`), the backward pass fills a zero tensor of the whole
sequence for each step, so its time grows with the square of T. `paper`, norse's LIF and sinabs' LIF work this
way; `unbind`, `lif_feed_forward_integral` and the layer called step by step compute the same without slices.

{agreement}
## Versions

{versions}

Source: {commit}. Load of the machine beforehand: {load} (running processes, means over 1, 5, 15 minutes).
Command: `{command}`.
"""


def write_page(record: Mapping[str, Any], docs: Path) -> None:
    """Write `docs`/peers.md and `docs`/peers.png."""
    write_picture(record, docs / "peers.png")
    write_text(docs / "peers.md", page(record))


def page(record: Mapping[str, Any]) -> str:
    """The page's text."""
    points = record["points"]
    lengths = sorted({point["steps"] for point in points})
    first = points[0]
    hidden = [first["hidden_size"]] * first["hidden_layers"]
    longest = [point for point in points if point["steps"] == lengths[-1]]
    return PAGE.format(
        sizes="-".join(map(str, [CHANNELS, *hidden, record["classes"]])),
        batch=first["batch"],
        threads=record["threads"],
        processor=record["machine"]["processor"],
        cores=record["machine"]["cores"],
        spikes=record["spikes_per_step"],
        gain=record["gain"],
        tau=1000 * TAU,
        slow=SLOW,
        times=_times(points, lengths),
        missing=_missing(points),
        dynamics=_dynamics(longest),
        agreement=agreement(),
        longest=lengths[-1],
        versions=_versions(record),
        commit=record["git_commit"],
        load=", ".join(map(str, record["load_average"])),
        command=record["command"],
    )


def _times(points: list[dict[str, Any]], lengths: list[int]) -> str:
    """A row a system; for every T its seconds, how many times those of `BASE`, and its memory."""
    head, cells = ["system", "order"], {}
    for steps in lengths:
        head += [f"T = {steps:,}: s a step", f"x {BASE}", "MB"]
        chosen = [point for point in points if point["steps"] == steps]
        base = next((point["seconds"] for point in chosen if point["system"] == BASE), None)
        for point in chosen:
            row = cells.setdefault(point["system"], [point["label"], point["order"]])
            row += [_seconds(point), _ratio(point["seconds"], base), megabytes(point.get("peak_bytes"))]
    return table(head, cells.values())


def _seconds(point: Mapping[str, Any]) -> str | None:
    """`median (least-greatest, steps)`."""
    if point["seconds"] is None:
        return None
    least, greatest = (digits(limit(point["all_seconds"])) for limit in (min, max))
    return f"{digits(point['seconds'])} ({least}-{greatest}, {point['repeats']})"


def _ratio(seconds: float | None, base: float | None) -> str | None:
    return digits(seconds / base) if seconds and base else None


def _missing(points: list[dict[str, Any]]) -> str:
    """Why there is no measurement, a line each."""
    lines = [
        f"- {point['label']}, T = {point['steps']:,}: {' '.join(point['error'].split())}"
        for point in points
        if point["error"] is not None
    ]
    return "\n".join(["\nNot measured:", "", *lines, ""]) if lines else ""


def _dynamics(points: list[dict[str, Any]]) -> str:
    head = ("system", "how it is used", "order", "reset", "surrogate gradient", "spikes per 1000")
    return table(head, [_differences(point) for point in points])


def _differences(point: Mapping[str, Any]) -> list[Any]:
    spikes = " / ".join(digits(1000 * rate, 2) for rate in point["rates"]) if "rates" in point else None
    return [*(point[key] for key in ("label", "form", "order", "reset", "surrogate")), spikes]


def _versions(record: Mapping[str, Any]) -> str:
    """One environment a line: the project's, then the peers' as each of their processes saw it."""
    own = {name: record["versions"][name] for name in ("spsn", "python", "torch", "numpy", "numba")}
    peers: dict[str, str] = {}
    for point in record["points"]:
        if point["library"] != "spsn":
            peers |= point.get("versions", {})
    named = (("this package", own), ("the libraries", peers))
    return "\n".join(
        f"- {who}: " + (", ".join(f"{name} {version}" for name, version in found.items()) or "not installed")
        for who, found in named
    )
