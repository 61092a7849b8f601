"""SIGKILL in the phases around the training: fetching, unpacking, notebooks, TeX."""

import hashlib
import io
import random
import signal
import time
import zipfile

import crafted_results as crafted
import plausible
import pytest
from disturbances import AT_EVENT, children, finish, is_alive, start, wait_until
from support import ROOT, make_words, needs_tex

from spsn.data.shd import write_split

NAME = "shd_test.h5"
ETAG = {"ETag": '"one"'}


@pytest.fixture
def archive(tmp_path) -> tuple[bytes, bytes]:
    """A spike file and the archive in which it is published."""
    write_split(tmp_path / "words.h5", make_words(60, 4, 1))
    content = (tmp_path / "words.h5").read_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(NAME, content)
    return content, out.getvalue()


def fetch(server, packed: bytes) -> tuple[str, ...]:
    """The command that fetches it."""
    md5 = hashlib.md5(packed).hexdigest()
    return ("fetch", "--out", f"data/{NAME}", "--sources", server.url, "--archives", f"{NAME}.zip={md5}")


def test_killed_again_and_again_while_fetching(server, archive, tmp_path):
    """Promised: what has come is never asked for again. Seen: killed at three random bytes, every byte was
    sent once, and the file is the published one.
    """
    content, packed = archive
    chance = random.Random(51)
    cuts = sorted(chance.sample(range(1000, len(packed)), 3))
    for begin, end in zip([0, *cuts], cuts, strict=False):
        server.serve(f"/{NAME}.zip", packed, cut=end - begin, stall=True, ranges=True, headers=ETAG)
    server.serve(f"/{NAME}.zip", packed, ranges=True, headers=ETAG)
    part = tmp_path / "data" / ".downloads" / f"{NAME}.zip.part"
    for end in cuts:
        fetching = start(tmp_path, *fetch(server, packed))
        assert wait_until(lambda end=end: part.exists() and part.stat().st_size == end)
        fetching.kill()
        assert finish(fetching)[0] == -signal.SIGKILL and not (tmp_path / "data" / NAME).exists()
    status, messages = finish(start(tmp_path, *fetch(server, packed)))
    assert status == 0, messages
    assert (tmp_path / "data" / NAME).read_bytes() == content and server.sent == len(packed)
    assert not (tmp_path / "data" / ".downloads").exists()


def test_killed_before_the_unpacked_file_gets_its_name(server, archive, tmp_path):
    """Promised: the archive is kept, the file appears whole. Seen: it was not fetched a second time."""
    content, packed = archive
    server.serve(f"/{NAME}.zip", packed, ranges=True, headers=ETAG)
    at_rename = AT_EVENT.format(event="os.rename", pattern=rf"data/{NAME}$", count=1)
    status, messages = finish(start(tmp_path, *fetch(server, packed), before=at_rename))
    assert status == -signal.SIGKILL, messages
    assert not (tmp_path / "data" / NAME).exists() and server.sent == len(packed)
    status, messages = finish(start(tmp_path, *fetch(server, packed)))
    assert status == 0, messages
    assert (tmp_path / "data" / NAME).read_bytes() == content and server.sent == len(packed)


def test_killed_in_a_notebook(tmp_path, monkeypatch):
    """Promised: tables appear whole, and no kernel is left behind. Seen: killed with its kernel at work,
    which ended too; executed again, the same bytes as undisturbed.
    """
    made = {}
    for name in ("quiet", "disturbed"):
        folder = tmp_path / name
        plausible.write(folder / "results" / "demo")
        (folder / "paper").symlink_to(ROOT / "paper")
        notebook = ROOT / "notebooks" / "table1_parameters.ipynb"
        command = ("notebook", notebook, "--results", "results/demo", "--out", "executed.ipynb")
        quiet = {"IPYTHONDIR": str(tmp_path / "ipython"), "JUPYTER_PREFER_ENV_PATH": "1"}
        if name == "disturbed":
            disturbed = start(folder, *command, **quiet)
            assert wait_until(lambda pid=disturbed.pid: children(pid, "ipykernel"))
            kernels = children(disturbed.pid, "ipykernel")
            time.sleep(random.Random(52).uniform(0, 1))
            assert any(map(is_alive, kernels))
            disturbed.kill()
            assert finish(disturbed)[0] == -signal.SIGKILL
            assert wait_until(lambda pids=kernels: not any(map(is_alive, pids)), 30), "a kernel is left"
        status, messages = finish(start(folder, *command, **quiet))
        assert status == 0, messages
        tables = [folder / "results/demo/tables" / f"table1.{ending}" for ending in ("csv", "tex")]
        made[name] = [path.read_bytes() for path in (*tables, folder / "executed.ipynb")]
        assert not list(folder.rglob("*.part"))
    assert made["disturbed"] == made["quiet"]


@needs_tex
def test_killed_in_tex(tmp_path):
    """Promised: a report appears whole or stays as it was. Seen: killed with TeX at work the old report
    stood; typeset again, the same bytes as undisturbed.
    """
    made = {}
    for name in ("quiet", "disturbed"):
        folder = crafted.write(tmp_path / name / "demo", crafted.plan("demo"))
        (tmp_path / name / "tmp").mkdir()
        pdf = folder / "report" / "report.pdf"
        where = ("--settings", folder / "settings.json", "--results", folder, "--out", pdf)
        command = ("report", *where, "--source", crafted.TEX)
        variables = {"TMPDIR": str(tmp_path / name / "tmp")}
        if name == "disturbed":
            pdf.parent.mkdir(exist_ok=True)
            pdf.write_text("old")
            disturbed = start(ROOT, *command, **variables)
            assert wait_until(lambda pid=disturbed.pid: children(pid))
            tex = children(disturbed.pid)
            time.sleep(random.Random(53).uniform(0, 0.5))
            assert any(map(is_alive, tex))
            disturbed.kill()
            assert finish(disturbed)[0] == -signal.SIGKILL and pdf.read_text() == "old"
        status, messages = finish(start(ROOT, *command, **variables))
        assert status == 0, messages
        made[name] = pdf.read_bytes()
    assert made["disturbed"] == made["quiet"] and made["quiet"].startswith(b"%PDF")
