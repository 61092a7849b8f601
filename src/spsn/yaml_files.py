"""YAML from strangers: what it says in the types of YAML alone, within bounds.

A tag such as `!!python/object` is an error. An alias costs nothing here: it is the same value once more. But
whoever goes through it all, as a check does, goes through its values as often as they are named, and thirty
lines that each name the one before twice stand for 2^30: they are counted before. The merge key `<<` copies
while it is read, and is refused.
"""

from pathlib import Path
from typing import Any

import yaml

LARGEST = 1 << 18  # bytes; the paper's configuration has six thousand
MAX_VALUES = 100_000  # with what aliases stand for written out


class _Plain(yaml.SafeLoader):
    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise ValueError("the merge key << is not read; write the keys out")


def read_yaml(path: Path) -> Any:
    """What a YAML file says. Raises OSError, and ValueError for what is no YAML, over LARGEST or stands for
    over MAX_VALUES.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than LARGEST = {LARGEST} bytes")
    try:
        found = yaml.load(content.decode("utf-8"), Loader=_Plain)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except (RecursionError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
        # of faulty dates and numbers
        raise ValueError(f"it cannot be understood ({str(error) or type(error).__name__})") from error
    if _stands_for_more(found):
        raise ValueError(f"it stands for more than MAX_VALUES = {MAX_VALUES} values, by aliases of aliases")
    return found


def _stands_for_more(value: Any) -> bool:
    """Whether a value stands for over MAX_VALUES, aliases written out; one that holds itself does."""
    count, left = 1, [value]
    while left and count <= MAX_VALUES:
        one = left.pop()
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list | tuple) else ()
        count += len(inner)
        if count <= MAX_VALUES:
            left.extend(inner)
    return count > MAX_VALUES
