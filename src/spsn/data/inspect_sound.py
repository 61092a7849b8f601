"""What is in a recording, and whether the inner ear would take it."""

import os
from typing import Any

import numpy as np

from spsn.data.audio import AUDIBLE, LONGEST_FILE, read_sound, trim
from spsn.data.inner_ear import condition
from spsn.errors import DataError

FULL_SCALE = 1 - 2.0**-14  # of the greatest number: a recording of 16 bits that clips reaches it or nearly so
CLIPPED = 3  # samples at full scale, from which on a recording is said to be clipped


def sound_facts(path: str | os.PathLike) -> dict[str, Any]:
    """What is in the recording at `path`: see the keys below; levels are shares of full scale.

    `heard` says whether the ear takes it, `problems` why it does not. Raises SpsnError without soundfile.
    """
    facts: dict[str, Any] = {"problems": [], "notes": [], "heard": True}
    try:
        sound = read_sound(path)
        condition(sound.wave, sound.sample_rate, os.fspath(path))
    except DataError as error:
        facts["problems"].append(str(error).removeprefix(f"{path}: "))
        facts["heard"] = False
    facts |= _measured(path)
    if facts.get("clipped", 0) >= CLIPPED:
        facts["notes"].append(f"{facts['clipped']} samples at full scale: recorded too loud?")
    if facts.get("sample_rate", 48_000) < 16_000:
        facts["notes"].append(
            f"nothing above {facts['sample_rate'] / 2000:g} kHz: those channels stay at rest"
        )
    return facts


def _measured(path: str | os.PathLike) -> dict[str, Any]:
    """Rate, length, sides, level, clipping, silence of the first LONGEST_FILE seconds; {} if unreadable."""
    import soundfile  # `read_sound` has said so where it is not installed

    try:
        with soundfile.SoundFile(path) as file:
            rate, frames, encoding = file.samplerate, file.frames, f"{file.format} {file.subtype}"
            sides = file.read(min(frames, int(LONGEST_FILE * rate)), always_2d=True)
    except (soundfile.LibsndfileError, OSError, ValueError, MemoryError):
        return {}  # `problems` says why
    finite = sides[np.isfinite(sides).all(axis=1)]
    wave = finite.mean(axis=1)
    silence = None
    if wave.any():
        inner = trim(wave)
        before = int(np.argmax(np.abs(wave) > AUDIBLE * np.abs(wave).max()))
        silence = {"before": before / rate, "after": (len(wave) - before - len(inner)) / rate}
    return {
        "sample_rate": rate,
        "samples_of_sound": frames,
        "seconds": frames / rate,
        "sides": sides.shape[1],
        "encoding": encoding,
        "rms": float(np.sqrt(np.mean(finite**2))) if finite.size else None,
        "peak": float(np.abs(finite).max()) if finite.size else None,
        "clipped": int((np.abs(finite) >= FULL_SCALE).sum()),
        "silence_s": silence,
    }
