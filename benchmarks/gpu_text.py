"""The tables that `gpu_check` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from spsn.timing.benchmark import digits, megabytes, table
from spsn.timing.measure import MEASURED
from spsn.timing.study import device_name

REDUCED = (
    "NO GPU WAS FOUND: A REDUCED FORM RAN ON THE CPU. It shows that this command works; none of the figures "
    "below is a GPU's, and no target can be judged by them."
)
LONGEST_NAME = 60  # characters of a kernel's name
KERNELS = 12  # of a step that are shown
Point = Mapping[str, Any]


def text(device: torch.device, details: Mapping[str, Any]) -> str:
    """Everything, as Markdown."""
    points = details["points"]
    parts = [f"Device: {device_name(device)}"]
    if details["reduced"]:
        parts.append(REDUCED)
    else:
        parts.append(_targets(details["targets"]))
    parts += [_epochs(points), _whole(points), *_lengths(points), *_kernels(points), _tests(points)]
    return "\n\n".join(part for part in [*parts, _failed(points), _skipped(details["skipped"])] if part)


def said(point: Point) -> str:
    """One answer in a few words."""
    if point["status"] != MEASURED:
        return f"{point['status']} ({point.get('why', 'no more is known')})".partition("\n")[0]
    if point.get("seconds_per_run_epoch") is not None:
        return f"{digits(1e3 * point['seconds_per_run_epoch'])} ms a run's epoch ({point['how']})"
    if "passed" in point:
        return f"{point['passed']} passed, {point['failed']} failed, {point['skipped']} skipped"
    return f"done in {point['took_seconds']:g} s"


def _targets(rows: Sequence[Point]) -> str:
    head = ("target (one H200)", "measured", "must", "is", "aim", "is", "unit")
    keys = ("must", "must_is", "aim", "aim_is", "unit")
    lines = [(row["target"], digits(row["measured"]), *(row[key] for key in keys)) for row in rows]
    return table(head, lines)


def _epochs(points: Sequence[Point]) -> str:
    """A line a model and condition, a column a way of computing; milliseconds, or why there are none."""
    own = [p for p in points if p["part"] in ("stack", "baseline")]
    if not own:
        return ""
    stacks = dict.fromkeys((p["backend"], p["runs"]) for p in own if p["part"] == "stack")
    columns = sorted(stacks)
    head = ["ms of a run's epoch", *(f"{backend}, S = {runs}" for backend, runs in columns)]
    lines = []
    for model, augmented in dict.fromkeys((p["model"], p["augmented"]) for p in own):
        here = [p for p in own if (p["model"], p["augmented"]) == (model, augmented)]
        cells = {(p["backend"], p["runs"]): p for p in here if p["part"] == "stack"}
        paper = next((p for p in here if p["part"] == "baseline"), None)
        shown = [_cell(cells.get(column)) for column in columns]
        lines.append([f"{model}, {'augmented' if augmented else 'basic'}", *shown, *_paper(paper, cells)])
    note = "Scaled from the steps that were timed; the paper's way is extrapolated from a few steps."
    return table([*head, "paper's way", "times faster"], lines) + "\n\n" + note + "\n\n" + _memory(own)


def _cell(point: Point | None) -> str | None:
    if point is None:
        return None
    ours = point.get("seconds_per_run_epoch")
    return point["status"] if ours is None else digits(1e3 * ours)


def _paper(point: Point | None, cells: Mapping[tuple[str, int], Point]) -> tuple[str | None, str | None]:
    """The paper's way, and how many times as long as the best fused stack it takes."""
    fused = [p["seconds_per_run_epoch"] for (b, _), p in cells.items() if b == "fused" and _measured(p)]
    if point is None or not fused or not _measured(point):
        return _cell(point), None
    return _cell(point), digits(point["seconds_per_run_epoch"] / min(fused))


def _measured(point: Point) -> bool:
    return point["status"] == MEASURED


def _memory(own: Sequence[Point]) -> str:
    stacks = [p for p in own if p["part"] == "stack" and _measured(p)]
    rows = [
        (p["title"], megabytes(p["peak_bytes"]), f"{p['mean_steps']:.0f}", digits(p["first_step_seconds"]))
        for p in stacks
    ]
    return table(("stack", "peak MB", "mean T", "first step, s"), rows) if rows else ""


def _whole(points: Sequence[Point]) -> str:
    rows = [
        (p["title"], digits(1e3 * p["seconds_per_run_epoch"]))
        for p in points
        if p["part"] in ("epoch", "graphs") and _measured(p)
    ]
    return table(("whole epochs", "ms of a run's epoch"), rows) if rows else ""


def _lengths(points: Sequence[Point]) -> list[str]:
    """A table a study: a line a length, a column a curve."""
    found = []
    for study in (p for p in points if p["part"] == "lengths" and _measured(p)):
        curves = {(c["model"], c["implementation"], c["steps"]): c for c in study["curves"]}
        names = list(dict.fromkeys(key[:2] for key in curves))
        lines = []
        for steps in dict.fromkeys(key[2] for key in curves):
            each = [curves[(*name, steps)] for name in names]
            lines.append([f"{steps:,}", *(_milliseconds(c) for c in each)])
        head = [f"T (batch {study['batch_size']}), ms", *(" ".join(name) for name in names)]
        found.append(table(head, lines))
    return found


def _milliseconds(curve: Point) -> str:
    return curve["status"] if curve["seconds"] is None else digits(1e3 * curve["seconds"])


def _kernels(points: Sequence[Point]) -> list[str]:
    ceilings = [p for p in points if p["part"] == "ceilings" and _measured(p)]
    found = [
        f"Copy: {p['bytes_per_second'] / 1e12:.2f} TB/s. bfloat16 product: "
        f"{p['operations_per_second'] / 1e12:.0f} TFLOP/s."
        for p in ceilings
    ]
    head = ("kernel", "us a step", "launches", "TB/s", "TFLOP/s", "share of its floor")
    for p in (p for p in points if p["part"] == "kernels" and _measured(p)):
        rows = [
            (
                row["kernel"][:LONGEST_NAME],
                digits(1e6 * row["seconds"]),
                digits(row["launches"]),
                _tera(row.get("bytes_per_second")),
                _tera(row.get("operations_per_second")),
                f"{row['fraction_of_floor']:.0%}" if "fraction_of_floor" in row else None,
            )
            for row in p["kernels"][:KERNELS]
        ]
        found.append(f"{p['title']}: {digits(1e6 * p['seconds'])} us of kernels\n\n" + table(head, rows))
    return found


def _tera(number: float | None) -> str | None:
    return None if number is None else f"{number / 1e12:.3g}"


def _tests(points: Sequence[Point]) -> str:
    return "\n".join(f"Tests: {said(p)}" for p in points if p["part"] == "tests")


def _failed(points: Sequence[Point]) -> str:
    rows = [(p["title"], said(p)) for p in points if p["status"] != MEASURED]
    rows += [(p["title"], f"first: {p['first_failed']}") for p in points if "first_failed" in p]
    rows += [(p["title"], "a loss was not finite") for p in points if p.get("finite") is False]
    rows += [(p["title"], warning) for p in points for warning in p.get("warnings", ())]
    return table(("not as it should be", "why"), rows) if rows else ""


def _skipped(skipped: Sequence[Point]) -> str:
    return table(("left out", "why"), [(s["part"], s["why"]) for s in skipped]) if skipped else ""
