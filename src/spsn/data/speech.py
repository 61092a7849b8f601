"""Synthetic spoken digits: the 20 words of SHD, spoken by eSpeak NG and heard by the inner-ear model.

A stand-in that lets everything run where SHD cannot be had, in SHD's file layout. It is synthetic speech,
named as such on every result made from it; it is not SHD. Who says what is planned in
`spsn.data.utterances`, spoken by eSpeak NG, trimmed to what is within 40 dB of its peak, and heard by
`spsn.data.inner_ear`. The spikes of an utterance do not depend on how many others are made, in which order,
or by how many processes.

eSpeak NG (GPL-3.0-or-later) comes with the optional package espeakng-loader and runs in a process of its own
(`spsn.data.espeak`).
"""

import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spsn.data import espeak
from spsn.data.inner_ear import hear
from spsn.data.shd import SpikeFile, write_split
from spsn.data.utterances import CLASS_NAMES, SPEAKERS, Utterance, plan
from spsn.errors import DataError, SpsnError

AUDIBLE = 0.01  # of the peak: -40 dB
CHUNK = 8  # utterances per task of a worker


@dataclass(frozen=True, eq=False)
class Spoken:
    """A waveform (n,) int16 at `espeak.SAMPLE_RATE` and the phonemes that eSpeak NG read into the text."""

    wave: np.ndarray
    phonemes: str


def speak(utterances: Sequence[Utterance]) -> list[Spoken]:
    """Return what eSpeak NG says, one `Spoken` per utterance, each independent of the others.

    Raises SpsnError where espeakng-loader is not installed, lacks a voice, or its library fails.
    """
    library, data = _installed()
    for variant in {u.voice.partition("+")[2] for u in utterances} - {""}:
        if not (data / "voices" / "!v" / variant).is_file():  # else the plain voice would speak in its place
            raise SpsnError(
                f"{data}: eSpeak NG has no voice variant {variant!r}. Install espeakng-loader 0.2.4."
            )
    requests = [
        {"text": u.text, "voice": u.voice, "rate": u.rate, "pitch": u.pitch, "noise": u.noise}
        for u in utterances
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-S", os.path.abspath(espeak.__file__), library, data.name],
        cwd=data.parent,  # see `espeak`: a long path to the data would end the process
        input=json.dumps(requests).encode(),
        capture_output=True,
    )
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip() or "it ended without a word"
        raise SpsnError(f"{library}: {complaint}. Reinstall espeakng-loader.")
    return _answers(done.stdout, len(requests))


def _answers(stream: bytes, count: int) -> list[Spoken]:
    spoken, at = [], 0
    for _ in range(count):
        end = stream.index(b"\n", at)
        header = json.loads(stream[at:end])
        wave = np.frombuffer(stream, np.int16, header["samples"], end + 1)
        spoken.append(Spoken(wave, header["phonemes"]))
        at = end + 1 + wave.nbytes
    return spoken


def _installed() -> tuple[str, Path]:
    """Return the paths of eSpeak NG's library and of its data."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise SpsnError("speaking digits needs the package espeakng-loader. Run: pip install 'spsn[speech]'")
    import espeakng_loader

    return espeakng_loader.get_library_path(), Path(espeakng_loader.get_data_path())


def trim(wave: np.ndarray) -> np.ndarray:
    """Return `wave` (n,) less either end's part that is 40 dB below its peak; DataError for silence."""
    size = np.abs(wave.astype(np.int32))
    loud = np.nonzero(size > AUDIBLE * size.max(initial=0))[0]
    if not len(loud):
        raise DataError("eSpeak NG said nothing. Reinstall espeakng-loader.")
    return wave[loud[0] : loud[-1] + 1]


def spikes_of(utterances: Sequence[Utterance], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return times (E,) float16 seconds and units (E,) uint16 of each utterance: spoken, trimmed, heard."""
    heard = []
    for utterance, spoken in zip(utterances, speak(utterances), strict=True):
        times, units = hear(trim(spoken.wave), espeak.SAMPLE_RATE, seed=seed, name=utterance.name)
        heard.append((times.astype(np.float16), units))
    return heard


def make_digits(
    train: int,
    test: int,
    seed: int,
    folder: str | os.PathLike,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Write synthetic_digits_train.h5 and synthetic_digits_test.h5 into `folder`; return both paths.

    `train` and `test` are numbers of samples; `workers` processes share the work and do not change the
    result: equal seeds give equal bytes on one machine with one set of versions. `progress(done, total)`
    counts utterances. Each file appears whole or not at all. Raises SettingsError for too few samples,
    SpsnError without eSpeak NG. Source of the layout: `spsn.data.shd`.
    """
    splits = plan(train, test, seed)
    rows = hear_all(splits[0] + splits[1], seed, workers, progress)
    paths = []
    for utterances, part in zip(splits, (rows[:train], rows[train:]), strict=True):
        path = Path(folder) / f"synthetic_digits_{utterances[0].split}.h5"
        write_split(path, _spike_file(utterances, part))
        paths.append(path)
    return paths[0], paths[1]


def _spike_file(utterances: list[Utterance], rows: list[tuple[np.ndarray, np.ndarray]]) -> SpikeFile:
    return SpikeFile.from_rows(
        times=[times for times, _ in rows],
        units=[units for _, units in rows],
        labels=[u.label for u in utterances],
        speakers=[u.speaker for u in utterances],
        class_names=CLASS_NAMES,
        meta={
            "gender": np.array([speaker.gender for speaker in SPEAKERS]),
            "age": np.full(len(SPEAKERS), -1, np.int16),
            "body_height": np.full(len(SPEAKERS), np.nan, np.float32),
        },
    )


def hear_all(
    utterances: Sequence[Utterance],
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what `spikes_of` returns, by `workers` processes; `progress(done, total)` counts them."""
    chunks = [utterances[i : i + CHUNK] for i in range(0, len(utterances), CHUNK)]
    seeds = [seed] * len(chunks)
    rows: list[tuple[np.ndarray, np.ndarray]] = []

    def gather(parts) -> None:
        for part in parts:
            rows.extend(part)
            if progress:
                progress(len(rows), len(utterances))

    if workers <= 1:
        gather(map(spikes_of, chunks, seeds))
        return rows
    # spawned, not forked: the caller may already run threads of torch or numba
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), context, _end_with_parent) as pool:
        gather(pool.map(spikes_of, chunks, seeds))
    return rows


def _end_with_parent() -> None:
    """Let this worker end when the process that started it is killed; it would wait for ever otherwise."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
