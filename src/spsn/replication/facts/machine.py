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
}


def machine_macros(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Machines (this one and those that trained), versions, commit, commands."""
    training = provenance.get("training") or {}
    here = provenance["machine"]
    others = [machine for machine in training.get("machines", []) if machine != here]
    versions = provenance["versions"]
    commits = sorted({*training.get("git_commits", []), provenance.get("git_commit") or "none"})
    return {
        "MachineTable": latex.tabular(r"@{}lp{0.7\linewidth}@{}", ("this machine", ""), _machine_lines(here)),
        "OtherMachines": latex.listed(_machine_sentence(machine) for machine in others) if others else "none",
        "Versions": ", ".join(f"{latex.escape(k)}~{latex.breakable(v)}" for k, v in versions.items()),
        "PackageVersion": latex.escape(versions.get("spsn", latex.ABSENT)),
        "Commit": latex.code(provenance.get("git_commit") or "none: the package was not run from a checkout"),
        "Commits": latex.listed(
            latex.code(commit[:12] + "-dirty" * commit.endswith("-dirty")) for commit in commits
        ),
        "Commands": _commands(provenance["commands"]),
    }


def _machine_lines(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for key, label in _LABELS.items():
        value = machine.get(key)
        if value not in (None, "", []):
            lines.append((label, _value(key, value)))
    return lines


def _value(key: str, value: Any) -> str:
    if key == "memory_bytes":
        return gigabytes(value)
    if key == "gpus":
        return latex.listed(
            f"{latex.escape(gpu['name'])} ({gigabytes(gpu['memory_bytes'])})" for gpu in value
        )
    return latex.breakable(value)


def _machine_sentence(machine: Mapping[str, Any]) -> str:
    keys = [
        key
        for key in ("processor", "cores", "memory_bytes", "gpus")
        if machine.get(key) not in (None, "", [])
    ]
    return " / ".join(_value(key, machine[key]) + (" cores" if key == "cores" else "") for key in keys)


def gigabytes(size: float) -> str:
    """Bytes as GiB."""
    return rf"{latex.number(size / 2**30, 3)}\,GiB"


def _commands(commands: Iterable[str]) -> str:
    """One command a line, hanging where it is too long for one."""
    return latex.rows(rf"\command{{{latex.code(command)}}}" for command in commands)
