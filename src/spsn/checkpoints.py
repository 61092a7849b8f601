"""What a trainer keeps while it works and after: checkpoints of running runs, whole results of finished ones.

They lie in `checkpoints/<experiment>/<model>/<condition>/` beside `runs/`, and are no declared outputs of any
rule, so that a workflow which clears a failed job's outputs leaves them alone:

    seed<k>.epoch<e>.safetensors        a running run after e epochs: parameters, optimizer state, history
    seed<k>.done.{json,safetensors}     a finished run's record and weights
    seed<k>.lock                        held by the trainer at work

An older checkpoint goes only when all runs of a stack have a newer one, so that a stack always finds an epoch
that all its runs have.

A checkpoint serves only the exact settings, and only the source code, that it was made with. Each tensor file
holds a digest of its tensors and of what it says about them, and that of a finished run one of its record: a
file in which a bit was flipped is none.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spsn import sources
from spsn.errors import BusyError, DataError, RecordError, SpsnError
from spsn.files import check_size, clear_unfinished, parse_json, refusal, require_file, whole_file
from spsn.grid import RunSettings
from spsn.kinds import instead_of_weights
from spsn.locks import take_if_free
from spsn.records import RunRecord, read_record, record_digest, record_path, settings_digest, write_record

log = logging.getLogger(__name__)

LARGEST = 4 << 30  # bytes of the tensors in a file; the paper's networks need one and a half million
HEADER = 100_000_000  # bytes before them that safetensors reads at most


@dataclass
class History:
    """What a run has seen so far, one entry an epoch."""

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """Epochs finished."""
        return len(self.train_loss)


@dataclass(frozen=True)
class Checkpoint:
    """A run between two epochs: `tensors` holds parameters and optimizer state by name."""

    tensors: dict[str, Tensor]
    history: History


class CheckpointStore:
    """The checkpoints of one results folder."""

    def __init__(self, results: str | Path) -> None:
        self.results = Path(results)

    def _stem(self, settings: RunSettings) -> Path:
        folder = self.results / "checkpoints" / settings.experiment / settings.model / settings.condition
        return folder / f"seed{settings.seed}"

    def _path(self, settings: RunSettings, epoch: int) -> Path:
        return Path(f"{self._stem(settings)}.epoch{epoch}.safetensors")

    def save(self, settings: RunSettings, checkpoint: Checkpoint) -> None:
        """Keep the state of a running run beside its older ones."""
        path = self._path(settings, checkpoint.history.epochs)
        _write_tensors(path, checkpoint.tensors, settings, history=vars(checkpoint.history))

    def prune(self, settings: RunSettings, epoch: int | None) -> None:
        """Let go of the states of a running run, but for the one after `epoch` epochs (None: of all), and of
        what a killed trainer had not written to the end. For who holds the run's lock.
        """
        for other in self.epochs(settings) - {epoch}:
            self._path(settings, other).unlink(missing_ok=True)
        clear_unfinished(self._stem(settings))

    def epochs(self, settings: RunSettings) -> set[int]:
        """After how many epochs a state of this run was kept; whether it can be used, `load` says."""
        stem = self._stem(settings)
        names = [path.name for path in stem.parent.glob(f"{stem.name}.epoch*.safetensors")]
        found = (re.fullmatch(r"seed\d+\.epoch(\d+)\.safetensors", name) for name in names)
        return {int(match[1]) for match in found if match}

    def load(self, settings: RunSettings, epoch: int) -> Checkpoint | None:
        """The state of a running run after `epoch` epochs, or None if it was not kept, or made with exactly
        these settings and sources.
        """
        found = _read_tensors(self._path(settings, epoch))
        if found is None or not _made_for(found[1], settings):
            return None
        history = _history(found[1].get("history"), epoch)
        return history and Checkpoint(found[0], history)

    def finish(self, record: RunRecord, weights: dict[str, Tensor]) -> None:
        """Keep a finished run whole; its checkpoints are no longer needed."""
        stem = self._stem(record.settings)
        digest = record_digest(record)
        _write_tensors(Path(f"{stem}.done.safetensors"), weights, record.settings, record=digest)
        write_record(f"{stem}.done.json", record)
        self.prune(record.settings, None)

    def finished(self, settings: RunSettings) -> bool:
        """Whether a run with exactly these settings is kept whole."""
        stem = self._stem(settings)
        if not Path(f"{stem}.done.json").exists() or not Path(f"{stem}.done.safetensors").exists():
            return False
        try:
            record = read_record(f"{stem}.done.json")
        except RecordError:
            return False
        found = _read_tensors(Path(f"{stem}.done.safetensors"))
        return (
            record.settings == settings
            and found is not None
            and _made_for(found[1], settings)
            and found[1].get("record") == record_digest(record)
            and weights_digest(found[0]) == record.result.weights_digest
        )

    def emit(self, settings: RunSettings) -> Path:
        """Put record and weights of a finished run below `runs/`; returns the record's path. Raises
        `RecordError` where they are gone.
        """
        stem, target = self._stem(settings), record_path(self.results, settings)
        for suffix in (".safetensors", ".json"):  # the record last: where it stands, its weights stand
            with whole_file(target.with_suffix(suffix)) as temporary:
                _copy(f"{stem}.done{suffix}", temporary)
        clear_unfinished(target.with_suffix(""))
        return target

    @contextmanager
    def lock(self, runs: Iterable[RunSettings]) -> Iterator[None]:
        """Hold runs alone. Raises `BusyError` saying who holds one of them."""
        with ExitStack() as held:
            for run in runs:
                held.enter_context(_locked(Path(f"{self._stem(run)}.lock")))
            yield


def _copy(kept: str, into: Path) -> None:
    try:
        shutil.copyfile(kept, into)
    except FileNotFoundError:
        raise RecordError(f"{kept}: was removed meanwhile; train the run again") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with _lock_file(path) as file:
        if not take_if_free(file, path, "train a run once at a time"):
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise BusyError(f"{path}: {holder} is training this run; wait for it or stop it")
        with suppress(OSError):  # the name is for people; a full disk is told of where it does harm
            file.truncate(0)
            os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield


def _lock_file(path: Path) -> TextIO:
    """The file, made where it is absent. Raises `SpsnError` where it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise refusal(path, error.errno, error.strerror) from error


