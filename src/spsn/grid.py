"""The grid of runs: which networks the experiments of a configuration need, and how they are grouped into
jobs.

run: one network, one setting, one seed.   block: the runs of one model and condition that one job trains.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from spsn.errors import SettingsError
from spsn.methods import METHODS, TRAITS, FirstInput, Method, PsuReset, Surrogate
from spsn.settings import Backend, LossMode, NetworkSettings, Settings, TrainingSettings

PUBLISHED_STEP = 0.001  # s: the authors trained on steps of 1 ms
TRAINED = ("accuracy", "regularization", "loss_mode")
COMPARISON = "comparison"


@dataclass(frozen=True)
class RunSettings:
    """All that determines one run; two runs with equal settings have equal results.

    Times in seconds. `rate_threshold` is theta_reg in spikes per time step and neuron (None: no regulariser);
    `shift` and `scale` are 0 without augmentation. `train_digest` and `test_digest` name the exact spikes.
    `steps` is the greatest length of a sample of either split, for models that learn a weight for every pair
    of time steps. The last four matter to the comparison's models alone.
    """

    experiment: str
    model: str
    condition: str
    seed: int
    dataset: str
    classes: int
    train_digest: str
    test_digest: str
    hidden_layers: int
    hidden_size: int
    tau_mem: float
    tau_syn: float
    threshold: float
    time_step: float
    lif_reset: Literal["code", "paper"]
    loss_mode: LossMode | Literal["per-step", "final"]
    rate_threshold: float | None
    shift: float
    scale: float
    epochs: int
    batch_size: int
    learning_rate: float
    backend: Backend
    threads: int
    surrogate: Surrogate = "exponential"
    psu_reset: PsuReset = "literal"
    first_input: FirstInput = "traced"
    steps: int | None = None


def table_one(model: str, classes: int, time_step: float, **changes: Any) -> RunSettings:
    """A run of Table I's network in steps of `time_step` seconds, neither augmented nor regularised, of whose
    spikes nothing is known; `changes` are any of its settings.
    """
    table = {"hidden_layers": 3, "hidden_size": 128, "tau_mem": 0.02, "tau_syn": 0.02, "threshold": 1.0}
    authors = {"lif_reset": "code", "loss_mode": "mean", "batch_size": 64, "learning_rate": 0.001}
    plain = {"condition": "basic", "rate_threshold": None, "shift": 0.0, "scale": 0.0, "epochs": 1}
    nobody = {"experiment": "", "dataset": "", "train_digest": "", "test_digest": "", "seed": 0}
    here = {"model": model, "classes": classes, "time_step": time_step, "backend": "torch", "threads": 1}
    return RunSettings(**table | authors | plain | nobody | here | changes)


@dataclass(frozen=True)
class Condition:
    """What distinguishes the runs of one column of an experiment."""

    name: str
    augmented: bool
    loss_mode: LossMode | Literal["per-step", "final"] = "mean"
    rate_threshold: float | None = None
    psu_reset: PsuReset = "literal"
    first_input: FirstInput = "traced"


@dataclass(frozen=True)
class Block:
    """Runs that one job trains: one experiment, model and condition, consecutive seeds."""

    experiment: str
    model: str
    condition: Condition
    seeds: tuple[int, ...]
    network: NetworkSettings
    training: TrainingSettings

    @property
    def name(self) -> str:
        """`experiment/model/condition`: the folder of its run records below `runs/`."""
        return f"{self.experiment}/{self.model}/{self.condition.name}"

    @property
    def job(self) -> str:
        """A name for the job that trains it, without slashes."""
        seeds = f"{self.seeds[0]}-{self.seeds[-1]}"
        return f"{self.experiment}_{self.model}_{self.condition.name}_{seeds}"


def conditions(settings: Settings, experiment: str) -> list[Condition]:
    """The conditions of one experiment, in the order of the configuration."""
    e = settings.experiments
    if experiment == "accuracy":
        return [Condition(name, augmented=name == "augmented") for name in e.accuracy.conditions]
    if experiment == "regularization":
        return [
            Condition(regularized_name(threshold), augmented=True, rate_threshold=threshold)
            for threshold in e.regularization.thresholds
        ]
    return [Condition(f"loss-{mode}", augmented=False, loss_mode=mode) for mode in e.loss_mode.modes]


def regularized_name(threshold: float) -> str:
    """The condition of a rate threshold: two decimals, more where they are needed to tell it apart."""
    short = f"{threshold:.2f}"
    return f"regularized-{short if float(short) == threshold else repr(threshold)}"


def blocks(settings: Settings) -> list[Block]:
    """Every block of the configuration; adding seeds adds blocks and leaves the others as they are."""
    found = []
    for name in TRAINED:
        experiment = getattr(settings.experiments, name)
        for model in experiment.models:
            for condition in conditions(settings, name):
                for seeds in _groups(experiment.seeds, settings.execution.seeds_per_block):
                    found.append(
                        Block(name, model, condition, seeds, experiment.network, experiment.training)
                    )
    return found


def comparison_blocks(settings: Settings) -> list[Block]:
    """Every block of the comparison, table by table."""
    experiment = settings.experiments.comparison
    return [
        _method_block(settings, METHODS[name], table.time_step, seeds)
        for table in experiment.tables
        for name in table.methods
        for seeds in _groups(experiment.seeds, settings.execution.seeds_per_block)
    ]


def _groups(seeds: int, size: int) -> list[tuple[int, ...]]:
    return [tuple(range(first, min(first + size, seeds))) for first in range(0, seeds, size)]


def _method_block(settings: Settings, method: Method, time_step: float, seeds: tuple[int, ...]) -> Block:
    """A method's block: where only the last step's rate is read out, the membrane remembers the word."""
    experiment = settings.experiments.comparison
    tau = experiment.tau_final if method.objective == "final" else experiment.network.tau_mem
    condition = Condition(
        comparison_name(method, time_step),
        experiment.augmented,
        loss_mode=method.objective,
        psu_reset=method.psu_reset,
        first_input=method.first_input,
    )
    network = replace(experiment.network, time_step=time_step, tau_mem=tau)
    return Block(COMPARISON, method.model, condition, seeds, network, experiment.training)


def comparison_name(method: Method, time_step: float) -> str:
    """A method's condition: the time step in ms, then its variant."""
    step = f"{1000 * time_step:g}ms"
    return f"{step}-{method.variant}" if method.variant else step


