"""Text and numbers as LaTeX: nothing from a file can be read as a command, numbers keep their digits."""

import math
import string

import pytest

from spsn.replication import latex


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (16, 3, "16.0"),
        (0.05, 3, "0.0500"),
        (99.96, 3, "100"),
        (9.996, 3, "10.0"),
        (4000.4, 3, "4000"),
        (-12345.6, 3, r"\ensuremath{-}12\,300"),
        (1234567, 7, r"1\,234\,567"),
        (3.2e-7, 2, r"\ensuremath{3.2\times 10^{-7}}"),
        (0, 3, "0"),
        (math.nan, 3, "--"),
        (None, 3, "--"),
    ],
)
def test_numbers_have_so_many_significant_digits(value, digits: int, text: str) -> None:
    assert latex.number(value, digits) == text


@pytest.mark.parametrize("character", "\\{}$&#%_^~")
def test_no_character_can_act(character: str) -> None:
    for written in (latex.escape(f"a{character}b"), latex.code(f"a{character}b")):
        bare = written.replace(r"\textbackslash{}", "").replace(r"\textasciitilde{}", "")
        bare = bare.replace(r"\textasciicircum{}", "").replace(r"\texttt", "").replace(r"\allowbreak{}", "")
        assert f"\\{character}" in bare or character not in bare.removeprefix("{").removesuffix("}")


def test_plain_text_stays_and_lines_are_joined() -> None:
    plain = string.ascii_letters + string.digits + " .,;:!?()[]+-*/=@é"
    assert latex.escape(plain) == plain
    assert latex.escape("a\nb\x07c") == "a b c"


def test_macros_have_letters_alone() -> None:
    assert latex.letters("spsn-sb") == "SpsnSb"
    assert latex.letters("regularized-0.40") == "RegularizedZeroFourZero"
    with pytest.raises(ValueError, match="a1"):
        latex.definitions({"a1": ""}, {})


def test_definitions_define_and_switch() -> None:
    written = latex.definitions({"Name": "x"}, {"shd": False, "reduced": True})
    assert written.splitlines() == [
        r"\newcommand{\Name}{x}",
        r"\newif\ifshd \shdfalse",
        r"\newif\ifreduced \reducedtrue",
    ]


def test_lists_read_as_sentences() -> None:
    assert latex.listed(["a"]) == "a"
    assert latex.listed(["a", "b", "c"]) == "a, b and c"
    assert latex.listed([]) == latex.ABSENT
