"""The facts of a data set: what data.json says, and where it has it from."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from support import make_words

from spsn.cli import main
from spsn.data.describe import describe, file_digest
from spsn.data.events import EventStore
from spsn.data.shd import write_split
from spsn.errors import DataError
from spsn.files import write_json
from spsn.settings import DatasetFiles, Limit, to_mapping

SAMPLES = {"train": 12, "test": 8}


@pytest.fixture
def data(tmp_path):
    """Two splits: HDF5 files, event stores in steps of 2 and 1 ms, and a source file of each."""
    files, stores, sources = {}, {}, {}
    for seed, (split, samples) in enumerate(SAMPLES.items()):
        words = make_words(samples, 4, seed)
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
    for split, samples in SAMPLES.items():
        found, words = facts["splits"][split], make_words(samples, 4, list(SAMPLES).index(split))
        assert (found["file"], found["samples"], found["classes"]) == (str(files[split]), samples, 4)
        assert found["speakers"] == sorted(set(words.speakers.tolist()))
        assert found["spikes_per_sample"] == pytest.approx(len(words.times) / samples)
        last = [words.times[end - 1] for end in words.offsets[1:]]
        bins = [float(np.ceil(np.float16(t) / 0.001)) + 1 for t in last]  # the finest store's steps
        assert found["duration_s"] == pytest.approx(np.mean(bins) / 1000, rel=1e-6)
    assert facts["source"] == {
        "words_train.h5": {"made by": "a test", "seed": 0},
        "words_test.h5": {"made by": "a test", "seed": 1},
    }
    json.dumps(facts)  # plain numbers and lists alone


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
    for split in SAMPLES:
        arguments += [f"--{split}", *stores[split]]
    arguments += ["--source", *sources.values()]
    assert main(["describe", *map(str, arguments)]) == 0
    assert json.loads((tmp_path / "data.json").read_text()) == describe(configured, *data)
