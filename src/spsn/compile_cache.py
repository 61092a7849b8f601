"""Where compiled code lies on disk, and which sources it belongs to.

    <base>/spsn-<digest>/        code of one state of the sources

The base is the first of these that can be written: SPSN_CACHE_DIR, numba's own NUMBA_CACHE_DIR,
$XDG_CACHE_HOME/spsn or ~/.cache/spsn, and a folder in the temporary directory that is one person's alone. A
base that can only be read still serves what it holds. What lies there is run: share a base only among people
who trust one another.

The digest stands for every source that code may depend on. numba compiles what a function calls and the
constants it names into the function itself, but looks at the function's own file alone to see whether its
copy is stale; so the digest is over all modules that compile, all modules of their package that these import,
the versions of the compiler and the settings that change its output.
"""

import hashlib
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numba

log = logging.getLogger(__name__)

PREFIX = "spsn-"
DIGITS = 20  # of the digest, in a folder's name
UNUSED = 30 * 24 * 3600.0  # seconds after which a folder is dropped
DAY = 24 * 3600.0
USED = "used"  # the file in a folder whose time says when the folder was last used
COMPILERS = {"numba", "spsn.compiled"}
SETTINGS = ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "USING_SVML")
FROM = re.compile(r"^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.*)", re.MULTILINE)
IMPORT = re.compile(r"^[ \t]*import[ \t]+(.*)", re.MULTILINE)


@cache
def sources_digest(package: str) -> str | None:
    """What the compiled code of a package (its top-level name) depends on; None where no sources can be read.

    Code of another package than this one may call this one's, and depends on both.
    """
    state = hashlib.sha256(f"{numba.__version__} {version('llvmlite')}".encode())
    state.update(repr([getattr(numba.config, name, None) for name in SETTINGS]).encode())
    try:
        for name in sorted({"spsn", package}):
            for module, text in _compiled_sources(name):
                state.update(f"\n{module} {len(text)}\n".encode() + text)
    except (OSError, AttributeError, KeyError, TypeError) as error:
        log.warning("%s: its sources cannot be read (%s); what it compiles is not kept", package, error)
        return None
    return state.hexdigest()[:DIGITS]


def _compiled_sources(package: str) -> list[tuple[str, bytes]]:
    """Names and texts of a package's modules that compile, and of those they import, whatever the depth."""
    texts = _texts(package)
    imports = {module: _imported(module, text.decode(errors="replace")) for module, text in texts.items()}
    found: set[str] = set()
    waiting = [module for module, names in imports.items() if names & COMPILERS]
    while waiting:
        module = waiting.pop()
        if module in texts and module not in found:
            found.add(module)
            waiting += imports[module]
    return [(module, texts[module]) for module in sorted(found)]


def _texts(package: str) -> dict[str, bytes]:
    """The source of every module of a package by dotted name; of a module that stands alone, its own."""
    module = sys.modules[package]
    if not hasattr(module, "__path__"):
        return {package: Path(module.__file__).read_bytes()}
    texts = {}
    for folder in map(Path, module.__path__):
        for path in folder.rglob("*.py"):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            texts[".".join(parts).removesuffix(".__init__")] = path.read_bytes()
    return texts


def _imported(module: str, text: str) -> set[str]:
    """Dotted names of what a source imports; rather too many than too few."""
    found = {name for names in IMPORT.findall(text) for name in re.findall(r"[\w.]+", names)}
    parts = module.split(".")
    for source, names in FROM.findall(text):
        relative = source.startswith(".")
        bases = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)] if relative else [""]
        for base in bases:
            whole = f"{base}.{source.lstrip('.')}".strip(".")
            found |= {whole, *(f"{whole}.{name}" for name in re.findall(r"\w+", names))}
    return found


def bases() -> Iterator[tuple[str, Path]]:
    """Folders that may hold compiled code, the best first, each with where it comes from."""
    if chosen := os.environ.get("SPSN_CACHE_DIR"):
        yield "SPSN_CACHE_DIR", Path(chosen).expanduser()
    if numba.config.CACHE_DIR:
        yield "NUMBA_CACHE_DIR", Path(numba.config.CACHE_DIR)
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(xdg):  # others are invalid by the XDG specification
        yield "XDG_CACHE_HOME", Path(xdg) / "spsn"
    else:
        with suppress(RuntimeError):  # no home
            yield "the home folder", Path.home() / ".cache" / "spsn"
    with suppress(OSError):  # no temporary directory either
        yield "the temporary directory", Path(tempfile.gettempdir()) / f"spsn-cache-{os.geteuid()}"


@cache
def folders(digest: str) -> list[tuple[Path, bool]]:
    """Folders for the code of one digest, the best first, and whether each can be written; [] without any."""
    found = []
    for origin, base in bases():
        folder = base / f"{PREFIX}{digest}"
        reason = _prepare(folder, private=origin == "the temporary directory")
        if reason is None:
            found.append((folder, True))
            _drop_unused(base, keep=folder)
            break
        if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK) and origin != "the temporary directory":
            found.append((folder, False))
        elif origin.endswith("_DIR"):
            log.warning(
                "%s: %s cannot hold compiled code (%s); another folder is tried", origin, base, reason
            )
    if not any(writable for _, writable in found):
        log.warning(
            "no folder can be written that would keep compiled code; what is not kept yet is compiled in "
            "every process anew, which takes its time. Set SPSN_CACHE_DIR to a folder that can be written."
        )
    return found


def _prepare(folder: Path, *, private: bool) -> str | None:
    """Make a folder that can be written and mark it as used; why that cannot be, or None."""
    try:
        if private:
            _own(folder.parent)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            _share(folder)
        tempfile.TemporaryFile(dir=folder).close()
        _mark(folder / USED)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _own(base: Path) -> None:
    """Make a folder that nobody else can enter. Raises OSError where its name is taken otherwise."""
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    found = os.lstat(base)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{base} is not a folder of this person alone")


def _share(folder: Path) -> None:
    """Let the group write where the base lets it, whatever the umask."""
    mode = os.stat(folder.parent).st_mode
    if mode & stat.S_IWGRP:
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | (mode & (stat.S_IRWXG | stat.S_ISGID)))


def _mark(used: Path) -> None:
    """Say that a folder is in use, at most once a day."""
    if not used.exists() or time.time() - used.stat().st_mtime > DAY:
        with suppress(PermissionError):  # another person's mark, who uses it too
            used.touch()


def _drop_unused(base: Path, keep: Path) -> None:
    """Drop folders of other digests that nobody used for a month.

    Each is renamed first, so that a process never finds a part of one; whoever still had it compiles anew.
    """
    with suppress(OSError):
        for folder in base.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if folder != keep and time.time() - (folder / USED).stat().st_mtime > UNUSED:
                    gone = folder.with_name(f"{PREFIX}gone-{os.getpid()}-{time.time_ns()}")
                    folder.rename(gone)
                    shutil.rmtree(gone, ignore_errors=True)
