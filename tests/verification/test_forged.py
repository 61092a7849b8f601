"""`spsn verify` on folders whose maker wrote new digests too: what else does not fit is found anyway."""

import json
from collections.abc import Callable
from pathlib import Path

import crafted_folder
import crafted_results as crafted
import pytest

from spsn.files import write_json, write_text
from spsn.replication.digests import write_checksums
from spsn.replication.typesetting import REPORT
from spsn.verification.folder import LARGEST_FILE, LARGEST_JSON, LARGEST_TABLE, LONGEST_LINE
from spsn.verification.verify import verify

PAPER = crafted_folder.PAPER
RECORD = "runs/accuracy/lif/basic/seed0.json"
WEIGHTS = "runs/accuracy/lif/basic/seed0.safetensors"
SAMPLES = "data/samples.csv"


def forged(folder: Path, name: str, change: Callable[[dict], object]) -> list[str]:
    """What is found after a change of a JSON file and of all digests."""
    content = json.loads((folder / name).read_text())
    change(content)
    write_json(folder / name, content)
    crafted_folder.renew(folder)
    return verify(folder, PAPER).lines


def test_a_provenance_without_digests_is_found(folder: Path) -> None:
    crafted.change_json(folder / "provenance.json", files={})
    write_checksums(folder / "report/report.pdf", (folder / REPORT.macros, folder / REPORT.provenance))
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("provenance.json: has no digests of files")


@pytest.mark.parametrize(
    ("seeds", "thresholds", "reason"),
    [(10**12, 1, "at most 10000"), (10_000, 1000, "asks for 20000")],
)
def test_settings_of_more_runs_than_anyone_trains_are_refused(
    seeds: int, thresholds: int, reason: str, folder: Path
) -> None:
    content = json.loads((folder / "settings.json").read_text())
    content["experiments"]["regularization"] |= {
        "seeds": seeds,
        "thresholds": [0.1 + i for i in range(thresholds)],
    }
    write_json(folder / "settings.json", content)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("settings.json: ") and reason in line


def of_result(**values):
    return lambda record: record["result"].update(values)


def of_settings(**values):
    return lambda record: record["settings"].update(values)


def trained_once(record: dict) -> None:
    record["settings"]["epochs"] = 1
    record["result"] |= {"train_loss": [1.0], "train_accuracy": [0.8]}


def one_more_right(record: dict) -> None:
    predictions = record["result"]["predictions"]
    predictions[-1] = (predictions[-1] - 1) % 20


def known_speaker(record: dict) -> None:
    record["result"]["speakers"]["4"]["in_training"] = True


RECORDS = {
    "accuracy": (of_result(test_accuracy=0.99), "test_accuracy 0.99, expected 124 of 200"),
    "more hits than samples": (of_result(test_hits=300, test_accuracy=1.5), "expected 300 of 200"),
    "fewer predictions": (of_result(predictions=[0]), "1 predictions, expected 200"),
    "hits": (of_result(test_hits=190, test_accuracy=0.95), "test_hits 190, expected 124, so many"),
    "predictions": (one_more_right, "test_hits 124, expected 125, so many predictions are right"),
    "speakers": (known_speaker, "hits of its speakers are not those of its predictions"),
    "no speakers": (of_result(speakers={}), "hits of its speakers are not those of its predictions"),
    "losses": (of_result(train_loss=[1.0]), "losses of 1 epochs, expected 40"),
    "layers": (of_result(spikes_per_ms=[4.0] * 7), "spike rates of 7 layers, expected 3"),
    "epochs": (trained_once, "epochs 1, expected 40 (settings.json)"),
    "neurons": (of_settings(hidden_size=4096), "hidden_size 4096, expected 128 (settings.json)"),
    "data": (of_settings(dataset="shd"), "dataset 'shd', expected 'synthetic-digits' (settings.json)"),
    "classes": (of_settings(classes=2), "2 classes, expected 20 (data.json)"),
    "spikes": (of_settings(test_digest="f" * 64), "test spikes ffffffffffff..., expected eeee"),
    "seed": (of_settings(seed=1), f"is the record of {RECORD.replace('seed0', 'seed1')}"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_does_not_fit_is_one_line(name: str, folder: Path) -> None:
    change, text = RECORDS[name]
    (line,) = forged(folder, RECORD, change)
    assert line.startswith(f"{RECORD}: ") and text in line


def test_a_record_that_fits_gives_other_tables(folder: Path) -> None:
    right = {"test_hits": 190, "test_accuracy": 0.95, **crafted_folder.answers(190)}
    lines = forged(folder, RECORD, of_result(**right))
    assert "tables/runs.csv: line 1, test_accuracy: '0.62', expected '0.95'" in lines
    assert any(line.startswith("tables/table2.csv: ") for line in lines)


def test_a_forced_backend_is_that_of_the_records(tmp_path: Path) -> None:
    settings = crafted.plan("demo", execution={"threads": 1, "seeds_per_block": 3, "backend": "torch"})
    folder = crafted_folder.write(tmp_path / "demo", settings, typeset=False)
    assert verify(folder, PAPER).lines == []
    (line,) = forged(folder, RECORD, of_settings(backend="fused"))
    assert line == f"{RECORD}: backend 'fused', expected 'torch' (settings.json)"


def test_other_weights_are_found(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    crafted_folder.renew(folder)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith(f"{WEIGHTS}: digest ") and line.endswith("(its record)")


@pytest.mark.parametrize(
    "facts",
    [{"splits": {"test": {"classes": "x"}}}, {"splits": []}, {"splits": {"train": [], "test": []}}, {}],
)
def test_facts_of_the_data_that_state_nothing_are_one_line(facts: dict, folder: Path) -> None:
    write_json(folder / "data.json", facts)
    crafted_folder.renew(folder)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith("data.json: does not state samples, classes and digests")


def test_without_facts_of_the_data_hits_still_add_up(folder: Path) -> None:
    (folder / "data.json").unlink()
    assert len(verify(folder, PAPER).lines) == 1
    record = json.loads((folder / RECORD).read_text())
    record["result"]["speakers"]["0"]["hits"] += 1
    write_json(folder / RECORD, record)
    provenance = json.loads((folder / "provenance.json").read_text())
    provenance["files"] = {k: v for k, v in provenance["files"].items() if k != "data.json"}
    write_json(folder / "provenance.json", provenance)
    crafted_folder.renew(folder)
    assert f"{RECORD}: hits of its speakers do not add up to 124" in verify(folder, PAPER).lines


def test_spikes_of_a_time_step_that_nobody_described_are_found(folder: Path) -> None:
    def change(content: dict) -> None:
        content["splits"]["train"]["digest"] = {"0.002": "t" * 64}

    lines = forged(folder, "data.json", change)
    assert any(line.endswith("data.json names no train spikes in steps of 0.001 s") for line in lines)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text.rpartition("\ntest,")[0] + "\n", "199 samples of test, expected 200 (data.json)"),
        (lambda text: text.replace("label", "lable"), "cannot be read as a table of samples (KeyError"),
        (lambda text: text.replace("test,0,0,", "test,0,9,"), "do not stand in the order of their files"),
    ],
)
def test_samples_that_do_not_fit_are_one_line(change, text: str, folder: Path) -> None:
    before = (folder / SAMPLES).read_text()
    assert change(before) != before
    write_text(folder / SAMPLES, change(before))
    crafted_folder.renew(folder)
    (line,) = verify(folder, PAPER).lines
    assert line.startswith(f"{SAMPLES}: ") and text in line


