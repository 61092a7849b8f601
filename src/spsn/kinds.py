"""What lies at a path, by its first bytes: whoever names the wrong file is told which one he named.

Advice to remove a file is given where it bears the mark of what was made here, and nowhere else: a file that
is only not what was expected may be somebody's data.
"""

import os
import stat
from pathlib import Path

FOLDER = "a folder"
HDF5 = "an HDF5 file"
EVENT_STORE = "an event store"
RUN_WEIGHTS = "a run's weights"
RUN_RECORD = "a run's record"

HEAD = 4096  # bytes, in which every mark stands
_HDF5 = b"\x89HDF\r\n\x1a\n"
_TENSORS = b"\0\0\0{"  # of a header below 2^40 bytes: the end of its length, and its beginning
_STORE, _RUN, _RECORD = b'"spsn-events-1"', b'"__metadata__":{"run"', b'"schema_version"'


def kind_of(path: str | os.PathLike) -> str | None:
    """One of the kinds above, as a text for messages; None for all others and for what cannot be read.

    A file that begins like one of them need not be whole.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return FOLDER
        if not stat.S_ISREG(mode):
            return None
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return None
    return _by(head)


def _by(head: bytes) -> str | None:
    if head.startswith(_HDF5):
        return HDF5
    if head[5:9] == _TENSORS:
        return EVENT_STORE if _STORE in head else RUN_WEIGHTS if _RUN in head else None
    return RUN_RECORD if head.startswith(b"{") and _RECORD in head else None


def instead_of_weights(path: Path) -> str:
    """What lies in the place of a run's whole weights, and what to do."""
    kind = kind_of(path)
    if kind == RUN_RECORD:
        return f"is {RUN_RECORD}; name the weights beside it, {path.with_suffix('.safetensors').name}"
    if kind == RUN_WEIGHTS:
        return "is no whole weights file; train the run again"
    shown = f" but {kind}" if kind else ""
    return f"is no whole weights file{shown}; name a run's (.safetensors), or published ones (.pt)"