def weights_digest(weights: dict[str, Tensor]) -> str:
    """SHA-256 (hex) of parameters: names, shapes and float32 bytes in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The parameters in a weights file. Raises `RecordError` where it is absent, damaged or none."""
    path = Path(path)
    try:
        require_file(path, "Name a run's weights, or train the run.")
    except DataError as error:
        raise RecordError(str(error)) from error
    found = _read_tensors(path)
    if found is None:
        raise RecordError(f"{path}: {instead_of_weights(path)}")
    return found[0]


def _history(content: object, epochs: int) -> History | None:
    """The history that a checkpoint tells of; None for anything but so many numbers of each kind."""
    if not isinstance(content, dict) or set(content) != {f.name for f in fields(History)}:
        return None
    whole = all(isinstance(entries, list) and len(entries) == epochs for entries in content.values())
    if not whole or any(type(n) not in (int, float) for entries in content.values() for n in entries):
        return None
    return History(**content)


def _identity(settings: RunSettings) -> dict[str, str]:
    return {"settings": settings_digest(settings), "sources": sources.digest(sources.TRAINING)}


def _made_for(about: dict, settings: RunSettings) -> bool:
    return "digest" in about and all(about.get(key) == value for key, value in _identity(settings).items())


def _digest(tensors: dict[str, Tensor], about: dict) -> str:
    """SHA-256 (hex) of tensors and of all that a file says about them, but for the digest itself."""
    said = json.dumps({key: about[key] for key in sorted(about) if key != "digest"}, sort_keys=True)
    return hashlib.sha256(f"{said}\n{weights_digest(tensors)}".encode()).hexdigest()


def _write_tensors(path: Path, tensors: dict[str, Tensor], settings: RunSettings, **said: object) -> None:
    if sum(tensor.nbytes for tensor in tensors.values()) > LARGEST:
        raise SpsnError(f"{path}: would have over LARGEST = {LARGEST} bytes; make the network smaller")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {**_identity(settings), **said}
    about["digest"] = _digest(tensors, about)
    with whole_file(path) as temporary:
        save_file(tensors, temporary, {"run": json.dumps(about)})


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict] | None:
    """Tensors and what is said about them; None where the file is absent or not what was written."""
    try:
        check_size(path, LARGEST + HEADER)
        with safe_open(path, framework="pt") as file:
            about = parse_json((file.metadata() or {}).get("run", "{}"), finite=False)
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return (tensors, about) if about.get("digest") in (None, _digest(tensors, about)) else None
    except (OSError, SafetensorError, ValueError, AttributeError, TypeError, RuntimeError, OverflowError):
        return None
