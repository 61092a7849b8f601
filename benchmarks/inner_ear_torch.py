"""The inner ear in torch, many recordings at once, beside the compiled form on one core.

The same synthetic digits (eSpeak NG, trimmed) are heard `--repeats` times by `inner_ear_torch.hear_batch` on
the device, all at once, and once by `inner_ear.hear`, one after another. Tables of the membrane, compilation
and the kernel's first launch come before and do not count. `seconds` is the median over repeats of wall
seconds per second of sound, conditioning, transfers and the way back to numpy included; `compiled_seconds`
that of the compiled form; `same_spikes` the share of spikes that both have. `peak_bytes` is that of the torch
form.
"""

import time
from statistics import median, quantiles

import torch

from spsn.data import espeak
from spsn.data.inner_ear import hear
from spsn.data.inner_ear_torch import hear_batch
from spsn.data.speech import speak, trim
from spsn.data.utterances import plan
from spsn.devices import lease
from spsn.memory import peak_after, reset_peak
from spsn.timing.benchmark import begin, finish, parser, run


def main() -> None:
    p = parser(__doc__.partition("\n")[0])
    p.add_argument("--utterances", type=int, default=256, help="heard at once")
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--seed", type=int, default=0, help="which utterances, and their spikes")
    p.set_defaults(threads=1)
    options = p.parse_args()
    torch.set_num_threads(options.threads)

    said = plan(max(options.utterances, 20), 20, options.seed)[0][: options.utterances]
    names, waves = [u.name for u in said], [trim(spoken.wave) for spoken in speak(said)]
    rates = [espeak.SAMPLE_RATE] * len(waves)
    speech = sum(map(len, waves)) / espeak.SAMPLE_RATE
    with lease(options.device) as device:
        hear_batch(waves, rates, names, seed=options.seed, device=device)
        load, held = begin(), reset_peak(device)
        seconds = []
        for _ in range(options.repeats):
            started = time.perf_counter()
            ours = hear_batch(waves, rates, names, seed=options.seed, device=device)
            seconds.append((time.perf_counter() - started) / speech)
        peak = peak_after(held, device)
        theirs, compiled = _one_by_one(waves, names, options.seed)
        details = {
            "what": "wall seconds per second of speech, all utterances at once",
            "quartiles": quantiles(seconds, n=4, method="inclusive")[::2] if len(seconds) > 1 else None,
            "compiled_seconds": compiled / speech,
            "same_spikes": _shared(ours, theirs),
            "utterances": len(waves),
            "speech_seconds": speech,
            "spikes": sum(len(times) for times, _ in ours),
            "repeats": options.repeats,
        }
        finish(options, device, median(seconds), peak, **details, **load)


def _one_by_one(waves: list, names: list[str], seed: int) -> tuple[list, float]:
    """What the compiled form hears, and its wall seconds; the first is heard before, for numba to compile."""
    hear(waves[0], espeak.SAMPLE_RATE, seed=seed, name=names[0])
    started = time.perf_counter()
    heard = [
        hear(wave, espeak.SAMPLE_RATE, seed=seed, name=name) for name, wave in zip(names, waves, strict=True)
    ]
    return heard, time.perf_counter() - started


def _shared(ours: list, theirs: list) -> float:
    """The share of the spikes of either that both have."""
    both = total = 0
    for pair in zip(ours, theirs, strict=True):
        a, b = (set(zip(times.tolist(), units.tolist(), strict=True)) for times, units in pair)
        both, total = both + len(a & b), total + max(len(a), len(b))
    return both / total


if __name__ == "__main__":
    run(main)
