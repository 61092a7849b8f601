"""Leasing a device: which one, and who waits. The locks are real; what CUDA would say is put in its place,
so that a machine without a GPU can tell too, and so is what a file system says that cannot give a lock.
"""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spsn.devices import backend_for, backend_on, lease, make_deterministic
from spsn.errors import SettingsError, SpsnError
from spsn.settings import Execution

# A process that leases one of two devices, says which, and holds it until it is killed.
HOLDER = """
import sys, tempfile, time, types
import torch
tempfile.tempdir = sys.argv[1]
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 2
torch.cuda.get_device_properties = lambda index: types.SimpleNamespace(uuid=f"GPU-{index}")
torch.cuda.set_device = lambda index: None
from spsn.devices import lease
with lease("cuda") as device:
    print(device.index, flush=True)
    time.sleep(600)
"""

# Fifty jobs on eight devices: each writes down which it has been given, and that it lets go of it; the first
# three do not, they work until they are killed.
JOBS = """
import os, sys, time
from spsn.devices import one_of
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
devices = [f"GPU-{index}" for index in range(8)]
for job in range(50):
    if os.fork() == 0:
        with one_of(devices) as index:
            os.write(log, f"{index} taken {job} {os.getpid()}\\n".encode())
            time.sleep(600 if job < 3 else 0.1)
            os.write(log, f"{index} freed {job} {os.getpid()}\\n".encode())
        os._exit(0)
for job in range(50):
    os.wait()
"""


@pytest.fixture
def without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """Two devices by UUID, lock files in `tmp_path`; the list of devices that were made current."""
    current: list[int] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"GPU-{index}")
    )
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


@pytest.fixture
def hold(tmp_path):
    """Starts processes that hold a device; returns each with its device's index."""
    started = []

    def start() -> tuple[subprocess.Popen, int]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def flock_fails(monkeypatch):
    """Has every lock answered with an error; whoever then waits for a device fails the test."""

    def answer(number: int) -> None:
        def flock(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)
        monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits for a device that nobody has"))

    return answer


