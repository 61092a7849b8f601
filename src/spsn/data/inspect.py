"""What is in a file, whether it is sound, and whether it is SHD: `spsn data inspect FILE`.

A file is known by its first bytes, not by its name: spikes in SHD's layout (HDF5), an event store
(safetensors), an archive (.zip, .gz) or a recording (WAV, FLAC). Whether it is SHD is a matter of digests
alone: those of the two files (`spsn.data.identity`) and of their archives (`spsn.dataset_settings`).
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spsn import kinds
from spsn.data import hdf5
from spsn.data.checks import faults
from spsn.data.events import EventStore
from spsn.data.identity import shd_identity
from spsn.data.shd import SpikeFile, read_split
from spsn.data.statistics import of_samples, summary
from spsn.dataset_settings import SHD_ARCHIVES as ARCHIVES
from spsn.dataset_settings import SHD_FILES
from spsn.errors import DataError, SettingsError, SpsnError
from spsn.files import digest, require_file

if TYPE_CHECKING:  # the ear takes a while to import
    from spsn.data.audio import Sound

HDF5, ARCHIVE, STORE, RECORDING, UNKNOWN = "spikes", "archive", "event store", "recording", "unknown"
WEIGHTS = "weights"
PICTURES = (".png", ".pdf")


@dataclass(frozen=True, eq=False)
class Inspection:
    """The facts of a file as `inspect` gives them, and what was read of it (None where nothing could be)."""

    facts: dict[str, Any]
    content: "SpikeFile | EventStore | Sound | None"


def inspect(path: str | os.PathLike) -> dict[str, Any]:
    """Return what `path` holds, as plain numbers, texts, lists and mappings (JSON; None for no number).

    Keys: path, kind, bytes, md5, sha256, sound, problems (why it is not sound), notes (what to know of a
    sound file), shd (is_shd, says) for all but recordings, and what the kind has (`spike_facts`,
    `spsn.data.inspect_sound.sound_facts`). Raises DataError where there is no file that can be read.
    """
    return examine(path).facts


def examine(path: str | os.PathLike) -> Inspection:
    """Return the facts of `inspect` together with what was read, which `plot` takes. Raises as `inspect`."""
    require_file(path, "Name a file that is there.")
    facts: dict[str, Any] = {"path": os.fspath(path), "kind": kind_of(path), "bytes": os.stat(path).st_size}
    facts |= {"md5": digest(path, "md5"), "sha256": digest(path), "problems": [], "notes": []}
    if facts["kind"] == RECORDING:
        from spsn.data.inspect_sound import judge_sound

        content = judge_sound(path, facts)
    else:
        content = _judge(path, facts)
        facts["shd"] = _shd(facts)
    return Inspection(_finite(facts | {"sound": not facts["problems"]}), content)


def plot(found: Inspection | str | os.PathLike, out: str | os.PathLike) -> None:
    """Draw what was `found` by `examine` into `out` (.png or .pdf); a path is examined first.

    Raises SettingsError for a picture of another kind, DataError for a file that is not sound, SpsnError for
    a kind without a picture, or without matplotlib.
    """
    if Path(out).suffix.lower() not in PICTURES:
        raise SettingsError(f"{out}: a picture is a {' or '.join(PICTURES)} file. Name it so.")
    found = found if isinstance(found, Inspection) else examine(found)
    path, problems = found.facts["path"], found.facts["problems"]
    if problems:
        raise DataError(f"{path}: not drawn, since it is not sound: {problems[0]}")
    if found.content is None:
        raise SpsnError(f"{path}: there is no picture of {found.facts['kind']}. Leave --plot out.")
    from spsn.data.pictures import draw

    draw(found.content, Path(path).name, out)


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
    if kinds.kind_of(path) == kinds.RUN_WEIGHTS:
        return WEIGHTS
    if head[8:9] == b"{" or Path(path).suffix.lower() == ".safetensors":
        return STORE
    return UNKNOWN


def spike_facts(found: SpikeFile | EventStore) -> dict[str, Any]:
    """What `found` holds: samples, spikes, classes and speakers with their counts, and statistics.

    Of every sample: spikes, duration (s, to the last spike), active channels; of these mean, sd (over n - 1),
    min, median and max.
    """
    each = of_samples(found)
    labels, speakers = each.labels, each.speakers
    return {
        "samples": len(found),
        "spikes": len(each.units),
        "silent_samples": int((each.spikes == 0).sum()),
        "classes": [
            {"label": k, "name": name, "samples": int((labels == k).sum())}
            for k, name in enumerate(each.class_names)
        ],
        "speakers": [
            {"speaker": k, "samples": int((speakers == k).sum()), **_told(found, k)}
            for k in np.unique(speakers).tolist()
        ],
        "spikes_per_sample": summary(each.spikes),
        "duration_s": summary(each.last_spike_s),
        "active_channels_per_sample": summary(each.active_channels),
        "active_channels": len(np.unique(each.units)),
    }


def render(facts: Mapping[str, Any]) -> str:
    """The result of `inspect` for a reader."""
    from spsn.data.inspect_text import lines

    return "\n".join(lines(facts))


def _judge(path: str | os.PathLike, facts: dict[str, Any]) -> SpikeFile | EventStore | None:
    """Add to `facts` what a file of spikes, an event store or an archive holds, and what is wrong with it;
    return the spikes.
    """
    try:
        if facts["kind"] == HDF5:
            return _judge_spikes(path, facts)
        if facts["kind"] == STORE:
            store = EventStore.load(path)
            facts |= spike_facts(store) | {
                "time": f"bins of {store.time_step_ms:g} ms",
                "digest": store.digest,
            }
            return store
        if facts["kind"] == ARCHIVE and facts["md5"] not in ARCHIVES.values():
            facts["problems"].append(
                "not an archive of SHD that was published. Unpack it, inspect what it holds."
            )
        elif facts["kind"] == WEIGHTS:
            facts["problems"].append(
                "holds a run's weights, neither spikes nor sound; `spsn evaluate --weights` tests them"
            )
        elif facts["kind"] == UNKNOWN:
            facts["problems"].append(
                "no spikes (.h5), event store (.safetensors), recording (.wav, .flac) or archive (.zip, .gz)"
            )
    except DataError as error:
        facts["problems"].append(str(error).removeprefix(f"{path}: "))
    return None


def _judge_spikes(path: str | os.PathLike, facts: dict[str, Any]) -> SpikeFile:
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
    return spikes


def _shd(facts: Mapping[str, Any]) -> dict[str, Any]:
    names = {md5: name for name, md5 in (SHD_FILES | ARCHIVES).items()}
    classes = len(facts["classes"]) if "classes" in facts else None
    found = shd_identity(None, facts.get("samples"), classes, facts.get("made_by"), facts["md5"])
    if found == "published" or facts["md5"] in ARCHIVES.values():
        return {"is_shd": True, "says": f"it is SHD's {names[facts['md5']]}, to the byte (md5)"}
    if found == "numbers":
        says = "has SHD's numbers, but its digest is not one that is published"
        return {"is_shd": False, "says": says}
    return {"is_shd": False, "says": "it is not SHD: its digest is not one that is published"}


def _told(found: SpikeFile | EventStore, speaker: int) -> dict[str, Any]:
    """What the file tells of a speaker; nothing of one whom a table leaves out."""
    meta = {} if isinstance(found, EventStore) else found.meta
    return {name: values[speaker].item() for name, values in meta.items() if speaker < len(values)}


def _finite(value: Any) -> Any:
    """`value` with None for every number in it that is not finite: JSON has no word for those."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
