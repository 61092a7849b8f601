"""Training and evaluation need five packages alone, so that they run on a bare machine with a GPU.

A fresh interpreter refuses every module that is neither Python's, nor ours, nor one that those five require.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from packaging.requirements import Requirement

NEEDED = ("torch", "numpy", "h5py", "safetensors", "numba")
MODULES = [
    "spsn",
    "spsn.cli",
    "spsn.data.batches",
    "spsn.data.events",
    "spsn.data.fetch",
    "spsn.data.shd",
    "spsn.evaluation",
    "spsn.golden",
    "spsn.neurons",
    "spsn.network",
    "spsn.published",
    "spsn.training",
    "spsn.timing.study",
]
IMPORT_ALONE = """
import sys, json
from importlib import import_module
from importlib.abc import MetaPathFinder

modules, allowed = json.loads(sys.argv[1])
allowed = set(allowed) | sys.stdlib_module_names

class OnlyAllowed(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"{name} is not allowed here", name=name)

sys.meta_path.insert(0, OnlyAllowed())
for module in modules:
    import_module(module)
"""


def requirements(names: tuple[str, ...]) -> set[str]:
    """The distributions that are needed, in turn, by `names`, extras left out."""
    found, ahead = set(), list(names)
    while ahead:
        name = ahead.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # of another platform
            continue
        wanted = map(Requirement, lines)
        ahead += [r.name for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def import_alone(*modules: str) -> subprocess.CompletedProcess:
    needed = requirements(NEEDED)
    owners = packages_distributions()
    allowed = [m for m, d in owners.items() if {x.lower().replace("_", "-") for x in d} & needed]
    argument = json.dumps([modules, [*allowed, "spsn"]])
    return subprocess.run([sys.executable, "-c", IMPORT_ALONE, argument], capture_output=True, text=True)


def test_training_and_evaluation_need_five_packages():
    done = import_alone(*MODULES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["pandas", "scipy", "yaml", "matplotlib", "tqdm"])
def test_other_packages_are_out_of_reach(module):
    """Else the test above would say nothing."""
    done = import_alone(module)
    assert done.returncode == 1 and f"{module} is not allowed here" in done.stderr
