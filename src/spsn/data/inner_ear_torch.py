"""The inner ear of `spsn.data.inner_ear` for many recordings at once, in torch, on a CPU or a CUDA device.

A lane is one channel of one recording. All lanes of a part take a step together, and recordings are taken in
parts that fit into `HELD` bytes:

    motion   (T, R, C) float32       velocity of the membrane (`membrane_torch`), 0 after a sound's end
    emitted  (T, lanes) bool         row t: the bushy cell emits in step t a spike that carries t - 1

From the membrane on everything is float64 and integer arithmetic in the order of `inner_ear`, without fused
multiply-adds: with equal motion, equal spikes, bit for bit. The membrane's float32 transforms round in their
own way on every device, so that a spike in some thousands may differ. What a recording gives does not depend
on those that are heard beside it.

On CUDA the pass over time is one Triton kernel (`inner_ear_triton`); plain torch operations
(`inner_ear_steps`) define it and stand in for it where Triton cannot be used. On a CPU `inner_ear` itself is
many times faster.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from spsn.data import inner_ear, inner_ear_steps, membrane, membrane_torch
from spsn.data.inner_ear import DT, HairCell
from spsn.errors import SpsnError
from spsn.memory import is_out_of_memory

log = logging.getLogger(__name__)

HELD = {"cpu": 1 << 28, "cuda": 1 << 32}  # at most so many bytes of motion at once; 0.5 s of sound has 34 MB
FORMS = ("auto", "torch", "triton")

Spikes = tuple[np.ndarray, np.ndarray]


def hear_batch(
    sounds: Sequence[np.ndarray],
    sample_rates: Sequence[int],
    names: Sequence[str],
    *,
    seed: int,
    constants: str | HairCell = "code",
    device: str | torch.device = "cuda",
) -> list[Spikes]:
    """Return what `inner_ear.hear` returns for each recording, in their order, computed on `device`.

    `sounds` are arrays (n,) or (n, sides) at `sample_rates` Hz; `names` set recordings apart. Each result is
    times (E,) float64 seconds and units (E,) uint16, and depends on its sound, seed and name alone. A GPU
    wants some hundreds at a time; the sounds stay in memory, 0.4 MB a second each. Raises DataError as `hear`
    does, before any is heard, SpsnError where there is no CUDA device though one is asked for, and ValueError
    where the three sequences differ in length. Source: Cramer et al. (2020); see `spsn.data.inner_ear`.
    """
    device = _usable(device)
    inner_ear._hair_cell(constants)
    heard: list = [None] * len(names)
    ready = [
        (inner_ear.condition(sound, rate, name), rate)
        for sound, rate, name in zip(sounds, sample_rates, names, strict=True)
    ]
    for part in _parts(ready, _room(device)):
        spikes = _hear_part([ready[i] for i in part], [names[i] for i in part], seed, constants, device)
        for i, (steps, units) in zip(part, spikes, strict=True):
            heard[i] = steps * DT, units
    return heard


def _hear_part(ready: list, names: list[str], seed: int, constants, device: torch.device) -> list[Spikes]:
    lengths = [len(sound) // 2 + 1 for sound, _ in ready]
    motion = torch.zeros((max(lengths), len(ready), membrane.CHANNELS), device=device)
    for r, (sound, rate) in enumerate(ready):
        membrane_torch.move(sound, rate, motion[: lengths[r], r])
    return fire_batch(motion, names, seed=seed, constants=constants, lengths=lengths)


def fire_batch(
    motion: torch.Tensor,
    names: Sequence[str],
    *,
    seed: int,
    constants: str | HairCell = "code",
    lengths: Sequence[int] | None = None,
    first: int = 0,
    form: str = "auto",
) -> list[Spikes]:
    """Return what `inner_ear.fire` returns for each recording, but sorted by step, then by channel.

    `motion` (T, R, C) float32 is the membrane's velocity of R recordings called `names`, of which the r-th
    lasts `lengths[r]` steps (all T if None); `first` is the number of the first of the C channels. Each
    result is steps (E,) int64 of 2 / fs and units (E,) uint16. `form` is "torch", "triton" or "auto", which
    is Triton on CUDA, where it works, and torch elsewhere. Raises DataError for constants that are not known,
    ValueError for another form and for names or lengths that are not R.
    """
    if form not in FORMS:
        raise ValueError(f"no form {form!r}; known: {', '.join(FORMS)}")
    T, recordings, channels = motion.shape
    lengths = [T] * recordings if lengths is None else lengths
    keys = np.array([inner_ear.stream_key(seed, name) for name in names], np.uint64).view(np.int64)
    if not len(keys) == len(lengths) == recordings:
        raise ValueError(f"{recordings} recordings, {len(keys)} names and {len(lengths)} lengths")
    bases = inner_ear_steps.stream_bases(torch.from_numpy(keys).to(motion.device), first, channels).flatten()
    ends = torch.tensor(lengths, device=motion.device).repeat_interleave(channels)
    numbers = inner_ear_steps.per_step(inner_ear._hair_cell(constants))
    emitted = _emit(motion.flatten(1), bases, ends, numbers, form)
    steps, lanes = (index.cpu().numpy() for index in emitted.nonzero(as_tuple=True))
    return _by_recording(steps - 1, lanes, recordings, channels, first)


def _by_recording(
    steps: np.ndarray, lanes: np.ndarray, recordings: int, channels: int, first: int
) -> list[Spikes]:
    """Share out spikes, which are sorted by step and then by lane and stay so."""
    owner, units = lanes // channels, (first + lanes % channels).astype(np.uint16)
    order = np.argsort(owner, kind="stable")
    cuts = np.searchsorted(owner[order], np.arange(1, recordings))
    parts = np.split(steps[order], cuts), np.split(units[order], cuts)
    return list(zip(*parts, strict=True)) if recordings else []


def _parts(ready: list, held: int) -> Iterator[list[int]]:
    """Yield the recordings' numbers in parts whose padded motion takes `held` bytes, or a single one more.

    Those that share a table follow one another, and are of nearly equal length.
    """

    def place(i: int) -> tuple[int, int, int]:
        sound, rate = ready[i]
        return *membrane_torch.transform(len(sound), rate), len(sound)

    part: list[int] = []
    longest = 0
    for i in sorted(range(len(ready)), key=place):
        longest = max(longest, len(ready[i][0]) // 2 + 1)
        if part and 4 * membrane.CHANNELS * longest * (len(part) + 1) > held:
            yield part
            part, longest = [], len(ready[i][0]) // 2 + 1
        part.append(i)
    if part:
        yield part


def _emit(motion, bases, ends, numbers, form: str) -> torch.Tensor:
    """Return `emitted` (T, lanes), from the form that is asked for."""
    if form == "torch" or (form == "auto" and motion.device.type != "cuda"):
        return inner_ear_steps.emit(motion, bases, ends, numbers)
    try:
        from spsn.data import inner_ear_triton

        return inner_ear_triton.emit(motion, bases, ends, numbers)
    except Exception as error:  # no Triton, no C compiler for its launcher, a kernel it cannot compile
        if form == "triton" or is_out_of_memory(error):
            raise
        log.warning("the inner ear's Triton kernel cannot be used; going on with slower steps: %r", error)
    return inner_ear_steps.emit(motion, bases, ends, numbers)


def _usable(device: str | torch.device) -> torch.device:
    device = torch.device(device)
    if device.type not in HELD:
        raise SpsnError(f"the inner ear works on 'cpu' or 'cuda', not on {str(device)!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SpsnError(
            "the inner ear was asked to work on 'cuda' but no CUDA device can be used; take 'cpu'"
        )
    return device


def _room(device: torch.device) -> int:
    """Return how many bytes the motion of a part may take; on a small GPU, a third of what is free there."""
    if device.type == "cpu":
        return HELD["cpu"]
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(HELD["cuda"], (torch.cuda.mem_get_info(device)[0] + idle) // 3)
