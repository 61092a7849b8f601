"""The workflow's ways to the data: fetched over a bad line, heard from recordings, FSDD's archive."""

import csv
import gzip
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from support import make_project, make_words, run_python, snakemake

from spsn.data.events import EventStore
from spsn.data.fsdd import fetch_fsdd, published_digests
from spsn.data.hearing import hear_collection
from spsn.data.labels import Collection, read_labels
from spsn.data.shd import SpikeFile, read_split, write_split

FULL = os.environ.get("SPSN_FULL_DIGITS")  # a folder with 10,420 synthetic digits
FSDD = os.environ.get("SPSN_FSDD")
WEIGHTS = os.environ.get("SPSN_WEIGHTS")
SHARE = 40  # every 40th recording of FSDD


@pytest.fixture
def project(tmp_path) -> Path:
    make_project(tmp_path)
    return tmp_path


def configure(project: Path, **changes) -> None:
    path = project / "tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def make_data(project: Path, *arguments: str) -> str:
    done = snakemake(project, "data", *arguments)
    assert done.returncode == 0, done.stdout + "".join(
        log.read_text() for log in project.glob("results/tiny/logs/*")
    )
    return done.stdout


def refuse(project: Path, log: str) -> str:
    """What the log of a job says that must not succeed."""
    done = snakemake(project, "data")
    assert done.returncode != 0
    return (project / "results/tiny/logs" / log).read_text()


def spikes_of(split: str, tmp_path: Path) -> bytes:
    """A file in SHD's layout: small, or the synthetic digits of SHD's size where they are at hand."""
    if FULL:
        return (Path(FULL) / f"synthetic_digits_{split}.h5").read_bytes()
    write_split(tmp_path / "words.h5", make_words(40, 20, 3), made_by="spsn: words")
    return (tmp_path / "words.h5").read_bytes()


