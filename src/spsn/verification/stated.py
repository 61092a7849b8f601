"""Whether what a provenance states of configuration, data, files and training is what the folder holds."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from spsn.errors import SettingsError
from spsn.records import Execution
from spsn.replication.report import EXECUTION
from spsn.settings import Settings, from_mapping


def misstated(
    content: Mapping[str, Any],
    settings: Settings,
    data: Mapping[str, Any],
    expected: Collection[str],
    trained: Iterable[Execution],
) -> list[str]:
    """What is wrong in the provenance `content`, a line each.

    `data` is the content of `data.json`, empty where it is faulty; `expected` names the files that the
    provenance is to give digests of; `trained` tells how the report's sound runs were made.
    """
    found = []
    if not _same_configuration(content.get("config"), settings):
        found.append("states another configuration than settings.json")
    if data and content.get("data") != data:
        found.append("states other data than data.json")
    if others := sorted(set(content.get("files", {})) - set(expected)):
        found.append(f"names {others[0]}, which is no result of these settings")
    if missing := _unnamed(content.get("training"), trained):
        found.append(f"does not name all {missing.replace('_', ' ')} of its run records")
    return found


def _same_configuration(config: Any, settings: Settings) -> bool:
    """An older version of this package may have written it: a key with a default need not be there."""
    try:
        return from_mapping(config) == settings
    except (SettingsError, TypeError, AttributeError):
        return False


def _unnamed(training: Any, trained: Iterable[Execution]) -> str | None:
    """Of what (machines, versions, commits) `training` leaves out a run's; it may name others besides."""
    if not isinstance(training, dict) or not all(isinstance(training.get(k), list) for k in EXECUTION):
        return "machines"
    for execution in trained:
        for kind, part in EXECUTION.items():
            if getattr(execution, part) not in (None, *training[kind]):
                return kind
    return None
