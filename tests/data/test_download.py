"""Downloads over lines and from servers that fail in every way, from a web server on this machine."""

import hashlib
import io
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import ROOT, environment, lacking
from web import Server

from spsn import locks, progress
from spsn.data import download as downloading
from spsn.data import part, transfer
from spsn.data.download import DownloadError, download
from spsn.data.transfer import Refusal, check_redirect, content_range, version_of
from spsn.errors import DataError

BODY = random.Random(7).randbytes(200_000)
OTHER = random.Random(8).randbytes(200_000)
ETAG = {"ETag": '"1"'}
HOW = {"timeout": 5.0, "pause": 0.0}
CODE = (
    "import sys, logging\n"
    "logging.basicConfig(level='INFO')\n"
    "from spsn.data.download import download\n"
    "from spsn.errors import DataError\n"
    "try: download(sys.argv[1], sys.argv[2], md5=sys.argv[3] or None, timeout=5, pause=0)\n"
    "except DataError as error: sys.exit(f'refused: {error}')\n"
)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "new" / "file.bin"


def bring(server, target, **how) -> None:
    download(f"{server.url}/file.bin", target, **(HOW | how))


def lies(target: Path) -> dict[str, int]:
    """Names and sizes of all that is in the target's folder."""
    return {path.name: path.stat().st_size for path in target.parent.iterdir()}


def assert_whole(target: Path, body: bytes = BODY) -> None:
    assert lies(target) == {target.name: len(body)} and target.read_bytes() == body


def leave_part(target: Path, url: str, size: int, content=BODY, version='"1"', length=200_000) -> None:
    target.parent.mkdir()
    target.with_name(f"{target.name}.part").write_bytes(content[:size])
    note = {"url": url, "version": version, "length": length}
    target.with_name(f"{target.name}.part.json").write_text(json.dumps(note))


@pytest.mark.parametrize(
    "how",
    [{}, {"declared": None}, {"chunked": True}, {"trickle": 5000}, {"headers": {"Content-Encoding": "gzip"}}],
    ids=["plain", "undeclared", "chunked", "slow", "encoded"],
)
def test_a_file_arrives_whole(how, server, target):
    server.serve("/file.bin", BODY, **how)
    bring(server, target, md5=md5(BODY), sha256=hashlib.sha256(BODY).hexdigest())
    assert_whole(target)
    assert server.asked == ["/file.bin"]
    bring(server, target, md5=md5(BODY).upper())
    assert server.asked == ["/file.bin"]  # what lies there already is not asked for again


def test_an_empty_file(server, target):
    server.serve("/file.bin", b"")
    bring(server, target)
    assert_whole(target, b"")


