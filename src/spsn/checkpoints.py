"""What a trainer keeps while it works and after: checkpoints of running runs, whole results of finished ones.

They lie in `checkpoints/<experiment>/<model>/<condition>/` beside `runs/`, and are no declared outputs of any
rule, so that a workflow which clears a failed job's outputs leaves them alone:

    seed<k>.safetensors                 a running run: parameters, optimizer state, history, next epoch
    seed<k>.done.{json,safetensors}     a finished run's record and weights
    lock                                held by the trainer at work

A checkpoint serves only the exact settings, and only the source code, that it was made with.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spsn import sources
from spsn.errors import BusyError, RecordError
from spsn.files import whole_file
from spsn.grid import RunSettings
from spsn.records import RunRecord, read_record, record_path, settings_digest, write_record


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

    def save(self, settings: RunSettings, checkpoint: Checkpoint) -> None:
        """Keep the state of a running run in place of its older one."""
        _write_tensors(
            self._stem(settings).with_suffix(".safetensors"), checkpoint.tensors, settings, checkpoint.history
        )

    def load(self, settings: RunSettings) -> Checkpoint | None:
        """The state of a running run with exactly these settings, or None."""
        path = self._stem(settings).with_suffix(".safetensors")
        found = _read_tensors(path)
        if found is None or not _made_for(found[1], settings):
            return None
        return Checkpoint(found[0], History(**found[1]["history"]))

    def finish(self, record: RunRecord, weights: dict[str, Tensor]) -> None:
        """Keep a finished run whole; its checkpoint is no longer needed."""
        stem = self._stem(record.settings)
        _write_tensors(Path(f"{stem}.done.safetensors"), weights, record.settings, None)
        write_record(f"{stem}.done.json", record)
        stem.with_suffix(".safetensors").unlink(missing_ok=True)

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
            and weights_digest(found[0]) == record.result.weights_digest
        )

    def emit(self, settings: RunSettings) -> Path:
        """Put record and weights of a finished run below `runs/`; returns the record's path."""
        stem, target = self._stem(settings), record_path(self.results, settings)
        for suffix in (".safetensors", ".json"):  # the record last: where it stands, its weights stand
            with whole_file(target.with_suffix(suffix)) as temporary:
                shutil.copyfile(f"{stem}.done{suffix}", temporary)
        return target

    @contextmanager
    def lock(self, block: str) -> Iterator[None]:
        """Hold a block (`experiment/model/condition`) alone. Raises `BusyError` saying who holds it."""
        path = self.results / "checkpoints" / block / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise BusyError(
                    f"{path}: {holder} is training {block} at this moment; wait for it or stop it"
                ) from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield


def weights_digest(weights: dict[str, Tensor]) -> str:
    """SHA-256 (hex) of parameters: names, shapes and float32 bytes in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = weights[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """The parameters in a weights file. Raises `RecordError` where it is absent or damaged."""
    found = _read_tensors(Path(path))
    if found is None:
        raise RecordError(f"{path}: is absent or no whole weights file; train the run again")
    return found[0]


def _identity(settings: RunSettings) -> dict[str, str]:
    return {"settings": settings_digest(settings), "sources": sources.digest(sources.TRAINING)}


def _made_for(about: dict, settings: RunSettings) -> bool:
    return all(about.get(key) == value for key, value in _identity(settings).items())


def _write_tensors(
    path: Path, tensors: dict[str, Tensor], settings: RunSettings, history: History | None
) -> None:
    about = {**_identity(settings), "history": vars(history) if history else None}
    with whole_file(path) as temporary:
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            temporary,
            {"run": json.dumps(about)},
        )


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict] | None:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("run", "{}"))
            return {name: file.get_tensor(name).clone() for name in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, ValueError):
        return None
