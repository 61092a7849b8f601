"""The machines, versions, commit and commands that made the results, from `provenance.json`."""

from collections.abc import Iterable, Mapping
from typing import Any

from spsn.replication import latex

_LABELS = {
    "system": "system",
    "distribution": "distribution",
    "kernel": "kernel",
    "architecture": "architecture",
    "processor": "processor",
    "cores": "cores",
    "memory_bytes": "memory",
    "gpus": "GPUs",
    "cuda": "CUDA of torch",
    "driver": "NVIDIA driver",
}
_IN_A_SENTENCE = ("processor", "cores", "memory_bytes", "gpus")
_ABSENT = (None, "", [])


def machine_macros(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Machines (the one that made the report and those that trained), versions, commits, commands."""
    training = provenance.get("training") or {}
    here, commit = provenance["machine"], provenance.get("git_commit")
    others = [machine for machine in training.get("machines", []) if machine != here]
    commits = sorted(training.get("git_commits", []))
    versions = provenance["versions"]
    return {
        "MachineTable": _machine_table(here),
        "OtherMachines": latex.listed(map(_sentence, others)) if others else "none",
        "Versions": ", ".join(rf"\mbox{{{latex.escape(k)} {latex.escape(v)}}}" for k, v in versions.items()),
        "PackageVersion": latex.escape(versions.get("spsn", latex.ABSENT)),
        "Commit": _commit(commit),
        "LockDigest": _digest(provenance.get("requirements_lock")),
        "TexVersion": latex.breakable(provenance.get("tex") or "unknown"),
        "Commits": _listed_commits(commits) if commits else "none",
        "Commands": _commands(provenance["commands"]),
    }


def _commit(commit: str | None) -> str:
    if not commit:
        return "unknown (not run from a checkout)"
    state = "with uncommitted changes" if commit.endswith("-dirty") else "no uncommitted changes"
    return f"{latex.code(commit)} ({state})"


def _digest(value: str | None) -> str:
    return latex.code(f"{value[:16]}...") if value else "unknown"


def _machine_table(machine: Mapping[str, Any]) -> str:
    known = [(label, _value(key, machine[key])) for key, label in _LABELS.items() if _has(machine, key)]
    return latex.tabular("@{}ll@{}", ("this machine", ""), known)


def _sentence(machine: Mapping[str, Any]) -> str:
    return " / ".join(_value(key, machine[key]) for key in _IN_A_SENTENCE if _has(machine, key))


def _has(machine: Mapping[str, Any], key: str) -> bool:
    return machine.get(key) not in _ABSENT


def _value(key: str, value: Any) -> str:
    if key == "memory_bytes":
        return _gibibytes(value)
    if key == "gpus":
        return latex.listed(
            f"{latex.escape(gpu['name'])} ({_gibibytes(gpu['memory_bytes'])})" for gpu in value
        )
    return latex.breakable(value) + (" available to this process" if key == "cores" else "")


def _gibibytes(size: float) -> str:
    return rf"{latex.number(size / 2**30)}\,GiB"


def _listed_commits(commits: list[str]) -> str:
    changed = any(commit.endswith("-dirty") for commit in commits)
    meaning = rf" ({latex.code('-dirty')}: with uncommitted changes)" if changed else ""
    return latex.listed(map(_short, commits)) + meaning


def _short(commit: str) -> str:
    return latex.code(commit[:12] + "-dirty" * commit.endswith("-dirty"))


def _commands(commands: Iterable[str]) -> str:
    """One command a line, the rest of a long one indented."""
    return latex.rows(rf"\command{{{latex.code(command)}}}" for command in commands)
