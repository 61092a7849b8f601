"""The data set: its name, its files, where they came from, what its samples are like beside SHD's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spsn.replication import latex
from spsn.replication.data_table import BOTH, HERE, SHD, table_row
from spsn.replication.facts.common import counted
from spsn.settings import DatasetAudio, DatasetFiles, Settings


def data_notice(settings: Settings) -> str:
    """The line that every page carries: the data's name and whether they are the whole of SHD."""
    if settings.is_shd:
        return "Data: Spiking Heidelberg Digits (SHD)"
    if settings.is_part_of_shd:
        return "Data: a part of SHD --- not the whole data set"
    part = " (a part)" if settings.limit.train or settings.limit.test else ""
    return f"Data: {latex.escape(settings.dataset_name)}{part} --- not SHD"


def data_switches(settings: Settings) -> dict[str, bool]:
    """What kind of data these are, and whether it is known what the channels hear."""
    dataset = settings.dataset
    return {
        "shd": settings.is_shd,
        "partofshd": settings.is_part_of_shd and not settings.is_shd,
        "otherarchives": dataset == "shd" and not settings.is_part_of_shd,
        "syntheticdigits": dataset == "synthetic-digits",
        "fsdd": dataset == "fsdd",
        "ownaudio": isinstance(dataset, DatasetAudio),
        "ownfiles": isinstance(dataset, DatasetFiles),
        "trimmed": isinstance(dataset, DatasetAudio) and dataset.trim,
        "limited": bool(settings.limit.train or settings.limit.test),
        "knownchannels": known_channels(settings),
    }


def unknown_digest(settings: Settings, data: Mapping[str, Any]) -> bool:
    """Whether files that are taken for SHD have an MD5 that nobody has published. `data` is `data.json`."""
    return settings.is_part_of_shd and bool(_unknown_files(data))


def _unknown_files(data: Mapping[str, Any]) -> list[str]:
    sources = (data.get("source") or {}).items()
    return [name for name, source in sources if source.get("published_md5") is False]


def _limit_phrase(settings: Settings, data: Mapping[str, Any]) -> str:
    """Which samples of the files were used, where not all of them were."""
    files = {"train": "training", "test": "test"}
    parts = [
        f"the first {latex.integer(data['splits'][split]['samples'])} samples of the {name} file"
        for split, name in files.items()
        if getattr(settings.limit, split)
    ]
    return " and ".join(parts) or "all samples"


def speakers_known(data: Mapping[str, Any]) -> bool:
    """Whether the samples bear the numbers of more than one speaker. `data` is `data.json`."""
    return len({speaker for split in data["splits"].values() for speaker in split["speakers"]}) > 1


def known_channels(settings: Settings) -> bool:
    """Whether the inner ear behind SHD made the spikes, so that it is known what each channel hears."""
    heard = settings.dataset in ("synthetic-digits", "fsdd") or isinstance(settings.dataset, DatasetAudio)
    return heard or settings.is_part_of_shd


def data_macros(settings: Settings, data: Mapping[str, Any], table: pd.DataFrame) -> dict[str, str]:
    """Facts of the data set: names, sizes, classes, chance, a table of the two files, SHD's values.

    `data` is `data.json`, `table` is `tables/table_data.csv`.
    """
    classes = int(data["splits"]["test"]["classes"])
    lines = [_split_line(name, split) for name, split in data["splits"].items()]
    head = ("file", "samples", "classes", "speakers", "samples a class", "spikes", "SHA-256")
    return {
        "DataNotice": data_notice(settings),
        "DatasetName": latex.escape(settings.dataset_name),
        "TrainSamples": latex.integer(data["splits"]["train"]["samples"]),
        "TestSamples": latex.integer(data["splits"]["test"]["samples"]),
        "Classes": latex.integer(classes),
        "ChancePercent": latex.percent(1 / classes),
        "DataTable": latex.tabular("@{}lrrrrrl@{}", head, lines),
        "DataSource": _source(data.get("source")),
        "LimitPhrase": _limit_phrase(settings, data),
        "UnknownFiles": latex.listed([latex.code(name) for name in _unknown_files(data)]) or "no file",
        **_here_macros(table),
        **_shd_macros(table),
    }


