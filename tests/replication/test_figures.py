"""The figures draw what their tables say: means, intervals, seeds, what is missing, whose data they are."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import plausible
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from plausible import find, gids

from spsn.errors import RecordError, SpsnError
from spsn.replication.figures import (
    Context,
    figure1,
    figure2,
    figure3,
    figure4,
    figure5,
    figure6,
    models,
    open_results,
    sequence_length,
)
from spsn.replication.statistics import summarize
from spsn.replication.style import MODELS, save

ROOT = Path(__file__).resolve().parents[2]
REPORTED = pd.read_csv(ROOT / "paper" / "reported.csv")
DIGITS = Context("synthetic-digits", is_shd=False, chance=0.05)
SHD = Context("shd", is_shd=True, chance=0.05, reported=REPORTED)


def ends(bar) -> np.ndarray:
    """Both ends of an error bar, shape (bars, 2 ends, x and y)."""
    return np.array(bar.get_segments())


def of(runs: pd.DataFrame, experiment: str, model: str, condition: str) -> pd.DataFrame:
    return runs[(runs.experiment == experiment) & (runs.model == model) & (runs.condition == condition)]


def note(figure) -> str:
    return find(figure, "note").get_text() if "note" in gids(figure) else ""


def texts(figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


# Means, intervals, seeds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter, column", [("A", "train_accuracy"), ("B", "test_accuracy")])
def test_figure3_bars_are_means_and_error_bars_intervals(letter, column):
    runs = plausible.runs(seeds=5)
    figure = figure3(runs, plausible.epochs(), DIGITS)
    for model in MODELS:
        for condition in ("basic", "augmented"):
            chosen = of(runs, "accuracy", model, condition)
            values, gid = 100 * chosen[column].to_numpy(), f"{letter}/{model}/{condition}"
            summary = summarize(values)
            assert find(figure, f"{gid}/mean").get_height() == pytest.approx(summary.mean)
            (segment,) = ends(find(figure, f"{gid}/interval"))
            assert segment[:, 1] == pytest.approx([summary.low, summary.high])
            assert find(figure, f"{gid}/seeds").get_ydata() == pytest.approx(values)


def test_figure3_rates_leave_out_the_network_without_spikes():
    runs = plausible.runs(seeds=3)
    figure = figure3(runs, plausible.epochs(), DIGITS)
    drawn = {gid.split("/")[1] for gid in gids(figure) if gid.startswith("D/")}
    assert drawn == {"lif", "spsn-sb", "spsn-gs"}
    rates = of(runs, "accuracy", "lif", "basic").spikes_per_ms
    assert find(figure, "D/lif/basic/mean").get_height() == pytest.approx(rates.mean())


def test_figure2_draws_every_mode_and_model_of_its_experiment_alone():
    runs = plausible.runs(seeds=4)
    figure = figure2(runs, DIGITS)
    for mode in plausible.LOSS_MODES:
        for model in plausible.RATES:
            chosen = of(runs, "loss_mode", model, f"loss-{mode}")
            bar = find(figure, f"{mode}/{model}/mean")
            assert bar.get_height() == pytest.approx(100 * chosen.test_accuracy.mean())
            assert len(find(figure, f"{mode}/{model}/seeds").get_ydata()) == 4
    assert {gid.split("/")[0] for gid in gids(figure) if "/" in gid} == set(plausible.LOSS_MODES)


def test_figure4_points_have_intervals_both_ways():
    runs = plausible.runs(seeds=4)
    figure = figure4(runs, DIGITS)
    for model in ("spsn-sb", "spsn-gs"):
        for theta in (0.03, 0.1, 0.4):
            chosen = runs[(runs.rate_threshold == theta) & (runs.model == model)]
            rate, accuracy = summarize(chosen.spikes_per_ms), summarize(100 * chosen.test_accuracy)
            gid = f"{model}/{theta:g}"
            assert find(figure, f"{gid}/mean").get_xydata()[0] == pytest.approx([rate.mean, accuracy.mean])
            (across,), (along,) = (ends(find(figure, f"{gid}/interval-{way}")) for way in "xy")
            assert across[:, 0] == pytest.approx([rate.low, rate.high])
            assert along[:, 1] == pytest.approx([accuracy.low, accuracy.high])
            assert len(find(figure, f"{gid}/seeds").get_xydata()) == 4
        assert len(find(figure, f"{model}/line").get_xydata()) == 3
    plain = of(runs, "accuracy", "lif", "augmented")
    assert find(figure, "lif/none/mean").get_xdata() == pytest.approx([plain.spikes_per_ms.mean()])
    assert {"0.03", "0.1", "0.4"} <= set(texts(figure))


@pytest.mark.parametrize("figure", [figure2, figure4])
def test_a_single_seed_has_a_point_and_no_interval(figure):
    found = gids(figure(plausible.runs(seeds=1), DIGITS))
    assert any(gid.endswith("/seeds") for gid in found)
    assert not any("interval" in gid for gid in found)


@pytest.mark.parametrize(
    "draw_it", [figure2, figure4, lambda runs, of: figure3(runs, plausible.epochs(), of)]
)
def test_the_legend_names_an_interval_only_where_one_is_drawn(draw_it):
    key = "95 % interval of the mean"
    assert key not in texts(draw_it(plausible.runs(seeds=1), DIGITS))
    assert key in texts(draw_it(plausible.runs(seeds=2), DIGITS))


def test_figure4_names_hollow_marks_and_lif_only_where_they_are_drawn():
    runs = plausible.runs(seeds=2)
    assert {"LIF", "hollow: not regularised"} <= set(texts(figure4(runs, DIGITS)))
    assert not {"LIF", "hollow: not regularised"} & set(
        texts(figure4(runs[runs.condition != "augmented"], DIGITS))
    )


def test_an_interval_that_leaves_its_panel_is_said_to():
    runs = plausible.runs(seeds=2)
    assert "are cut" not in note(figure2(runs.assign(test_accuracy=0.5 + 0.001 * runs.seed), DIGITS))
    wide = runs.assign(test_accuracy=0.4 + 0.2 * runs.seed)  # two seeds: 50 +- 127 points
    for figure in (figure2(wide, DIGITS), figure4(wide, DIGITS), figure3(wide, plausible.epochs(), DIGITS)):
        assert "synthetic-digits, not SHD" in note(figure)
        assert "intervals that reach beyond a panel are cut" in note(figure)


def test_names_of_thresholds_do_not_lie_on_each_other():
    runs = plausible.runs(seeds=2)
    swept = runs.experiment == "regularization"
    runs.loc[swept, "spikes_per_ms"] = 30 + 20 * runs.rate_threshold + (runs.model == "spsn-gs")
    runs.loc[swept, "test_accuracy"] = 0.30 + 0.03 * (runs.model == "spsn-gs")
    figure = figure4(runs, DIGITS)
    figure.draw_without_rendering()
    boxes = [
        find(figure, f"label/{n}/{theta}").get_window_extent() for n in (0, 1) for theta in (0.03, 0.1, 0.4)
    ]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_a_network_left_at_chance_is_in_the_frame():
    figure = figure3(plausible.runs(seeds=2, chance_model="lif"), plausible.epochs(), DIGITS)
    bar, line = find(figure, "B/lif/augmented/mean"), figure.axes[1].lines
    low, high = figure.axes[1].get_ylim()
    assert low <= bar.get_height() <= high
    assert bar.get_height() == pytest.approx(5, abs=4)
    assert any(artist.get_gid() == "chance" and artist.get_ydata()[0] == pytest.approx(5) for artist in line)
    accuracy = figure4(plausible.runs(seeds=2, chance_model="lif"), DIGITS).axes[0]
    assert accuracy.get_ylim()[0] < 4


def test_a_silent_network_is_shown_at_no_spikes():
    runs = plausible.runs(seeds=3)
    silent = (runs.rate_threshold == 0.03) & (runs.model == "spsn-gs")
    runs.loc[silent, ["spikes_per_ms", "test_accuracy"]] = [0.0, 0.05]
    figure = figure4(runs, DIGITS)
    figure.draw_without_rendering()
    axes, point = figure.axes[0], find(figure, "spsn-gs/0.03/mean")
    assert axes.viewLim.contains(*point.get_xydata()[0])
    assert axes.get_window_extent().contains(*axes.transData.transform(point.get_xydata()[0]))


# Timing -----------------------------------------------------------------------------------------------------


def test_epoch_times_stand_in_panel_c_and_what_was_too_slow_says_so():
    figure = figure3(plausible.runs(), plausible.epochs(slow=True), DIGITS)
    assert find(figure, "C/spsn-sb/torch/mean").get_width() == pytest.approx(3.1)
    assert find(figure, "C/spsn-sb/torch/compute").get_xdata() == pytest.approx([2.79])
    assert find(figure, "C/lif/paper/too-slow").get_text() == "too slow"
    assert "C/lif/paper/mean" not in gids(figure)
    assert figure.axes[2].get_xscale() == "log"
    names = [label.get_text() for label in figure.axes[2].get_yticklabels()]
    assert names[:2] == ["LIF, paper's way", "LIF, unbind"]


def test_panel_c_can_be_drawn_when_nothing_was_measured():
    epochs = plausible.epochs().assign(
        status="out-of-memory", seconds_per_epoch=np.nan, seconds_compute=np.nan
    )
    figure = figure3(plausible.runs(), epochs, DIGITS)
    figure.draw_without_rendering()
    assert find(figure, "C/non-spiking/torch/out-of-memory").get_text() == "out of memory"


def test_figure5_medians_and_the_range_of_the_repeats():
    lengths = plausible.lengths(repeats=4)
    figure = figure5(lengths, DIGITS)
    rows = lengths[(lengths.model == "spsn-sb") & (lengths.implementation == "torch")]
    by_steps = rows.groupby("steps").seconds
    line = find(figure, "A/spsn-sb/torch/median").get_xydata()
    assert line[:, 0] == pytest.approx(list(by_steps.groups))
    assert line[:, 1] == pytest.approx(by_steps.median().to_numpy())
    assert by_steps.median().to_numpy() != pytest.approx(by_steps.mean().to_numpy())
    spread = ends(find(figure, "A/spsn-sb/torch/spread"))[:, :, 1]
    assert spread == pytest.approx(np.column_stack([by_steps.min(), by_steps.max()]))


def test_lengths_that_were_too_slow_are_marked():
    lengths = plausible.lengths()
    figure = figure5(lengths, DIGITS)
    assert list(find(figure, "A/lif/paper/too-slow").get_xdata()) == [1000, 2000]
    assert list(find(figure, "A/lif/paper/median").get_xdata()) == [100, 200, 500]
    assert list(find(figure, "B/paper/paper/side-missing").get_xdata()) == [1000, 2000]
    assert {"too slow", "not measured on one side"} <= set(texts(figure))


def test_an_implementation_that_was_never_measured_is_marked_at_every_length():
    lengths = plausible.lengths()
    lengths.loc[lengths.implementation == "unbind", ["status", "seconds"]] = ["out-of-memory", np.nan]
    figure = figure5(lengths, DIGITS)
    figure.draw_without_rendering()
    assert list(find(figure, "A/lif/unbind/out-of-memory").get_xdata()) == [100, 200, 500, 1000, 2000]
    assert "A/lif/unbind/median" not in gids(figure)


def test_what_remains_of_the_ratio_is_over_the_papers_spsn():
    lengths = plausible.lengths(repeats=3)
    median = lengths.groupby(["model", "implementation", "steps"]).seconds.median()
    figure = figure5(lengths, DIGITS)
    ratios = find(figure, "B/unbind/paper/median").get_xydata()
    assert ratios[:, 1] == pytest.approx((median["lif", "unbind"] / median["spsn-sb", "paper"]).to_numpy())
    drawn = {gid.rsplit("/", 1)[0] for gid in gids(figure) if gid.startswith("B/")}
    assert drawn == {"B/paper/paper", "B/unbind/paper", "B/torch/torch", "B/fused/fused"}
    ways = {"both paper's way", "LIF unbind over SPSN-SB paper's way", "both torch", "both fused"}
    assert ways <= set(texts(figure))


def test_ratio_spans_what_the_repeats_allow():
    times = sequence_length.summarize_repeats(plausible.lengths(repeats=3))
    rows = sequence_length.speed_ratio(times, "torch", "torch").set_index("steps")
    lif = times[(times.model == "lif") & (times.implementation == "torch")].set_index("steps")
    spsn = times[(times.model == "spsn-sb") & (times.implementation == "torch")].set_index("steps")
    assert (rows.low < rows["median"]).all() and (rows["median"] < rows.high).all()
    assert rows.high[500] == pytest.approx(lif.high[500] / spsn.low[500])


def test_fused_kernels_are_compared_with_fused_kernels():
    lengths = plausible.lengths()
    median = lengths.groupby(["model", "implementation", "steps"]).seconds.median()
    ratios = find(figure5(lengths, DIGITS), "B/fused/fused/median").get_ydata()
    assert ratios == pytest.approx((median["lif", "fused"] / median["spsn-sb", "fused"]).to_numpy())


def test_the_end_of_the_papers_range_is_marked_where_longer_sequences_were_measured():
    longer = figure5(plausible.lengths(steps=(100, 1000, 10_000, 100_000)), DIGITS)
    for panel in "AB":
        assert list(find(longer, f"{panel}/paper-ends").get_xdata()) == [10_000, 10_000]
    assert texts(longer).count("paper's range") == 1
    assert not [gid for gid in gids(figure5(plausible.lengths(), DIGITS)) if gid.endswith("paper-ends")]


# Whose data -------------------------------------------------------------------------------------------------


def draw(number: int, context: Context):
    """Figure `number` from plausible tables."""
    calls = {
        2: lambda: figure2(plausible.runs(), context),
        3: lambda: figure3(plausible.runs(), plausible.epochs(slow=False), context),
        4: lambda: figure4(plausible.runs(), context),
        5: lambda: figure5(plausible.lengths(), context),
        6: lambda: figure6(plausible.trials(), plausible.test_set(), context),
    }
    return calls[number]()


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
def test_other_data_than_shd_are_named_and_the_papers_values_absent(number):
    figure = draw(number, DIGITS)
    assert "synthetic-digits, not SHD" in note(figure)
    assert not [gid for gid in gids(figure) if "published" in gid or "guide" in gid]


def test_shd_has_the_papers_values_and_no_note():
    figures = {number: draw(number, SHD) for number in (2, 3, 4, 5, 6)}
    assert not any("SHD" in note(figure) for figure in figures.values())
    three = figures[3]
    assert find(three, "B/spsn-sb/augmented/published").get_ydata() == [86.89]
    assert find(three, "A/lif/basic/published").get_ydata() == [100]
    assert find(three, "C/lif/paper/published").get_xdata() == [286.72]
    assert find(three, "D/spsn-gs/augmented/published").get_ydata() == [181.53]
    assert tuple(find(figures[4], "spsn-gs/regularized/published").get_xydata()[0]) == (37, 89.73)
    assert {"guide-25", "guide-50"} <= gids(figures[4])
    assert tuple(find(figures[5], "B/published").get_xydata()[0]) == (10_000, 4000)


def test_part_of_shd_is_not_shd():
    assert "part of SHD" in note(figure2(plausible.runs(), Context("shd", False, 0.05)))


# Figures 1 and 6 --------------------------------------------------------------------------------------------


def test_figure1_shows_traces_spikes_and_the_threshold_of_lif_alone():
    neurons = plausible.neurons()
    figure = figure1(neurons, threshold=1.0)
    for model in ("lif", "spsn-sb", "spsn-gs"):
        trace = neurons[neurons.model == model]
        potential = find(figure, f"{model}/potential").get_ydata()
        assert potential == pytest.approx(trace.membrane_potential.to_numpy())
        ticks = np.array(find(figure, f"{model}/spikes").get_segments())
        assert ticks[:, 0, 0] == pytest.approx(trace.time_ms[trace.spike == 1].to_numpy())
        assert ticks[:, :, 1].min() > trace.membrane_potential.max()
    assert find(figure, "lif/threshold").get_ydata() == [1.0, 1.0]
    assert "spsn-sb/threshold" not in gids(figure)


def test_figure1_without_any_spike():
    figure = figure1(plausible.neurons().assign(spike=0), threshold=9.0)
    figure.draw_without_rendering()
    assert "LIF: 0 spikes" in texts(figure)
    assert figure.axes[1].get_ylim()[1] > 9


def test_figure6_means_deviations_and_the_share_that_moved():
    trials = plausible.trials(count=6)
    figure = figure6(trials, plausible.test_set(samples=240, moved=30), DIGITS)
    for model in ("spsn-sb", "spsn-gs"):
        by_class = trials[trials.model == model].groupby("class").mean_potential
        assert find(figure, f"{model}/mean").get_xdata() == pytest.approx(by_class.mean().to_numpy())
        low, high = ends(find(figure, f"{model}/spread"))[:, :, 0].T
        assert high - low == pytest.approx(2 * by_class.std(ddof=1).to_numpy())
        assert find(figure, f"{model}/correct").get_y() == pytest.approx(14.5)
    counted = " ".join(figure.axes[0].get_xlabel().split())
    assert "the label moved for 30 of 240 samples (12.5 %)" in counted
    predicted = trials[trials.model == "spsn-sb"].groupby("trial").predicted.first()
    title = f"SPSN-SB: right in {(predicted == 15).sum()} of 6 trials (correct: fünf)"
    assert figure.axes[0].get_title(loc="left") == title


def test_figure6_with_one_model_and_one_trial():
    figure = figure6(plausible.trials(("spsn-sb",), count=1), plausible.test_set(("spsn-sb",)), DIGITS)
    figure.draw_without_rendering()
    assert "spsn-sb/mean" in gids(figure) and "spsn-sb/spread" not in gids(figure)


# Layout and files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("context", [DIGITS, SHD], ids=["digits", "shd"])
def test_no_axis_text_leaves_the_page(context, number):
    figure = draw(number, context)
    figure.draw_without_rendering()
    page = figure.bbox.padded(1.0)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


def test_models_differ_in_grey_print_too():
    for kind in ("marker", "line", "hatch"):
        assert len({getattr(look, kind) for look in MODELS.values()}) == len(MODELS)
    grey = [np.dot(to_rgb(look.color), [0.2126, 0.7152, 0.0722]) for look in MODELS.values()]
    assert min(np.diff(sorted(grey))) > 0.02


def test_files_are_the_same_bytes_whatever_the_process_and_a_persons_matplotlibrc(tmp_path):
    program = (
        "import sys, pandas\n"
        "from spsn.replication.figures import Context, figure3\n"
        "from spsn.replication.style import save\n"
        "runs, epochs = (pandas.read_csv(path) for path in sys.argv[2:])\n"
        "save(figure3(runs, epochs, Context('fsdd', False, 0.1)), sys.argv[1])\n"
    )
    tables = [tmp_path / "runs.csv", tmp_path / "epochs.csv"]
    for table, path in zip((plausible.runs(), plausible.epochs()), tables, strict=True):
        table.to_csv(path, index=False)
    elsewhere, here = tmp_path / "elsewhere" / "figure3", tmp_path / "here" / "figure3"
    (tmp_path / "matplotlibrc").write_text(
        "savefig.bbox: tight\nfont.size: 30\nxtick.top: True\nlegend.loc: center\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT / "src")}
    environment["MATPLOTLIBRC"] = str(tmp_path / "matplotlibrc")
    subprocess.run([sys.executable, "-c", program, elsewhere, *tables], check=True, env=environment)
    runs, epochs = (pd.read_csv(path) for path in tables)
    save(figure3(runs, epochs, Context("fsdd", False, 0.1)), here)
    for kind in (".pdf", ".png"):
        assert elsewhere.with_suffix(kind).read_bytes() == here.with_suffix(kind).read_bytes()
    assert sorted(path.name for path in here.parent.iterdir()) == ["figure3.pdf", "figure3.png"]
    content = here.with_suffix(".pdf").read_bytes()
    assert b"/FontFile2" in content and b"/Type3" not in content  # TrueType, not drawings
    assert b"CreationDate" not in content


def test_save_leaves_matplotlibs_settings_as_they_were(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    save(figure1(plausible.neurons(), 1.0), tmp_path / "figure1")
    assert dict(matplotlib.rcParams) == before


# Reading ----------------------------------------------------------------------------------------------------


def test_open_results_knows_the_data(tmp_path):
    source = open_results(plausible.write(tmp_path / "demo"))
    assert source.context == Context("synthetic-digits", is_shd=False, chance=0.05, reported=None)
    pd.testing.assert_frame_equal(source.table("timing/epoch.csv", models.EPOCH_COLUMNS), plausible.epochs())


def test_open_results_reads_the_papers_values_for_shd_only(tmp_path):
    folder = plausible.write(tmp_path / "paper", plausible.settings("paper"))
    context = open_results(folder, ROOT / "paper" / "reported.csv").context
    assert context.is_shd and len(context.reported) == len(REPORTED)
    with pytest.raises(RecordError, match="absent.csv: is missing"):
        open_results(folder, tmp_path / "absent.csv")


@pytest.mark.parametrize("name", ["settings.json", "data.json", *plausible.TABLES])
def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path, name):
    folder = plausible.write(tmp_path / "demo")
    (folder / name).unlink()
    with pytest.raises(SpsnError) as caught:
        open_results(folder).table(name)
    assert f"{folder / name}: is missing" in str(caught.value)
    assert f"`snakemake {folder / name} --cores all` with the configuration that made it" in str(caught.value)


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("", "cannot be read"),
        ("model\nlif\n", "lacks the columns status"),
        ("model,status\n", "holds no line"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, content, complaint):
    folder = plausible.write(tmp_path / "demo")
    (folder / "timing/epoch.csv").write_text(content)
    with pytest.raises(RecordError, match=complaint):
        open_results(folder).table("timing/epoch.csv", ("model", "status"))


@pytest.mark.parametrize("facts", ["", "{}", '{"splits": {"test": {"classes": 0}}}', "[]"])
def test_damaged_facts_of_the_data_are_refused(tmp_path, facts):
    folder = plausible.write(tmp_path / "demo")
    (folder / "data.json").write_text(facts)
    with pytest.raises(RecordError, match="data.json"):
        open_results(folder)
