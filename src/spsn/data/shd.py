"""The HDF5 layout of the Spiking Heidelberg Digits: read it, write it.

Layout (Cramer, Stradmann, Schemmel & Zenke 2020, doi 10.1109/TNNLS.2020.3044364)::

    /spikes/times[i]   variable-length float16, seconds       /labels[i]         class of sample i
    /spikes/units[i]   variable-length uint16, channel        /extra/speaker[i]  speaker of sample i
    /extra/keys        class names                            /extra/meta_info/{gender,age,body_height}

SHD itself has 8156 training and 2264 test samples, 700 channels, 20 classes (0-9 English, 10-19 German) and
12 speakers. Any file in this layout is a data set: the number of classes is the number of its class names.
A file made here also says at its root, in the attribute `made_by`, what made it.
"""

import os

import h5py
import numpy as np

from spsn.data import hdf5, heap
from spsn.data.checks import MAX_SAMPLE_SECONDS, SHD_EXPECTED, Expectation, check_split
from spsn.data.hdf5 import is_web_page
from spsn.data.spikes import (
    CHANNELS,
    Sample,
    SpikeFile,
    as_float16,
    as_uint16,
    check_lengths,
    check_rows,
    offsets_of,
)
from spsn.files import whole_file

__all__ = [
    "CHANNELS",
    "DATASETS",
    "MAX_SAMPLE_SECONDS",
    "SHD_EXPECTED",
    "Expectation",
    "Sample",
    "SpikeFile",
    "check_split",
    "is_web_page",
    "read_split",
    "write_split",
]

DATASETS = ("spikes/times", "spikes/units", "labels", "extra/speaker", "extra/keys")
MAX_MADE_BY = 4096  # bytes


def read_split(path: str | os.PathLike) -> SpikeFile:
    """Read a file in SHD's layout as it stands, in file order; `check_split` judges the contents.

    Times are rounded to float16, SHD's own type, should the file hold a wider one. Raises DataError when the
    file is absent, is no HDF5, is damaged, lacks a part of the layout, has parts of other types or of unequal
    lengths, points at other files, or claims more than MAX_SAMPLES, MAX_SPIKES (`chunks`, `heap`) or its own
    size allow; a file is refused for what it claims before memory is asked for.
    """
    with hdf5.reading(path) as file:
        found = {name: hdf5.find(file, name) for name in DATASETS}
        missing = [f"/{name}" for name, item in found.items() if not isinstance(item, h5py.Dataset)]
        if missing:
            raise hdf5.Refused(f"no {', '.join(missing)}: not a file in SHD's layout")
        labels = as_uint16(hdf5.whole_numbers(found["labels"]), "label")
        speakers = as_uint16(hdf5.whole_numbers(found["extra/speaker"]), "speaker")
        return SpikeFile(
            **_read_spikes(found["spikes/times"], found["spikes/units"], len(labels), len(speakers)),
            labels=labels,
            speakers=speakers,
            class_names=tuple(hdf5.texts(found["extra/keys"])),
            meta=_read_meta(file),
            made_by=_read_made_by(file),
            path=os.fspath(path),
        )


def write_split(path: str | os.PathLike, spikes: SpikeFile, made_by: str | None = None) -> None:
    """Write `spikes` in SHD's layout, whole or not at all; the same spikes give the same bytes.

    `made_by` says in words what made them (by default `spikes.made_by`). Raises DataError, and writes
    nothing, where `check_split` would refuse the file; SpsnError where it cannot be written.
    """
    check_split(spikes, path)
    made_by = spikes.made_by if made_by is None else made_by
    with whole_file(path) as part:
        part.write_bytes(_image(str(part), spikes, made_by))


def _image(name: str, spikes: SpikeFile, made_by: str | None) -> bytes:
    """The file's bytes, made in memory under a `name` of its own: HDF5 crashes where a disk fills up."""
    # The oldest format puts no time stamp into groups and stays the same when the HDF5 library moves on.
    how = {"libver": ("earliest", "v108"), "driver": "core", "backing_store": False}
    with h5py.File(name, "w", **how) as file:
        _write_rows(file, "spikes/times", spikes.times, spikes.offsets)
        _write_rows(file, "spikes/units", spikes.units, spikes.offsets)
        _write_array(file, "labels", spikes.labels)
        _write_array(file, "extra/speaker", spikes.speakers)
        _write_array(file, "extra/keys", np.array(spikes.class_names))
        file.require_group("extra/meta_info")
        for name in sorted(spikes.meta):
            _write_array(file, f"extra/meta_info/{name}", np.asarray(spikes.meta[name]))
        if made_by:
            text = made_by.encode("utf-8", "replace")[:MAX_MADE_BY]
            file.attrs.create("made_by", text, dtype=h5py.string_dtype("utf-8", len(text)))
        file.flush()
        return file.id.get_file_image()


def _read_spikes(
    times: h5py.Dataset, units: h5py.Dataset, labels: int, speakers: int
) -> dict[str, np.ndarray]:
    """Times, units and offsets, read when all that the file claims of them has been judged."""
    kinds = hdf5.row_type(times, "f", "seconds"), hdf5.row_type(units, "iu", "channels")
    check_rows(len(times), len(units), labels, speakers)
    rows = heap.references(times), heap.references(units)
    for data, claimed, kind in zip((times, units), rows, kinds, strict=True):
        heap.check_claims(data, claimed, kind.itemsize)
    check_lengths(*(claimed["length"] for claimed in rows))
    return {
        "offsets": offsets_of(rows[0]["length"]),
        "times": heap.read_rows(times, rows[0], kinds[0], as_float16),
        "units": heap.read_rows(units, rows[1], kinds[1], lambda row: as_uint16(row, "unit")),
    }


def _read_meta(file: h5py.File) -> dict[str, np.ndarray]:
    """What the file tells of its speakers; what is no list of texts or numbers is left out."""
    group = hdf5.find(file, "extra/meta_info")
    if not isinstance(group, h5py.Group):
        return {}
    found = {name: hdf5.find(file, f"extra/meta_info/{name}") for name in hdf5.names(group)}
    tables = {name: hdf5.table(item) for name, item in found.items() if isinstance(item, h5py.Dataset)}
    return {name: values for name, values in tables.items() if values is not None}


def _read_made_by(file: h5py.File) -> str | None:
    """The attribute `made_by`, if it is as `write_split` writes it: one text of fixed length."""
    if not h5py.h5a.exists(file.id, b"made_by"):
        return None
    attribute = h5py.h5a.open(file.id, b"made_by")
    kind = h5py.check_string_dtype(attribute.dtype)
    if attribute.shape != () or kind is None or kind.length is None or kind.length > MAX_MADE_BY:
        return None
    value = np.empty((), attribute.dtype)
    attribute.read(value)
    return value[()].decode("utf-8", "replace")


def _write_rows(file: h5py.File, name: str, flat: np.ndarray, offsets: np.ndarray) -> None:
    rows = file.create_dataset(name, (len(offsets) - 1,), h5py.vlen_dtype(flat.dtype), track_times=False)
    for i in range(len(rows)):
        rows[i] = flat[offsets[i] : offsets[i + 1]]


def _write_array(file: h5py.File, name: str, values: np.ndarray) -> None:
    if values.dtype.kind == "U":
        values = np.char.encode(values, "utf-8", "replace")  # SHD keeps its texts as fixed-length bytes
    file.create_dataset(name, data=values, track_times=False)
