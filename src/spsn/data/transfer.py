"""One try to bring the rest of a file over HTTP: which hosts may answer, what an answer means, the bytes.

A part is gone on with where the server says that the file is still the same (Range with If-Range, RFC 9110
sections 13.1.5 and 14): 206 gives the rest, 200 the whole file anew, 416 says that nothing is left. A rest
that does not fit the part throws it away. A 200 may come from anybody, say from a network that first asks for
a password: it comes beside the part, and takes its place once it has more bytes, or is whole and right. Weak
ETags name no bytes; then Last-Modified is the version, and where the server gives neither, a part is gone on
with only if a digest will judge the whole.

Redirects are followed one by one, to known hosts alone, and never from https to http.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from spsn.data.hdf5 import is_web_page
from spsn.data.part import Origin, Part
from spsn.progress import bytes_shown

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 18  # bytes
MAX_REDIRECTS = 10
CONNECT = 10.0  # seconds at most until a server takes the call; a firewall may never say no
PASSING = (408, 425, 429)  # states of a server that is busy; those from 500 on are, too


class Cut(Exception):
    """This try failed; another may go on from there."""


class Refusal(Exception):
    """No further try can help."""


@dataclass
class Transfer:
    """The way from `url` into `part`, through as many tries as it takes.

    `hosts`: whom a redirect may lead to besides the address's own host; `limit`: bytes that the file may have
    at most; `fault`: tells by its digest why a whole file is not the one that is wanted, None if it is
    (absent without a digest); `timeout`: seconds of silence.
    Afterwards `joined` says whether the part was put together from several answers, and `answered` whether
    any server said anything.
    """

    session: "requests.Session"
    url: str
    part: Part
    hosts: Collection[str] = ()
    limit: int | None = None
    fault: Callable[[Path], str | None] | None = None
    timeout: float = 30.0
    joined: bool = False
    answered: bool = False
    _ranges: bool = field(default=True, init=False)

    def go_on(self) -> None:
        """Bring what the part lacks. Raises Cut or Refusal; what came until then is in the part."""
        import requests
        from urllib3.exceptions import HTTPError

        if self._is_whole():
            self.joined = True
            return
        asked = self._first_byte()
        try:
            with self._ask(asked) as response:
                self._take(response, asked)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            final = "CERTIFICATE_VERIFY_FAILED" in str(error)
            raise (Refusal if final else Cut)(_reason(error)) from error
        except (requests.RequestException, ValueError) as error:  # an address that is none
            raise Refusal(_reason(error)) from error

    def _trusted(self) -> bool:
        """Whether the part may be taken for the beginning of what `url` gives."""
        known = self.part.origin
        return known is not None and bool(self.fault or (known.url == self.url and known.version is not None))

    def _is_whole(self) -> bool:
        """Whether nothing is left to ask for: the process that brought it was stopped just before its end."""
        return bool(self.part.size) and self._trusted() and self.part.origin.length == self.part.size

    def _first_byte(self) -> int:
        return self.part.size if self._ranges and self._trusted() else 0

    def _ask(self, first: int) -> "requests.Response":
        """The answer to a request for everything from byte `first` on, behind all redirects."""
        headers = {"Accept-Encoding": "identity"}  # the bytes as they are published, to be checked as such
        known = self.part.origin
        if first:
            headers["Range"] = f"bytes={first}-"
            if known.version and known.url == self.url:
                headers["If-Range"] = known.version
        here, patience = self.url, (min(self.timeout, CONNECT), self.timeout)
        for _ in range(MAX_REDIRECTS + 1):
            response = self.session.get(
                here, headers=headers, stream=True, allow_redirects=False, timeout=patience
            )
            self.answered = True
            if not response.is_redirect:
                return response
            there = as_asked(urljoin(here, response.headers["Location"]))
            response.close()
            check_redirect(here, there, {host_of(self.url), *self.hosts})
            here = there
        raise Refusal(f"redirects more than {MAX_REDIRECTS} times, last to {here}")

    def _take(self, response: "requests.Response", asked: int) -> None:
        """Do with an answer what its status says."""
        status = response.status_code
        if status == 200:
            self._take_whole(response, asked)
        elif status == 206 and asked:
            self._stream(response, self._joint(response, asked), self.part)
        elif status == 416 and asked:
            self._check_nothing_left(response)
        else:
            passing = status in PASSING or status >= 500
            raise (Cut if passing else Refusal)(f"{status} {response.reason}")

    def _take_whole(self, response: "requests.Response", asked: int) -> None:
        """Bring the file from its first byte, beside the part if that could have been gone on with."""
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        origin = Origin(self.url, version_of(response.headers), total)
        self._check_size(total or 0)
        if not asked:
            self.joined = False
            self.part.begin(origin)
            self._stream(response, total, self.part)
            return
        with self.part.beside() as fresh:
            if not self._stream(response, total, fresh, origin):
                self._check_smaller(fresh, origin)
                self._replace(fresh, origin)

    def _check_smaller(self, fresh: Part, origin: Origin) -> None:
        """Raise Refusal unless a whole answer of no more bytes than the part is the file that is wanted."""
        known = self.part.origin.version
        if self.fault is not None:
            reason = self.fault(fresh.path)
        elif origin.version in (None, known):
            reason = f"{fresh.size} bytes, as if they were all, where {self.part.size} had come before"
        else:  # the file has changed
            reason = None
        if reason is not None:
            raise Refusal(reason)

    def _replace(self, fresh: Part, origin: Origin) -> None:
        with fresh.path.open("rb") as file:
            if is_web_page(file.read(512)):
                raise Refusal("a web page instead of the file")
        self.joined = False
        self.part.become(fresh, origin)

    def _joint(self, response: "requests.Response", asked: int) -> int | None:
        """Check that the answer goes on where the part ends; the length of the whole file."""
        known, version = self.part.origin, version_of(response.headers)
        first, total = content_range(response.headers)
        if first != asked or (known.length is not None and total not in (None, known.length)):
            self._ranges = first == asked  # who answers another question will do so again
            self._start_anew(f"bytes from {first} of {total} instead of {asked} of {known.length}")
        if known.url == self.url and None not in (known.version, version) and known.version != version:
            self._start_anew("the rest of another version of the file")  # from a server deaf to If-Range
        total = known.length if total is None else total
        self._check_size(total or 0, self.part)
        self.joined = True
        self.part.note(Origin(self.url, version, total))
        return total

    def _check_nothing_left(self, response: "requests.Response") -> None:
        _, total = content_range(response.headers)
        if total != self.part.size or self.part.origin.length not in (None, total):
            self._start_anew(f"the server's file has {total} bytes, the part {self.part.size}")
        self.joined = True

    def _start_anew(self, reason: str) -> None:
        self.part.discard()
        raise Cut(f"{reason}; starting anew")

    def _check_size(self, size: int, of: Part | None = None) -> None:
        """Raise Refusal for a file over the limit, and throw away what has come of it."""
        if self.limit is not None and size > self.limit:
            if of is not None:
                of.discard()
            raise Refusal(f"has {size} bytes or more, over the limit of {self.limit}")

    def _stream(
        self, response: "requests.Response", total: int | None, into: Part, origin: Origin | None = None
    ) -> bool:
        """Append what comes to a part: the own one, or one of `origin` that replaces it as soon as it has
        more bytes. Whether the bytes are then in the own one.
        """
        done = into.size
        with bytes_shown(self.part.path.name.removesuffix(".part"), done, total) as tell:
            # As it comes, not block by block: else a cut or a time-out would take up to a block with it.
            while block := response.raw.read1(BLOCK, decode_content=False):
                done += len(block)
                if total is not None and done > total:
                    into.discard()
                    raise Refusal(f"sends more than the {total} bytes that it declared")
                self._check_size(done, into)
                into.append(block)
                if into is not self.part and done > self.part.size:
                    self._replace(into, origin)
                    into = self.part
                tell(len(block))
        if total is not None and done < total:
            raise Cut(f"ended after {done} of {total} bytes")
        return into is self.part


def as_asked(url: str) -> str:
    """An address as `requests` asks for it, which takes "https://a.org\\@b.org" for one of a.org, where
    urlsplit takes it for one of b.org. Raises requests.RequestException for what is none.
    """
    import requests

    return requests.Request("GET", url).prepare().url


def host_of(url: str) -> str:
    """The host's name in an address, in small letters."""
    return urlsplit(url).hostname or ""


