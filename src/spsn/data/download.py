"""Bring a file whole and verified over a bad line, or say why not.

The bytes go into `<target>.part` (`spsn.data.part`) and only the whole file, of the right digest, becomes
`target`. A cut line is taken up where it broke, in this process or in the next one (`spsn.data.transfer`).

`requests` asks, since it hands the bytes over as they were sent (a .gz must not be decoded on the way) and
leaves redirects to the caller; `tenacity` states in one place which failures are worth another try, when, and
how often. pooch was a candidate: it knows one address and one checksum for each file, and begins anew after
every cut. httpx would do as well, but Snakemake brings requests and tenacity along anyway. They are imported
when something is downloaded, so that training needs none of them.
"""

import importlib
import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from spsn.data.hdf5 import is_web_page
from spsn.data.part import Part, keeping, part_of
from spsn.data.transfer import Cut, Refusal, Transfer
from spsn.errors import DataError
from spsn.files import digest

log = logging.getLogger(__name__)

MAX_TRIES = 1000  # for one file, however many of them brought it a little further
LONGEST_PAUSE = 30.0  # seconds


class DownloadError(DataError):
    """What stands at the other end, or the line to it, gave no good file.

    `answered`: whether any server said anything at all.
    """

    def __init__(self, message: str, *, answered: bool = True) -> None:
        super().__init__(message)
        self.answered = answered


def download(
    url: str,
    target: str | os.PathLike,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    hosts: Collection[str] = (),
    limit: int | None = None,
    timeout: float = 30.0,
    attempts: int = 5,
    pause: float = 1.0,
) -> None:
    """Bring the file at `url` whole to `target`; with `md5` or `sha256` (hex) only if its digest is that.

    A redirect may lead to the address's own host and to `hosts`. A file of more than `limit` bytes is
    refused. A server that is silent for `timeout` seconds counts as cut off. After `attempts` tries in a row
    that brought nothing new it is given up; between tries lie `pause`, 2 `pause`, 4 `pause`, ... seconds.

    A `target` of the right digest is left as it is. Without a digest it is fetched anew, unless another
    process, which was waited for, has just done so. Raises DownloadError where the file cannot be had (the
    part stays for the next try unless it proved wrong), and DataError where this machine cannot keep it.
    """
    _need_libraries()
    target = Path(target)
    digests = {name: value.lower() for name, value in (("md5", md5), ("sha256", sha256)) if value}
    with keeping(target):
        if _is_good(target, digests):
            return
        before = _identity(target)
        with part_of(target) as (part, waited):
            if waited and (_is_good(target, digests) if digests else _identity(target) != before):
                return
            fault = (lambda path: _fault(path, digests)) if digests else None
            make = _maker(url, part, hosts=hosts, limit=limit, fault=fault, timeout=timeout)
            _bring(make, _Patience(attempts, pause, part), part, target, digests)


def _maker(url: str, part: Part, **how) -> Callable[[], Transfer]:
    import requests

    return lambda: Transfer(requests.Session(), url, part, **how)


def _bring(
    make: Callable[[], Transfer], patience: "_Patience", part: Part, target: Path, digests: Mapping[str, str]
) -> None:
    """Complete the part, verify it and put it into its place; once more if it was joined and proved wrong."""
    for last in (False, True):
        transfer = make()
        with transfer.session:
            _complete(transfer, patience)
        fault = _fault(part.path, digests)
        if fault is None:
            part.finish(target)
            return
        part.discard()
        if last or not transfer.joined:
            raise DownloadError(f"{transfer.url}: {fault}")
        log.warning("%s: put together from several answers it has %s; once more", transfer.url, fault)


def _complete(transfer: Transfer, patience: "_Patience") -> None:
    import tenacity

    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Cut),
        after=patience.count,
        stop=patience.is_spent,
        wait=patience.pause_before,
        before_sleep=lambda state: _tell(transfer, state),
        reraise=True,
    )
    part = transfer.part
    try:
        policy(transfer.go_on)
    except (Cut, Refusal) as error:
        tried = f" ({patience.tries} tries)" if patience.tries > 1 else ""
        kept = f"; {part.size} bytes are kept in {part.path} for the next try" if part.size else ""
        raise DownloadError(f"{transfer.url}: {error}{tried}{kept}", answered=transfer.answered) from error


class _Patience:
    """How long a bad line is borne: tries that bring nothing new count, those that bring something do not.

    New is what goes beyond the furthest byte so far: a server that always starts anew must get further.
    """

    def __init__(self, attempts: int, pause: float, part: Part) -> None:
        self.attempts, self.pause, self.part = attempts, pause, part
        self.tries = self.fruitless = 0
        self.furthest = part.size

    def count(self, _) -> None:
        """Take note of a try that failed."""
        self.tries += 1
        self.fruitless = 0 if self.part.size > self.furthest else self.fruitless + 1
        self.furthest = max(self.furthest, self.part.size)

    def is_spent(self, _) -> bool:
        """Whether to give up."""
        return self.fruitless >= self.attempts or self.tries >= MAX_TRIES

    def pause_before(self, _) -> float:
        """Seconds until the next try."""
        return min(self.pause * 2 ** max(self.fruitless - 1, 0), LONGEST_PAUSE)


def _tell(transfer: Transfer, state) -> None:
    log.warning(
        "%s: %s; next try in %.3g s from byte %d",
        transfer.url,
        state.outcome.exception(),
        state.upcoming_sleep,
        transfer.part.size,
    )


def _need_libraries() -> None:
    try:
        for library in ("requests", "tenacity", "tqdm"):
            importlib.import_module(library)
    except ImportError as error:
        raise DataError(f"{error}. Fetching needs it: install spsn[pipeline].") from error


def _is_good(path: Path, digests: Mapping[str, str]) -> bool:
    return bool(digests) and path.is_file() and _fault(path, digests) is None


def _fault(path: Path, digests: Mapping[str, str]) -> str | None:
    """Why a whole file is not the one that is wanted; None if it is."""
    for algorithm, wanted in digests.items():
        found = digest(path, algorithm)
        if found != wanted:
            with path.open("rb") as file:
                page = is_web_page(file.read(512))
            return "a web page instead of the file" if page else f"{algorithm} {found} instead of {wanted}"
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
