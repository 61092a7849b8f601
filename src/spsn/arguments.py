"""Numbers on the command line, refused in words where no command could use them."""

import argparse

from spsn.layout import parse_seeds
from spsn.mapping import WHOLE


def positive(text: str) -> int:
    """A whole number above 0. Raises `ArgumentTypeError`."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """A whole number, 0 or above. Raises `ArgumentTypeError`."""
    return _whole(text, 0)


def seeds(text: str) -> tuple[int, ...]:
    """Seeds as `layout.parse_seeds` reads them. Raises `ArgumentTypeError`."""
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _whole(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or not least <= number < WHOLE:
        raise argparse.ArgumentTypeError(f"must be a whole number from {least} on, not {text[:100]!r}")
    return number