LARGE = {  # bounds by what verify opens: a given table, two that it makes again, JSON, pictures, weights
    SAMPLES: LARGEST_TABLE,
    "robustness/trials.csv": LARGEST_TABLE,
    "tables/runs.csv": LARGEST_TABLE,
    RECORD: LARGEST_JSON,
    "data.json": LARGEST_JSON,
    "figures/figure2.png": LARGEST_FILE,
    WEIGHTS: LARGEST_FILE,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_file_that_is_too_large_is_one_line(name: str, folder: Path) -> None:
    """It is sparse, and takes no room on the disk."""
    with open(folder / name, "r+b") as file:
        file.truncate(LARGE[name] + 1)
    (line,) = verify(folder, PAPER).lines
    assert line == f"{name}: has {LARGE[name] + 1} bytes, and no sound file of its kind over {LARGE[name]}"


@pytest.mark.parametrize("name", [SAMPLES, "timing/epoch.csv", "tables/runs.csv"])
def test_a_table_of_endless_columns_is_one_line(name: str, folder: Path) -> None:
    lines = (folder / name).read_text().splitlines(keepends=True)
    lines[1] = "," * LONGEST_LINE + "\n"
    write_text(folder / name, "".join(lines))
    crafted_folder.renew(folder)
    (line,) = verify(folder, PAPER).lines
    assert line == f"{name}: its line 2 has over LONGEST_LINE = {LONGEST_LINE} bytes"


STATEMENTS = {
    "data": (lambda about: about["data"].update(dataset="shd"), "states other data than data.json"),
    "configuration": (lambda about: about["config"]["training"].update(epochs=1), "another configuration"),
    "no configuration": (lambda about: about.pop("config"), "another configuration"),
    "machines": (lambda about: about["training"].update(machines=[{}]), "not name all machines of its run"),
    "commits": (lambda about: about["training"].update(git_commits=[]), "not name all git commits of its"),
    "training": (lambda about: about.update(training=[]), "not name all machines"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_what_a_provenance_states_is_held_against_the_folder(name: str, folder: Path) -> None:
    change, text = STATEMENTS[name]
    (line,) = forged(folder, "provenance.json", change)
    assert line.startswith("provenance.json: ") and text in line


def test_a_provenance_that_names_strangers_is_found(folder: Path) -> None:
    (folder / "notes.txt").write_text("")
    (line,) = forged(folder, "provenance.json", lambda about: about["files"].update({"notes.txt": ""}))
    assert line == "provenance.json: names notes.txt, which is no result of these settings"


def test_an_older_package_may_have_known_fewer_settings(folder: Path) -> None:
    assert forged(folder, "provenance.json", lambda about: about["config"].pop("limit")) == []


def test_what_cannot_be_made_again_is_said_of_the_folder_itself(folder: Path) -> None:
    """Not of the temporary folder in which it was tried."""
    write_text(folder / "timing/epoch.csv", "model\nlif\n")
    crafted_folder.renew(folder)
    lines = verify(folder, PAPER).lines
    assert any(f"RecordError: {folder}/timing/epoch.csv: lacks the columns" in line for line in lines)
    assert not any("spsn-verify" in line or "results.yaml" in line for line in lines)
