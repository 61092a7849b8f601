"""The comparison's figures: marks at the means, what is missing said, methods that can be told apart."""

import crafted_comparison as crafted
import crafted_results
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from plausible import find, gids

from spsn.methods import METHODS, TRAITS
from spsn.replication.compared import with_methods
from spsn.replication.figures import Context, comparison_accuracy, comparison_controls, comparison_cost
from spsn.replication.method_style import FAMILIES, MODELS, VARIANTS, method_look
from spsn.replication.statistics import summarize
from spsn.replication.style import save

PLAN = crafted_results.plan("paper")
DIGITS = Context("synthetic-digits", is_shd=False, chance=0.05)
SHD = Context("shd", is_shd=True, chance=0.05)
RUNS = with_methods(crafted.runs(PLAN))


def texts(figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def of(method: str, step: float, runs: pd.DataFrame = RUNS) -> pd.DataFrame:
    return runs[(runs.method == method) & (runs.time_step == step)]


def drawn(draw, runs=RUNS, costs=None, context=DIGITS):
    """A figure, drawn once so that places are known."""
    figure = draw(crafted.costs() if costs is None else costs, context) if draw is comparison_cost else None
    figure = figure or draw(runs, context)
    figure.draw_without_rendering()
    return figure


# Looks ------------------------------------------------------------------------------------------------------


def test_every_method_has_a_name_and_a_look_of_its_own():
    looks = [method_look(name) for name in METHODS]
    assert len({look.label for look in looks}) == len(looks)
    assert len({(look.color, look.marker, look.filling) for look in looks}) == len(looks)
    assert set(MODELS) == set(TRAITS) and {traits.family for traits in TRAITS.values()} == set(FAMILIES)
    assert {method.variant for method in METHODS.values()} <= set(VARIANTS)


def test_families_differ_in_grey_print_too():
    grey = [np.dot(to_rgb(color), [0.2126, 0.7152, 0.0722]) for color, _ in FAMILIES.values()]
    assert min(np.diff(sorted(grey))) > 0.02


# Accuracy ---------------------------------------------------------------------------------------------------


def test_marks_stand_at_the_means_with_both_intervals():
    figure = drawn(comparison_accuracy)
    for letter, step in (("A", 0.001), ("B", 0.004)):
        for method in ("lif", "exodus-per-step", "saf-f"):
            runs = of(method, step)
            rate, accuracy = summarize(runs.spikes_per_ms), summarize(100 * runs.test_accuracy)
            gid = f"{letter}/{method}"
            assert find(figure, f"{gid}/mean").get_xydata()[0] == pytest.approx([rate.mean, accuracy.mean])
            (across,), (along,) = (find(figure, f"{gid}/interval-{way}").get_segments() for way in "xy")
            assert across[:, 0] == pytest.approx([rate.low, rate.high])
            assert along[:, 1] == pytest.approx([accuracy.low, accuracy.high])
    assert {gid.split("/")[1] for gid in gids(figure) if gid.startswith("B/")} == set(METHODS)


def test_networks_without_spikes_stand_in_a_strip():
    figure = drawn(comparison_accuracy)
    for letter, step in (("A", 0.001), ("B", 0.004)):
        edge = find_all(figure, "strip")["AB".index(letter)].get_xdata()[0]
        places = [find(figure, f"{letter}/{name}/mean").get_xdata()[0] for name in ("non-spiking", "psu")]
        assert 0 < places[0] < places[1] < edge < 1
        assert find(figure, f"{letter}/psu/mean").get_ydata() == pytest.approx(
            [100 * of("psu", step).test_accuracy.mean()]
        )
        axes = find(figure, f"{letter}/lif/mean").axes
        slowest = RUNS[RUNS.spikes_per_ms > 0.01].groupby("method").spikes_per_ms.mean().min()
        assert axes.transAxes.inverted().transform(axes.transData.transform((slowest, 1)))[0] > edge
    assert texts(figure).count("no spikes") == 2


def find_all(figure, gid: str) -> list:
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def test_without_silent_networks_there_is_no_strip():
    figure = drawn(comparison_accuracy, RUNS[RUNS.method.isin(["lif", "exodus"])])
    assert "no spikes" not in texts(figure) and not find_all(figure, "strip")


def test_a_single_seed_has_a_mark_and_no_interval():
    found = gids(drawn(comparison_accuracy, RUNS[RUNS.seed == 0]))
    assert "A/lif/mean" in found and not any("interval" in gid or "still" in gid for gid in found)


def test_the_legend_names_the_methods_that_are_drawn_and_no_others():
    runs = RUNS[(RUNS.time_step == 0.004) & RUNS.method.isin(["psu", "saf-e"])]
    shown = texts(drawn(comparison_accuracy, runs))
    assert {"PSU", "SAF-E", "A  Time step 4 ms"} <= set(shown)
    assert not {"LIF", "EXODUS", "B  Time step 4 ms"} & set(shown)


# Cost -------------------------------------------------------------------------------------------------------


def test_lines_are_medians_and_bars_quartiles():
    costs = crafted.costs()
    figure = drawn(comparison_cost)
    for method, form in (("lif", "eager"), ("exodus", "fused"), ("psu", "eager")):
        rows = costs[
            (costs.method == method) & (costs.implementation == form) & (costs.status == "measured")
        ].set_index("steps")
        seconds = find(figure, f"A/{method}/{form}")
        assert seconds.get_xydata() == pytest.approx(rows.seconds_median.reset_index().to_numpy())
        memory = find(figure, f"B/{method}/{form}").get_ydata()
        assert memory == pytest.approx((rows.peak_bytes / 2**30).to_numpy())
        ends = np.array(find(figure, f"A/{method}/{form}/quartiles").get_segments())[:, :, 1]
        assert ends == pytest.approx(rows[["seconds_q1", "seconds_q3"]].to_numpy())
    assert find(figure, "A/exodus/fused").get_linestyle() == "-"
    assert find(figure, "A/exodus/eager").get_linestyle() == "--"


def test_a_family_has_a_column_and_the_others_are_faint_in_it():
    figure = drawn(comparison_cost)
    columns = {find(figure, f"A/{name}/eager").axes for name in ("lif", "psu", "exodus", "ottt")}
    assert len(columns) == 4 and len(figure.axes) == 8
    lines = [line for line in figure.axes[0].lines if line.get_gid() is None and line.get_linewidth() == 0.5]
    costs = crafted.costs()
    other = costs[costs.model.map(lambda model: TRAITS[model].family != "SPSN")]
    assert len(lines) == len(other.groupby(["method", "implementation"]))


def test_what_was_not_measured_is_marked_where_it_is_missing():
    costs = crafted.costs()
    figure = drawn(comparison_cost)
    for (method, form, status), rows in costs[costs.status != "measured"].groupby(
        ["method", "implementation", "status"]
    ):
        for letter in "AB":
            marks = find(figure, f"{letter}/{method}/{form}/{status}")
            assert sorted(marks.get_xdata()) == sorted(rows.steps) and max(marks.get_ydata()) < 1
    assert {"too slow", "out of memory"} <= set(texts(figure))
    assert "too slow" not in texts(drawn(comparison_cost, costs=crafted.costs(limit=1e9, memory=1e12)))


def test_marks_of_what_is_missing_lie_above_all_lines():
    figure = drawn(comparison_cost)
    for axes in figure.axes[:4]:
        marks = [
            line for line in axes.lines if (line.get_gid() or "").endswith(("too_slow", "out_of_memory"))
        ]
        lowest = min(min(line.get_ydata()) for line in marks)
        into = axes.transData + axes.transAxes.inverted()
        own = [
            line for line in axes.lines if line.get_linestyle() in ("-", "--") and len(line.get_xdata()) > 2
        ]
        highest = max(into.transform(line.get_xydata())[:, 1].max() for line in own)
        assert highest < lowest


@pytest.mark.parametrize(
    "costs",
    [
        crafted.costs(lengths=(100,)),
        crafted.costs(methods=("psu",)),
        crafted.costs(limit=1e-9),
        crafted.costs().assign(peak_bytes=np.nan),
    ],
    ids=["one length", "one method", "all too slow", "no memory known"],
)
def test_few_measurements_can_be_drawn(costs, tmp_path):
    figure = drawn(comparison_cost, costs=costs)
    save(figure, tmp_path / "figure")
    assert "eager operations" in texts(figure)


# Controls ---------------------------------------------------------------------------------------------------


def test_controls_are_drawn_with_their_interval_and_what_it_says():
    figure = drawn(comparison_controls)
    left, right = (of(name, 0.004).set_index("seed") for name in ("slayer", "bptt-detached"))
    points = 100 * (left.test_accuracy - right.test_accuracy)
    summary = summarize(points)
    assert sorted(find(figure, "A/slayer/4/seeds").get_xdata()) == pytest.approx(sorted(points))
    assert find(figure, "A/slayer/4/mean").get_xdata() == pytest.approx([summary.mean])
    (segment,) = find(figure, "A/slayer/4/interval").get_segments()
    assert segment[:, 0] == pytest.approx([summary.low, summary.high])
    contains = "contains 0" if summary.low <= 0 <= summary.high else "does not contain 0"
    assert find(figure, "A/slayer/4/verdict").get_text() == contains
    assert find(figure, "A/saf-e/1/verdict").get_text() == "identical"
    assert "SLAYER − BPTT (reset detached), 4 ms" in texts(figure)


def test_controls_that_differ_are_said_to():
    runs = RUNS.copy()
    runs.loc[runs.method == "bptt", "test_accuracy"] -= 0.2
    assert find(drawn(comparison_controls, runs), "A/exodus/4/verdict").get_text() == "does not contain 0"


def test_one_seed_says_no_interval():
    figure = drawn(comparison_controls, RUNS[RUNS.seed == 0])
    said = {find(figure, f"A/{name}/4/verdict").get_text() for name in ("exodus", "slayer", "saf-e")}
    assert said <= {"no interval", "identical"} and "identical" in said
    assert not any(gid.endswith("interval") for gid in gids(figure))


def test_without_a_pair_the_figure_says_so():
    figure = drawn(comparison_controls, RUNS[RUNS.method == "lif"])
    assert "no pair was trained" in find(figure, "note").get_text()


# All --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [comparison_accuracy, comparison_cost, comparison_controls])
@pytest.mark.parametrize("seeds", [1, 10])
def test_no_text_leaves_the_page(draw, seeds):
    figure = drawn(draw, RUNS[RUNS.seed < seeds])
    page = figure.bbox.padded(1.0)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


@pytest.mark.parametrize("draw", [comparison_accuracy, comparison_controls])
def test_other_data_than_shd_are_named(draw):
    assert "synthetic-digits, not SHD" in find(drawn(draw), "note").get_text()
    shd = drawn(draw, context=SHD)
    assert "note" not in gids(shd) or "SHD" not in find(shd, "note").get_text()


@pytest.mark.parametrize("draw", [comparison_accuracy, comparison_cost, comparison_controls])
def test_equal_tables_give_equal_bytes(draw, tmp_path):
    for name in ("one", "two"):
        save(drawn(draw), tmp_path / name)
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    assert b"CreationDate" not in (tmp_path / "one.pdf").read_bytes()
