"""What the fused kernels reach on the GPU at hand: one record and one table, in a limited time.

    python -m benchmarks.gpu_check --out DIR --minutes 8

Parts, the ones that matter most first; each is begun only while enough of the minutes is left, and what was
left out is said:

    stack      seconds of a run's epoch: every model, stacks of 1, 10, 40, 80 runs, augmented or not, and with
               the torch backend beside (`spsn.timing.stacks`; random data of SHD's size: `shd_like`)
    baseline   the paper's way of computing on the same card, a few steps, extrapolated
    epoch      whole epochs, to hold the scaled figures against
    graphs     whole epochs whose steps are replayed as CUDA graphs, or led by the host: stacks of 1 and 10
    tests      the tests that need a GPU, where pytest is installed
    lengths    Figure 5 to T = 1,000,000 (`spsn.timing.sequence_length`)
    kernels    the kernels of a step and the fraction of their floor (`spsn.timing.gpu_floor`)

Everything runs in a process of its own that is replaced where it fails or takes too long
(`spsn.timing.remote`). The record is DIR/<device>-check.json; DIR/<device>-check.jsonl has every answer as it
comes, should this command be killed. Where there is no GPU a reduced form of it runs on the CPU: it shows
that the command works, and none of its figures is a GPU's.

Needs torch, numpy, numba, h5py and safetensors, with Triton for a GPU's kernels; from a checkout that is not
installed: PYTHONPATH=src.
"""

import argparse
import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_plan, gpu_text
from spsn.devices import lease
from spsn.timing import gpu_targets
from spsn.timing.benchmark import begin, finish, positive, run
from spsn.timing.measure import MEASURED
from spsn.timing.remote import FAILED, STOPPED, Remote, called
from spsn.timing.steps import MODELS

RESERVE = 4.0  # seconds of the minutes that are kept for the record
log = logging.getLogger("benchmarks.gpu_check")


def main() -> None:
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    load, until = begin(), time.monotonic() + 60 * options.minutes - RESERVE
    with lease(options.device) as device:
        on_gpu = device.type == "cuda"
        parts = [part for part in gpu_plan.plan(options, str(device)) if part.name in options.only]
        name = f"{slug(device)}-check"
        options.output = options.out / f"{name}.json"
        points, skipped = carry_out(parts, until, options.out / f"{name}.jsonl")
        skipped = gpu_plan.left_out(on_gpu) + skipped
        found = gpu_targets.figures(points) if on_gpu else {}
        headline = _headline(points)
        details = {
            "reduced": not on_gpu,
            "targets": gpu_targets.verdicts(found),
            "points": points,
            "skipped": skipped,
            "minutes": options.minutes,
        }
        text = gpu_text.text(device, details)
        numbers = headline.get("seconds_per_run_epoch"), headline.get("peak_bytes")
        what = f"epoch of a run: {headline.get('title', 'not measured')}"
        finish(options, device, *numbers, text=text, what=what, **details, **load)
        (options.out / f"{name}.jsonl").unlink(missing_ok=True)


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--out", type=Path, required=True, help="folder of the record")
    made.add_argument("--minutes", type=float, default=8.0, help="in which it ends")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    made.add_argument("--threads", type=positive, default=torch.get_num_threads(), help="CPU threads")
    made.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    made.add_argument("--only", nargs="+", default=list(gpu_plan.NAMES), choices=gpu_plan.NAMES)
    made.add_argument("--json", action="store_true", help="print the record instead of the tables")
    return made.parse_args()


def slug(device: torch.device) -> str:
    """The device's name in lower case, fit for a file's: cpu, h200, a100-sxm4-80gb."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("nvidia ")).strip("-")


def carry_out(
    parts: list[gpu_plan.Part], until: float, kept: Path
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The answers to the parts, and which were not begun and why; `until` is a time of `time.monotonic`.

    What later parts build on earlier ones (`gpu_plan.Part.limits`) is handed on.
    """
    points, skipped = [], []
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("", encoding="utf-8")
    with Remote() as remote:
        for part in parts:
            left = until - time.monotonic()
            short = f"{max(left, 0):.0f} s were left of the minutes" if left < part.needs else None
            if why := short or _hopeless(part, points):
                skipped.append({"part": part.title, "why": why})
                continue
            point = _one(remote, part, min(left, part.most), points)
            points.append(point)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps(point) + "\n")
            log.info("%s: %s", part.title, gpu_text.said(point))
    return points, skipped


def _hopeless(part: gpu_plan.Part, points: list[dict[str, Any]]) -> str | None:
    """Why a part need not be tried: its network failed twice in the same forms. None where it may work."""
    keys = ("model", "backend", "implementation")
    own = [part.about.get(key) for key in keys]
    failed = [p for p in points if p["status"] in (FAILED, STOPPED) and [p.get(key) for key in keys] == own]
    return "the same network failed twice before" if own[0] and len(failed) >= 2 else None


def _one(remote: Remote, part: gpu_plan.Part, seconds: float, points: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to one part, with what it is about."""
    settings, begun = dict(part.settings), time.monotonic()
    if part.limits:
        measured = [p for p in points if p["part"] == "ceilings" and p["status"] == MEASURED]
        keys = ("bytes_per_second", "operations_per_second")
        settings["limits"] = {key: measured[-1][key] for key in keys} if measured else None
    if part.here:
        remote.end()
        answer = called(part.function, settings | {"seconds": seconds})
    else:
        answer = remote.ask(part.function, settings, seconds)
    if answer["status"] == FAILED and part.otherwise:
        rest = seconds - (time.monotonic() - begun)
        second = remote.ask(part.function, settings | part.otherwise, rest) if rest > 0 else {}
        answer = {"first_failed": answer["why"], **(second or answer)}
    about = {"part": part.name, "title": part.title, **part.about}
    return about | answer | {"took_seconds": round(time.monotonic() - begun, 1)}


def _headline(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The point that the record's `seconds` is of: SPSN-SB in the first stack that was measured."""
    own = [p for p in points if p["part"] == "stack" and p["status"] == MEASURED and p["augmented"]]
    return next((p for p in own if p["model"] == "spsn-sb"), own[0] if own else {})


if __name__ == "__main__":
    run(main)
