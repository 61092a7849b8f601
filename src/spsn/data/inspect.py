"""What is in a file, whether it is sound, and whether it is SHD: `spsn data inspect FILE`.

A file is known by its first bytes, not by its name: spikes in SHD's layout (HDF5), an event store
(safetensors), an archive (.zip, .gz) or a recording (WAV, FLAC). Whether it is SHD is a matter of digests
alone: those of the two files (published with norse) and of their archives (`spsn.dataset_settings`).
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spsn.data import hdf5
from spsn.data.checks import SHD_EXPECTED, faults
from spsn.data.events import EventStore
from spsn.data.shd import SpikeFile, read_split
from spsn.dataset_settings import SHD_ARCHIVES as ARCHIVES
from spsn.dataset_settings import SHD_FILES
from spsn.errors import DataError, SettingsError
from spsn.files import require_file

SHD_MD5 = {md5: name for name, md5 in SHD_FILES.items()}
HDF5, ARCHIVE, STORE, RECORDING, UNKNOWN = "spikes", "archive", "event store", "recording", "unknown"
PICTURES = (".png", ".pdf")


def inspect(path: str | os.PathLike) -> dict[str, Any]:
    """Return what `path` holds, as plain numbers, texts, lists and mappings (JSON; None for no number).

    Keys: path, kind, bytes, md5, sha256, sound, problems (why it is not sound), notes (what to know of a
    sound file), shd (is_shd, says) for all but recordings, and what the kind has (`spike_facts`,
    `spsn.data.inspect_sound.sound_facts`). Raises DataError where there is no file that can be read.
    """
    require_file(path, "Name a file that is there.")
    facts: dict[str, Any] = {"path": os.fspath(path), "kind": kind_of(path), "bytes": os.stat(path).st_size}
    facts |= _digests(path) | {"problems": [], "notes": []}
    if facts["kind"] == RECORDING:
        from spsn.data.inspect_sound import sound_facts

        facts |= sound_facts(path)
    else:
        _judge(path, facts)
        facts["shd"] = _shd(facts)
    return facts | {"sound": not facts["problems"]}


def plot(path: str | os.PathLike, out: str | os.PathLike) -> None:
    """Draw what `path` holds into `out` (.png or .pdf): see `spsn.data.pictures.draw`.

    Raises SettingsError for a picture of another kind, DataError for a file that is not sound.
    """
    if Path(out).suffix.lower() not in PICTURES:
        raise SettingsError(f"{out}: a picture is a {' or '.join(PICTURES)} file. Name it so.")
    problems = inspect(path)["problems"]
    if problems:
        raise DataError(f"{path}: not drawn, since it is not sound: {problems[0]}")
    from spsn.data.pictures import draw

    draw(path, kind_of(path), out)


def kind_of(path: str | os.PathLike) -> str:
    """Which kind of file this is, by its first bytes."""
    with open(path, "rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89HDF\r\n\x1a\n") or Path(path).suffix.lower() in (".h5", ".hdf5"):
        return HDF5
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        return ARCHIVE
    if head.startswith((b"RIFF", b"RF64", b"fLaC")) or Path(path).suffix.lower() in (".wav", ".flac"):
        return RECORDING
    if head[8:9] == b"{" or Path(path).suffix.lower() == ".safetensors":
        return STORE
    return UNKNOWN


def spike_facts(found: SpikeFile | EventStore) -> dict[str, Any]:
    """What `found` holds: samples, spikes, classes and speakers with their counts, and statistics.

    Of every sample: spikes, duration (s, to the last spike), active channels; of these mean, sd (over n - 1),
    min, median and max.
    """
    stored = isinstance(found, EventStore)
    labels, speakers = (found.label, found.speaker) if stored else (found.labels, found.speakers)
    units = found.channel if stored else found.units
    names = found.classes if stored else found.class_names
    counts = np.diff(found.offsets)
    return {
        "samples": len(found),
        "spikes": len(units),
        "silent_samples": int((counts == 0).sum()),
        "classes": [
            {"label": k, "name": name, "samples": int((labels == k).sum())} for k, name in enumerate(names)
        ],
        "speakers": [
            {"speaker": k, "samples": int((speakers == k).sum()), **_told(found, k)}
            for k in np.unique(speakers).tolist()
        ],
        "spikes_per_sample": statistics(counts),
        "duration_s": statistics(last_spikes(found)),
        "active_channels_per_sample": statistics(active_channels(units, found.offsets)),
        "active_channels": len(np.unique(units)),
    }


def last_spikes(found: SpikeFile | EventStore) -> np.ndarray:
    """Time of each sample's last spike (n,) float64 in s, 0 for a silent one."""
    times = found.time_bin * (found.time_step_ms / 1000) if isinstance(found, EventStore) else found.times
    last = np.zeros(len(found))
    filled = np.diff(found.offsets) > 0
    if filled.any():
        with np.errstate(invalid="ignore"):  # of a file with times that are no numbers
            last[filled] = np.maximum.reduceat(times.astype(np.float64), found.offsets[:-1][filled])
    return last