@pytest.fixture
def restored(monkeypatch):
    """Takes back what `make_deterministic` sets."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    filled = torch.utils.deterministic.fill_uninitialized_memory
    mode = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(mode)
    torch.utils.deterministic.fill_uninitialized_memory = filled


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.02)


def test_the_cpu_is_given_where_it_is_asked_for(two_gpus, tmp_path, caplog):
    with lease("cpu") as device:
        assert device == torch.device("cpu")
    assert not list(tmp_path.iterdir()) and not two_gpus and not caplog.records


def test_auto_without_a_gpu_is_the_cpu_and_says_so_loudly(without_cuda, caplog):
    with lease("auto") as device:
        assert device == torch.device("cpu")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.getMessage().isupper()
    assert "NO GPU" in record.getMessage() and "CPU" in record.getMessage()


def test_cuda_without_a_gpu_is_refused_with_the_way_out(without_cuda):
    with pytest.raises(SpsnError, match="execution.device.*'cuda'.*'auto' or 'cpu'"), lease("cuda"):
        pass


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_a_gpu_is_made_current_and_freed_afterwards(two_gpus, requested):
    for _ in range(2):
        with lease(requested) as device:
            assert device == torch.device("cuda", 0)
    assert two_gpus == [0, 0]


def test_a_gpu_is_freed_when_the_work_fails(two_gpus):
    with pytest.raises(ZeroDivisionError), lease("cuda"):
        1 / 0  # noqa: B018
    with lease("cuda") as device:
        assert device.index == 0


def test_two_jobs_get_two_devices_and_a_third_waits_for_the_first_that_is_freed(two_gpus, caplog):
    got, done = [], threading.Event()

    def third() -> None:
        with lease("cuda") as device:
            got.append(device.index)
            done.wait(60)

    with lease("cuda") as first:
        with lease("auto") as second:
            assert (first.index, second.index) == (0, 1)
            thread = threading.Thread(target=third)
            thread.start()
            wait_for(lambda: "waiting for one" in caplog.text)
            assert not got
        wait_for(lambda: got)
        assert got == [1]
        done.set()
        thread.join()
    assert caplog.text.count("waiting for one") == 1


def test_a_number_that_another_process_gives_the_device_does_not_matter(two_gpus, monkeypatch):
    """Under CUDA_VISIBLE_DEVICES two processes may number the same devices otherwise."""
    with lease("cuda"):
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"GPU-{1 - index}")
        )
        with lease("cuda") as device:
            assert device.index == 0  # the device that the first calls 1


def test_a_device_is_free_again_when_its_process_is_killed(two_gpus, hold):
    process, held = hold()
    assert held == 0
    with lease("cuda") as device:
        assert device.index == 1
    process.kill()
    process.wait()
    with lease("cuda") as device:
        assert device.index == 0


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_leases_nobody_out(two_gpus, tmp_path, flock_fails, caplog, number):
    flock_fails(number)
    for jobs in (1, 2):
        with lease("cuda") as device:
            assert device == torch.device("cuda", 0)
        assert len(caplog.messages) == jobs
        assert "GPU-0.lock: this file system has no locks" in caplog.text and "TMPDIR" in caplog.text


def test_a_lock_that_fails_otherwise_is_told_of_and_its_file_is_closed(two_gpus, tmp_path, flock_fails):
    flock_fails(errno.EIO)
    with pytest.raises(SpsnError, match=r"GPU-0\.lock: .*Input/output error.*TMPDIR"), lease("cuda"):
        pass
    opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert list(tmp_path.glob("*.lock")) and not [name for name in opened if name.endswith("GPU-0.lock")]


@contextmanager
def one_of_many():
    """No longer root, who may open any file."""
    before = os.geteuid()
    os.seteuid(before or 65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("reason", ["Permission denied", "Is a directory"])
def test_a_lock_file_that_cannot_be_opened_is_named(two_gpus, monkeypatch, reason):
    who = one_of_many if reason == "Permission denied" else nullcontext
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with lease("cuda"):
            (lock,) = Path(folder).iterdir()
        lock.chmod(0)
        if reason == "Is a directory":
            lock.unlink()
            lock.mkdir()
        with who(), pytest.raises(SpsnError) as caught, lease("cuda"):
            pass
    assert str(caught.value).startswith(f"{lock}: cannot be opened and locked ({reason})")


def events(log: Path) -> list[tuple[int, str, int, int]]:
    """Device, what happened to it, job and process, in order."""
    rows = (line.split() for line in log.read_text().splitlines()) if log.exists() else ()
    return [(int(device), what, int(job), int(pid)) for device, what, job, pid in rows]


def test_fifty_jobs_share_eight_devices_of_which_none_is_ever_given_twice(tmp_path):
    log, holders, most = tmp_path / "log", {}, 0
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    jobs = subprocess.Popen([sys.executable, "-c", JOBS, str(log)], env=surroundings, start_new_session=True)
    try:
        wait_for(lambda: {job for _, what, job, _ in events(log) if what == "taken"} >= {0, 1, 2})
        for device, _, job, pid in [event for event in events(log) if event[2] < 3]:
            with open(log, "a") as file:
                file.write(f"{device} freed {job} {pid}\n")
            os.kill(pid, signal.SIGKILL)
        assert jobs.wait(timeout=60) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(jobs.pid, signal.SIGKILL)
        jobs.wait()
    for device, what, job, _ in events(log):
        if what == "taken":
            assert device not in holders, f"jobs {holders[device]} and {job} have device {device}"
            holders[device] = job
        else:
            assert holders.pop(device) == job
        most = max(most, len(holders))
    assert most == 8 and not holders
    assert sorted(job for _, what, job, _ in events(log) if what == "taken") == list(range(50))


def test_sums_are_made_repeatable_on_a_gpu_and_nothing_is_set_for_a_cpu(restored):
    make_deterministic(torch.device("cpu"))
    assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    make_deterministic(torch.device("cuda", 0))
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_choice_of_cublas_workspace_is_respected(restored, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic(torch.device("cuda", 0))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("triton", [False, True])
def test_the_backend_is_the_fused_one_where_the_leased_device_has_it(monkeypatch, device, gpu, triton):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("spsn.devices.find_spec", lambda name: name if triton else None)
    expected = "torch" if gpu and device != "cpu" and not triton else "fused"
    assert backend_for(Execution(device=device)) == expected
    assert backend_for(Execution(device=device, backend="torch")) == "torch"


def test_the_fused_backend_is_refused_where_triton_is_missing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("spsn.devices.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"execution\.backend is 'fused'.*on cuda needs.*triton"):
        backend_for(Execution(backend="fused"))
    assert backend_for(Execution(backend="fused", device="cpu")) == "fused"
    assert backend_on("torch", "cuda:1") == backend_on("auto", torch.device("cuda", 1)) == "torch"
