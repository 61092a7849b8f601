"""What `make killed-demo` compares: it finds what differs, wherever that lies, and nothing else."""

import json
import shutil
from importlib.util import module_from_spec, spec_from_file_location

import crafted_folder
import crafted_results as crafted
from support import ROOT, needs_tex

from spsn.manifest import report_files


def tool():
    """tools/killed_demo.py as a module."""
    spec = spec_from_file_location("killed_demo", ROOT / "tools/killed_demo.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_says_what_the_record_holds():
    record = json.loads((ROOT / "benchmarks/records/cpu-killed-demo.json").read_text())
    text = (ROOT / "docs/faults.md").read_text()
    assert record["different"] == [] and len(record["kills"]) >= 5
    assert f"Commit {record['git_commit'][:7]}, killed {len(record['kills'])} times" in text
    for kind, count in record["same"].items():
        assert f"| {kind} | {count} |" in text


@needs_tex
def test_a_changed_run_damaged_weights_and_a_torn_picture_are_found(tmp_path):
    settings = crafted.plan("demo")
    quiet, killed = (tmp_path / name / "results/demo" for name in ("quiet", "killed"))
    crafted_folder.write(quiet, settings, typeset=True)
    crafted_folder.copy(quiet, killed)
    for folder in ("quiet", "killed"):
        shutil.copytree(ROOT / "paper", tmp_path / folder / "paper")
    run, weights, picture = (
        "runs/accuracy/lif/basic/seed0.json",
        "runs/accuracy/spsn-sb/basic/seed0.safetensors",
        "figures/figure4.png",
    )
    record = json.loads((killed / run).read_text())
    record["result"]["train_loss"][0] += 1
    (killed / run).write_text(json.dumps(record))
    content = bytearray((killed / weights).read_bytes())
    content[-1] ^= 1
    (killed / weights).write_bytes(content)
    (killed / picture).write_bytes((killed / picture).read_bytes()[:1000])

    found = tool().compare(tmp_path / "quiet", tmp_path / "killed")

    assert {line.partition(":")[0] for line in found.different} == {run, weights, picture}
    records = sum(name.startswith("runs/") for name in report_files(settings)) // 2
    assert found.same["runs"] == found.same["weights"] == records - 1
    assert all(found.same.values()) and len(found.same) == 5