def longest_sample(table: pd.DataFrame) -> float:
    """The time (s) of the last spike of the longest sample. `table` is `tables/table_data.csv`."""
    return float(table_row(table, HERE, BOTH).duration_max_s)


def _here_macros(table: pd.DataFrame) -> dict[str, str]:
    """What the samples of both files together are like."""
    both = table_row(table, HERE, BOTH)
    unseen = table[(table.origin == HERE) & (table.file == "test") & (table.in_training == "no")]
    samples = f" ({counted(int(unseen.samples.sum()), 'sample')})" if len(unseen) else ""
    return {
        "SampleCount": latex.integer(both.samples),
        "SpeakerCount": counted(int(both.speakers), "speaker"),
        "SpikesPerSample": latex.integer(both.spikes_mean),
        "LongestSample": latex.fixed(both.duration_max_s, 2),
        "UnseenSpeakers": _speakers(unseen.speaker) + samples,
    }


def _shd_macros(table: pd.DataFrame) -> dict[str, str]:
    """What is published of SHD."""
    both = table_row(table, SHD, BOTH)
    unseen = table[(table.origin == SHD) & (table.in_training == "no")]
    return {
        "ShdTrainSamples": latex.integer(table_row(table, SHD, "train").samples),
        "ShdTestSamples": latex.integer(table_row(table, SHD, "test").samples),
        "ShdClasses": latex.integer(both.classes),
        "ShdChannels": latex.integer(both.channels),
        "ShdSpeakerCount": counted(int(both.speakers), "speaker"),
        "ShdUnseenSpeakers": _speakers(unseen.speaker),
        "ShdSpikesPerSample": latex.integer(both.spikes_mean),
        "ShdLongestSample": latex.fixed(both.duration_max_s, 2),
    }


def _speakers(names: pd.Series) -> str:
    """`speaker 4`, `speakers 4 and 5`, `no speaker`."""
    if names.empty:
        return "no speaker"
    return f"speaker{'' if len(names) == 1 else 's'} {latex.listed(map(latex.escape, names))}"


def _split_line(name: str, split: Mapping[str, Any]) -> tuple[str, ...]:
    speakers, of_class = split.get("speakers"), split.get("samples_per_class", {})
    spikes = split.get("spikes", {}).get("total")
    return (
        latex.escape(name),
        latex.integer(split["samples"]),
        latex.integer(split["classes"]),
        latex.integer(len(speakers)) if speakers else latex.ABSENT,
        "--".join(dict.fromkeys(latex.integer(of_class[end]) for end in ("min", "max") if end in of_class))
        or latex.ABSENT,
        latex.ABSENT if spikes is None else latex.integer(spikes),
        latex.code(str(split.get("sha256") or latex.ABSENT)[:16]),
    )


def _source(source: Mapping[str, Any] | None) -> str:
    """Where the files came from; said once where it is the same for all."""
    facts = [_facts(of_file) for of_file in (source or {}).values()]
    if not facts:
        return "not stated in the configuration"
    if len(set(facts)) == 1:
        return facts[0]
    return "; ".join(f"{latex.escape(name)}: {fact}" for name, fact in zip(source, facts, strict=True))


def _facts(of_file: Any) -> str:
    if not isinstance(of_file, Mapping):
        return _fact(of_file)
    return ", ".join(f"{latex.escape(key)} {_fact(value)}" for key, value in of_file.items())


def _fact(value: Any) -> str:
    """One entry; a file of this machine is not named by its path, which says nothing to a reader."""
    return "a local file" if str(value).startswith("file:") else latex.breakable(value)