def active_channels(units: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Number of channels (n,) with at least one spike in each sample."""
    return np.array([len(np.unique(units[a:b])) for a, b in zip(offsets[:-1], offsets[1:], strict=True)])


def statistics(values: np.ndarray) -> dict[str, float | None]:
    """Mean, sd (over n - 1), min, median and max of the finite `values`; None where there is none."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not values.size:
        return dict.fromkeys(("mean", "sd", "min", "median", "max"))
    found = {
        "mean": values.mean(),
        "sd": values.std(ddof=1) if values.size > 1 else None,
        "min": values.min(),
        "median": np.median(values),
        "max": values.max(),
    }
    return {name: None if value is None else float(value) for name, value in found.items()}


def render(facts: Mapping[str, Any]) -> str:
    """The result of `inspect` for a reader."""
    from spsn.data.inspect_text import lines

    return "\n".join(lines(facts))


def _judge(path: str | os.PathLike, facts: dict[str, Any]) -> None:
    """Add to `facts` what a file of spikes, an event store or an archive holds, and what is wrong with it."""
    try:
        if facts["kind"] == HDF5:
            _judge_spikes(path, facts)
        elif facts["kind"] == STORE:
            store = EventStore.load(path)
            facts |= spike_facts(store) | {
                "time": f"bins of {store.time_step_ms:g} ms",
                "digest": store.digest,
            }
        elif facts["kind"] == ARCHIVE and facts["md5"] not in ARCHIVES.values():
            facts["problems"].append(
                "not an archive of SHD that was published. Unpack it, inspect what it holds."
            )
        elif facts["kind"] == UNKNOWN:
            facts["problems"].append(
                "no spikes (.h5), event store (.safetensors), recording (.wav, .flac) or archive (.zip, .gz)"
            )
    except DataError as error:
        facts["problems"].append(str(error).removeprefix(f"{path}: "))


def _judge_spikes(path: str | os.PathLike, facts: dict[str, Any]) -> None:
    spikes = read_split(path)
    with hdf5.reading(path) as file:
        kind = hdf5.row_type(hdf5.find(file, "spikes/times"), "f", "seconds")
    facts |= spike_facts(spikes) | {"time": f"{kind.name} seconds", "made_by": spikes.made_by}
    facts["meta"] = sorted(spikes.meta)
    facts["problems"] += faults(spikes)
    unsorted, names = spikes.unsorted(), spikes.class_names
    if unsorted.size:
        facts["notes"].append(f"unsorted spike times in {unsorted.size} samples; binning sorts them")
    if len(set(names)) < len(names):
        facts["notes"].append("classes share a name; they are told apart by their labels")


def _shd(facts: Mapping[str, Any]) -> dict[str, Any]:
    known = SHD_MD5 | {md5: name for name, md5 in ARCHIVES.items()}
    name = known.get(facts["md5"])
    if name:
        return {"is_shd": True, "says": f"it is SHD's {name}, to the byte (md5)"}
    numbers = facts.get("samples"), len(facts.get("classes", ()))
    if numbers in {(e.samples, e.classes) for e in SHD_EXPECTED.values()}:
        says = "has SHD's numbers, but its digest is not one that is published"
        return {"is_shd": False, "says": says}
    return {"is_shd": False, "says": "it is not SHD: its digest is not one that is published"}


def _told(found: SpikeFile | EventStore, speaker: int) -> dict[str, Any]:
    """What the file tells of a speaker; nothing of one whom a table leaves out."""
    meta = {} if isinstance(found, EventStore) else found.meta
    told = {name: values[speaker].item() for name, values in meta.items() if speaker < len(values)}
    return {name: None if value != value else value for name, value in told.items()}  # NaN: not known


def _digests(path: str | os.PathLike) -> dict[str, str]:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}
