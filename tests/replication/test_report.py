"""The report: numbers come from files, pages say what the data are, equal results give equal bytes."""

import json
import re
import shutil
import string
from pathlib import Path

import crafted_results as crafted
import pytest
from report_text import macros, needs_pdftotext, needs_tex, pages, switches, typed_numbers

from spsn.errors import SettingsError, SpsnError
from spsn.files import write_json
from spsn.replication import report, typesetting
from spsn.replication.protocol import differences

INPUTS = (
    *("data.json", "provenance.json", "tables/runs.csv", "tables/claims.csv", "timing/epoch.csv"),
    *("timing/sequence_length.csv", "robustness/trials.csv", "robustness/test_set.csv"),
    "tables/table_data.csv",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crafted results of config/demo.yaml, macros written."""
    folder = crafted.write(tmp_path_factory.mktemp("results") / "demo", crafted.plan("demo"))
    report.write_macros(folder, crafted.plan("demo"), folder / "report/macros.tex")
    return folder


@pytest.fixture
def changeable(demo: Path, tmp_path: Path) -> Path:
    """A copy of `demo` that a test may spoil."""
    return Path(shutil.copytree(demo, tmp_path / "demo"))


@pytest.fixture(scope="module")
def demo_pdf(demo: Path) -> Path:
    """The report of `demo`."""
    return crafted.typeset(demo, crafted.plan("demo"))


def test_the_text_types_no_result() -> None:
    text = crafted.TEX.read_text()
    assert typed_numbers(text) == []
    for planted in (
        r"LIF reached 71.4\,\%.",
        r"It reads $16.0=8.00\times2.00$.",
        "With 10 seeds it is faster.",
    ):
        assert typed_numbers(text.replace(r"\section{Limits}", planted)) == [planted]


@needs_tex
def test_equal_results_give_equal_bytes_wherever_they_lie(demo_pdf: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "an other place, with a rather long name" / "demo"
    again = crafted.typeset(crafted.write(elsewhere, crafted.plan("demo")), crafted.plan("demo"))
    assert again.read_bytes() == demo_pdf.read_bytes()
    assert b"tmp" not in again.read_bytes()


@needs_tex
@needs_pdftotext
def test_every_page_says_that_the_data_are_not_shd(demo_pdf: Path) -> None:
    found = pages(demo_pdf)
    assert len(found) > 5
    assert all("Data: synthetic-digits — not SHD" in page for page in found)
    assert "no verdict on the paper" in found[0]
    assert "synthetic-digits, not SHD" in found[0]
    assert "??" not in " ".join(found)


@needs_tex
@needs_pdftotext
def test_the_numbers_of_the_text_come_from_the_files(demo_pdf: Path, changeable: Path) -> None:
    before, table = " ".join(pages(demo_pdf)), changeable / "timing/epoch.csv"
    assert "took 16.0 times as long" in before and "a factor of 8.00 of this" in before
    crafted.edit(table, "lif,paper,measured,96.0", "lif,paper,measured,60.0")
    after = " ".join(pages(crafted.typeset(changeable, crafted.plan("demo"))))
    assert "took 10.0 times as long" in after and "a factor of 5.00 of this" in after
    assert "16.0 times as long" not in after


@needs_tex
@needs_pdftotext
def test_a_report_on_shd_does_not_excuse_itself(tmp_path: Path) -> None:
    settings = crafted.plan("paper")
    folder = crafted.write(tmp_path / "paper", settings)
    found = pages(crafted.typeset(folder, settings))
    assert all("Data: Spiking Heidelberg Digits (SHD)" in page and "not SHD" not in page for page in found)
    assert "no verdict on the paper" not in found[0] and "replicated" in found[0]
    assert "330 networks were trained" in found[0]
    assert "not the paper’s" not in " ".join(found)
    assert "in batches as large as in training, of 64 samples, as in the authors’ program" in " ".join(found)


@needs_tex
@needs_pdftotext
def test_any_name_and_a_small_grid_can_be_typeset(tmp_path: Path) -> None:
    name = f"dïgits{string.punctuation}語"
    small = {"models": ["spsn-sb"], "seeds": 1}
    experiments = json.loads(json.dumps(crafted.report.to_mapping(crafted.plan("demo"))["experiments"]))
    experiments["accuracy"] |= small | {"conditions": ["basic"]}
    experiments["regularization"] |= small | {"thresholds": [0.03]}
    experiments["loss_mode"] |= small | {"modes": ["last"]}
    experiments["robustness"] |= {"models": ["spsn-sb"], "condition": "basic"}
    dataset = {"train": "a.h5", "test": "b.h5", "name": name}
    settings = crafted.plan("demo", dataset=dataset, experiments=experiments)
    folder = crafted.write(tmp_path / "demo", settings)
    crafted.change_json(folder / "provenance.json", commands=[f"spsn --name '{name}'"], git_commit=None)
    found = pages(crafted.typeset(folder, settings))
    shown = name.replace("語", "[U+8A9E]")
    assert all(f"Data:{shown}—notSHD" in "".join(page.split()) for page in found)
    text = " ".join(found)
    assert "one seed; chance" in text and "1 seeds" not in text and "without error bars" in text
    assert "error bars 95" not in text and "LIF are from the augmented" not in text
    assert f"spsn--name'{shown}'" in "".join("".join(found).split())


@needs_tex
def test_what_tex_says_is_passed_on_and_the_old_report_stays(changeable: Path) -> None:
    out = changeable / "report/report.pdf"
    out.write_text("the old one")
    with (changeable / "tables/table1.tex").open("a") as table:
        table.write("\\nosuchcommand\n")
    with pytest.raises(
        SpsnError, match=r"(?s)report\.tex.*table1\.tex:\d+: Undefined control sequence.*nosuchcommand"
    ):
        report.build_pdf(changeable, crafted.TEX, out)
    assert out.read_text() == "the old one"
    assert sorted(p.name for p in out.parent.iterdir()) == ["macros.tex", "report.pdf"]


def test_without_tex_the_packages_are_named(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpsnError, match="apt-get install .*latexmk texlive-latex-base"):
        report.build_pdf(demo, crafted.TEX, tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_the_set_up_installs_the_packages_that_the_message_names() -> None:
    script = (crafted.ROOT / "tools/setup.sh").read_text()
    installed = re.search(r"TEX_PACKAGES=\((.*?)\)", script, re.DOTALL).group(1).split()
    assert set(typesetting.DEBIAN_PACKAGES) <= set(installed)


@pytest.mark.parametrize("name", INPUTS)
def test_a_missing_file_is_named_with_the_command_that_makes_it(changeable: Path, name: str) -> None:
    (changeable / name).unlink()
    with pytest.raises(
        SpsnError, match=rf"{re.escape(name)}: is missing; make it with `snakemake .*{re.escape(name)}"
    ):
        report.write_macros(changeable, crafted.plan("demo"), changeable / "report/macros.tex")


@pytest.mark.parametrize("name", [name for name in INPUTS if name.endswith(".csv")])
def test_a_table_without_its_columns_is_named(changeable: Path, name: str) -> None:
    (changeable / name).write_text("a,b\n1,2\n")
    with pytest.raises(SpsnError, match=rf"{re.escape(name)}: lacks the columns"):
        report.write_macros(changeable, crafted.plan("demo"), changeable / "report/macros.tex")


@pytest.mark.parametrize("name", (typesetting.REPORT.macros, *typesetting.PARTS))
def test_a_missing_part_of_the_report_is_named(changeable: Path, name: str) -> None:
    (changeable / name).unlink()
    with pytest.raises(SpsnError, match=rf"{re.escape(name)}: is missing"):
        report.build_pdf(changeable, crafted.TEX, changeable / "report/report.pdf")


def test_the_ratio_is_taken_apart_into_the_baselines_part_and_the_rest(demo: Path) -> None:
    found = macros(demo, crafted.plan("demo"))
    # Seconds an epoch: LIF 96, LIF without its slices 12, SPSN-SB 6, of which 2 s are the data's.
    assert [found[f"EpochRatio{part}"] for part in ("Whole", "Baseline", "Rest")] == ["16.0", "8.00", "2.00"]
    assert [found[f"ComputeRatio{part}"] for part in ("Whole", "Baseline", "Rest")] == [
        "23.5",
        "9.40",
        "2.50",
    ]
    # At T = 2000 the paper's LIF was too slow: T = 1000 is the longest with all three, 10 s, 2 s and 0.1 s.
    assert found["LengthLongest"] == "1000"
    assert [found[f"LengthRatio{part}"] for part in ("Whole", "Baseline", "Rest")] == ["100", "5.00", "20.0"]
    assert (found["GrowthTimeLifPaper"], found["GrowthLengthLifPaper"]) == ("100", "10.0")
    assert (found["GrowthTimeSpsnSbPaper"], found["GrowthLengthSpsnSbPaper"]) == ("20.0", "20.0")


def test_the_fused_forms_are_compared_with_each_other_and_with_the_papers_way(demo: Path) -> None:
    found = macros(demo, crafted.plan("demo"))
    # Seconds an epoch: 3 and 2.5 where 96 and 6 are the paper's; of a layer: 3e-6 and 2e-6 a step.
    assert (found["EpochRatioFused"], found["LengthRatioFused"]) == ("1.20", "1.50")
    assert (found["EpochGainLif"], found["EpochGainSpsnSb"]) == ("32.0", "2.40")
    # T = 2000, where the paper's LIF was too slow.
    assert (found["LengthFusedLongest"], found["LengthRatioFusedLongest"]) == ("2000", "1.50")
    on = switches(demo)
    assert on["epochfused"] and on["lengthfused"] and on["epochgain"] and on["lengthlonger"]
    assert found["Backends"] == "fused"


def test_what_was_not_measured_is_a_dash_and_switches_its_sentence_off(changeable: Path) -> None:
    crafted.edit(
        changeable / "timing/epoch.csv", "lif,unbind,measured,12.0,10.0", "lif,unbind,out-of-memory,,"
    )
    found = macros(changeable, crafted.plan("demo"))
    assert (found["EpochRatioWhole"], found["EpochRatioBaseline"]) == ("16.0", "--")
    assert not switches(changeable)["epochratio"] and switches(changeable)["lengthratio"]
    assert r"\textit{out of memory}" in found["EpochTable"]


def test_only_times_of_a_gpu_are_compared_with_unsynchronised_ones(changeable: Path) -> None:
    assert not switches(changeable)["lengthongpu"]
    crafted.lengths("cuda (NVIDIA H200)").to_csv(changeable / "timing/sequence_length.csv", index=False)
    macros(changeable, crafted.plan("demo"))
    assert switches(changeable)["lengthongpu"]


def test_accuracies_are_means_and_deviations_of_the_runs(demo: Path) -> None:
    found = macros(demo, crafted.plan("demo"))
    # LIF, basic: 62 and 63 per cent.
    assert found["TestAccuracyLifBasic"] == r"62.5\,$\pm$\,0.7\,\%"
    assert found["SpikesPerMsLifAugmented"] == r"12.5\,$\pm$\,0.7"
    assert found["RunCount"] == "46" and found["ConditionCount"] == "23"
    assert len(found["RunRows"].splitlines()) == 23


def test_conditions_at_chance_are_named(demo: Path, changeable: Path) -> None:
    found = macros(demo, crafted.plan("demo"))
    assert (found["AtChanceCount"], switches(demo)["atchance"]) == ("1", True)
    assert switches(demo)["regularizedatchance"]
    assert found["AtChanceList"] == "SPSN-GS regularized-0.03 (regularization)"
    assert found["RunRows"].count(r"$\dagger$") == 1
    learned = crafted.runs(crafted.plan("demo")).query("condition != 'regularized-0.03'")
    learned.to_csv(changeable / "tables/runs.csv", index=False)
    assert (
        macros(changeable, crafted.plan("demo"))["AtChanceCount"] == "0"
        and not switches(changeable)["atchance"]
    )


def test_the_regulariser_is_named_only_where_one_is_at_chance(changeable: Path) -> None:
    runs = crafted.runs(crafted.plan("demo")).query("condition != 'regularized-0.03'")
    runs.loc[runs.condition == "loss-last", "test_hits"] = 10
    runs.to_csv(changeable / "tables/runs.csv", index=False)
    found = macros(changeable, crafted.plan("demo"))
    assert "loss-last (loss mode)" in found["AtChanceList"]
    assert switches(changeable)["atchance"] and not switches(changeable)["regularizedatchance"]


def test_silent_networks_are_named(demo: Path, changeable: Path) -> None:
    macros(demo, crafted.plan("demo"))
    assert not switches(demo)["silent"]  # the non-spiking network, which has no rate, is not silent
    runs = crafted.runs(crafted.plan("demo"))
    chosen = (runs.model == "lif") & (runs.condition == "loss-last")
    runs.loc[chosen, "spikes_per_ms"] = 0.0099
    runs.to_csv(changeable / "tables/runs.csv", index=False)
    assert macros(changeable, crafted.plan("demo"))["SilentList"] == "LIF loss-last (loss mode)"
    assert switches(changeable)["silent"]


def test_only_models_and_conditions_that_ran_are_listed(demo: Path, changeable: Path) -> None:
    full = macros(demo, crafted.plan("demo"))
    assert full["SpikesPerMsListAugmented"].count("(") == 3 and full["TestAccuracyListBasic"].count("(") == 4
    # Seeds 0 and 1: 12 and 13, 150 and 151, 170 and 171 spikes per ms.
    assert full["SpikesPerMsListAugmented"].startswith(
        r"12.5\,$\pm$\,0.7 (LIF), 150.5\,$\pm$\,0.7 (SPSN-SB) and 170.5"
    )
    runs = crafted.runs(crafted.plan("demo")).query(
        "seed == 0 and condition != 'augmented' and model != 'lif'"
    )
    runs.to_csv(changeable / "tables/runs.csv", index=False)
    found = macros(changeable, crafted.plan("demo"))
    assert (
        found["TestAccuracyListBasic"] == r"66.0\,\% (SPSN-SB), 58.0\,\% (SPSN-GS) and 44.0\,\% (non-spiking)"
    )
    assert not any(switches(changeable)[f"augmented{kind}"] for kind in ("runs", "lif", "swept"))


def test_seeds_epochs_and_batches_are_counted_from_the_settings(demo: Path) -> None:
    protocol = report.protocol
    plan = crafted.plan("demo", experiments=_with_seeds(1))
    found = protocol.protocol_macros(plan, [])
    assert (found["AccuracySeedCount"], found["LossModeSeedCount"]) == ("1 seed", "2 seeds")
    assert (found["AccuracyEpochCount"], found["LossModeEpochCount"]) == ("40 epochs", "20 epochs")
    assert found["BatchSizes"] == "8 and 16"
    switched = protocol.protocol_switches(plan)
    assert switched["singleaccuracy"] and not switched["singlelossmode"] and not switched["singleall"]
    assert not switched["theirbatch"] and protocol.protocol_switches(crafted.plan("paper"))["theirbatch"]


def _with_seeds(count: int) -> dict:
    """The demo's experiments with `count` seeds of `accuracy`."""
    experiments = json.loads(json.dumps(report.to_mapping(crafted.plan("demo"))["experiments"]))
    experiments["accuracy"]["seeds"] = count
    return experiments


def test_a_baseline_that_is_the_faster_one_is_told(demo: Path, changeable: Path) -> None:
    found = macros(demo, crafted.plan("demo"))
    assert found["EpochMeasured"] == "4 of 38 batches of an epoch" and not switches(demo)["epochfaster"]
    assert "batch 16, CPU, 1 thread, float32" in found["EpochCircumstances"]
    crafted.edit(changeable / "timing/epoch.csv", "lif,unbind,measured,12.0", "lif,unbind,measured,3.0")
    assert macros(changeable, crafted.plan("demo"))["EpochRatioRest"] == "0.500"
    assert switches(changeable)["epochfaster"]


def test_the_robustness_table_counts_trials_and_samples(demo: Path) -> None:
    line = macros(demo, crafted.plan("demo"))["RobustnessTable"].splitlines()[4]
    # Nine of ten trials right; 26 of 200 labels moved; nine hits in ten trials of every sample.
    assert line == r"SPSN-SB & augmented & 9 of 10, right & 200 & 10 & 13.0 & 90.0 & 100.0 \\"


def test_the_full_protocol_has_no_differences_and_the_demo_lists_its_own(demo: Path) -> None:
    assert differences(crafted.plan("paper")) == []
    found = {(d.setting, d.experiments): (d.full, d.here) for d in differences(crafted.plan("demo"))}
    assert found["time step", ("accuracy", "regularization")] == ("1 ms", "4 ms")
    assert found["data", ()] == ("shd", "synthetic-digits")
    table = macros(demo, crafted.plan("demo"))["DifferencesTable"]
    assert "time step & accuracy, regularization & 1 ms & 4 ms" in table
    assert switches(demo)["reduced"] and switches(demo)["trainedless"] and not switches(demo)["comparable"]


def test_files_of_ones_own_are_not_shd_whatever_their_name() -> None:
    settings = crafted.plan("paper", dataset={"train": "a.h5", "test": "b.h5", "name": "shd again"})
    assert [d.setting for d in differences(settings)] == ["data"]
    assert report.data.data_notice(settings) == "Data: shd again --- not SHD"
    with pytest.raises(SettingsError, match="another than shd"):
        crafted.plan("paper", dataset={"train": "a.h5", "test": "b.h5", "name": "SHD"})


def test_digests_that_nobody_published_are_told(tmp_path: Path) -> None:
    """The files of `data_dir` are taken for SHD by their numbers: the report says so."""
    settings = crafted.plan("paper")
    folder = crafted.write(tmp_path / "paper", settings)
    for published, said in ((True, False), (False, True)):
        facts = crafted.facts(settings)
        facts["source"] = {
            "shd_train.h5": {"url": "file:///a", "published_md5": published},
            "shd_test.h5": {"url": "file:///b", "published_md5": True},
        }
        write_json(folder / "data.json", facts)
        report.write_macros(folder, settings, tmp_path / "macros.tex")
        macros = (tmp_path / "macros.tex").read_text()
        assert rf"\unknowndigest{'true' if said else 'false'}" in macros
        named = next(line for line in macros.splitlines() if "UnknownFiles" in line)
        assert ("shd" in named) == said and "test" not in named


def test_a_part_of_shd_says_so() -> None:
    settings = crafted.plan("paper", limit={"train": 100, "test": None})
    assert "not the whole data set" in report.data.data_notice(settings)


def test_provenance_says_with_what_and_where_runs_were_trained(
    records: list[Path], small_plan, tmp_path: Path
) -> None:
    write_json(tmp_path / "data.json", {"dataset": "words"})
    for path, machine in zip(records[:2], ({"cores": 64}, {"cores": 2}), strict=True):
        record = json.loads(path.read_text())
        record["execution"] |= {"machine": machine, "git_commit": "c0ffee"}
        write_json(path, record)
    report.write_provenance(tmp_path, small_plan, tmp_path / "provenance.json", ["spsn train"])
    found = json.loads((tmp_path / "provenance.json").read_text())
    assert found["config"] == report.to_mapping(small_plan)
    assert found["commands"] == ["spsn train"] and found["data"] == {"dataset": "words"}
    assert {"cores": 64} in found["training"]["machines"] and {"cores": 2} in found["training"]["machines"]
    assert found["training"]["git_commits"] == ["c0ffee"]
    assert found["machine"]["cores"] >= 1 and "torch" in found["versions"]


def test_provenance_without_data_names_what_is_missing(small_plan, tmp_path: Path) -> None:
    with pytest.raises(SpsnError, match="data.json: is missing"):
        report.write_provenance(tmp_path, small_plan, tmp_path / "provenance.json", [])


def test_macros_are_the_same_for_the_same_files(demo: Path, changeable: Path) -> None:
    report.write_macros(changeable, crafted.plan("demo"), changeable / "again.tex")
    assert (changeable / "again.tex").read_bytes() == (demo / "report/macros.tex").read_bytes()


def test_the_source_of_the_data_is_said_once_and_without_local_paths(changeable: Path) -> None:
    assert macros(changeable, crafted.plan("demo"))["DataSource"] == "made by hand, seed 0"
    source = {"a.h5": {"url": "file:///home/me/a.h5"}, "b.h5": {"url": "https://x.org/b_c.zip"}}
    crafted.change_json(changeable / "data.json", source=source)
    crafted.change_json(changeable / "data.json", source={})
    assert macros(changeable, crafted.plan("demo"))["DataSource"] == "not stated in the configuration"
    crafted.change_json(changeable / "data.json", source=source)
    found = macros(changeable, crafted.plan("demo"))["DataSource"].replace(r"\allowbreak{}", "")
    assert found == r"a.h5: url a local file; b.h5: url https://x.org/b\_c.zip"
