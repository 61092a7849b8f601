"""Hearing many sounds: in pieces, by several processes, and without loss when it is stopped.

Whatever is heard has a key, a digest of all that its spikes depend on. Pieces of a few sounds are heard by
processes of their own and kept in a folder as soon as they are there, each a small file that appears whole;
a later run takes from it what has one of the wanted keys and hears the rest. What no longer applies, since a
recording, a setting or the code is another, has another key. One process at a time has the folder; what it
makes of it, a training and a test file, appears together.
"""

import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

import numpy as np

from spsn.data.shd import write_split
from spsn.data.spikes import SpikeFile
from spsn.errors import SpsnError
from spsn.files import whole_file
from spsn.locks import held

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Row = tuple[np.ndarray, np.ndarray]  # times (E,) float16 s, units (E,) uint16 channels
PIECE = 8  # sounds: a second or two of work
UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def key_of(*parts) -> str:
    """Return the digest of all that spikes depend on: texts, numbers, and lists and mappings of them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Kept:
    """What was heard, in a folder: pieces of keys, times and units."""

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    def rows(self, wanted: set[str]) -> dict[str, Row]:
        """Return what is kept of the wanted keys. A piece that cannot be read is as good as none."""
        found: dict[str, Row] = {}
        for path in sorted(self.folder.glob("*.npz")):
            with contextlib.suppress(*UNREADABLE), np.load(path) as piece:
                ends, times, units = piece["ends"][:-1], piece["times"], piece["units"]
                rows = zip(np.split(times, ends), np.split(units, ends), strict=True)
                found |= {k: row for k, row in zip(piece["keys"].tolist(), rows, strict=True) if k in wanted}
        return found

    def keep(self, keys: Sequence[str], rows: Sequence[Row]) -> None:
        """Write a piece."""
        times, units = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        ends = np.cumsum([len(row[0]) for row in rows])
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
        with whole_file(self.folder / f"{name}.npz") as part, part.open("wb") as file:
            np.savez(file, keys=np.array(keys), ends=ends, times=times, units=units)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the folder alone: another process that wants it waits until this one ends, however it does.

        It may remove the pieces. Raises SpsnError where the folder cannot be written.
        """
        lock = self.folder / ".lock"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(held(lock))
            except OSError as error:
                raise SpsnError(
                    f"{self.folder}: cannot be written ({error.strerror}). Mend its rights, or name another."
                ) from error
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it holds pieces
                    self.folder.rmdir()

    def remove(self) -> None:
        """Remove the pieces, those of other settings too, what a killed run left of one, and the folder."""
        for path in (*self.folder.glob("*.npz"), *self.folder.glob(".*.npz.*.part")):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds what is not ours
            self.folder.rmdir()


def check_targets(paths: Iterable[Path]) -> None:
    """Raise SpsnError, before anything long is done, for files that could not be written in the end."""
    for path in paths:
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a pipe or a device"
            raise SpsnError(f"{path}: is {kind}. Move it away, or name another file.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part"):
                pass
        except OSError as error:
            raise SpsnError(
                f"{path}: cannot be written ({error.strerror}). Mend its rights, or name another file."
            ) from error


def write_together(files: Mapping[Path, SpikeFile], *, made_by: str) -> None:
    """Write spike files that appear whole, and none of them before all are written."""
    with contextlib.ExitStack() as stack:
        for path, spikes in files.items():
            write_split(stack.enter_context(whole_file(path)), spikes, made_by=made_by)


def hear_all(
    items: Sequence[Item],
    keys: Sequence[str],
    hear: Callable[[Sequence[Item]], list[Row]],
    *,
    workers: int = 1,
    kept: Kept | None = None,
    progress: Callable[[int, int], None] | None = None,
    size: int = PIECE,
) -> list[Row]:
    """Return `hear`'s row of each item, in their order, whatever is kept already, by `workers` processes.

    `hear` takes up to `size` items, and must be fit to be sent to other processes where there are several.
    `progress(done, total)` counts items. Raises what `hear` raises; what was heard by then is kept. Raises
    SpsnError for fewer than one process, and where one of them is killed.
    """
    if workers < 1:
        raise SpsnError(
            f"workers is {workers}: there must be at least one process to hear. Set it to 1 or more."
        )
    rows = kept.rows(set(keys)) if kept else {}
    missing = [i for i, key in enumerate(keys) if key not in rows]
    if progress:
        progress(len(rows), len(keys))
    pieces = [missing[at : at + size] for at in range(0, len(missing), size)]
    for piece, heard in _heard(pieces, items, hear, workers):
        piece_keys = [keys[i] for i in piece]
        if kept:
            kept.keep(piece_keys, heard)
        rows |= zip(piece_keys, heard, strict=True)
        if progress:
            progress(len(rows), len(keys))
    return [rows[key] for key in keys]


def _heard(pieces, items, hear, workers: int) -> Iterator[tuple[list[int], list[Row]]]:
    """Yield pieces with their rows, as they are done."""
    if workers <= 1 or not pieces:
        yield from ((piece, hear([items[i] for i in piece])) for piece in pieces)
        return
    # spawned, not forked: the caller may already run threads of torch or numba
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(pieces)), context, _start_worker)
    try:
        with _one_thread_each():
            running = {pool.submit(hear, [items[i] for i in piece]): piece for piece in pieces}
        for done in as_completed(running):
            yield running.pop(done), done.result()
    except BrokenProcessPool as error:
        raise SpsnError(
            "a process that heard sounds was killed, perhaps for want of memory. What was heard is kept: run "
            "this again, with fewer workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile work with one thread each: there are as many as cores."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Leave an interruption to the parent, and end when it is killed; this would wait for ever otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
