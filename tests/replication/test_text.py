"""Numbers and text as the tables print them."""

from math import inf, nan

import pytest

from spsn.replication import latex
from spsn.replication.text import cell, counted, interval_text, number_text, spread_text, with_unit

NUMBERS = """
85.094 % 85.09|-0.001 points 0.00|-0.84 points −0.84|171.14 spikes/ms 171.1|3999.6 times 4000
10.396 times 10.4|1.0 times 1.00|0.0153 times 0.0153|nan % –|inf times –
"""


@pytest.mark.parametrize("line", NUMBERS.strip().replace("\n", "|").split("|"))
def test_a_number_has_the_decimals_of_its_unit(line):
    value, unit, text = line.split()
    assert number_text(float(value), unit) == text


def test_intervals_end_where_their_quantity_does():
    assert interval_text(-20.0, 130.0, "%") == "0.00 to 100.00"
    assert interval_text(-20.0, 130.0, "points") == "−20.00 to 130.00"
    assert interval_text(-1.0, 2.0, "spikes/ms") == "0.0 to 2.0"
    assert (interval_text(99.5, inf, "%"), interval_text(-inf, 1.0, "points")) == ("≥ 99.50", "≤ 1.00")
    assert interval_text(nan, nan, "%") == "–"


def test_a_spread_that_is_not_known_is_not_printed():
    assert spread_text(86.1, 2.89, "%") == "86.10 ± 2.89" and spread_text(86.1, nan, "%") == "86.10"
    assert spread_text(nan, nan, "%") == "–" and spread_text(86.15, 2.89, "%", decimals=1) == "86.2 ± 2.9"


def test_a_cell_escapes_names_and_keeps_symbols():
    assert cell("a_b & 5 % of {x} $y$ #1 ~^\\") == (
        r"a\_b \& 5 \% of \{x\} \$y\$ \#1 \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert cell("−1 ± 2 ≥ 3") == r"\ensuremath{-}1 \ensuremath{\pm} 2 \ensuremath{\geq} 3"


def test_what_is_absent_has_one_sign_everywhere():
    assert cell(number_text(nan, "%")) == latex.ABSENT == latex.number(nan)


def test_one_is_not_many():
    assert (counted(1, "seed"), counted(2, "seed"), counted(0, "seed")) == ("1 seed", "2 seeds", "0 seeds")
    assert (with_unit("1", "labels"), with_unit("≤ 1", "labels")) == ("1 label", "≤ 1 label")
    assert (with_unit("11", "labels"), with_unit("0", "trials")) == ("11 labels", "0 trials")
    assert with_unit("1", "points") == "1 points"  # a measure, not a count