def test_without_a_digest_it_is_brought_anew(server, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    server.serve("/file.bin", BODY)
    bring(server, target)
    assert_whole(target)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("headers", [ETAG, {}], ids=["version", "digest alone"])
def test_a_line_that_is_cut_again_and_again(headers, reset, server, target):
    """Every answer ends at a random byte; each new request asks for exactly what is missing."""
    chance = random.Random(3)

    def cut(left: int) -> int:
        return left if left < 100 else chance.randrange(1, max(left // 4, 2))

    server.serve("/file.bin", BODY, ranges=True, cut=cut, headers=headers, reset=reset)
    bring(server, target, md5=md5(BODY), attempts=2)
    assert_whole(target)
    assert len(server.asked) > 20
    if not reset:  # a reset takes away what the receiver has not yet read
        assert server.sent == len(BODY)
    offsets = [int(r.removeprefix("bytes=").rstrip("-")) for r in server.ranges()[1:]]
    assert offsets == sorted(offsets) and offsets[0] > 0
    assert all(h.get("If-Range") == headers.get("ETag") for h in server.headers[1:])


@pytest.mark.parametrize("seed", range(3))
def test_a_line_that_is_cut_by_a_server_without_ranges(seed, server, target):
    """It starts anew every time; it goes on as long as now and then it gets further than before."""
    chance, cuts = random.Random(seed), []

    def cut(size: int) -> int:
        cuts.append(chance.randrange(size) if len(cuts) < 6 else size)
        return cuts[-1]

    server.serve("/file.bin", BODY, cut=cut, headers=ETAG)
    bring(server, target, attempts=7)
    assert_whole(target)
    assert len(server.asked) == 7


def test_without_version_or_digest_nothing_is_joined(server, target):
    server.serve("/file.bin", OTHER, ranges=True, cut=1000)
    server.serve("/file.bin", BODY, ranges=True)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == [None, None]


def test_tries_that_bring_something_do_not_count(server, target, monkeypatch):
    server.serve("/file.bin", BODY[:40], ranges=True, cut=1, headers=ETAG)
    bring(server, target, attempts=1)
    assert_whole(target, BODY[:40])
    monkeypatch.setattr(downloading, "MAX_TRIES", 9)
    with pytest.raises(DownloadError, match=r"1 bytes read, 31 more expected.*\(9 tries\); 9 bytes are kept"):
        download(f"{server.url}/file.bin", target.with_name("other"), **HOW)
    assert lies(target)["other.part"] == 9


@pytest.mark.parametrize("how", [{"stall": True}, {"drop": True}, {"status": 503}, {"status": 429}])
def test_a_server_that_fails_is_given_up_after_some_tries(how, server, target):
    server.serve("/file.bin", b"", declared=None if how.get("status") else len(BODY), **how)
    with pytest.raises(DownloadError, match=r"file\.bin: .*\(3 tries\)") as caught:
        bring(server, target, attempts=3, timeout=0.2)
    assert caught.value.answered == ("drop" not in how)
    assert len(server.asked) == 3 and not lies(target)


@pytest.mark.parametrize("failure", [{"status": 503}, {"drop": True}, {"status": 408}])
def test_down_for_the_first_two_tries(failure, server, target):
    for _ in range(2):
        server.serve("/file.bin", b"busy", **failure)
    server.serve("/file.bin", BODY)
    bring(server, target, attempts=3)
    assert_whole(target)


def test_a_server_that_comes_up_late(target, caplog):
    """Nobody listens at first; the third try finds it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server, told = [], []

    class Start(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())
            if len(told) == 2:
                server.append(Server(port))
                server[0].serve("/file.bin", BODY)

    logging.getLogger(downloading.__name__).addHandler(handler := Start())
    try:
        download(f"http://127.0.0.1:{port}/file.bin", target, **HOW)
        assert_whole(target)
        assert len(told) == 2 and all("Connection refused" in line for line in told)
    finally:
        logging.getLogger(downloading.__name__).removeHandler(handler)
        for one in server:
            one.close()


def test_pauses_grow_while_nothing_new_comes(tmp_path):
    with part.part_of(tmp_path / "file") as (own, _):
        patience = downloading._Patience(5, 1.0, own)
        pauses = []
        for new in (b"", b"", b"", b"x", b"", b""):
            own.append(new)
            patience.count(None)
            pauses.append(patience.pause_before(None))
        assert pauses == [1, 2, 4, 1, 1, 2] and not patience.is_spent(None)
        for _ in range(3):
            patience.count(None)
        assert patience.is_spent(None)
        patience.fruitless = 100
        assert patience.pause_before(None) == downloading.LONGEST_PAUSE


@pytest.mark.parametrize("status", [404, 403, 410, 204, 206, 304, 416])
def test_what_no_further_try_can_help_is_not_tried_again(status, server, target):
    server.serve("/file.bin", b"" if status in (204, 304) else b"x", status=status)
    with pytest.raises(DownloadError, match=f"file.bin: {status} ") as caught:
        bring(server, target)
    assert len(server.asked) == 1 and caught.value.answered and not lies(target)


@pytest.mark.parametrize("url", ["file.bin", "ftp://127.0.0.1/file.bin", "http://", "http://[::1/x"])
def test_addresses_that_are_none(url, target):
    with pytest.raises(DownloadError) as caught:
        download(url, target, **HOW)
    assert not caught.value.answered and not lies(target)


@pytest.mark.parametrize(
    ("body", "words"), [(OTHER, f"md5 {md5(OTHER)} instead of"), (b" <!DOCTYPE html>", "a web page")]
)
def test_a_whole_file_that_is_another_one_is_removed(body, words, server, target):
    server.serve("/file.bin", body)
    with pytest.raises(DownloadError, match=words):
        bring(server, target, md5=md5(BODY))
    assert len(server.asked) == 1 and not lies(target)


@pytest.mark.parametrize("how", [{"cut": 150_000}, {"cut": 150_000, "chunked": True, "trickle": 50_000}])
def test_a_truncated_body_that_says_so_leaves_its_part(how, server, target):
    server.serve("/file.bin", BODY, headers=ETAG, **how)
    with pytest.raises(DownloadError, match=r"150000 bytes are kept in .*file\.bin\.part"):
        bring(server, target, attempts=2)
    assert lies(target).keys() == {"file.bin.part", "file.bin.part.json"}
    assert lies(target)["file.bin.part"] == 150_000


def test_a_truncated_body_that_does_not_say_so_is_seen_by_its_digest(server, target):
    server.serve("/file.bin", BODY[:-1], declared=None)
    with pytest.raises(DownloadError, match="instead of"):
        bring(server, target, md5=md5(BODY))
    assert not lies(target)


def test_the_limit_on_the_size(server, target):
    server.serve("/file.bin", BODY)
    bring(server, target, limit=len(BODY))
    for how in ({}, {"declared": None}, {"chunked": True}):
        server.replies.clear()
        server.serve("/file.bin", BODY, **how)
        with pytest.raises(DownloadError, match="over the limit of 199999"):
            download(f"{server.url}/file.bin", target.with_name("other"), limit=len(BODY) - 1, **HOW)
        assert_whole(target)


def test_more_than_was_declared_is_refused(server, target):
    """A rest of more bytes than the file had left."""
    leave_part(target, f"{server.url}/file.bin", 100)
    headers = ETAG | {"Content-Range": f"bytes 100-{len(BODY) - 1}/{len(BODY)}"}
    server.serve("/file.bin", BODY, status=206, headers=headers)
    with pytest.raises(DownloadError, match=f"more than the {len(BODY)} bytes"):
        bring(server, target)
    assert not lies(target)


def test_a_part_of_an_earlier_process_is_gone_on_with(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.sent == 50_000
    assert server.headers[0]["Range"] == "bytes=150000-" and server.headers[0]["If-Range"] == '"1"'


@pytest.mark.parametrize("deaf", [False, True], ids=["If-Range", "deaf to If-Range"])
def test_another_version_on_the_server_starts_anew(deaf, server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000, content=OTHER, version='"0"')
    if deaf:
        span = {"Content-Range": f"bytes 150000-199999/{len(BODY)}"}
        server.serve("/file.bin", BODY[150_000:], status=206, headers=ETAG | span)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == (["bytes=150000-", None] if deaf else ["bytes=150000-"])


@pytest.mark.parametrize(
    "span", ["bytes 0-199999/200000", "bytes 150001-199999/200000", "bytes 150000-150999/151000", "", "all"]
)
def test_a_rest_that_does_not_fit_starts_anew(span, server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", OTHER[:1000], status=206, headers=ETAG | {"Content-Range": span})
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == ["bytes=150000-", None]


def test_a_server_that_answers_another_range_is_not_asked_for_one_again(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", BODY, status=206, headers={"Content-Range": "bytes 0-199999/200000"})
    server.serve("/file.bin", BODY, headers=ETAG, cut=170_000)
    server.serve("/file.bin", BODY, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == ["bytes=150000-", None, None]


PAGE = b"<html><body>Log in</body></html>"


@pytest.mark.parametrize("checked", [True, False], ids=["digest", "no digest"])
@pytest.mark.parametrize(
    ("answer", "how", "words"),
    [
        (PAGE, {}, "a web page|as if they were all"),
        (PAGE, {"declared": None}, "a web page|as if they were all"),
        (PAGE * 9000, {}, "a web page"),  # of more bytes than had come
        (PAGE, {"headers": {"ETag": '"page"'}}, "a web page"),
        (b"{}", {}, "md5|2 bytes, as if they were all"),
        (b"", {}, "md5|0 bytes, as if they were all"),
    ],
    ids=["page", "undeclared", "long page", "page of a version", "other words", "nothing"],
)
def test_another_answer_leaves_the_part_alone(answer, how, words, checked, server, target):
    """A network that asks for a password answers everything with 200; behind it the part is gone on with."""
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", answer, **how)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    digest = md5(BODY) if checked else None
    with pytest.raises(DownloadError, match=rf"({words}).*; 150000 bytes are kept"):
        bring(server, target, md5=digest)
    assert lies(target).keys() == {"file.bin.part", "file.bin.part.json"}
    assert target.with_name("file.bin.part").read_bytes() == BODY[:150_000]
    bring(server, target, md5=digest)
    assert_whole(target)
    assert server.ranges() == ["bytes=150000-"] * 2 and server.sent == len(answer) + 50_000


def test_a_whole_answer_over_the_limit_leaves_the_part_alone(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    for how in ({}, {"declared": None}):
        server.serve("/file.bin", BODY * 2, **how)
        with pytest.raises(DownloadError, match="over the limit of 150001; 150000 bytes are kept"):
            bring(server, target, limit=150_001, md5=md5(BODY))


@pytest.mark.parametrize("checked", [True, False], ids=["digest", "no digest"])
@pytest.mark.parametrize("size", [150_000, 200_000])
def test_a_server_without_ranges_sends_all_again(size, checked, server, target):
    """The file whose first bytes are there, or one that has become smaller than they are."""
    leave_part(target, f"{server.url}/file.bin", 160_000, version='"0"')
    server.serve("/file.bin", OTHER[:size], headers=ETAG)
    bring(server, target, md5=md5(OTHER[:size]) if checked else None)
    assert_whole(target, OTHER[:size])
    assert server.ranges() == ["bytes=160000-"]


def test_a_server_without_ranges_that_is_cut_earlier_leaves_the_part(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", BODY, headers=ETAG, cut=140_000)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target, attempts=2)
    assert_whole(target)
    assert server.ranges() == ["bytes=150000-"] * 2


def test_the_lock_stays_with_the_part_when_it_is_replaced(tmp_path):
    with part.part_of(tmp_path / "file") as (own, _):
        own.append(b"old")
        with own.beside() as fresh:
            fresh.append(b"fresh")
            own.become(fresh, part.Origin("here"))
        own.append(b" and new")
        code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        command = [sys.executable, "-c", code, str(own.path)]
        assert "BlockingIOError" in subprocess.run(command, capture_output=True, text=True).stderr
    assert own.path.read_bytes() == b"fresh and new"
    assert not subprocess.run(command).returncode
    assert {p.name for p in tmp_path.iterdir()} == {"file.part", "file.part.json"}


def test_what_a_killed_process_left_beside_is_removed(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    target.with_name("file.bin.part.new").write_bytes(OTHER)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)


def test_a_server_may_send_less_than_the_rest(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    span = {"Content-Range": "bytes 150000-159999/200000"}
    server.serve("/file.bin", BODY[150_000:160_000], status=206, headers=ETAG | span)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == ["bytes=150000-", "bytes=160000-"]


def test_a_part_that_is_whole_but_for_its_name(server, target):
    leave_part(target, f"{server.url}/file.bin", len(BODY))
    bring(server, target)
    assert_whole(target)
    assert not server.asked


def test_a_whole_part_of_unknown_length(server, target):
    leave_part(target, f"{server.url}/file.bin", len(BODY), length=None)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.sent == 0


@pytest.mark.parametrize("length", [None, 300_000])
def test_a_part_that_is_too_long_starts_anew(length, server, target):
    leave_part(target, f"{server.url}/file.bin", 250_000, content=BODY + BODY, length=length)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == ["bytes=250000-", None]


@pytest.mark.parametrize("size", [150_000, 200_000])
def test_a_joined_file_that_proves_wrong_is_brought_once_more(size, server, target):
    leave_part(target, f"{server.url}/file.bin", size, content=OTHER)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target, md5=md5(BODY))
    assert_whole(target)
    assert server.ranges()[-1] is None


def test_a_joined_file_that_stays_wrong_is_given_up(server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", OTHER, ranges=True, headers=ETAG)
    with pytest.raises(DownloadError, match=f"md5 {md5(OTHER)}"):
        bring(server, target, md5=md5(BODY))
    assert server.ranges() == ["bytes=150000-", None] and not lies(target)


def test_a_wrong_file_that_came_whole_is_not_brought_once_more(server, target):
    """Though it was preceded by a part."""
    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG, cut=1000)
    server.serve("/file.bin", OTHER)
    with pytest.raises(DownloadError, match=f"md5 {md5(OTHER)}"):
        bring(server, target, md5=md5(BODY))
    assert server.ranges() == ["bytes=150000-", "bytes=151000-"] and not lies(target)


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1, "version": null, "length": 3}', None])
def test_a_part_of_which_nothing_is_known_starts_anew(note, server, target):
    leave_part(target, f"{server.url}/file.bin", 150_000, content=OTHER)
    beside = target.with_name("file.bin.part.json")
    beside.unlink() if note is None else beside.write_text(note)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == [None]


@pytest.mark.parametrize("checked", [True, False], ids=["digest", "no digest"])
def test_another_address_goes_on_only_if_a_digest_judges(checked, server, target):
    leave_part(target, "http://host.invalid/file.bin", 150_000, version='"host"')
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    bring(server, target, md5=md5(BODY) if checked else None)
    assert_whole(target)
    assert server.sent == (50_000 if checked else 200_000) and "If-Range" not in server.headers[0]


def test_redirects_are_followed_to_known_hosts_alone(server, target):
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    for code, (path, leads) in zip(
        (301, 302, 307), (("/a", "/b"), ("/b", f"{elsewhere}/c"), ("/c", "file.bin")), strict=True
    ):
        server.serve(path, b"", status=code, headers={"Location": leads})
    server.serve("/file.bin", BODY)
    with pytest.raises(DownloadError, match="127.0.0.1 redirects to localhost"):
        download(f"{server.url}/a", target, **HOW)
    assert server.asked == ["/a", "/b"] and not lies(target)
    download(f"{server.url}/a", target, hosts=["localhost"], **HOW)
    assert_whole(target)
    assert server.asked[2:] == ["/a", "/b", "/c", "/file.bin"]


def test_a_redirect_is_followed_when_going_on(server, target):
    server.serve("/file.bin", b"", status=302, headers={"Location": "/there"})
    server.serve("/there", BODY, ranges=True, cut=150_000, headers=ETAG)
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == [None, None, "bytes=150000-", "bytes=150000-"]


def test_a_loop_of_redirects_ends(server, target):
    server.serve("/file.bin", b"", status=302, headers={"Location": "/file.bin"})
    with pytest.raises(DownloadError, match="more than 10 times"):
        bring(server, target)
    assert len(server.asked) == transfer.MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        ("https://a.org/x", "http://a.org/x", "a.org redirects from https to http"),
        ("https://a.org/x", "ftp://a.org/x", "from https to ftp"),
        ("http://a.org/x", "file://a.org/etc/passwd", "from http to file"),
        ("http://a.org/x", "file:///etc/passwd", "a.org redirects to file:///etc/passwd"),
        ("https://a.org/x", "https://b.org/x", "a.org redirects to b.org"),
        ("https://a.org/x", "https://a.org@b.org/x", "a.org redirects to b.org"),
        ("https://a.org/x", "https://a.org.b.org/x", "a.org redirects to a.org.b.org"),
    ],
)
def test_redirects_that_are_refused(here, there, words):
    with pytest.raises(Refusal, match=words):
        check_redirect(here, there, {"a.org"})


def test_redirects_that_are_allowed():
    for here, there in (("https://a.org", "https://A.org/y"), ("http://a.org", "https://a.org:8443/y")):
        check_redirect(here, there, {"a.org"})


def test_what_headers_say():
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert version_of({"ETag": '"x"', "Last-Modified": date}) == '"x"'
    assert version_of({"ETag": 'W/"x"', "Last-Modified": date}) == date  # a weak one names no bytes
    assert version_of({"ETag": 'W/"x"'}) is None
    assert content_range({"Content-Range": "bytes 5-9/10"}) == (5, 10)
    assert content_range({"Content-Range": "bytes 5-9/*"}) == (5, None)
    assert content_range({"Content-Range": "bytes */10"}) == (None, 10)
    assert content_range({"Content-Range": "lines 5-9/10"}) == content_range({}) == (None, None)


def test_a_log_shows_life(server, target, monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    server.serve("/file.bin", BODY, trickle=50_000)
    bring(server, target)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1 and lines[-1].startswith("file.bin: 200kB/200kB  0 s left")
    assert all(line.startswith("file.bin: ") for line in lines)


def test_a_terminal_shows_a_bar(server, target, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    leave_part(target, f"{server.url}/file.bin", 150_000)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    bring(server, target)
    first, *_, last = screen.getvalue().split("\r")[1:]
    assert first.startswith("file.bin:  75%") and last.startswith("file.bin: 100%")


def start(url: str, target: Path, digest: str = "", before: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", before + CODE, url, str(target), digest]
    return subprocess.Popen(command, env=environment(ROOT), text=True, stderr=subprocess.PIPE)


def wait_for(condition) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


def test_a_killed_process_is_gone_on_for_by_the_next(server, target):
    server.serve("/file.bin", BODY, cut=120_000, stall=True, headers=ETAG)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    first = start(f"{server.url}/file.bin", target)
    kept = target.with_name("file.bin.part")
    wait_for(lambda: kept.exists() and kept.stat().st_size == 120_000)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert lies(target).keys() == {"file.bin.part", "file.bin.part.json"}
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == [None, "bytes=120000-"] and server.sent == len(BODY)


@pytest.mark.parametrize("digest", [md5(BODY), ""], ids=["digest", "no digest"])
def test_two_processes_do_not_write_into_one_another(digest, server, target):
    """The second waits for the first, and finds the file."""
    server.serve("/file.bin", BODY, stall=True, trickle=100_000, cut=199_999, headers=ETAG)
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    url = f"{server.url}/file.bin"
    first = start(url, target, digest)
    wait_for(lambda: target.with_name("file.bin.part").exists() and server.sent == 199_999)
    second = start(url, target, digest)
    assert "another process is at work on it" in second.stderr.readline()
    server.go_on.set()
    errors = [process.communicate()[1] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], errors
    assert_whole(target)
    assert server.ranges() == [None, "bytes=199999-"]


def test_two_threads_at_once(server, target):
    server.serve("/file.bin", BODY, trickle=20_000, headers=ETAG)
    threads = [threading.Thread(target=bring, args=(server, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_whole(target)


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs /proc/locks")
def test_whoever_waited_holds_what_is_there_then(tmp_path):
    """The file that was waited for is gone when its holder lets it go."""
    path, held = tmp_path / "lock", []

    def wait() -> None:
        with locks.held(path) as (file, waited):
            held.append(waited and os.path.samestat(os.fstat(file.fileno()), path.stat()))

    with locks.held(path):
        waiter = threading.Thread(target=wait)
        waiter.start()
        wait_for(lambda: f" {path.stat().st_ino} " in blocked_locks())
        path.unlink()
    waiter.join()
    assert held == [True]


def blocked_locks() -> str:
    """Inodes of the locks that somebody waits for."""
    lines = Path("/proc/locks").read_text().splitlines()
    return "".join(f" {line.split()[6].rpartition(':')[2]} " for line in lines if " -> " in line)


def test_a_write_that_takes_only_some_bytes_is_gone_on_with(tmp_path):
    class Narrow(io.FileIO):
        def write(self, block):
            return super().write(block[:3])

    with Narrow(tmp_path / "x.part", "w") as file:
        part.Part(tmp_path / "x.part", file).append(BODY[:100])
    assert (tmp_path / "x.part").read_bytes() == BODY[:100]


def test_a_full_disk_keeps_what_came(server, target):
    """A limit on file sizes stands for the disk: writing fails at byte 65536, until there is room."""
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
    process = start(f"{server.url}/file.bin", target, before=limit)
    errors = process.communicate()[1]
    assert process.returncode == 1
    assert f"refused: {target}: cannot be written" in errors and "Make room" in errors
    assert lies(target)["file.bin.part"] == 65536
    bring(server, target)
    assert_whole(target)
    assert server.ranges() == [None, "bytes=65536-"]


@contextmanager
def mounted(folder: Path, options: str):
    """A small disk in memory, which only root can have."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        lacking("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(server, tmp_path):
    server.serve("/file.bin", BODY, ranges=True, headers=ETAG)
    with mounted(tmp_path / "disk", "size=128k") as disk:
        with pytest.raises(DataError, match="No space left.*Make room") as caught:
            bring(server, disk / "file.bin")
        assert not isinstance(caught.value, DownloadError)
        assert 0 < lies(disk / "file.bin")["file.bin.part"] <= 128 << 10
        subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
        bring(server, disk / "file.bin")
        assert_whole(disk / "file.bin")
        assert server.sent < 2 * len(BODY)


def test_a_disk_that_may_not_be_written(server, tmp_path):
    with (
        mounted(tmp_path / "disk", "ro") as disk,
        pytest.raises(DataError, match=f"{disk}/file.bin: cannot be written .*Read-only"),
    ):
        bring(server, disk / "file.bin")
    assert not server.asked


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").touch()
    for target in (tmp_path / "file" / "x", tmp_path / "file" / "deep" / "x"):
        with pytest.raises(DataError, match=f"{target}: cannot be written"):
            bring(server, target)
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and not server.asked


def test_a_file_system_without_locks(server, target, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(locks.errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", no_locks)
    server.serve("/file.bin", BODY)
    bring(server, target)
    assert_whole(target)
    assert "no locks" in caplog.text
