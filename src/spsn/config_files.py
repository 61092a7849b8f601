"""Configurations as `spsn settings` takes them: YAML files, each laid over those before it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spsn.errors import SettingsError
from spsn.mapping import MissingKeyError
from spsn.settings import Settings, from_mapping
from spsn.yaml_files import read_yaml

WHOLE = "config/paper.yaml"


def read_settings(paths: Sequence[Path]) -> Settings:
    """The settings of YAML files laid over one another. Raises `SettingsError`, naming the files."""
    config = merged(paths)
    names = ", ".join(map(str, paths))
    try:
        return from_mapping(config)
    except MissingKeyError as error:
        raise SettingsError(
            f"{names}: {_said(error)}. A file with a few keys is laid over the whole configuration: "
            f"--config {WHOLE} {' '.join(map(str, paths))}"
        ) from error
    except SettingsError as error:
        raise SettingsError(f"{names}: {_said(error)}") from error


def _said(error: SettingsError) -> str:
    return str(error).removeprefix("configuration: ")


def merged(paths: Sequence[Path]) -> dict[str, Any]:
    """What the files say together, unchecked. Raises `SettingsError`."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = read_yaml(path) or {}
            if not isinstance(content, dict):
                raise ValueError("a configuration is a mapping of keys")
            merged = _laid_over(merged, content)
        except (FileNotFoundError, NotADirectoryError):
            raise SettingsError(f"{path}: no such file. Name one that is there, such as {WHOLE}") from None
        except IsADirectoryError:
            raise SettingsError(f"{path}: a folder, not a file. Name the YAML file in it") from None
        except (OSError, ValueError, RecursionError) as error:
            raise SettingsError(f"{path}: cannot be read as YAML ({error}); mend it") from error
    return merged


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key, anything else replaces what it lies over."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _laid_over(old, value) if both else value
    return merged
