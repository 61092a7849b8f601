"""The style that ruff can judge: its rules and its format, over everything that pyproject.toml leaves in."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def ruff(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ruff", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.parametrize("arguments", [("check",), ("format", "--check")], ids=" ".join)
def test_the_repository_is_clean(arguments):
    done = ruff(*arguments, "--no-cache", ".")
    assert done.returncode == 0, done.stdout


def test_sources_tests_benchmarks_and_notebooks_are_judged_and_what_is_made_is_not():
    done = ruff("check", "--show-files", "--no-cache", ".")
    files = [Path(line).relative_to(ROOT) for line in done.stdout.splitlines()]
    assert {"src", "tests", "benchmarks", "notebooks"} <= {path.parts[0] for path in files}
    assert not {"results", ".venv", ".snakemake", "data"} & {path.parts[0] for path in files}
