"""The data page: figure, table and text say what the samples are, and what is published of SHD."""

import shutil
import subprocess
from pathlib import Path

import crafted_results as crafted
import numpy as np
import pandas as pd
import plausible
import pytest
from matplotlib.text import Text
from plausible import find, gids
from support import needs_tex

from spsn.data.membrane import COCHLEA, velocity
from spsn.data.shd import CHANNELS, SHD_EXPECTED
from spsn.errors import RecordError
from spsn.files import write_json
from spsn.replication import report
from spsn.replication.data_table import (
    HERE,
    MAX_SPEAKERS,
    SHD,
    data_table,
    published_value,
    read_published,
    read_table_data,
    shown_speakers,
    to_tex,
    unseen_speakers,
    write_table_data,
)
from spsn.replication.facts.data import data_macros, data_notice, data_switches
from spsn.replication.figures import Context, figure_data
from spsn.replication.figures.data import HEARD, MAX_CLASSES, SPLITS
from spsn.replication.style import save
from spsn.settings import to_mapping

AUDIO = {"audio": "my/birds", "labels": "birds.csv"}
KINDS = {
    "shd": ("shd", {}), "partofshd": ("shd", {"limit": {"train": 100, "test": None}}),
    "otherarchives": ("shd", {"shd": {"archives": {"shd_train.h5.zip": "0" * 32}}}),
    "syntheticdigits": ("synthetic-digits", {}), "fsdd": ("fsdd", {}), "ownaudio": (AUDIO, {}),
    "ownfiles": ({"train": "a.h5", "test": "b.h5", "name": "words"}, {}),
}  # fmt: skip


needs_pdftotext = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="needs pdftotext (poppler-utils)"
)


def note(figure) -> str:
    return find(figure, "note").get_text() if "note" in gids(figure) else ""


