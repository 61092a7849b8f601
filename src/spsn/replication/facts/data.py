"""The data set: its name, its files, where they came from."""

from collections.abc import Mapping
from typing import Any

from spsn.replication import latex
from spsn.settings import Settings


def data_notice(settings: Settings) -> str:
    """The line that every page carries: the data's name and whether they are the whole of SHD."""
    if settings.is_shd:
        return "Data: Spiking Heidelberg Digits (SHD)"
    if settings.dataset == "shd":
        return "Data: a part of SHD --- not the whole data set"
    part = " (a part)" if settings.limit.train or settings.limit.test else ""
    return f"Data: {latex.escape(settings.dataset_name)}{part} --- not SHD"


def data_macros(settings: Settings, data: Mapping[str, Any]) -> dict[str, str]:
    """Facts of the data set: names, sizes, classes, chance, a table of the two files."""
    classes = int(data["splits"]["test"]["classes"])
    lines = [_split_line(name, split) for name, split in data["splits"].items()]
    head = ("file", "samples", "classes", "speakers", "spikes a sample", "seconds a sample", "SHA-256")
    return {
        "DataNotice": data_notice(settings),
        "DatasetName": latex.escape(settings.dataset_name),
        "TrainSamples": latex.integer(data["splits"]["train"]["samples"]),
        "TestSamples": latex.integer(data["splits"]["test"]["samples"]),
        "Classes": latex.integer(classes),
        "ChancePercent": latex.percent(1 / classes),
        "DataTable": latex.tabular("@{}lrrrrrl@{}", head, lines),
        "DataSource": _source(data.get("source")),
    }


def _split_line(name: str, split: Mapping[str, Any]) -> tuple[str, ...]:
    speakers = split.get("speakers")
    return (
        latex.escape(name),
        latex.integer(split["samples"]),
        latex.integer(split["classes"]),
        latex.integer(len(speakers)) if speakers else latex.ABSENT,
        latex.number(split.get("spikes_per_sample"), 4),
        latex.number(split.get("duration_s"), 3),
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
