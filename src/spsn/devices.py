"""Which device a job may use, and by which backend it computes there. Several jobs on one machine share its
GPUs by file locks, one a device.
"""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import torch

from spsn.errors import SettingsError, SpsnError
from spsn.locks import take_if_free
from spsn.settings import Backend, Execution

log = logging.getLogger(__name__)


@contextmanager
def lease(requested: str) -> Iterator[torch.device]:
    """Yield the device to work on: `requested` is "cpu", "cuda" or "auto" (a GPU where there is one).

    A GPU is leased alone for as long as the context lasts; where all are taken this waits. Raises `SpsnError`
    where "cuda" is asked for and there is none, and as `one_of` does.
    """
    if requested == "cpu" or not torch.cuda.is_available():
        if requested == "cuda":
            raise SpsnError(
                "execution.device is 'cuda' but no CUDA device can be used; set it to 'auto' or 'cpu'"
            )
        if requested == "auto":
            log.warning("NO GPU FOUND: WORKING ON THE CPU, WHICH IS MANY TIMES SLOWER")
        yield torch.device("cpu")
        return
    with one_of(_cuda_devices()) as index:
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


@contextmanager
def one_of(names: Sequence[str]) -> Iterator[int]:
    """Hold the first free one of several devices alone, and yield its place among them; wait while all are
    held. Who holds one lets go of it when its process ends, however that ends.

    Where the temporary folder's file system has no locks it is the first device, with a warning. Raises
    `SpsnError`, naming the lock file, where that cannot be opened or locked for another reason.
    """
    index, file = _wait_for_one_of(names)
    with file:
        yield index


def backend_for(execution: Execution) -> Backend:
    """The forms by which to compute on the device that `lease` would give.

    Raises `SettingsError` where `execution.backend` asks for forms that this device does not have.
    """
    on_gpu = execution.device != "cpu" and torch.cuda.is_available()
    return backend_on(execution.backend, "cuda" if on_gpu else "cpu")


def backend_on(wanted: str, device: torch.device | str) -> Backend:
    """What `execution.backend` means on a device: "auto" is "fused" where it can be, else "torch".

    Raises `SettingsError` for "fused" where there are none.
    """
    kind = torch.device(device).type
    if wanted == "fused" and not has_fused(device):
        raise SettingsError(
            f"configuration: execution.backend is 'fused', which on {kind} needs the package triton; install "
            "it, set execution.backend to 'auto' or 'torch', or execution.device to 'cpu'"
        )
    return ("fused" if has_fused(device) else "torch") if wanted == "auto" else wanted


def has_fused(device: torch.device | str) -> bool:
    """Whether there are fused forms for a device: always for a CPU, with Triton for a CUDA device."""
    kind = torch.device(device).type
    return kind == "cpu" or (kind == "cuda" and find_spec("triton") is not None)


def make_deterministic(device: torch.device) -> None:
    """Let a GPU add in the same order at every call; a CPU with a fixed number of threads does so anyway."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False


def _cuda_devices() -> list[str]:
    """Names of the CUDA devices in torch's order: their UUIDs, since their numbers depend on
    CUDA_VISIBLE_DEVICES.
    """
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [str(getattr(device, "uuid", index)) for index, device in enumerate(properties)]


def _wait_for_one_of(names: Sequence[str]) -> tuple[int, TextIO]:
    """The first free device's place and its locked file."""
    told = False
    while True:
        for index, name in enumerate(names):
            if file := _taken(_lock_path(name)):
                return index, file
        if not told:
            log.warning("every GPU is leased; waiting for one")
            told = True
        time.sleep(1.0)


def _taken(path: Path) -> TextIO | None:
    """A device's lock file, locked, which frees the device when it is closed; None where another job has it.

    Raises `SpsnError` where that cannot be told.
    """
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open(path, "a"))
            if not take_if_free(file, path, "let one job at a time use this GPU, or set TMPDIR elsewhere"):
                return None
        except OSError as error:
            raise SpsnError(
                f"{path}: cannot be opened and locked ({error.strerror}), so that no GPU can be leased. Have "
                "it removed while no job works, or set TMPDIR, for all jobs alike, to a folder of your own."
            ) from error
        opened.pop_all()
        return file


def _lock_path(name: str) -> Path:
    """One lock file per device and person."""
    return Path(tempfile.gettempdir()) / f"spsn-{os.getuid()}-gpu-{name}.lock"
