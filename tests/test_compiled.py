"""Compiled code is kept where that can be, is never stale, and never in the way."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import ROOT

from spsn import compile_cache

INNER = """
from spsn.compiled import jit
from tiny.constants import FACTOR

@jit(inline="always")
def scaled(x):
    return FACTOR * x
"""
KERNEL = """
from spsn.compiled import jit
from tiny.inner import scaled

@jit
def kernel(x):
    return scaled(x) + 1
"""
MAIN = """
import json, logging, sys
logging.basicConfig(level="WARNING", format="LOG %(message)s", stream=sys.stdout)
from tiny.kernel import kernel
values = [kernel(eval(x)) for x in sys.argv[1:]]
stats = kernel.stats
print(json.dumps({"values": values, "hits": sum(stats.cache_hits.values()),
                  "misses": sum(stats.cache_misses.values()), "path": stats.cache_path}))
"""


@pytest.fixture
def package(tmp_path) -> Path:
    """A folder with a package whose kernel calls a function that names a constant of a third module."""
    folder = tmp_path / "package"
    for name, text in {
        "__init__": "", "constants": "FACTOR = 2\n", "inner": INNER, "kernel": KERNEL, "other": "X = 1\n",
        "__main__": MAIN,
    }.items():  # fmt: skip
        (folder / "tiny").mkdir(parents=True, exist_ok=True)
        (folder / "tiny" / f"{name}.py").write_text(text)
    (folder / "spsn").mkdir()
    for name in ("__init__", "compiled", "compile_cache"):  # others may change while this runs
        shutil.copy(ROOT / "src" / "spsn" / f"{name}.py", folder / "spsn")
    return folder


def start(package: Path, *arguments: str, **variables: str) -> subprocess.Popen:
    """Start the package with these environment variables alone to say where a cache may lie."""
    clean = {
        k: v
        for k, v in os.environ.items()
        if k not in ("SPSN_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tiny", *(arguments or ("1",))],
        env={**clean, "HOME": str(package.parent / "home"), **variables, "PYTHONPATH": str(package)},
        text=True,
        stdout=subprocess.PIPE,
    )


def finish(process: subprocess.Popen) -> tuple[dict, list[str]]:
    """What it printed, and its log."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    *logged, last = out.splitlines()
    return json.loads(last), [line.removeprefix("LOG ") for line in logged]


def run(package: Path, *arguments: str, **variables: str) -> tuple[dict, list[str]]:
    return finish(start(package, *arguments, **variables))


def test_a_second_process_finds_the_code(package, tmp_path):
    first, _ = run(package, SPSN_CACHE_DIR=str(tmp_path / "kept"))
    second, logged = run(package, SPSN_CACHE_DIR=str(tmp_path / "kept"))
    assert first["values"] == second["values"] == [3]
    assert (first["hits"], first["misses"]) == (0, 1) and (second["hits"], second["misses"]) == (1, 0)
    assert Path(second["path"]).parent == tmp_path / "kept" and logged == []


def test_a_changed_callee_or_constant_is_compiled_and_an_unrelated_module_is_not(package, tmp_path):
    kept = str(tmp_path / "kept")
    run(package, SPSN_CACHE_DIR=kept)
    (package / "tiny" / "other.py").write_text("X = 2\n")
    assert run(package, SPSN_CACHE_DIR=kept)[0]["hits"] == 1
    (package / "tiny" / "constants.py").write_text("FACTOR = 5\n")
    assert run(package, SPSN_CACHE_DIR=kept)[0]["values"] == [6]
    (package / "tiny" / "inner.py").write_text(INNER.replace("FACTOR * x", "FACTOR * x * x"))
    changed, _ = run(package, "3", SPSN_CACHE_DIR=kept)
    assert changed["values"] == [46] and changed["misses"] == 1
    assert len([*(tmp_path / "kept").iterdir()]) == 3


