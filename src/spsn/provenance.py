"""Where a result was made: the machine, the versions of what computed it, the commit of the source.

Nothing here changes while a process runs, and nothing volatile (free memory, load, time of day, host name) is
recorded: two runs on one machine with one installation describe themselves alike.
"""

import os
import platform
import re
import shutil
import subprocess
import zlib
from collections.abc import Collection
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import spsn

PACKAGES = (
    "torch",
    "triton",
    "numpy",
    "numba",
    "h5py",
    "safetensors",
    "scipy",
    "soundfile",
    "espeakng-loader",
    "pandas",
    "matplotlib",
    "seaborn",
    "kiwisolver",
    "fonttools",
    "pillow",
    "papermill",
    "nbconvert",
    "snakemake",
    "tonic",
)
_SOURCE = Path(__file__).resolve().parent


def machine() -> dict[str, Any]:
    """Describe this machine: operating system, processor, cores this process may use, memory (bytes), GPUs.

    `gpus` lists name and memory (bytes) of every CUDA device that torch can use here, `cuda` the CUDA version
    that torch was built for (None: built without), `driver` the version of NVIDIA's kernel module, if loaded.
    """
    import torch  # takes seconds: only whoever asks for the machine waits for it

    return {
        "system": platform.system(),
        "distribution": _distribution(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": _cores(),
        "memory_bytes": _memory_bytes(),
        "gpus": _gpus(),
        "cuda": torch.version.cuda,
        "driver": _driver(),
    }


def versions() -> dict[str, str]:
    """Versions of this package, Python, zlib (pictures are packed by it) and the installed of `PACKAGES`."""
    found = {"spsn": spsn.__version__, "python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    return found | {name: version for name in PACKAGES if (version := _version(name)) is not None}


def versions_of(names: Collection[str]) -> dict[str, str]:
    """Those of `versions` that stand under one of `names`."""
    return {name: version for name, version in versions().items() if name in names}


def tex_version() -> str | None:
    """What the TeX that typesets the report calls itself; None where there is none."""
    program = next((name for name in ("pdflatex", "tectonic") if shutil.which(name)), None)
    return (_output([program, "--version"]) or "").partition("\n")[0] or None if program else None


def git_commit() -> str | None:
    """The commit that this package's source was checked out from, None where it lies outside a checkout.

    `-dirty` is added where a tracked file differs from the commit or the package holds a file unknown to git,
    and where git cannot tell: what was not compared is not called clean. A package that is merely installed
    below somebody else's repository is not part of its commit: None.
    """
    if not _git("ls-files", "--error-unmatch", "--", __file__):
        return None
    commit = _git("rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    top = _git("rev-parse", "--show-toplevel") or "."
    changed = _git("-C", top, "status", "--porcelain", "--untracked-files=no")
    unknown = _git("status", "--porcelain", "--untracked-files=all", "--", str(_SOURCE))
    return commit if changed == unknown == "" else f"{commit}-dirty"


def _git(*arguments: str) -> str | None:
    """The output of one git command in the package's folder; None where it fails or there is no git."""
    return _output(["git", "-C", str(_SOURCE), *arguments], GIT_OPTIONAL_LOCKS="0")


def _output(command: list[str], **environment: str) -> str | None:
    """What a command says, run with these variables set; None where it fails or is not there."""
    environment = {**os.environ, **environment}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=10,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _processor() -> str:
    """The processor's name: /proc/cpuinfo knows it on Linux, where `platform.processor` is mostly empty."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _driver(about: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version in the line `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  ...`."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)\s", about.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[1] if found else None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


@cache
def _gpus() -> list[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        return []
    devices = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    return [{"name": device.name, "memory_bytes": device.total_memory} for device in devices]