def texts(figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return read_published(crafted.PUBLISHED)


def drawn(samples=None, rasters=None, published=None, context=None, **options):
    samples = plausible.samples() if samples is None else samples
    rasters = plausible.rasters() if rasters is None else rasters
    context = context or Context("synthetic-digits", is_shd=False, chance=0.05)
    return figure_data(samples, rasters, published, context, **options)


@pytest.fixture(scope="module")
def figure(published):
    """The figure of `plausible`'s samples and rasters; tests only look at it."""
    return drawn(published=published)


def plan(kind: str):
    dataset, changes = KINDS[kind]
    return crafted.plan("paper", dataset=dataset, **changes)


# SHD's values -----------------------------------------------------------------------------------------------


def test_the_published_values_are_those_that_the_files_are_checked_against(published):
    for split in ("train", "test"):
        expected = SHD_EXPECTED[f"shd_{split}.h5"]
        assert published_value(published, "samples", split) == (expected.samples, False)
        assert published_value(published, "classes") == (expected.classes, False)
    assert published_value(published, "channels") == (CHANNELS, False)
    assert published_value(published, "spikes per sample")[1]  # known as about so many
    assert published_value(published, "active channels") is None
    assert published.source.str.contains("10.1109/TNNLS.2020.3044364|shd_").all()


def test_the_frequencies_on_the_axis_are_those_that_the_membrane_moves_most_at():
    frequencies = np.geomspace(40, 24_000, 3000)
    channels = list(HEARD)
    moved = np.abs(velocity(2 * np.pi * frequencies, COCHLEA.places()[channels]))
    best = frequencies[moved.argmax(axis=1)]
    said = [float(text.split()[0]) * (1000 if "kHz" in text else 1) for text in HEARD.values()]
    assert best == pytest.approx(said, rel=0.01) and channels == [0, CHANNELS - 1]


# The table --------------------------------------------------------------------------------------------------


def line(table: pd.DataFrame, origin: str, file: str, speaker: str = "") -> pd.Series:
    rows = table[(table.origin == origin) & (table.file == file) & (table.speaker == speaker)]
    assert len(rows) == 1
    return rows.iloc[0]


def test_a_line_of_the_table_is_what_its_samples_are(published):
    samples = plausible.samples()
    table = data_table(samples, published)
    for file in ("train", "test", "both"):
        for speaker in ["", "0", "3"] if file != "both" else [""]:
            own = samples[(samples.split == file) | (file == "both")]
            own = own[(own.speaker == int(speaker))] if speaker else own
            row = line(table, HERE, file, speaker)
            assert row.samples == len(own) and row.classes == own.label.nunique()
            assert row.spikes_mean == pytest.approx(np.mean(own.spikes))
            assert row.spikes_sd == pytest.approx(np.std(own.spikes, ddof=1))
            assert row.duration_mean_s == pytest.approx(np.mean(own.duration_s))
            assert row.duration_max_s == max(own.duration_s)
            assert row.active_channels_mean == pytest.approx(np.mean(own.active_channels))
    by_speaker = table[(table.origin == HERE) & (table.speaker != "")]
    assert by_speaker.groupby("file").samples.sum().to_dict() == {"train": 120, "test": 60}


def test_speakers_of_the_test_file_alone_are_marked(published):
    samples = plausible.samples()
    assert unseen_speakers(samples) == [4, 5]
    table = data_table(samples, published)
    marks = table[(table.origin == HERE) & (table.speaker != "")].set_index(["file", "speaker"]).in_training
    assert [key for key, mark in marks.items() if mark == "no"] == [("test", "4"), ("test", "5")]
    tex = to_tex(table)
    assert tex.count(r"\,\textdagger") == 2 and "not in the training file" in tex
    seen = to_tex(data_table(samples[samples.speaker < 4], published))
    assert r"\textdagger" not in seen


def test_shds_values_stand_below_with_their_sources_and_nothing_else(published):
    table = data_table(plausible.samples(), published)
    train, test, both = (line(table, SHD, file) for file in ("train", "test", "both"))
    assert (train.samples, test.samples, both.spikes_mean, both.duration_max_s) == (8156, 2264, 8000, 1.37)
    assert (both.speakers, both.classes, both.channels) == (12, 20, 700)
    assert set(table.speaker[(table.origin == SHD) & (table.in_training == "no")]) == {"4", "5"}
    assert table[table.origin == SHD].source.str.len().min() > 0
    assert np.isnan(train.spikes_mean) and np.isnan(both.active_channels_mean) and np.isnan(both.samples)
    last = to_tex(table).splitlines()
    assert r"\quad training file & 8156 & -- & -- & -- & -- \\" in last
    assert r"\quad test file, the only one with speakers 4 and 5 & 2264 & -- & -- & -- & -- \\" in last
    assert (
        r"\quad both files: 12 speakers, 20 classes & -- & about 8000 & -- & about 1.37 & of 700 \\" in last
    )


def test_the_file_gives_the_table_back(published, tmp_path):
    write_table_data(tmp_path, plausible.samples(), published)
    table = read_table_data(tmp_path)
    expected = data_table(plausible.samples(), published)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    (tmp_path / "tables/table_data.csv").write_text("file,speaker\ntrain,0\n")
    with pytest.raises(RecordError, match="table_data.csv: lacks the columns origin"):
        read_table_data(tmp_path)


def many_speakers(count: int) -> pd.DataFrame:
    """Speaker s of `count` has s + 1 samples in the training file and one in the test file."""
    one = plausible.samples(1, 0)
    parts = [one.assign(speaker=s) for s in range(count) for _ in range(s + 1)]
    return pd.concat([*parts, *(one.assign(speaker=s, split="test") for s in range(count))])


def test_paper_shows_the_speakers_with_the_most_samples_and_says_so(published):
    samples, hidden = many_speakers(MAX_SPEAKERS + 3), 3
    shown = shown_speakers(samples)
    assert shown == list(range(hidden, MAX_SPEAKERS + 3))
    table = data_table(samples, published)
    tex = to_tex(table)
    assert tex.count(r"\quad speaker") == 2 * MAX_SPEAKERS and r"\quad speaker 2 &" not in tex
    assert "3 further speakers are listed in" in tex
    assert len(table[(table.origin == HERE) & (table.speaker != "")]) == 2 * (MAX_SPEAKERS + 3)
    figure = drawn(samples, plausible.rasters(1), published)
    assert f"spikes/train/{hidden}/box" in gids(figure) and "spikes/train/2/box" not in gids(figure)
    assert "3 speakers with fewer samples not shown" in note(figure)


def test_one_sample_has_no_spread(published):
    samples = plausible.samples(1, 1, classes=1)
    row = line(data_table(samples, published), HERE, "train")
    assert row.samples == 1 and np.isnan(row.spikes_sd)
    assert rf"all: 1 speaker, 1 class & 1 & {row.spikes_mean:.0f} &" in to_tex(data_table(samples, published))


# The figure -------------------------------------------------------------------------------------------------


def test_rasters_hold_every_spike_of_their_class(figure):
    rasters = plausible.rasters()
    for label, of_class in rasters.groupby("label"):
        points = find(figure, f"A/{label}")
        np.testing.assert_array_equal(points.get_xydata(), of_class[["time_s", "channel"]])
        assert points.get_rasterized() and points.axes.get_title(loc="left") == plausible.WORDS[label]
    limits = {(a.get_xlim(), a.get_ylim()) for a in (find(figure, f"A/{c}").axes for c in range(20))}
    ((x, y),) = limits
    assert x[0] <= 0 and x[1] > rasters.time_s.max() and y[0] > CHANNELS - 1 and y[1] < 0  # channel 0 on top


def test_frequencies_are_named_where_they_are_known(figure, published):
    named = texts(figure)
    assert {"0\n22.5 kHz", "699\n100 Hz"} <= set(named)
    unknown = texts(drawn(published=published, frequencies=False))
    assert {"0", "699"} <= set(unknown) and not any("Hz" in text for text in unknown)


@pytest.mark.parametrize("column", ["spikes", "duration_s", "active_channels"])
def test_histograms_and_boxes_are_of_all_samples(column, figure):
    samples = plausible.samples()
    for split in SPLITS:
        own = samples[samples.split == split]
        shares, edges, _ = find(figure, f"{column}/{split}/shares").get_data()
        assert shares.sum() == pytest.approx(100)
        assert edges[0] == samples[column].min() and edges[-1] == samples[column].max()
        for speaker in own.speaker.unique():
            values = own[column][own.speaker == speaker]
            median = find(figure, f"{column}/{split}/{speaker}/median").get_xdata()
            assert median == pytest.approx([np.median(values)] * 2)
            box = find(figure, f"{column}/{split}/{speaker}/box").get_path().vertices[:, 0]
            assert [box.min(), box.max()] == pytest.approx(np.percentile(values, [25, 75]))
    assert {f"{column}/train/4/box", f"{column}/train/5/box"}.isdisjoint(gids(figure))
    assert {gid for gid in gids(figure) if gid.endswith("/unseen") and gid.startswith(column)} == {
        f"{column}/4/unseen",
        f"{column}/5/unseen",
    }


def test_shds_values_are_lines_in_sight_where_there_are_some(published):
    samples = plausible.samples()
    figure = drawn(samples.assign(spikes=samples.spikes // 4), published=published)
    for column, value in (("spikes", 8000), ("duration_s", 1.37)):
        lines = figure.findobj(lambda artist, gid=f"{column}/published": artist.get_gid() == gid)
        assert [line.get_xdata()[0] for line in lines] == [value] * 2
        low, high = lines[0].axes.get_xlim()
        assert low < value < high
    assert "active_channels/published" not in gids(figure)
    assert {"SHD:\nabout 8000", "longest in SHD:\nabout 1.37"} <= set(texts(figure))


def test_the_figure_says_whose_data_it_shows(figure, published):
    assert note(figure) == "synthetic-digits, not SHD"
    assert note(drawn(published=published, context=Context("shd", is_shd=True, chance=0.05))) == ""


def test_many_classes_a_silent_one_and_a_single_one(published):
    many = MAX_CLASSES + 5
    samples, rasters = plausible.samples(classes=many), plausible.rasters(many)
    figure = drawn(samples, rasters[rasters.label != 3], published)
    assert f"the first {MAX_CLASSES} of {many} classes" in note(figure)
    assert len(find(figure, "A/3").get_xdata()) == 0
    single = drawn(plausible.samples(9, 9, classes=1), plausible.rasters(1), published)
    assert [gid for gid in gids(single) if gid.startswith("A/")] == ["A/0"]


def test_any_class_name_can_be_drawn(published, tmp_path):
    names = {0: "$\\frac{", 1: "costs $5 or $6", 2: "a word of more letters than fit"}
    samples = plausible.samples(9, 3, classes=3)
    samples["class"] = samples.label.map(names)
    figure = drawn(samples, plausible.rasters(3), published)
    titles = [find(figure, f"A/{label}").axes.get_title(loc="left") for label in names]
    assert titles == [names[0], names[1], "a word of more lett…"]
    save(figure, tmp_path / "figure_data")


def test_the_pdf_stays_small(published, tmp_path):
    rasters = plausible.rasters(spikes=9000)  # more than SHD's samples have
    pdf, _ = save(drawn(rasters=rasters, published=published), tmp_path / "figure_data")
    assert pdf.stat().st_size < 300_000


def test_equal_tables_give_equal_bytes(published, tmp_path):
    few = plausible.samples(9, 9, classes=1), plausible.rasters(1)
    one, other = (save(drawn(*few, published=published), tmp_path / name)[0] for name in "ab")
    assert one.read_bytes() == other.read_bytes()


# The text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_data_are_of_one_kind_alone(kind):
    found = data_switches(plan(kind))
    assert [name for name in KINDS if found[name]] == [kind]
    assert found["knownchannels"] == (kind not in ("ownfiles", "otherarchives"))
    assert ("not SHD" in data_notice(plan(kind))) == (kind not in ("shd", "partofshd"))


def test_only_trimmed_recordings_are_called_trimmed():
    assert data_switches(plan("ownaudio"))["trimmed"]
    assert not data_switches(crafted.plan("paper", dataset=AUDIO | {"trim": False}))["trimmed"]
    assert not data_switches(plan("fsdd"))["trimmed"]


def test_macros_hold_the_numbers_of_the_table(published):
    settings = crafted.plan("demo")
    facts = crafted.facts(settings)
    found = data_macros(settings, facts, data_table(crafted.samples(), published))
    assert (found["SampleCount"], found["SpeakerCount"], found["LongestSample"]) == (
        "800",
        "12 speakers",
        "1.20",
    )
    share = (600 * 0 + 200 / 12) / 800  # about: the share of speaker 4, whose samples have 100 spikes more
    assert float(found["SpikesPerSample"]) == pytest.approx(8000 + 100 * share, abs=1)
    assert found["UnseenSpeakers"] == "speakers 4 and 5 (34 samples)"
    assert (found["ShdTrainSamples"], found["ShdTestSamples"]) == ("8156", "2264")
    assert (found["ShdUnseenSpeakers"], found["ShdLongestSample"]) == ("speakers 4 and 5", "1.37")
    assert r"train & 600 & 20 & 10 & 10--30 & 1\,234\,567" in found["DataTable"]
    alike = crafted.samples().query("speaker < 4")
    assert data_macros(settings, facts, data_table(alike, published))["UnseenSpeakers"] == "no speaker"


def test_a_table_without_shd_is_named(published):
    settings = crafted.plan("demo")
    table = data_table(crafted.samples(), published)
    with pytest.raises(RecordError, match="table_data.csv: has no line 'SHD as published', 'both'"):
        data_macros(settings, crafted.facts(settings), table[table.origin == HERE])


def text_of(pdf: Path) -> str:
    """The text of a PDF, with single spaces."""
    done = subprocess.run(["pdftotext", str(pdf), "-"], check=True, capture_output=True)
    return " ".join(done.stdout.decode().split())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The crafted results of the demo."""
    return crafted.write(tmp_path_factory.mktemp("page") / "demo", crafted.plan("demo"))


@pytest.fixture(scope="module")
def typeset(made):
    """Makes the report of a kind of data."""

    def of(kind: str) -> str:
        dataset, changes = KINDS[kind]
        settings = crafted.plan("demo", dataset=dataset, **changes)
        folder = shutil.copytree(made, made.parent / kind)
        write_json(folder / "settings.json", to_mapping(settings))
        return text_of(crafted.typeset(folder, settings))

    return of


@needs_tex
@needs_pdftotext
def test_a_report_on_fsdd_names_its_makers_and_its_licence(typeset):
    text = typeset("fsdd")
    assert "Data: fsdd — not SHD" in text and "??" not in text
    assert "by Zohar Jackson and contributors: 3000 in all" in text
    assert "every recording of one of them, theo" in text and "takes 0 to 4 of the other five" in text
    assert "licensed CC BY-SA 4.0" in text and "Free Spoken Digit Dataset" in text
    assert "eSpeak" not in text and "recordings of one’s own" not in text
    assert "Figure D: The data: fsdd." in text and "Figure 1: What the three neurons" in text
    assert "8156 training and 2264 test samples" in text


@needs_tex
@needs_pdftotext
def test_a_report_on_recordings_of_ones_own_says_what_is_not_known(typeset):
    text = typeset("ownaudio")
    assert "Data: birds — not SHD" in text and "??" not in text
    assert "They are recordings of one’s own" in text and "Silence at both ends was cut off" in text
    assert "The data are recordings given by the configuration" in text
    assert "CC BY-SA" not in text and "Jackson" not in text


def test_switches_and_numbers_reach_the_report(made, tmp_path):
    report.write_macros(made, crafted.plan("demo"), tmp_path / "macros.tex")
    text = (tmp_path / "macros.tex").read_text()
    assert "\\newif\\ifsyntheticdigits \\syntheticdigitstrue" in text
    assert "\\newif\\iffsdd \\fsddfalse" in text
    assert "\\newcommand{\\ShdTrainSamples}{8156}" in text
