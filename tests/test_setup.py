"""The set-up: pinned versions, licence, ignored files, make's targets all agree with each other.

What tools/setup.sh does is in test_setup_script.py.
"""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import spsn

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
SCRIPT = ROOT / "tools" / "setup.sh"
CUDA = re.compile(r"(nvidia|cuda|triton|torch\b)")

# What conda-forge calls otherwise than PyPI does, for such as environment.yml takes from there.
CONDA_NAMES = {"pytorch": "torch", "snakemake-minimal": "snakemake", "matplotlib-base": "matplotlib"}
TEX = {"tectonic", "texlive-core"}


def requirements(text: str) -> list[Requirement]:
    """The requirements of a file in pip's format, without hashes and comments."""
    lines = (line.split("#")[0].split("\\")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pins(found: list[Requirement]) -> dict[str, set[str]]:
    """Versions by name; Python versions may differ in them. Anything but == is an error."""
    versions: dict[str, set[str]] = {}
    for requirement in found:
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        versions.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return versions


def locked() -> dict[str, set[str]]:
    """The lock's versions, torch's among them."""
    return pins(requirements(LOCK) + requirements((ROOT / "requirements-torch.txt").read_text()))


def imported(file: Path) -> set[str]:
    """The top-level names of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def test_every_locked_package_has_a_hash():
    entries = re.split(r"\n(?=[a-z0-9])", LOCK)[1:]
    assert len(entries) == len(requirements(LOCK)) > 100
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_lock_brings_neither_torch_nor_cuda():
    """Triton is no part of CUDA: its interpreter runs the kernels of the tests on a CPU."""
    found = [name for name in pins(requirements(LOCK)) if CUDA.match(name)]
    assert found == ["triton"]


def test_direct_dependencies_are_locked_in_a_version_that_fits():
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert set(extras) == {"ear", "speech", "report", "pipeline", "cluster", "test"}
    versions = locked()
    for line in sum(extras.values(), PYPROJECT["project"]["dependencies"]):
        requirement = Requirement(line)
        for version in versions[canonicalize_name(requirement.name)]:
            assert requirement.specifier.contains(version), line


def test_every_package_that_is_imported_is_a_direct_dependency():
    project = PYPROJECT["project"]
    lines = sum(project["optional-dependencies"].values(), project["dependencies"])
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    providers = importlib.metadata.packages_distributions()
    own = {"spsn", "benchmarks"} | {file.stem for file in (ROOT / "tests").rglob("*.py")}
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for name in imported(file) - own - sys.stdlib_module_names:
            names = {canonicalize_name(provider) for provider in providers.get(name, [name])}
            assert names & declared, f"{file} imports {name}"


def test_lock_holds_what_builds_the_project_and_what_torch_needs():
    (builder,) = PYPROJECT["build-system"]["requires"]
    assert requirements(builder)[0] in requirements(LOCK)
    needed = [Requirement(line) for line in importlib.metadata.requires("torch")]
    light = [need for need in needed if not CUDA.match(need.name) and "extra" not in str(need.marker)]
    assert len(light) >= 5
    for need in light:
        for version in locked()[canonicalize_name(need.name)]:
            assert need.specifier.contains(version), need


def test_conda_environment_is_the_lock():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    through_pip = [Requirement(line) for line in dependencies[-1]["pip"]]
    assert all(str(need) in map(str, through_pip) for need in requirements(LOCK))
    versions = pins(through_pip)
    for line in dependencies[:-1]:
        name, _, version = line.partition("=")
        if name == "python":
            assert SpecifierSet(PYPROJECT["project"]["requires-python"]).contains(version)
        elif name not in {"pip"} | TEX:
            versions[CONDA_NAMES.get(name, name)] = {version}
    assert versions == locked()
    assert TEX & set(dependencies[:-1])
    assert {"torch", "snakemake", "tonic", "pandas", "seaborn", "papermill", "jupyter", "pytest"} <= set(
        versions
    )


def test_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == spsn.__version__
    assert citation["license"] == PYPROJECT["project"]["license"] == "MIT"


def test_git_ignores_what_is_made_and_nothing_that_is_written(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    made = [
        ".venv/bin/python",
        "results/demo/report/report.pdf",
        "published-weights/outputs/a.pt",
        "src/spsn.egg-info/PKG-INFO",
        ".snakemake/log",
    ]
    written = [
        "src/spsn/data/events.py",
        "results/README.md",
        "benchmarks/records/a.json",
        "config/demo.yaml",
    ]
    run = ["git", "-C", tmp_path, "check-ignore", "--", *made, *written]
    assert subprocess.run(run, capture_output=True, text=True).stdout.split() == made


def test_report_loads_only_the_latex_packages_that_the_setup_looks_for():
    looked_for = set(re.findall(r"(\w+)\.sty", SCRIPT.read_text()))
    for file in (ROOT / "paper").glob("**/*.tex"):
        for names in re.findall(
            r"^[^%\n]*\\usepackage(?:\[[^]]*\])?\{([^}]*)\}", file.read_text(), re.MULTILINE
        ):
            assert {name.strip() for name in names.split(",")} <= looked_for, file


@pytest.mark.parametrize("script", [SCRIPT, ROOT / ".ci" / "run"], ids=lambda script: script.name)
def test_scripts_can_be_run(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", ["demo", "micro"])
def test_make_demo_sets_up_and_runs_the_config(name):
    make = ["make", "--dry-run", "--no-print-directory", "demo", f"CONFIG=config/{name}.yaml"]
    steps = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert steps[1:3] == ["tools/setup.sh tex", "tools/setup.sh python"] and len(steps) == 4
    assert steps[3].endswith(f'snakemake --cores all --quiet rules --configfile "config/{name}.yaml"')


def test_make_demo_notices_a_mistyped_name_before_it_installs_anything():
    make = ["make", "--no-print-directory", "demo", "CONFIG=config/dmeo.yaml"]
    done = subprocess.run(make, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode != 0 and done.stdout.startswith(
        "CONFIG=config/dmeo.yaml is not there: name a YAML"
    )