def method_run(settings: Settings, name: str, time_step: float, seed: int = 0, **known) -> RunSettings:
    """The settings of one run of a method of the comparison; `known` as for `run_settings`."""
    return run_settings(settings, _method_block(settings, METHODS[name], time_step, (seed,)), seed, **known)


def find_block(settings: Settings, name: str, seeds: tuple[int, ...]) -> Block:
    """The block called `name` with just these seeds. Raises `KeyError` where no such block is in the grid,
    `SettingsError` for a seed that its experiment has not.
    """
    for block in blocks(settings) + comparison_blocks(settings):
        if block.name == name:
            count = getattr(settings.experiments, block.experiment).seeds
            if max(seeds) >= count:
                raise SettingsError(
                    f"configuration: experiments.{block.experiment}.seeds is {count}, so {name} has no seed "
                    f"{max(seeds)}; name seeds from 0 to {count - 1}, or raise that key"
                )
            return replace(block, seeds=seeds)
    raise KeyError(name)


def run_settings(
    settings: Settings,
    block: Block,
    seed: int,
    *,
    classes: int,
    train_digest: str,
    test_digest: str,
    backend: str | None = None,
    steps: int | None = None,
) -> RunSettings:
    """The settings of the run of `block` with `seed`.

    `backend` is what the configuration's means on the device at hand (`devices.backend_for`). Left out it
    stays as configured, perhaps "auto": enough to tell one job from another, not to make a network.
    """
    condition, traits = block.condition, TRAITS[block.model]
    return RunSettings(
        experiment=block.experiment,
        model=block.model,
        condition=condition.name,
        seed=seed,
        dataset=settings.dataset_name,
        classes=classes,
        train_digest=train_digest,
        test_digest=test_digest,
        **vars(block.network),
        **vars(block.training),
        loss_mode=condition.loss_mode,
        rate_threshold=condition.rate_threshold,
        psu_reset=condition.psu_reset,
        first_input=condition.first_input,
        shift=settings.augmentation.shift if condition.augmented else 0.0,
        scale=settings.augmentation.scale if condition.augmented else 0.0,
        backend="torch" if traits.fused == "none" else backend or settings.execution.backend,
        threads=settings.execution.threads,
        steps=steps if traits.square else None,
    )


def comparison_steps(settings: Settings) -> list[float]:
    """Every time step (s) of the comparison, ascending."""
    return sorted({table.time_step for table in settings.experiments.comparison.tables})


def time_steps(settings: Settings, split: str = "train") -> list[float]:
    """Every time step (s) in which a split is needed for the paper, ascending.

    Those of the trained experiments, and for the test file that of the authors' published weights, where
    these are tried.
    """
    steps = {block.network.time_step for block in blocks(settings)}
    golden = {PUBLISHED_STEP} if split == "test" and settings.golden.weights is not None else set()
    return sorted(steps | golden)
