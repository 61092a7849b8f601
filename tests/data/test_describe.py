"""The facts of a data set: what data.json says, where it has it from, every sample, one raster a class."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from support import make_words

from spsn.cli import main
from spsn.data.describe import (
    RASTER_COLUMNS,
    SAMPLE_COLUMNS,
    describe,
    file_digest,
    finest,
    rasters,
    samples,
    write_rasters,
    write_samples,
)
from spsn.data.events import EventStore
from spsn.data.shd import SpikeFile, write_split
from spsn.errors import DataError
from spsn.files import write_json
from spsn.settings import DatasetFiles, Limit, to_mapping

SAMPLES = {"train": 12, "test": 8}
STEP = 0.001  # s: the finest time step; times are known to within one


@pytest.fixture
def data(tmp_path):
    """Two splits: HDF5 files, event stores in steps of 2 and 1 ms, and a source file of each."""
    files, stores, sources = {}, {}, {}
    for seed, (split, count) in enumerate(SAMPLES.items()):
        words = make_words(count, 4, seed)
        files[split] = tmp_path / f"words_{split}.h5"
        write_split(files[split], words)
        stores[split] = []
        for step in (2.0, 1.0):
            path = tmp_path / f"{split}_{step:g}ms.safetensors"
            EventStore.from_spikes(words, step).save(path)
            stores[split].append(path)
        sources[files[split].name] = tmp_path / f"words_{split}.h5.source.json"
        write_json(sources[files[split].name], {"made by": "a test", "seed": seed})
    return files, stores, sources


def test_every_split_is_described(settings, data):
    files, stores, sources = data
    facts = describe(settings, *data)
    assert set(facts) == {"dataset", "is_shd", "splits", "class_names", "source"}
    assert facts["class_names"] == [f"class {i}" for i in range(4)]
    for split, count in SAMPLES.items():
        found, words = facts["splits"][split], make_words(count, 4, list(SAMPLES).index(split))
        assert (found["file"], found["samples"], found["classes"]) == (str(files[split]), count, 4)
        assert found["speakers"] == sorted(set(words.speakers.tolist()))
        assert found["spikes_per_sample"] == pytest.approx(len(words.times) / count)
        last = [words.times[end - 1] for end in words.offsets[1:]]
        bins = [float(np.ceil(np.float16(t) / 0.001)) + 1 for t in last]  # the finest store's steps
        assert found["duration_s"] == pytest.approx(np.mean(bins) / 1000, rel=1e-6)
    assert facts["source"] == {
        "words_train.h5": {"made by": "a test", "seed": 0},
        "words_test.h5": {"made by": "a test", "seed": 1},
    }
    json.dumps(facts)  # plain numbers and lists alone


def test_statistics_are_those_of_the_samples(settings, data):
    splits = describe(settings, *data)["splits"]
    for seed, (split, count) in enumerate(SAMPLES.items()):
        words = make_words(count, 4, seed)
        spikes, found = np.diff(words.offsets), splits[split]
        assert found["spikes"]["total"] == len(words.times) == sum(spikes)
        assert found["spikes"]["mean"] == found["spikes_per_sample"]
        assert found["spikes"]["sd"] == pytest.approx(np.std(spikes, ddof=1))
        ends = [found["spikes"][name] for name in ("min", "median", "max")]
        assert ends == [min(spikes), np.median(spikes), max(spikes)]
        channels = [len(np.unique(words.sample(i).units)) for i in range(count)]
        assert found["active_channels"]["mean"] == pytest.approx(np.mean(channels))
        last = [float(words.sample(i).times.max()) for i in range(count)]
        assert found["last_spike_s"]["mean"] == pytest.approx(np.mean(last), abs=STEP)
        assert found["last_spike_s"]["max"] == pytest.approx(max(last), abs=STEP)
        assert found["samples_per_class"] == {"min": count // 4, "max": count // 4}


def test_one_silent_sample_and_a_class_without_any_can_be_described(settings, data, tmp_path):
    silent = SpikeFile.from_rows([[]], [[]], [1], [7], ["none", "one", "no other"])
    write_split(tmp_path / "silent.h5", silent)
    EventStore.from_spikes(silent, 1.0).save(tmp_path / "silent.safetensors")
    stores = {"train": [tmp_path / "silent.safetensors"]}
    found = describe(settings, {"train": tmp_path / "silent.h5"}, stores, {})["splits"]["train"]
    assert found["spikes"] == {"total": 0, "mean": 0, "sd": None, "min": 0, "median": 0, "max": 0}
    assert found["last_spike_s"] == {"mean": 0, "max": 0} and found["samples_per_class"]["min"] == 0
    (row,) = samples(finest(stores))
    assert (row["class"], row["speaker"], row["spikes"], row["duration_s"]) == ("one", 7, 0, 0)
    assert list(rasters(finest(stores)["train"])) == []


def test_every_sample_has_its_row(data):
    rows = samples(finest(data[1]))
    assert [(row["split"], row["sample"]) for row in rows] == [
        (split, i) for split, count in SAMPLES.items() for i in range(count)
    ]
    words = {split: make_words(count, 4, seed) for seed, (split, count) in enumerate(SAMPLES.items())}
    for row in rows:
        sample = words[row["split"]].sample(row["sample"])
        assert tuple(row) == SAMPLE_COLUMNS
        assert (row["label"], row["class"]) == (sample.label, f"class {sample.label}")
        assert (row["speaker"], row["spikes"]) == (sample.speaker, len(sample.times))
        assert row["active_channels"] == len(set(sample.units.tolist()))
        assert row["duration_s"] == pytest.approx(float(sample.times.max()), abs=STEP)


def test_a_limit_leaves_samples_out(data, tmp_path):
    store = EventStore.from_spikes(make_words(12, 4, 0), 1.0, limit=5)
    assert samples({"train": store}) == samples(finest(data[1]))[:5]


def test_rasters_are_the_samples_with_the_median_number_of_spikes(data):
    store = finest(data[1])["train"]
    words, rows = make_words(SAMPLES["train"], 4, 0), list(rasters(store))
    counts = np.diff(words.offsets)
    for label in range(4):
        own = [row for row in rows if row["label"] == label]
        (chosen,) = {row["sample"] for row in own}
        of_class = sorted(counts[words.labels == label])
        assert counts[chosen] == of_class[(len(of_class) - 1) // 2] == len(own)
        sample = words.sample(chosen)
        assert sample.label == label
        assert sorted(row["channel"] for row in own) == sorted(sample.units.tolist())
        late = np.sort([row["time_s"] for row in own]) - np.sort(sample.times.astype(float))
        assert np.abs(late).max() <= STEP
        assert {(row["class"], row["split"], row["speaker"]) for row in own} == {
            (f"class {label}", "train", sample.speaker)
        }


def test_splits_are_read_at_the_finest_step_that_all_have(data):
    stores = data[1]
    assert {split: store.time_step_ms for split, store in finest(stores).items()} == dict.fromkeys(
        SAMPLES, 1.0
    )
    coarse = {"train": stores["train"][:1], "test": stores["test"]}
    assert {split: store.time_step_ms for split, store in finest(coarse).items()} == dict.fromkeys(
        SAMPLES, 2.0
    )
    apart = {"train": stores["train"][:1], "test": stores["test"][1:]}
    assert [store.time_step_ms for store in finest(apart).values()] == [2.0, 1.0]


def test_tables_are_written_as_they_are(data, tmp_path):
    stores = finest(data[1])
    write_samples(stores, tmp_path / "data/samples.csv")
    write_rasters(stores["train"], tmp_path / "data/rasters.csv")
    for name, columns, rows in (
        ("samples", SAMPLE_COLUMNS, samples(stores)), ("rasters", RASTER_COLUMNS, rasters(stores["train"])),
    ):  # fmt: skip
        with open(tmp_path / f"data/{name}.csv", newline="") as file:
            reader = csv.DictReader(file)
            assert list(reader) == [{key: str(value) for key, value in row.items()} for row in rows]
            assert tuple(reader.fieldnames) == columns


def test_digests_are_those_of_the_file_and_of_every_store(settings, data):
    files, stores, _ = data
    splits = describe(settings, *data)["splits"]
    for split in SAMPLES:
        assert splits[split]["sha256"] == hashlib.sha256(files[split].read_bytes()).hexdigest()
        two, one = (EventStore.load(path).digest for path in stores[split])
        assert splits[split]["digest"] == {"0.002": two, "0.001": one} and one != two
    before = splits["test"]["sha256"]
    files["test"].write_bytes(files["test"].read_bytes() + b"x")
    again = describe(settings, *data)["splits"]
    assert again["test"]["sha256"] != before and again["train"] == splits["train"]


@pytest.mark.parametrize(
    ("dataset", "limit", "name", "is_shd"),
    [
        ("shd", Limit(), "shd", True),
        ("shd", Limit(train=100), "shd", False),
        ("synthetic-digits", Limit(), "synthetic-digits", False),
        (DatasetFiles("a.h5", "b.h5", "my words"), Limit(), "my words", False),
    ],
)
def test_only_the_whole_of_shd_is_shd(settings, data, dataset, limit, name, is_shd):
    facts = describe(replace(settings, dataset=dataset, limit=limit), *data)
    assert (facts["dataset"], facts["is_shd"]) == (name, is_shd)


def test_a_file_without_a_source_has_none(settings, data):
    assert describe(settings, *data[:2], {})["source"] == {}


@pytest.mark.parametrize("content", [None, "", "no json"])
def test_a_source_that_cannot_be_read_is_named(settings, data, content):
    path = data[2]["words_test.h5"]
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match="words_test.h5.source.json: cannot be read.*data rules"):
        describe(settings, *data)


def test_a_missing_data_file_or_store_is_named(settings, data):
    files, stores, _ = data
    files["train"].unlink()
    with pytest.raises(DataError, match="words_train.h5: cannot be read.*data rules"):
        describe(settings, *data)
    stores["train"][1].unlink()
    with pytest.raises(DataError, match="train_1ms.safetensors"):
        describe(settings, *data)


def test_the_digest_of_a_file_is_sha_256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(DataError, match="absent: cannot be read"):
        file_digest(tmp_path / "absent")


def test_the_command_writes_what_describe_says(settings, data, tmp_path):
    files, stores, sources = data
    configured = replace(settings, dataset=DatasetFiles(*(str(files[s]) for s in SAMPLES), "words"))
    write_json(tmp_path / "settings.json", to_mapping(configured))
    arguments = ["--settings", tmp_path / "settings.json", "--out", tmp_path / "data.json"]
    arguments += ["--out-samples", tmp_path / "samples.csv", "--out-rasters", tmp_path / "rasters.csv"]
    for split in SAMPLES:
        arguments += [f"--{split}", *stores[split]]
    arguments += ["--source", *sources.values()]
    assert main(["describe", *map(str, arguments)]) == 0
    assert json.loads((tmp_path / "data.json").read_text()) == describe(configured, *data)
    with open(tmp_path / "samples.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == sum(SAMPLES.values())
    with open(tmp_path / "rasters.csv", newline="") as file:
        assert {row["split"] for row in csv.DictReader(file)} == {"train"}
