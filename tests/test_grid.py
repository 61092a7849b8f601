"""The grid of runs and where its files lie."""

from dataclasses import replace

import pytest
from support import load_config

from spsn import grid, layout
from spsn.errors import SettingsError
from spsn.settings import from_mapping


@pytest.fixture
def paper():
    return from_mapping(load_config("paper"))


def test_the_paper_has_330_runs(paper):
    counts = dict.fromkeys(grid.TRAINED, 0)
    for block in grid.blocks(paper):
        counts[block.experiment] += len(block.seeds)
    assert counts == {"accuracy": 80, "regularization": 160, "loss_mode": 90}
    records = layout.all_records(paper)
    assert len(records) == len(set(records)) == 330


def test_names_follow_the_contract(paper):
    names = {str(path) for path in layout.all_records(paper)}
    for name in (
        "results/paper/runs/accuracy/non-spiking/basic/seed9.json",
        "results/paper/runs/regularization/spsn-gs/regularized-0.40/seed0.json",
        "results/paper/runs/loss_mode/lif/loss-max/seed3.json",
    ):
        assert name in names


def test_thresholds_with_more_decimals_keep_apart():
    assert grid.regularized_name(0.4) == "regularized-0.40"
    assert grid.regularized_name(0.125) == "regularized-0.125"
    assert len({grid.regularized_name(x) for x in (0.12, 0.121, 0.125)}) == 3


def test_adding_seeds_adds_blocks_and_leaves_the_others(paper):
    more = replace(
        paper, experiments=replace(paper.experiments, accuracy=replace(paper.experiments.accuracy, seeds=25))
    )
    before, after = set(grid.blocks(paper)), set(grid.blocks(more))
    assert before < after
    assert {len(block.seeds) for block in after - before} == {10, 5}


def test_run_settings_carry_the_condition(paper):
    by_name = {block.name: block for block in grid.blocks(paper)}

    def make(name):
        return grid.run_settings(paper, by_name[name], 3, classes=20, train_digest="a", test_digest="b")

    basic, augmented = make("accuracy/lif/basic"), make("accuracy/lif/augmented")
    assert (basic.shift, basic.scale, augmented.shift, augmented.scale) == (0.0, 0.0, 0.1, 0.3)
    regularized = make("regularization/spsn-sb/regularized-0.08")
    assert regularized.rate_threshold == 0.08 and regularized.shift == 0.1
    loss = make("loss_mode/spsn-gs/loss-last")
    assert (loss.loss_mode, loss.hidden_layers, loss.tau_mem, loss.shift) == ("last", 1, 0.001, 0.0)


def test_find_block_refuses_what_is_not_in_the_grid(paper):
    assert grid.find_block(paper, "accuracy/lif/basic", (4,)).seeds == (4,)
    with pytest.raises(KeyError):
        grid.find_block(paper, "accuracy/lif/regularized-0.40", (0,))


@pytest.mark.parametrize(
    ("name", "count"),
    [("accuracy/lif/basic", 3), ("regularization/spsn-sb/regularized-0.40", 2), ("comparison/exodus/4ms", 2)],
)
def test_find_block_refuses_seeds_that_its_experiment_has_not(name, count):
    demo, last = from_mapping(load_config("paper", "demo")), count - 1
    assert grid.find_block(demo, name, (0, last)).seeds == (0, last)
    words = rf"experiments\.{name.split('/')[0]}\.seeds is {count}, so {name} has no seed 7; .* 0 to {last}"
    with pytest.raises(SettingsError, match=words):
        grid.find_block(demo, name, (7, 0))


def test_time_steps_of_the_demo():
    assert grid.time_steps(from_mapping(load_config("paper", "demo"))) == [0.001, 0.004]


@pytest.mark.parametrize(("text", "seeds"), [("0-3", (0, 1, 2, 3)), ("5", (5,)), ("1,4-5", (1, 4, 5))])
def test_seeds_are_read(text, seeds):
    assert layout.parse_seeds(text) == seeds
