"""The inner ear: CPU seconds that one second of speech takes on one core.

Synthetic digits (eSpeak NG, trimmed) are heard one after another. The first hearing of each transform length
also makes the membrane's table. `seconds` is the median over utterances of CPU seconds per second of sound
once the tables are there, `seconds_with_tables` all CPU seconds of the first pass over its seconds of sound.
`peak_bytes` is the whole process's. `times_faster` compares with the converter that made SHD, which took
203 s for 0.57 s of sound: constants here, measured elsewhere on another machine and not in this run.
"""

import time
from statistics import quantiles
from typing import Any

import numpy as np
import torch

from spsn.data import espeak, membrane
from spsn.data.audio import trim
from spsn.data.inner_ear import SAMPLE_RATE, hear
from spsn.data.speech import speak
from spsn.data.utterances import plan
from spsn.memory import peak_after, reset_peak
from spsn.timing.benchmark import begin, finish, parser, run

ORIGINAL = {"seconds": 203.0, "sound_seconds": 0.57, "measured": "elsewhere, on another machine"}
TARGET = 800.0  # times faster than that
CPU = torch.device("cpu")


def main() -> None:
    p = parser(__doc__.partition("\n")[0])
    p.add_argument("--utterances", type=int, default=100)
    p.add_argument("--repeats", type=int, default=3, help="passes over the utterances with the tables made")
    p.add_argument("--seed", type=int, default=0, help="which utterances, and their spikes")
    p.set_defaults(threads=1)
    options = p.parse_args()
    torch.set_num_threads(options.threads)
    load = begin()

    said = plan(max(options.utterances, 20), 20, options.seed)[0][: options.utterances]
    names, waves = [u.name for u in said], [trim(spoken.wave) for spoken in speak(said)]
    _compile()
    held = reset_peak(CPU)
    first, spikes = _pass(names, waves, options.seed)
    passes = [_pass(names, waves, options.seed)[0] for _ in range(options.repeats)]
    median, facts = _facts(first, passes, [len(wave) / espeak.SAMPLE_RATE for wave in waves])
    details = {
        "what": "CPU seconds of one core per second of speech, median over utterances",
        **facts,
        "spikes": spikes,
        "repeats": options.repeats,
        "sample_rate": SAMPLE_RATE,
        "channels": membrane.CHANNELS,
    }
    finish(options, CPU, median, peak_after(held, CPU), **details, **load)


def _facts(
    first: list[float], passes: list[list[float]], lengths: list[float]
) -> tuple[float, dict[str, Any]]:
    """The median of CPU seconds a second of sound, and what follows from the seconds of all passes; `lengths`
    are the sounds' (s).
    """
    ratios = [s / length for done in passes for s, length in zip(done, lengths, strict=True)]
    low, median, high = quantiles(ratios, n=4, method="inclusive")
    return median, {
        "quartiles": (low, high),
        "seconds_with_tables": sum(first) / sum(lengths),
        "times_faster": _times_faster(median),
        "times_faster_with_tables": _times_faster(sum(first) / sum(lengths)),
        "times_faster_target": TARGET,
        "original_converter": ORIGINAL,
        "table_seconds": sum(first) - sum(sum(done) for done in passes) / len(passes),
        "utterances": len(lengths),
        "speech_seconds": sum(lengths),
    }


def _times_faster(ratio: float) -> float:
    """How many times the original converter's speed it is to take `ratio` seconds per second of sound."""
    return ORIGINAL["seconds"] / ORIGINAL["sound_seconds"] / ratio


def _pass(names: list[str], waves: list[np.ndarray], seed: int) -> tuple[list[float], int]:
    """CPU seconds of every sound, and the spikes of all."""
    seconds, spikes = [], 0
    for name, wave in zip(names, waves, strict=True):
        started = time.process_time()
        times, _ = hear(wave, espeak.SAMPLE_RATE, seed=seed, name=name)
        seconds.append(time.process_time() - started)
        spikes += len(times)
    return seconds, spikes


def _compile() -> None:
    """Let numba compile and scipy be imported, which is no hearing, and drop the table that this made."""
    hear(torch.rand(1000).numpy(), espeak.SAMPLE_RATE, seed=0, name="compilation")
    membrane.table.cache_clear()


if __name__ == "__main__":
    run(main)