def check_redirect(here: str, there: str, hosts: Collection[str]) -> None:
    """Raise Refusal, naming both hosts, unless a redirect leads to one of `hosts` and as safely as before."""
    if host_of(there) not in hosts:
        raise Refusal(f"{host_of(here)} redirects to {host_of(there) or there}, a host that is not known")
    schemes = urlsplit(here).scheme, urlsplit(there).scheme
    if schemes[1] not in ("https", "http") or (schemes[0] == "https" and schemes[1] != "https"):
        raise Refusal(f"{host_of(here)} redirects from {schemes[0]} to {schemes[1]} ({host_of(there)})")


def version_of(headers) -> str | None:
    """What tells one version of a file from another, byte for byte, if the server gives it."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def content_range(headers) -> tuple[int | None, int | None]:
    """First byte and length of the whole file in Content-Range; None for what it does not say."""
    found = re.fullmatch(r"\s*bytes\s+(?:(\d+)-\d+|\*)/(?:(\d+)|\*)\s*", headers.get("Content-Range", ""))
    return tuple(None if text is None else int(text) for text in found.groups()) if found else (None, None)


def _reason(error: BaseException) -> str:
    """What lies at the bottom of errors that wrap one another."""
    inner = getattr(error, "reason", None) or next(iter(error.args), None) or type(error).__name__
    return _reason(inner) if isinstance(inner, Exception) else str(inner)
