"""The process in which one system runs: `python -m benchmarks.peer_networks.worker SYSTEM INPUTS THREADS`.

It answers every line that it reads with one line of JSON, and ends with its input. In between it sleeps on
the pipe and holds no more memory than its network and its inputs.

    (at the start)  {"versions": {...}}, once the network is built and a small one has made a step
    first           {"seconds", "peak_bytes", "held_bytes"}: a first step and its memory
    step            {"seconds"}: a step after one that is not measured
    cold            {"seconds"}: a step alone, for what is so slow that nothing else matters
    state           {"loss", "rates"}: after the steps so far

Whatever goes wrong is answered with {"error": ...}, and the process ends.
"""

import importlib
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks.peer_networks import SYSTEMS
from benchmarks.peer_networks.inputs import Inputs
from spsn.memory import peak_after, release, reset_peak
from spsn.processes import keep_memory
from spsn.timing.pipe import answering

CPU = torch.device("cpu")
REHEARSED = 2  # time steps after which everything is imported, compiled and planned


def main() -> None:
    """Serve the lines of standard input."""
    system, path, threads = sys.argv[1:]
    keep_memory()
    with answering() as send:
        try:
            trainer = _prepare(system, Inputs.load(Path(path)), int(threads))
            send({"versions": _versions(system)})
            for line in sys.stdin:
                send(ANSWERS[line.strip()](trainer))
        except Exception as error:
            send({"error": f"{type(error).__name__}: {error}"})
            raise


def _prepare(system: str, inputs: Inputs, threads: int) -> Any:
    module = importlib.import_module(f"benchmarks.peer_networks.{SYSTEMS[system].module}")
    for given in (inputs.first(REHEARSED), inputs):
        _use_threads(system, threads)
        trainer = module.trainer(system, given)
        if given is not inputs:
            trainer.step()
    release()
    return trainer


def _use_threads(system: str, threads: int) -> None:
    """torch's, or those of the fused kernels, which the peers' environment cannot import."""
    if SYSTEMS[system].library != "spsn":
        torch.set_num_threads(threads)
        return
    from spsn import threads as ours

    ours.use(system, threads)


def _versions(system: str) -> dict[str, str]:
    names = {"torch", "numpy", SYSTEMS[system].library} - {"spsn"}
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in sorted(names)}


def _first(trainer: Any) -> dict[str, Any]:
    held = reset_peak(CPU)
    seconds = _seconds(trainer)
    peak = peak_after(held, CPU)
    release()
    return {"seconds": seconds, "peak_bytes": peak, "held_bytes": held}


def _step(trainer: Any) -> dict[str, Any]:
    trainer.step()
    return _cold(trainer)


def _cold(trainer: Any) -> dict[str, Any]:
    seconds = _seconds(trainer)
    release()
    return {"seconds": seconds}


def _state(trainer: Any) -> dict[str, Any]:
    state = {"loss": trainer.loss(), "rates": trainer.rates()}
    release()
    return state


def _seconds(trainer: Any) -> float:
    begun = time.perf_counter()
    trainer.step()
    return time.perf_counter() - begun


ANSWERS = {"first": _first, "step": _step, "cold": _cold, "state": _state}

if __name__ == "__main__":
    main()
