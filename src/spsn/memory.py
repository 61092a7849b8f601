"""The memory that a measured call takes, and the exceptions by which too large a one shows.

On CUDA a peak is that of the allocator, reset before: the tensors. On a CPU it is the resident high water of
the whole process, interpreter and libraries included, reset by writing 5 to /proc/self/clear_refs (proc(5));
where that cannot be done there is no peak, rather than one of something else. Before each reset free memory
is given back, since glibc and the CUDA cache keep what they can use again.
"""

import ctypes
import gc
import re
from pathlib import Path

import torch

_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|bad_alloc|CUFFT_ALLOC_FAILED|STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation failed, on a GPU or on the CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or bool(_NO_MEMORY.search(str(error)))


def release() -> None:
    """Give back what nothing holds any more: Python's cycles, the CUDA cache, glibc's free pages."""
    gc.collect()
    _trim()


def _trim() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak(device: torch.device) -> int | None:
    """Begin a new peak; returns the bytes held now, None where peaks cannot be told."""
    _trim()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status_bytes("VmRSS")


def peak_bytes(device: torch.device) -> int | None:
    """The most bytes held since `reset_peak`: tensors on a GPU, the whole resident process on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _status_bytes("VmHWM")


def peak_after(held: int | None, device: torch.device) -> int | None:
    """`peak_bytes` where `held`, which `reset_peak` returned, says that peaks can be told; else None."""
    return None if held is None else peak_bytes(device)


def available_bytes(device: torch.device) -> int | None:
    """Memory that could still be had on a CPU, where taking more may end the process; None on a GPU."""
    if device.type == "cuda":
        return None
    free = _kilobytes("/proc/meminfo", "MemAvailable")
    limits = [n for n in (free, _control_group_room()) if n is not None]
    return min(limits, default=None)


def _control_group_room() -> int | None:
    """What a container's limit leaves (control groups, version 2); cached files give way and do not count."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        cached = re.search(r"^inactive_file (\d+)$", (group / "memory.stat").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + (int(cached[1]) if cached else 0)


def _status_bytes(key: str) -> int | None:
    return _kilobytes("/proc/self/status", key)


def _kilobytes(path: str, key: str) -> int | None:
    try:
        found = re.search(rf"^{key}:\s+(\d+) kB", Path(path).read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
