"""tools/setup.sh and tools/peers.sh: each installs what is missing, once, and says what it may not install.

It runs here in a folder of its own (with a space in its path), on a PATH of a few ordinary programs and of
stand-ins for what lies outside the project: apt-get, sudo, id, pip. Each stand-in notes how it was called.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "setup.sh"
PROGRAMS = (
    "bash",
    "cat",
    "cksum",
    "cut",
    "dirname",
    "du",
    "env",
    "grep",
    "mktemp",
    "mv",
    "rm",
    "tail",
    "tr",
    "uname",
)


class Machine:
    """A folder with a copy of the set-up and a PATH of its own."""

    def __init__(self, folder: Path):
        self.bin, self.project, self.log = folder / "bin", folder / "a project", folder / "calls"
        self.bin.mkdir(parents=True)
        (self.project / "tools").mkdir(parents=True)
        for script in (ROOT / "tools").glob("*.sh"):
            shutil.copy(script, self.project / "tools")
        for name in ("requirements.lock", "requirements-torch.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.project)
        for name in PROGRAMS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.program("cc")

    def program(self, name: str, body: str = "") -> None:
        """A stand-in: notes its arguments, then does what `body` says, in sh."""
        path = self.bin / name
        path.unlink(missing_ok=True)  # never through a link, to the real program
        path.write_text(f"#!/bin/sh\necho {name} \"$@\" >> '{self.log}'\n{body}\n")
        path.chmod(0o755)

    def user(self, *, root: bool) -> None:
        self.program("id", f"echo {0 if root else 1000}")
        self.program("sudo", "exit 1")

    def places(self, folders: str) -> None:
        """Where the set-up looks for daemons besides PATH, instead of this machine's own."""
        script = self.project / "tools" / "setup.sh"
        script.write_text(re.sub(r"^SBIN=.*", f"SBIN={folders}", script.read_text(), flags=re.MULTILINE))

    def calls(self, name: str) -> list[str]:
        """The arguments of each call of that stand-in, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{name} ") for line in lines if line.split()[0] == name]

    def setup(self, part: str, **variables: str) -> subprocess.CompletedProcess:
        return self.run("setup.sh", part, **variables)

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        environment = {"PATH": str(self.bin), "HOME": str(self.project), **variables}
        command = [shutil.which("bash"), self.project / "tools" / script, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def wanted_tex() -> list[str]:
    return re.search(r"TEX_PACKAGES=\((.*)\)", SCRIPT.read_text())[1].split()


def add_tex(machine: Machine) -> None:
    for name in ("latexmk", "pdflatex", "kpsewhich"):
        machine.program(name)


def test_tex_that_is_there_is_left_alone(machine):
    add_tex(machine)
    machine.program("apt-get")
    done = machine.setup("tex")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert machine.calls("apt-get") == []


def test_tex_is_installed_where_that_is_allowed(machine):
    machine.user(root=True)
    makes = "".join(
        f"printf '#!/bin/sh\\n' > '{machine.bin}/{name}'; " for name in ("latexmk", "pdflatex", "kpsewhich")
    )
    (machine.bin / "chmod").symlink_to(shutil.which("chmod"))
    machine.program(
        "apt-get",
        f"case $* in *install*) {makes} chmod +x '{machine.bin}'/*tex* '{machine.bin}'/kpse*;; esac",
    )
    done = machine.setup("tex")
    assert done.returncode == 0, done.stderr
    _, install = machine.calls("apt-get")
    assert "--no-install-recommends" in install and set(wanted_tex()) <= set(install.split())


def test_missing_tex_without_rights_names_the_packages(machine):
    machine.user(root=False)
    machine.program("apt-get")
    done = machine.setup("tex")
    assert done.returncode == 1 and machine.calls("apt-get") == []
    assert "sudo apt-get install --no-install-recommends " + " ".join(wanted_tex()) in done.stderr
    assert "latexmk" in done.stderr.split(")")[0]


def test_missing_tex_without_apt_names_the_packages(machine):
    done = machine.setup("tex")
    assert done.returncode == 1
    assert "no apt" in done.stderr and " ".join(wanted_tex()) in done.stderr


def test_a_latex_package_that_apt_does_not_bring_is_named(machine):
    machine.user(root=True)
    machine.program("apt-get")
    add_tex(machine)
    machine.program("kpsewhich", "for file; do [ $file != booktabs.sty ] || exit 1; done")
    done = machine.setup("tex")
    assert done.returncode == 1 and done.stderr.strip().endswith("booktabs.sty")


def test_a_failing_apt_shows_why_and_names_the_packages(machine):
    machine.user(root=True)
    machine.program("apt-get", "echo 'E: no network'; exit 100")
    done = machine.setup("tex")
    assert done.returncode == 1
    assert "E: no network" in done.stderr and "texlive-fonts-recommended" in done.stderr


def test_slurm_is_installed_where_it_is_missing_and_allowed_and_then_left_alone(machine):
    machine.user(root=True)
    programs = ("munged", "slurmctld", "slurmd", "sbatch")
    makes = "; ".join(f"cp '{machine.bin}/id' '{machine.bin}/{name}'" for name in programs)
    (machine.bin / "cp").symlink_to(shutil.which("cp"))
    machine.program("apt-get", f"case $* in *install*) {makes};; esac")
    machine.places("")
    for _ in range(2):
        done = machine.setup("slurm")
        assert done.returncode == 0, done.stderr
    _, install = machine.calls("apt-get")
    assert {"--no-install-recommends", "slurm-wlm", "munge"} <= set(install.split())


def test_missing_slurm_without_rights_names_the_packages(machine):
    machine.user(root=False)
    machine.program("apt-get")
    machine.places("")
    done = machine.setup("slurm")
    assert done.returncode == 1 and machine.calls("apt-get") == []
    assert "sudo apt-get install --no-install-recommends slurm-wlm munge" in done.stderr


def add_venv(machine: Machine) -> None:
    """A .venv whose pip is a stand-in."""
    venv = machine.project / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages" / "pip"
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(
        f"import sys\nopen({str(machine.log)!r}, 'a').write('pip ' + ' '.join(sys.argv[1:]) + '\\n')\n"
    )


def installed(machine: Machine) -> list[str]:
    return [call for call in machine.calls("pip") if call.startswith("install")]


def test_python_packages_are_installed_once(machine):
    add_venv(machine)
    first = machine.setup("python", TORCH="cuda")
    assert first.returncode == 0, first.stderr
    packages, torch, project = installed(machine)
    assert {"--no-deps", "--require-hashes", "requirements.lock"} <= set(packages.split())
    assert torch.endswith("-r requirements-torch.txt") and "--index-url" not in torch
    assert {"--no-deps", "--no-build-isolation", "--editable"} <= set(project.split())
    assert machine.calls("pip")[-1] == "check"

    before = machine.log.read_text()
    for again in ({"TORCH": "cuda"}, {}):  # the build of torch that is there is kept
        second = machine.setup("python", **again)
        assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert machine.log.read_text() == before

    lock = machine.project / "requirements.lock"
    lock.write_text(lock.read_text() + "\n")
    machine.setup("python")
    assert len(installed(machine)) == 6


def test_a_moved_folder_gets_a_venv_of_its_own(machine):
    add_venv(machine)
    assert machine.setup("python", TORCH="cuda").returncode == 0
    machine.project = machine.project.rename(machine.project.with_name("moved"))
    machine.program("python3", f'[ "$2" = venv ] || exec \'{sys.executable}\' "$@"')
    assert machine.setup("python").returncode == 0
    assert "-m venv --clear .venv" in machine.calls("python3")
    assert len(installed(machine)) == 6


def test_a_missing_compiler_is_named_where_one_is_needed(machine):
    add_venv(machine)
    (machine.bin / "cc").unlink()
    machine.user(root=False)
    machine.program("apt-get")
    machine.program("uname", "echo Linux riscv64")
    done = machine.setup("python", TORCH="cuda")
    assert done.returncode == 1 and installed(machine) == []
    assert "gcc libc6-dev python3." in done.stderr


def test_an_installation_that_was_broken_off_goes_on(machine):
    add_venv(machine)
    main = next((machine.project / ".venv").rglob("pip/__main__.py"))
    works = main.read_text()
    main.write_text(works + "sys.exit('--editable' in sys.argv)\n")
    assert machine.setup("python", TORCH="cuda").returncode != 0
    assert not (machine.project / ".venv" / "installed").exists()
    main.write_text(works)
    assert machine.setup("python", TORCH="cuda").returncode == 0
    assert len(installed(machine)) == 6


def test_packages_that_do_not_fit_are_an_error(machine):
    add_venv(machine)
    main = next((machine.project / ".venv").rglob("pip/__main__.py"))
    main.write_text(main.read_text() + "if 'check' in sys.argv: sys.exit(print('a needs b') or 1)\n")
    done = machine.setup("python", TORCH="cuda")
    assert done.returncode == 1 and "a needs b" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has several builds of torch")
@pytest.mark.parametrize("reached", [True, False])
def test_torch_without_a_gpu_comes_from_the_cpu_wheels_where_they_answer(machine, reached):
    add_venv(machine)
    packages = next((machine.project / ".venv").rglob("site-packages"))
    failure = "" if reached else "raise OSError"
    (packages / "requests.py").write_text(
        "class head:\n"
        f"    def __init__(self, *args, **options): {failure or 'pass'}\n"
        "    def raise_for_status(self): pass\n"
    )
    done = machine.setup("python", TORCH="cpu")
    assert done.returncode == 0, done.stderr
    torch = installed(machine)[1]
    assert ("--index-url https://download.pytorch.org/whl/cpu" in torch) == reached
    assert ("2.9 GB" in done.stderr) == (not reached)


@pytest.mark.parametrize(("build", "kept"), [("cpu", True), ("cuda", False)])
def test_a_cpu_build_that_is_there_is_replaced_only_for_a_gpu(machine, build, kept):
    add_venv(machine)
    main = next((machine.project / ".venv").rglob("pip/__main__.py"))
    pinned = (ROOT / "requirements-torch.txt").read_text().strip()
    main.write_text(main.read_text() + f"if 'list' in sys.argv: print('{pinned}+cpu')\n")
    assert machine.setup("python", TORCH=build).returncode == 0
    assert any(call.startswith("uninstall") for call in machine.calls("pip")) != kept
    assert any("requirements-torch.txt" in call for call in installed(machine)) != kept


def test_a_driver_chooses_the_build_with_cuda(machine):
    add_venv(machine)
    machine.program("nvidia-smi")
    assert machine.setup("python").returncode == 0
    assert "--index-url" not in installed(machine)[1]
    assert (machine.project / ".venv" / "installed").read_text().startswith("cuda ")


def test_no_python_that_suits_is_said(machine):
    machine.program("python3", "exit 1")
    done = machine.setup("python")
    assert done.returncode == 1 and "no Python of version 3.11" in done.stderr
    done = machine.setup("python", PYTHON="/nowhere/python3")
    assert done.returncode == 1 and "PYTHON=/nowhere/python3" in done.stderr


@pytest.mark.parametrize("root", [True, False])
def test_missing_venv_module_is_installed_or_named(machine, root):
    machine.user(root=root)
    machine.program("apt-get", "exit 100")
    machine.program("python3", f"case $2 in *ensurepip*) exit 1;; esac; exec '{sys.executable}' \"$@\"")
    done = machine.setup("python")
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert done.returncode == 1 and f"--no-install-recommends {package}" in done.stderr
    assert bool(machine.calls("apt-get")) == root


def add_peers(machine: Machine) -> None:
    """A Python whose environments have a stand-in for pip, and the list of the peers."""
    (machine.bin / "sed").symlink_to(shutil.which("sed"))
    folder = machine.project / "benchmarks"
    folder.mkdir()
    shutil.copy(ROOT / "benchmarks" / "requirements-peers.txt", folder)
    made = machine.project / ".venv-peers" / "bin"
    (machine.bin / "mkdir").symlink_to(shutil.which("mkdir"))
    (machine.bin / "cp").symlink_to(shutil.which("cp"))
    copied = f"mkdir -p '{made}'; cp '{machine.bin}/python-of-peers' '{made}/python'"
    machine.program("python3", f"case $2 in venv) {copied};; *) exec '{sys.executable}' \"$@\";; esac")
    machine.program("python-of-peers", "case $* in *sinabs*) [ ! -e broken ];; '- '*) exit 1;; esac")


def peers_installed(machine: Machine) -> list[str]:
    return [call for call in machine.calls("python-of-peers") if " install " in f" {call} "]


def test_peers_are_installed_once(machine):
    add_peers(machine)
    first = machine.run("peers.sh")
    assert first.returncode == 0, first.stderr
    torch, needed, *peers = peers_installed(machine)
    assert torch.endswith("-r requirements-torch.txt") and "--no-deps" in needed
    assert len(peers) == 4 and all("--no-build-isolation" in call for call in peers)
    assert "peers: ready: .venv-peers" in first.stderr

    second = machine.run("peers.sh")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert machine.calls("python3").count("-m venv --clear .venv-peers") == 1
    assert len(peers_installed(machine)) == 6


def test_a_peer_that_cannot_be_installed_is_named_and_tried_again(machine):
    add_peers(machine)
    (machine.project / "broken").touch()
    first = machine.run("peers.sh")
    assert first.returncode == 0 and "sinabs" in first.stderr.split("cannot be installed")[0].splitlines()[-1]
    (machine.project / "broken").unlink()
    second = machine.run("peers.sh")
    assert second.returncode == 0 and "ready: .venv-peers" in second.stderr
