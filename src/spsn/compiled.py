"""Compiling Python functions to machine code (numba), once for all processes.

`jit` is numba.njit without the GIL whose results are kept in a folder that is always usable and never stale
(`compile_cache.py` says where it lies and when it counts as stale). Nothing that is wrong with that folder
stops a program: what cannot be read or kept is compiled anew.

numba's index of a function names files by number, so two processes that keep two forms of a function at once
could each call theirs number 1. A lock stands around every write therefore.
"""

import fcntl
import hashlib
import inspect
import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numba
from numba.core import caching

from spsn import compile_cache

log = logging.getLogger(__name__)

LOCK = "lock"
DIGEST_BYTES = hashlib.sha256().digest_size


def jit(function: Callable | None = None, **options: object) -> Callable:
    """Compile a function when it is first called; use as `@jit` or `@jit(fastmath=..., inline=...)`.

    `options` are those of `numba.njit`, but for `cache` and `nogil`, which are set. Threads may run the
    result side by side: it does not hold the GIL.
    """
    if function is None:
        return lambda function: jit(function, **options)
    dispatcher = numba.njit(nogil=True, **options)(function)
    package = function.__module__.partition(".")[0]
    digest = compile_cache.sources_digest(package)  # now, while the sources are still what was imported
    if digest is not None and hasattr(
        dispatcher, "_cache"
    ):  # else NUMBA_DISABLE_JIT: it is `function` itself
        dispatcher._cache = KeptCode(function, digest)
    return dispatcher


class KeptCode(caching.NullCache):
    """What numba asks for kept code of one function. No folder is looked for before the first call."""

    def __init__(self, function: Callable, digest: str):
        self._function, self._digest = function, digest
        self._opened: _Files | None = None
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        """The folder in use; None where there is none."""
        files = self._files()
        return files.cache_path if files else None

    def enable(self) -> None:
        """Use kept code again."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor keep."""
        self._enabled = False

    def flush(self) -> None:
        """Forget what is kept of this function."""
        if files := self._files():
            with suppress(OSError), _alone(files.cache_path):
                files.flush()

    def load_overload(self, sig, target_context):
        """The code kept for a signature, or None."""
        files = self._files()
        if files is None:
            return None
        try:
            found = files.load_overload(sig, target_context)
            if found is None:
                _tell(files.cache_path if files.writable else None)
            return found
        except Exception as error:  # whatever a damaged file makes unpickling or linking say
            log.warning("%s: kept code of %s cannot be used (%s)", files.cache_path, self._function, error)
            self.flush()
            return None

    def save_overload(self, sig, data) -> None:
        """Keep the code of a signature, if that can be."""
        files = self._files()
        if files is None or not files.writable:
            return
        try:
            with _alone(files.cache_path):
                files.save_overload(sig, data)
        except OSError as error:
            log.warning("%s: compiled code cannot be kept (%s)", files.cache_path, error)

    def _files(self) -> "_Files | None":
        """This function's files in the first folder that can be written or has them already."""
        if not self._enabled:
            return None
        if self._opened is None:
            for folder, writable in compile_cache.folders(self._digest):
                files = _Files(self._function, folder, self._digest, writable)
                if writable or files.exist():
                    self._opened = files
                    break
            else:
                self._enabled = False
        return self._opened


class _Place(caching._CacheLocator):
    """Tells numba the folder of a function's files, and what tells them from others there."""

    def __init__(self, function: Callable, folder: Path, digest: str):
        self._py_file = inspect.getfile(function)
        self._folder, self._digest = folder, digest
        module = hashlib.sha256(function.__module__.encode()).hexdigest()[:8]
        self._name = f"{function.__code__.co_firstlineno}-{module}"

    def ensure_cache_path(self):
        os.makedirs(self._folder, exist_ok=True)

    def get_cache_path(self):
        return str(self._folder)

    def get_source_stamp(self):
        return self._digest

    def get_disambiguator(self):
        return self._name


class _CheckedFiles(caching.IndexDataCacheFile):
    """numba's index and code, each with its SHA-256 behind it, which unpickling passes over: a flipped bit of
    machine code is otherwise run.
    """

    @contextmanager
    def _open_for_write(self, filepath):
        with super()._open_for_write(filepath) as file:
            content = io.BytesIO()
            yield content
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())

    def _load_index(self):
        _check(self._index_path)
        return super()._load_index()

    def _load_data(self, name):
        _check(self._data_path(name))
        return super()._load_data(name)


def _check(path: str) -> None:
    """Raise ValueError where a file is not what was written; one that is absent passes."""
    with suppress(FileNotFoundError):
        content = Path(path).read_bytes()
        if hashlib.sha256(content[:-DIGEST_BYTES]).digest() != content[-DIGEST_BYTES:]:
            raise ValueError(f"{path} is damaged")


class _Files(caching.FunctionCache):
    """A function's files in one folder."""

    def __init__(self, function: Callable, folder: Path, digest: str, writable: bool):
        place = _Place(function, folder, digest)

        class Implementation(caching.CompileResultCacheImpl):
            def __init__(self, function):
                self._lineno = function.__code__.co_firstlineno
                self._locator = place
                self._filename_base = self.get_filename_base(function.__qualname__, "")

        self._impl_class = Implementation
        self.writable = writable
        super().__init__(function)
        self._cache_file = _CheckedFiles(self._cache_path, self._impl.filename_base, digest)

    def exist(self) -> bool:
        """Whether anything of the function is kept there."""
        return os.path.exists(self._cache_file._index_path)


@cache
def _tell(folder: str | None) -> None:
    """Say once why the first call takes long."""
    log.info("compiling functions%s", f"; this is done once: {folder} keeps them" if folder else "")


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Hold a folder against other processes, as far as its file system has locks."""
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(os.path.join(folder, LOCK), os.O_RDONLY | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