@pytest.mark.parametrize("variable", ["SPSN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_each_place_is_used_where_those_before_it_cannot_be(package, tmp_path, variable):
    order = ["SPSN_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"]
    obstacle = tmp_path / "obstacle"
    obstacle.write_text("a file, below which no folder can be")
    variables = {
        name: str(obstacle / name) for name in order[: order.index(variable)] if name != "XDG_CACHE_HOME"
    }
    found, _ = run(package, **{**variables, variable: str(tmp_path / "here")})
    inside = {"XDG_CACHE_HOME": "spsn", "HOME": ".cache/spsn"}.get(variable, "")
    assert Path(found["path"]).parent == tmp_path / "here" / inside


def test_without_a_home_the_temporary_directory_holds_a_private_folder(package, tmp_path):
    obstacle = tmp_path / "obstacle"
    obstacle.write_text("")
    places = {"HOME": str(obstacle), "XDG_CACHE_HOME": str(obstacle), "TMPDIR": str(tmp_path)}
    base = Path(run(package, **places)[0]["path"]).parent
    assert base == tmp_path / f"spsn-cache-{os.geteuid()}" and base.stat().st_mode & 0o777 == 0o700
    assert run(package, **places)[0]["hits"] == 1
    base.chmod(0o755)  # others might have put code there
    found, logged = run(package, **places)
    assert found == {"values": [3], "hits": 0, "misses": 1, "path": None}
    assert len(logged) == 1 and "SPSN_CACHE_DIR" in logged[0]


def test_a_folder_that_can_only_be_read_is_read(package, tmp_path):
    """Root writes anywhere, so a name that no file can be made under stands for missing rights."""
    kept = tmp_path / "kept"
    folder = Path(run(package, SPSN_CACHE_DIR=str(kept))[0]["path"])
    code = f"""
import sys, tempfile
def refuse(**options):
    if options.get("dir") and str(options["dir"]).startswith({str(kept)!r}):
        raise PermissionError(13, "Permission denied")
    return kept(**options)
kept, tempfile.TemporaryFile = tempfile.TemporaryFile, refuse
"""
    (package / "sitecustomize.py").write_text(code)
    found, _ = run(package, SPSN_CACHE_DIR=str(kept))
    assert found["hits"] == 1 and Path(found["path"]) == folder
    other, logged = run(package, "1.5", SPSN_CACHE_DIR=str(kept))
    assert other["values"] == [4.0] and other["misses"] == 1 and len(logged) <= 1


def test_damaged_files_are_compiled_anew_and_mended(package, tmp_path):
    kept = str(tmp_path / "kept")
    folder = Path(run(package, SPSN_CACHE_DIR=kept)[0]["path"])
    for damaged in (*folder.glob("*.nbc"), *folder.glob("*.nbi")):
        damaged.write_bytes(b"not code")
        found, logged = run(package, SPSN_CACHE_DIR=kept)
        assert found["values"] == [3] and found["misses"] == 1 and "cannot be used" in logged[0]
    assert run(package, SPSN_CACHE_DIR=kept)[0]["hits"] == 1


def test_processes_that_keep_different_forms_at_once_do_not_mix_them_up(package, tmp_path):
    kept, forms = str(tmp_path / "kept"), ["1", "1.5", "True"]
    expected = {"1": 3, "1.5": 4.0, "True": 3}
    running = {form: start(package, form, SPSN_CACHE_DIR=kept) for form in forms}
    for form, process in running.items():
        assert finish(process)[0]["values"] == [expected[form]]
    again, _ = run(package, *forms, SPSN_CACHE_DIR=kept)
    assert again["values"] == [expected[form] for form in forms] and again["hits"] == len(forms)


def test_a_folder_that_vanishes_meanwhile_is_made_again(package, tmp_path):
    kept = tmp_path / "kept"
    argument = f"__import__('shutil').rmtree({str(kept)!r}, ignore_errors=True) or 1.5"
    assert run(package, "1", argument, SPSN_CACHE_DIR=str(kept))[0]["values"] == [3, 4.0]
    assert [*kept.glob("spsn-*/*.nbc")]


def test_folders_unused_for_a_month_are_dropped(package, tmp_path):
    kept = tmp_path / "kept"
    ages = {"spsn-old": 31, "spsn-young": 29, "numbas-own": 400}
    for name, days in ages.items():
        (kept / name).mkdir(parents=True)
        (kept / name / compile_cache.USED).touch()
        then = time.time() - days * compile_cache.DAY
        os.utime(kept / name / compile_cache.USED, (then, then))
    (kept / "spsn-not-ours").mkdir()
    folder = Path(run(package, SPSN_CACHE_DIR=str(kept))[0]["path"])
    assert {path.name for path in kept.iterdir()} == {
        folder.name,
        "spsn-young",
        "numbas-own",
        "spsn-not-ours",
    }


def test_group_may_write_where_the_base_lets_it(package, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    kept.chmod(0o2775)
    folder = Path(run(package, SPSN_CACHE_DIR=str(kept))[0]["path"])
    assert folder.stat().st_mode & 0o7777 == 0o2775


def test_this_package_depends_on_what_its_compiled_modules_import():
    modules = {name for name, _ in compile_cache._compiled_sources("spsn")}
    assert {"spsn.noise", "spsn.data.batches", "spsn.data.events", "spsn.data.inner_ear_cells"} <= modules
    assert not modules & {"spsn.replication.style", "spsn.cli"}
