"""The README's code runs and its commands do what it says, on the smallest configuration if that is long."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import ROOT, environment, load_config, needs_tex

from spsn.grid import blocks
from spsn.settings import from_mapping, to_mapping

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
LINES = [line for language, code in BLOCKS if language == "sh" for line in code.splitlines()]
COMMANDS = [command for line in LINES if (command := line.partition("#")[0].strip())]
MICRO = "results/micro/report/report.pdf"
OWN_DATA = "snakemake --cores all --config data_dir=/path/to/folder"
FSDD = "snakemake --cores all --configfile config/fsdd.yaml"
COMPARISON = "snakemake --cores all comparison"
# What cannot be run as it stands is run on the smallest configuration, or only looked at.
INSTEAD = {
    "make demo": "make demo CONFIG=config/micro.yaml",
    "make test": "make --dry-run test",
    "make paper": "make --dry-run paper",
    OWN_DATA: f"{OWN_DATA} --dry-run",
    FSDD: f"{FSDD} --dry-run",
    COMPARISON: f"{COMPARISON} --dry-run",
}


def run(command: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Run a command of the README in the checkout's own environment."""
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment(ROOT), text=True, timeout=1200,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def make_recordings(folder: Path) -> None:
    """What the commands for own data name: `recordings` and `words.csv`."""
    (folder / "recordings").mkdir()
    lines, time = ["file,label,split"], np.arange(3000) / 16000
    for label, pitch in (("low", 300), ("high", 2000)):
        for split in ("train", "test"):
            name = f"{label}_{split}.wav"
            soundfile.write(folder / "recordings" / name, np.sin(2 * np.pi * pitch * time), 16000)
            lines.append(f"{name},{label},{split}")
    (folder / "words.csv").write_text("\n".join(lines))


def test_the_readme_has_what_these_tests_look_for():
    assert len(PYTHON) == 1 and set(INSTEAD) <= set(COMMANDS) and len(COMMANDS) >= 6


@pytest.mark.parametrize("code", PYTHON)
def test_its_code_runs(code, tmp_path):
    (tmp_path / "example.py").write_text(code)
    done = run(f"{sys.executable} example.py", tmp_path)
    assert done.returncode == 0 and done.stdout.count("Hz; tensor(") == 3, done.stdout


@needs_tex
@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="its commands work in the checkout's .venv: run `make test`"
)
def test_its_commands_end_well(tmp_path):
    make_recordings(tmp_path)
    for command in COMMANDS:
        done = run(INSTEAD.get(command, command), tmp_path if command.startswith("spsn") else ROOT)
        assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}"
        if command == "make demo":
            assert MICRO in done.stdout and (ROOT / MICRO).read_bytes().startswith(b"%PDF")


def test_it_counts_the_networks_of_the_demo():
    runs = sum(len(block.seeds) for block in blocks(from_mapping(load_config("paper", "demo"))))
    assert f"trains {runs} small networks" in README


def test_its_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_configuration_key_is_explained():
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    mapping = to_mapping(from_mapping(load_config("paper")))

    def keys(part):
        for key, value in part.items():
            yield key
            if isinstance(value, dict) and key not in ("published", "archives"):
                yield from keys(value)

    missing = [key for key in keys(mapping) if f"`{key}" not in text and f".{key}" not in text]
    assert not missing
