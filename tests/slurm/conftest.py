"""A Slurm of this machine alone while the tests last: a node with all its cores and two stand-in GPUs.

Whatever becomes of a test, the daemons end, by their process numbers: when it is over, and with the process
that started them. Slurm's programs look for their configuration in /etc/slurm, and the executor's jobs forget
SLURM_CONF; so this needs root, and keeps off a machine that has a Slurm of its own.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from support import lacking

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
ETC = Path("/etc/slurm")
MINE = "# Written by spsn's tests, which remove it again.\n"
SLURM_CONF = """
ClusterName=local
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
GresTypes=gpu
KillWait=10
MinJobAge=3600
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
NodeName=localhost CPUs={cores} RealMemory=100000 State=UNKNOWN Gres=gpu:2
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP PreemptMode=OFF
PartitionName=gpus Nodes=localhost MaxTime=INFINITE State=UP PreemptMode=OFF
PartitionName=requeued Nodes=localhost MaxTime=INFINITE State=UP PreemptMode=REQUEUE
PartitionName=cancelled Nodes=localhost MaxTime=INFINITE State=UP PreemptMode=CANCEL
PartitionName=urgent Nodes=localhost MaxTime=INFINITE State=UP PriorityTier=2
"""
GRES_CONF = """
NodeName=localhost Name=gpu File=/dev/null
NodeName=localhost Name=gpu File=/dev/zero
"""


def hindrance() -> str | None:
    """Why there can be no Slurm here, if so."""
    missing = [name for name in PROGRAMS if not find(name)]
    if missing:
        return f"needs Slurm and munge ({', '.join(missing)} not found): tools/setup.sh slurm"
    if os.geteuid() != 0:
        return "needs root, to write /etc/slurm/slurm.conf"
    for name in ("slurm.conf", "gres.conf"):
        if (ETC / name).exists() and not (ETC / name).read_text().startswith(MINE):
            return f"this machine has a Slurm of its own ({ETC / name})"
    return None


def find(program: str) -> str | None:
    """Where a program is; the daemons lie in folders that an ordinary PATH does not have."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def ends_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when the one that started it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Cluster:
    """The daemons, one after the other, and their folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="spsn-slurm-"))
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        ETC.mkdir(exist_ok=True)
        conf = SLURM_CONF.format(folder=self.folder, ports=free_ports(2), cores=os.cpu_count())
        (ETC / "slurm.conf").write_text(MINE + conf)
        (ETC / "gres.conf").write_text(MINE + GRES_CONF)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = [f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed")]
        self._daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *files)
        self._wait((self.folder / "munge.socket").exists)
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D", "-N", "localhost")
        self._wait(lambda: self.run("sinfo", "--noheader", "--format=%T") == "idle")

    def _daemon(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "w") as output:
            self.daemons.append(
                subprocess.Popen(
                    [find(name), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=ends_with_parent,  # noqa: PLW1509
                )
            )

    def _wait(self, condition) -> None:
        end = time.monotonic() + 60
        while not condition():
            if time.monotonic() > end or any(daemon.poll() is not None for daemon in self.daemons):
                logs = [path.read_text(errors="replace") for path in self.folder.glob("*.[lo]*")]
                pytest.fail("Slurm does not start:\n" + "\n".join(logs)[-5000:])
            time.sleep(0.2)

    def run(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return done.stdout.strip()

    def stop(self) -> None:
        """End the jobs, then the daemons, and leave nothing behind."""
        try:
            self.run("scancel", "--state=PENDING", "--user=root")
            self.run("scancel", "--signal=KILL", "--full", "--user=root")
            end = time.monotonic() + 20
            while self.run("squeue", "--noheader") and time.monotonic() < end:
                time.sleep(0.5)
        finally:
            for daemon in reversed(self.daemons):
                daemon.terminate()
                try:
                    daemon.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
            for name in ("slurm.conf", "gres.conf"):
                (ETC / name).unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm():
    """A Slurm that works."""
    reason = hindrance()
    if reason:
        lacking(reason)
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
