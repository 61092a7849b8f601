"""What the tests of `peers` share: why they are skipped, and how near two results are."""

from torch import Tensor

WHY = "make peers runs this where that library is installed"


def share(found: Tensor, expected: Tensor) -> float:
    """The greatest difference as a share of the greatest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def assert_near(found: list[Tensor], expected: list[Tensor], bound: float = 1e-12) -> None:
    """Each within `bound` of its judge's greatest value."""
    assert len(found) == len(expected) > 0
    assert all(share(one, judged) < bound for one, judged in zip(found, expected, strict=True))
