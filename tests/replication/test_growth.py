"""The power of T with which a cost grows: exact where there is one, honest where there is not."""

import numpy as np
import pandas as pd
import pytest

from spsn.replication.growth import growth

LENGTHS = np.array([100, 300, 1000, 3000, 10000, 30000])


def table(seconds, lengths=LENGTHS, status="measured", **changes):
    columns = {
        "method": "lif",
        "implementation": "eager",
        "steps": lengths,
        "status": status,
        "seconds_median": seconds,
        "peak_bytes": np.nan,
    }
    return pd.DataFrame(columns | changes)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_has_its_power_and_no_spread(power):
    found = growth(table(3e-5 * LENGTHS**power), "lif", "eager")
    assert (found.exponent, found.low, found.high) == pytest.approx((power,) * 3, abs=1e-12)
    assert found.points == 3


def test_a_constant_is_left_behind_with_the_shorter_half():
    seconds = 0.05 + 1e-6 * LENGTHS**2.0
    found = growth(table(seconds), "lif", "eager")
    whole = np.polyfit(np.log(LENGTHS), np.log(seconds), 1)[0]
    assert whole < 1.9 < found.low <= found.exponent <= found.high < 2


@pytest.mark.parametrize(("count", "points"), [(3, 3), (4, 3), (5, 3), (6, 3), (7, 4), (10, 5)])
def test_it_is_the_longer_half_and_three_lengths_at_least(count, points):
    lengths = 2 ** np.arange(count)
    seconds = np.where(np.arange(count) < count - points, 7.0, 1e-3 * lengths)
    found = growth(table(seconds, lengths), "lif", "eager")
    assert found.points == points
    assert (found.exponent, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))


def test_noise_shows_as_spread_around_the_power():
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = growth(table(1e-4 * LENGTHS * np.exp(rng.normal(0, 0.05, 6))), "lif", "eager")
        assert found.low < found.exponent < found.high
        # The slope over a range of ln 30 from three values of standard deviation 0.05: 0.021.
        assert found.exponent == pytest.approx(1.0, abs=5 * 0.021)


def test_the_order_of_the_rows_does_not_matter():
    rows = table(1e-4 * LENGTHS**1.3 * np.array([1, 1.2, 0.9, 1.1, 1, 1.3]))
    assert growth(rows, "lif", "eager") == growth(rows.sample(frac=1, random_state=1), "lif", "eager")


def test_fewer_than_three_measured_lengths_have_no_growth():
    seconds = 1e-4 * LENGTHS
    assert growth(table(seconds[:2], LENGTHS[:2]), "lif", "eager") is None
    status = ["measured"] * 2 + ["too_slow"] * 3 + ["out_of_memory"]
    assert growth(table(seconds, status=status), "lif", "eager") is None
    assert growth(table(seconds), "exodus", "eager") is None
    assert growth(table(seconds), "lif", "fused") is None


def test_what_was_not_measured_does_not_count():
    seconds = np.where(LENGTHS > 3000, np.nan, 2e-4 * LENGTHS**1.5)
    status = ["measured"] * 4 + ["too_slow", "out_of_memory"]
    found = growth(table(seconds, status=status), "lif", "eager")
    assert found.points == 3 and found.exponent == pytest.approx(1.5)


def test_methods_and_implementations_stay_apart():
    rows = pd.concat(
        [
            table(1e-4 * LENGTHS),
            table(1e-9 * LENGTHS**2.0, implementation="fused"),
            table(1e-5 * LENGTHS**0.5, method="spsn-sb"),
        ]
    )
    found = [growth(rows, *name) for name in (("lif", "eager"), ("lif", "fused"), ("spsn-sb", "eager"))]
    assert [f.exponent for f in found] == pytest.approx([1.0, 2.0, 0.5])


def test_memory_grows_too_where_it_was_told():
    rows = table(1e-4 * LENGTHS, peak_bytes=4000.0 * LENGTHS**2.0)
    assert growth(rows, "lif", "eager", "peak_bytes").exponent == pytest.approx(2.0)
    assert growth(table(1e-4 * LENGTHS), "lif", "eager", "peak_bytes") is None
