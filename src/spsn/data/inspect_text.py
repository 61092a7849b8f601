"""What `spsn.data.inspect` found, as lines of text.

Names come from the file: what a terminal would obey instead of print is shown as its code.
"""

from collections.abc import Iterator, Mapping
from typing import Any

STATISTICS = {
    "spikes_per_sample": "spikes",
    "duration_s": "last spike, s",
    "active_channels_per_sample": "active channels",
}
KINDS = {
    "spikes": "spikes in SHD's layout (HDF5)",
    "event store": "an event store",
    "archive": "an archive",
    "weights": "a run's weights",
    "recording": "a recording",
    "unknown": "unknown",
}


def printable(text: object) -> str:
    """`text` with its control characters, and what else cannot be printed, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that tell what `inspect` found."""
    yield printable(facts["path"])
    yield _line("what", f"{KINDS[facts['kind']]}, {facts['bytes']:,} bytes")
    yield _line("sound", "no" if facts["problems"] else "yes")
    yield from (_line("", f"- {printable(problem)}") for problem in facts["problems"])
    if "shd" in facts:
        yield _line("SHD", facts["shd"]["says"])
    yield from (_line("note", printable(note)) for note in facts["notes"])
    for name in ("md5", "sha256"):
        yield _line(name, facts[name])
    if facts.get("made_by"):
        yield _line("made by", printable(facts["made_by"]))
    if "samples" in facts:
        yield from _spike_lines(facts)
    if "sample_rate" in facts:
        yield from _sound_lines(facts)


def _spike_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    silent = f", {facts['silent_samples']:,} of them silent" if facts["silent_samples"] else ""
    yield _line("samples", f"{facts['samples']:,}{silent}, with {facts['spikes']:,} spikes")
    yield _line("times", facts["time"])
    yield _line("channels", f"{facts['active_channels']} with at least a spike")
    yield ""
    yield _row("a sample has", ("mean", "sd", "min", "median", "max"))
    for name, title in STATISTICS.items():
        yield _row(title, [_number(facts[name][key]) for key in ("mean", "sd", "min", "median", "max")])
    for many, one in (("classes", "label"), ("speakers", "speaker")):
        yield f"\n  {many}"
        yield from (_member(member, one) for member in facts[many])


def _member(member: Mapping[str, Any], key: str) -> str:
    told = [
        f"{name} {printable(value)}" for name, value in member.items()
        if name not in (key, "samples", "name") and value is not None
    ]  # fmt: skip
    name = printable(member.get("name", ""))
    return f"  {member[key]:>5}  {name:<16} {member['samples']:>7,} samples  {', '.join(told)}".rstrip()


def _sound_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    sides = "one side" if facts["sides"] == 1 else f"{facts['sides']} sides, mixed down"
    yield _line("encoding", f"{facts['encoding']}, {facts['sample_rate']:,} Hz, {sides}")
    yield _line("length", f"{facts['seconds']:.3f} s")
    silence = facts["silence_s"]
    if silence is not None:
        yield _line(
            "silence", f"{silence['before']:.3f} s before and {silence['after']:.3f} s behind the sound"
        )
    yield _line("level", f"RMS {_level(facts['rms'])}, peak {_level(facts['peak'])} of full scale")
    yield _line("clipping", f"{facts['clipped']:,} samples at full scale" if facts["clipped"] else "none")
    yield _line("the ear", "takes it" if facts["heard"] else "does not take it")


def _level(value: float | None) -> str:
    return "--" if value is None else f"{value:.3g}"


def _line(name: str, text: str) -> str:
    return f"  {name:<10}{text}"


def _row(title: str, cells) -> str:
    return f"  {title:<18}" + "".join(f"{cell:>10}" for cell in cells)


def _number(value: float | None) -> str:
    if value is None:
        return "--"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
