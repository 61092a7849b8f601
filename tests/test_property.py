"""Any value, any structure, any damage: settings, records and data come out, or an error in words.

The examples are the same every time; `make fuzz` looks further.
"""

import io
import json
import re
import tempfile
import zipfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS, outcome
from support import ROOT, load_config

from spsn.data.patterns import _ways
from spsn.data.shd import SpikeFile, read_split
from spsn.errors import DataError, SettingsError
from spsn.mapping import shown
from spsn.settings import Settings, from_mapping, to_mapping

few = partial(settings, derandomize=True, deadline=None, database=None,
              suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])  # fmt: skip
CORPUS = ROOT / "tests" / "corpus"
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=9),
    st.dates(), st.just(10**4000), st.just("x" * 100_000), st.just("\ud800"),
)  # fmt: skip
keys = st.one_of(st.text(max_size=8), st.integers(), st.none(), st.just(10**4000))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=9,
)
PAPER = load_config("paper")


def places(part: object, above: tuple = ()) -> list[tuple]:
    """Every place in a configuration, as the keys that lead to it."""
    if not isinstance(part, dict):
        return [above]
    return [above, *(place for key in part for place in places(part[key], (*above, key)))]


def put(part: object, place: tuple, value: object) -> object:
    """A copy of a configuration with a value at a place."""
    return {**part, place[0]: put(part[place[0]], place[1:], value)} if place else value


@few(max_examples=150)
@given(place=st.sampled_from(places(PAPER)), value=values)
def test_any_value_at_any_place_of_a_configuration(place, value):
    try:
        found = from_mapping(put(PAPER, place, value))
    except SettingsError as error:
        assert len(str(error)) < 20_000
        return
    assert isinstance(found, Settings)
    text = json.dumps(to_mapping(found), allow_nan=False)
    assert from_mapping(json.loads(text)) == found


@few(max_examples=100)
@given(value=values)
def test_a_value_is_shown_shortly_whatever_it_is(value):
    assert len(shown(value)) < 20_000


def assert_in_words(reader: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert outcome(READERS[reader], content, Path(folder))


damage = st.lists(
    st.tuples(st.integers(0, 1 << 30), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4
)


@pytest.mark.parametrize("reader", sorted(READERS))
@few(max_examples=100)
@given(changes=damage, cut=st.one_of(st.none(), st.integers(0, 1 << 30)))
def test_any_damage_to_a_sound_file(reader, changes, cut):
    (sound, *_) = sorted((CORPUS / reader).glob("sound*"))
    content = bytearray(sound.read_bytes())
    for place, other in changes:
        place %= len(content)
        content[place : place + len(other)] = other
    assert_in_words(reader, bytes(content if cut is None else content[: cut % len(content)]))


types = st.sampled_from(
    ["i1", "u2", "i8", ">i4", "f2", ">f4", "f8", "S3", "bool", "c8", "O", "rows f2", "rows u2"]
)
layouts = st.sampled_from([{}, *({"chunks": True, **how} for how in (
    {}, {"compression": "gzip", "shuffle": True}, {"compression": "lzf"},
    {"fletcher32": True}))])  # fmt: skip
shapes = st.sampled_from([(), (0,), (1,), (3,), (3, 2), (5,)])
parts = st.sampled_from(["spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys",
                         "extra/meta_info/age", "extra/meta_info", "spikes", "other"])  # fmt: skip


def structured(file: h5py.File, name: str, kind: str, shape: tuple, how: dict) -> None:
    """One part of a file; what HDF5 itself does not allow is left out."""
    dtype = h5py.vlen_dtype(kind[5:]) if kind.startswith("rows") else (
        h5py.string_dtype() if kind == "O" else np.dtype(kind))  # fmt: skip
    try:
        file.create_dataset(name, shape, dtype, **(how if shape and 0 not in shape else {}))
    except (ValueError, TypeError, OSError):
        return
    if kind.startswith("rows") and shape == (3,):
        file[name][1] = np.arange(4).astype(kind[5:])


@few(max_examples=250)
@given(parts=st.lists(st.tuples(parts, types, shapes, layouts), max_size=7))
def test_any_structure_of_an_hdf5_file(parts):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        with h5py.File(path, "w") as file:
            for part in parts:
                structured(file, *part)
        try:
            found = read_split(path)
        except DataError:
            return
        assert isinstance(found, SpikeFile)


@few(max_examples=60)
@given(changed=st.dictionaries(st.sampled_from(["settings", "result", "execution"]),
                               st.tuples(st.integers(0, 40), values), max_size=2))  # fmt: skip
def test_any_value_in_a_record(changed):
    record = json.loads((CORPUS / "record" / "sound").read_text())
    for part, (number, value) in changed.items():
        names = sorted(record[part])
        record[part][names[number % len(names)]] = value
    try:
        content = json.dumps(record).encode()
    except (TypeError, ValueError):  # no JSON has it
        return
    assert_in_words("record", content)


@few(max_examples=40)
@given(name=st.text(max_size=30), claimed=st.integers(0, 2**32 - 1), flags=st.integers(0, 65535))
def test_any_member_of_an_archive(name, claimed, flags):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"../../{name}/shd_test.h5".encode("utf-8", "replace").decode(), b"12345")
    content = bytearray(made.getvalue())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = claimed.to_bytes(4, "little")
    content[central + 8 : central + 10] = flags.to_bytes(2, "little")
    assert_in_words("archive", bytes(content))


def by_trying(texts: list[str], fields: list[str], repeat: str) -> re.Pattern:
    """A pattern of file names as a regular expression, which tries every way in turn."""
    made = [re.escape(texts[0])]
    for i, (field, text) in enumerate(zip(fields, texts[1:], strict=True)):
        made.append(f"(?P={field})" if field in fields[:i] else f"(?P<{field}>[^/]{repeat})")
        made.append(re.escape(text))
    return re.compile("".join(made), re.DOTALL)


signs = st.sampled_from(["", "_", "-", "/", "a", "_a"])
fields = st.permutations(["label", "label", "a", "b", "c"]).map(lambda names: names[:4])


@few(max_examples=300)
@given(fields=fields, texts=st.lists(signs, min_size=5, max_size=5), name=st.text("ab_-/", max_size=12))
def test_a_pattern_fits_as_a_regular_expression_does(fields, texts, name):
    """Which finds the shortest parts first, or the longest; there is one way where they are the same."""
    shortest, longest = (by_trying(texts, fields, repeat).fullmatch(name) for repeat in ("+?", "+"))
    ways = _ways(name, texts, fields)
    assert len(ways) == (0 if shortest is None else 1 if shortest.groups() == longest.groups() else 2)
    assert shortest is None or len(ways) == 2 or ways[0] == shortest.groupdict()