def test_from_archives_on_a_bad_line_to_event_stores(project, server, tmp_path):
    """Files under SHD's names, whose md5 the configuration gives: the line breaks, the files come whole."""
    files = {split: spikes_of(split, tmp_path) for split in ("train", "test")}
    packed = {split: gzip.compress(content, 1, mtime=0) for split, content in files.items()}
    archives = {f"shd_{split}.h5.gz": hashlib.md5(content).hexdigest() for split, content in packed.items()}
    for split, content in packed.items():
        cut = {"ranges": True, "headers": {"ETag": f'"{split}"'}, "cut": lambda size: 2 * size // 3}
        for _ in range(3):
            server.serve(f"/mirror/shd_{split}.h5.gz", content, **cut)
        server.serve(f"/mirror/shd_{split}.h5.gz", content, ranges=True, headers={"ETag": f'"{split}"'})
    configure(project, dataset="shd", shd={"sources": [f"{server.url}/mirror/"], "archives": archives})

    assert snakemake(project, "data", "-n").returncode == 0
    assert server.asked == []  # planning asks nobody
    make_data(project)
    assert server.sent < 1.1 * sum(map(len, packed.values()))  # taken up where the line broke
    for split, content in files.items():
        assert (project / f"results/data/shd/shd_{split}.h5").read_bytes() == content
    facts = json.loads((project / "results/tiny/data.json").read_text())
    assert not facts["is_shd"] and facts["dataset"] != "shd"  # other archives than SHD's
    source = facts["source"]["shd_test.h5"]
    assert source["sha256"] == facts["splits"]["test"]["sha256"] == hashlib.sha256(files["test"]).hexdigest()
    assert source["url"] == f"{server.url}/mirror/shd_test.h5.gz"
    store = EventStore.load(project / "results/tiny/events/test_2ms.safetensors")
    assert len(store) == (2264 if FULL else 40)
    asked = len(server.asked)
    assert "Nothing to be done" in make_data(project) and len(server.asked) == asked
    # where else they might come from is no reason to clear away and fetch what is there
    configure(project, data_dir="nowhere", shd={"sources": ["http://127.0.0.1:9/"], "archives": archives})
    assert "rule fetch" not in make_data(project)


def test_what_cannot_be_fetched_ends_with_words_and_nothing_else(project, server):
    configure(project, dataset="shd", shd={"sources": [f"{server.url}/"]})
    log = refuse(project, "fetch_test.log")
    assert "shd_test.h5: could not be fetched" in log and "404" in log and "data_dir" in log
    assert "Traceback" not in log
    assert not [p for p in (project / "results/data/shd").rglob("*") if p.suffix == ".h5"]


def test_a_folder_of_archives_needs_no_network(project, server, tmp_path):
    packed = {
        f"shd_{split}.h5.gz": gzip.compress(spikes_of(split, tmp_path), 1, mtime=0)
        for split in ("train", "test")
    }
    archives = {name: hashlib.md5(content).hexdigest() for name, content in packed.items()}
    (project / "my data").mkdir()
    for name, content in packed.items():
        (project / "my data" / name).write_bytes(content)
    shd = {"sources": [f"{server.url}/"], "archives": archives}
    configure(project, dataset="shd", data_dir="my data", shd=shd)
    make_data(project)
    assert server.asked == []
    facts = json.loads((project / "results/tiny/data.json").read_text())
    assert facts["source"]["shd_train.h5"]["url"].startswith("file:")


def test_another_folder_of_files_is_not_taken_for_the_one_before(project, tmp_path):
    archives = {f"shd_{split}.h5.gz": "0" * 32 for split in ("train", "test")}
    for folder, seed in (("one", 1), ("two", 2)):
        for split in ("train", "test"):
            write_split(project / folder / f"shd_{split}.h5", make_words(40, 20, seed))
    configure(project, dataset="shd", data_dir="one", shd={"archives": archives})
    make_data(project)
    configure(project, data_dir="two")
    done = snakemake(project, "data")
    assert done.returncode != 0 and "was taken from" in done.stdout and "delete it" in done.stdout
    shutil.move(project / "one", project / "gone")  # the links lead nowhere now: the others are taken
    make_data(project)
    facts = json.loads((project / "results/tiny/data.json").read_text())
    assert "/two/" in facts["source"]["shd_train.h5"]["url"]


def test_files_that_say_themselves_that_they_are_others_are_not_taken_for_shd(project):
    mine = project / "mine"
    for split in ("train", "test"):
        write_split(mine / f"shd_{split}.h5", make_words(40, 20, 3), made_by="spsn: words")
    configure(project, dataset="shd", data_dir="mine")
    log = refuse(project, "fetch_test.log")
    assert "spsn: words" in log and "Traceback" not in log


def recordings(folder: Path) -> Path:
    """Eight short sounds of two speakers, tones of 300 and 3000 Hz: `{label}_{speaker}_{take}.wav`."""
    folder.mkdir()
    time = np.arange(4000) / 16000
    for label, pitch in (("low", 300), ("high", 3000)):
        for speaker, level in (("anna", 0.3), ("ben", 0.5)):
            for take in range(2):
                wave = level * np.sin(2 * np.pi * pitch * (1 + 0.02 * take) * time)
                soundfile.write(folder / f"{label}_{speaker}_{take}.wav", wave, 16000)
    return folder


PATTERN = "{label}_{speaker}_{take}.wav"


def test_recordings_of_ones_own(project):
    """The workflow's step gives what the command gives; a table says the same as a pattern."""
    folder = recordings(project / "tones")
    rows = [
        {
            "file": path.name,
            "label": label,
            "speaker": speaker,
            "split": "test" if speaker == "ben" else "train",
        }
        for path in sorted(folder.iterdir())
        for label, speaker, _ in [path.stem.split("_")]
    ]
    with (project / "tones.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    configure(project, dataset={"audio": "tones", "labels": "tones.csv"})
    make_data(project)
    made = next((project / "results/data").glob("tones-*"))
    command = ["spsn.cli", "hear", "tones", "--labels", PATTERN, "--test-speakers", "ben", "--workers", "1"]
    done = run_python(project, *command, "--out", "own_train.h5", "own_test.h5")
    assert done.returncode == 0, done.stdout
    for split in ("train", "test"):
        assert (made / f"tones_{split}.h5").read_bytes() == (project / f"own_{split}.h5").read_bytes()
    spikes = read_split(made / "tones_test.h5")
    assert spikes.class_names == ("high", "low") and len(spikes) == 4
    facts = json.loads((project / "results/tiny/data.json").read_text())
    assert facts["source"]["tones_test.h5"]["recordings"] == 8
    assert "Nothing to be done" in make_data(project)
    soundfile.write(folder / "low_anna_0.wav", np.random.default_rng(0).normal(0, 0.1, 4000), 16000)
    assert "Nothing to be done" not in make_data(project)  # a recording was changed
    assert (made / "tones_train.h5").read_bytes() != (project / "own_train.h5").read_bytes()


def test_recordings_named_by_a_pattern(project):
    """Its braces are no wildcards of the workflow."""
    recordings(project / "tones")
    configure(project, dataset={"audio": "tones", "labels": PATTERN, "test_speakers": ["ben"], "trim": False})
    make_data(project)
    assert json.loads((project / "results/tiny/data.json").read_text())["splits"]["test"]["samples"] == 4


@pytest.fixture(scope="module")
def standing(tmp_path_factory) -> Path:
    """A project whose data were made before."""
    folder = tmp_path_factory.mktemp("standing")
    make_project(folder)
    make_data(folder)
    return folder


@pytest.mark.parametrize(
    ("dataset", "key"),
    [
        ({"train": "words_train.h5", "test": "gone.h5"}, "dataset.test is gone.h5"),
        ({"audio": "nowhere", "labels": PATTERN}, "dataset.audio is nowhere"),
        ({"audio": "src", "labels": "gone.csv"}, "dataset.labels is gone.csv"),
    ],
)
def test_what_is_given_and_not_there_is_missed_whatever_results_stand(dataset, key, standing):
    assert (standing / "results/tiny/data.json").is_file()
    configure(standing, dataset=dataset)
    done = snakemake(standing, "data")
    assert done.returncode != 0 and key in done.stdout and "Traceback" not in done.stdout


def test_recordings_without_a_test_file(project):
    recordings(project / "tones")
    configure(project, dataset={"audio": "tones", "labels": PATTERN})
    log = refuse(project, "hear.log")
    assert "test_speakers" in log.replace("-", "_") and "Traceback" not in log


def test_mappings_on_the_command_line_reach_the_end(project):
    """Their braces stand in the commands that the workflow writes."""
    report = project / "results/tiny/report/report.pdf"
    report.parent.mkdir(parents=True)
    report.write_bytes(b"%PDF")  # for the last step, which then makes Snakemake's own report, or says so
    command = ["snakemake", "--cores", "2", "data", "--configfile", "tiny.yaml"]
    dataset = '{"train": "words_test.h5", "test": "words_train.h5", "name": "turned"}'
    done = run_python(project, *command, "--config", f"dataset={dataset}")
    assert done.returncode == 0 and "NameError" not in done.stdout, done.stdout
    assert json.loads((project / "results/tiny/data.json").read_text())["dataset"] == "turned"


@pytest.mark.skipif(not WEIGHTS, reason="needs SPSN_WEIGHTS, the folder of the authors' published weights")
def test_the_authors_weights_in_the_workflow(project):
    """Words that they do not know: the check is not made, and the table says why."""
    configure(project, golden={"weights": WEIGHTS, "trials": 1})
    done = snakemake(project, "results/tiny/tables/table_golden.csv")
    assert done.returncode == 0, done.stdout
    about = json.loads((project / "results/tiny/golden/about.json").read_text())
    assert not about["made"] and "class 0" in about["reason"]
    assert "not made" in (project / "results/tiny/tables/table_golden.tex").read_text()
    assert (project / "results/tiny/events/test_1ms.safetensors").is_file()
    (project / "results/tiny/golden/weights.json").unlink()  # to try once more
    planned = snakemake(project, "-n")
    assert planned.returncode == 0 and "published_weights" in planned.stdout


@pytest.mark.skipif(not FSDD, reason="needs SPSN_FSDD, a folder with the release's archive and its spikes")
def test_fsdd_is_fetched_and_labelled_by_the_workflow(project, server):
    packed = next(Path(FSDD).glob("free-spoken-digit-dataset-*.tar.gz"))
    server.serve("/v1.tar.gz", packed.read_bytes())
    configure(project, dataset="fsdd", fsdd={"archive": f"{server.url}/v1.tar.gz"})
    done = snakemake(project, "data", "--until", "fetch_fsdd")
    assert done.returncode == 0, done.stdout
    assert len(list((project / "results/data/fsdd/recordings").glob("*.wav"))) == 3000
    planned = snakemake(project, "data", "-n", "--printshellcmds").stdout
    assert "--classes zero one two" in planned and "fetch_fsdd " not in planned


@pytest.mark.skipif(not FSDD, reason="needs SPSN_FSDD, a folder with the release's archive and its spikes")
def test_fsdd_heard_here_is_fsdd_heard_elsewhere(server, tmp_path):
    """A part of the archive, fetched, labelled and heard, against spikes that another program made of it."""
    server.serve("/v1.tar.gz", next(Path(FSDD).glob("free-spoken-digit-dataset-*.tar.gz")).read_bytes())
    fetch_fsdd(tmp_path, archive=f"{server.url}/v1.tar.gz")
    every = read_labels(tmp_path / "recordings", tmp_path / "labels.csv")
    chosen = every.recordings[::SHARE]
    assert {r.split for r in chosen} == {"train", "test"}
    part = Collection(chosen, every.class_names, every.speaker_names)
    out = {split: tmp_path / f"{split}.h5" for split in ("train", "test")}
    hear_collection(part, out, trim=False, workers=2)
    for split, path in out.items():
        theirs = read_split(Path(FSDD) / f"fsdd_{split}.h5")
        names = [r.name for r in every.recordings if r.split == split]
        rows = [names.index(r.name) for r in chosen if r.split == split]
        assert_same_law(read_split(path), theirs, rows)


def assert_same_law(ours: SpikeFile, theirs: SpikeFile, rows: list[int]) -> None:
    """Numbers of spikes within 2 % on average, histograms over channels and time correlated above 0.99."""
    pairs = [(ours.sample(i), theirs.sample(row)) for i, row in enumerate(rows)]
    assert len(ours) == len(rows) and all(len(set(s.speaker for s in pair)) == 1 for pair in pairs)
    counts = np.array([[len(s.times) for s in pair] for pair in pairs])
    assert abs(counts[:, 0].mean() / counts[:, 1].mean() - 1) < 0.02
    for values, bins in (("units", 70), ("times", 40)):
        drawn = [np.concatenate([getattr(pair[k], values) for pair in pairs]).astype(float) for k in (0, 1)]
        edges = np.linspace(0, max(map(np.max, drawn)), bins + 1)
        assert np.corrcoef(*(np.histogram(d, edges)[0] for d in drawn))[0, 1] > 0.99


def test_the_paper_on_fsdd_is_planned_without_its_recordings(project):
    shutil.copy(project / "config/fsdd.yaml", project / "tiny.yaml")
    done = snakemake(project, "-n")
    assert done.returncode == 0 and "fetch_fsdd" in done.stdout and "hear" in done.stdout, done.stdout
    assert len(published_digests()) == 3000
