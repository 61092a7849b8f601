"""YAML from strangers: what it says in the types of YAML alone, within bounds.

A tag such as `!!python/object` is an error. An alias costs nothing here: it is the same value once more. But
the merge key `<<` copies, and thirty lines that each merge the one before twice stand for 2^30 keys.
"""

from pathlib import Path
from typing import Any

import yaml

LARGEST = 1 << 20  # bytes; the paper's configuration has six thousand


class _Plain(yaml.SafeLoader):
    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise ValueError("the merge key << is not read; write the keys out")


def read_yaml(path: Path) -> Any:
    """What a YAML file says. Raises OSError, and ValueError for what is no YAML or over LARGEST."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than LARGEST = {LARGEST} bytes")
    try:
        return yaml.load(content.decode("utf-8"), Loader=_Plain)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except (RecursionError, LookupError, AttributeError, TypeError) as error:  # of faulty dates and the like
        raise ValueError(f"it cannot be understood ({error or type(error).__name__})") from error
