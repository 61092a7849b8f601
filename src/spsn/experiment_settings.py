"""Settings of the networks and of the experiments that train and time them; `settings.py` makes them of a
configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from spsn.errors import SettingsError
from spsn.methods import METHODS, PAPER_MODELS, Surrogate

MethodName = Literal[tuple(METHODS)]
Model = Literal[PAPER_MODELS]
LossMode = Literal["mean", "max", "last"]
Backend = Literal["torch", "fused"]


@dataclass(frozen=True)
class NetworkSettings:
    """The network of Table I. Times in seconds, threshold in volt.

    `lif_reset` is that of the paper's LIF neuron, `surrogate` that of the neurons with soft reset.
    """

    hidden_layers: int
    hidden_size: int
    tau_mem: float
    tau_syn: float
    threshold: float
    time_step: float
    lif_reset: Literal["code", "paper"] = "code"
    surrogate: Surrogate = "exponential"


@dataclass(frozen=True)
class Augmentation:
    """`shift`: greatest shift, a share of the channels (k_shift); `scale`: greatest zoom (k_scale)."""

    shift: float = 0.0
    scale: float = 0.0


@dataclass(frozen=True)
class TrainingSettings:
    """Adamax on the cross entropy."""

    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class AccuracyExperiment:
    """Figure 3 and Table II."""

    models: tuple[Model, ...]
    conditions: tuple[Literal["basic", "augmented"], ...]
    seeds: int
    network: NetworkSettings
    training: TrainingSettings


@dataclass(frozen=True)
class RegularizationExperiment:
    """Figure 4; `thresholds` and `published` are theta_reg in spikes per time step and neuron."""

    models: tuple[Model, ...]
    thresholds: tuple[float, ...]
    seeds: int
    network: NetworkSettings
    training: TrainingSettings
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LossModeExperiment:
    """Figure 2."""

    models: tuple[Model, ...]
    modes: tuple[LossMode, ...]
    seeds: int
    network: NetworkSettings
    training: TrainingSettings


@dataclass(frozen=True)
class RobustnessExperiment:
    """Figure 6: repeated passes through networks of the accuracy experiment."""

    models: tuple[Model, ...]
    condition: Literal["basic", "augmented"]
    seed: int
    sample: int
    trials: int


@dataclass(frozen=True)
class EpochTiming:
    """Figure 3C; `batches` = None measures the whole epoch."""

    models: tuple[Model, ...]
    batches: int | None
    seconds_per_point: float


@dataclass(frozen=True)
class SequenceLengthTiming:
    """Figure 5: forward and backward through one layer."""

    lengths: tuple[int, ...]
    repeats: int
    batch_size: int
    inputs: int
    neurons: int
    seconds_per_point: float


@dataclass(frozen=True)
class TimingExperiment:
    """The timing study."""

    epoch: EpochTiming
    sequence_length: SequenceLengthTiming


@dataclass(frozen=True)
class ComparisonTable:
    """Methods that are trained on one time step (s)."""

    time_step: float
    methods: tuple[MethodName, ...]


@dataclass(frozen=True)
class MethodTiming:
    """Duration and memory of a training step against the number of time steps."""

    methods: tuple[MethodName, ...]
    lengths: tuple[int, ...]
    repeats: int
    batch_size: int
    seconds_per_point: float


@dataclass(frozen=True)
class ComparisonExperiment:
    """Beyond the paper: other methods on the same benchmark.

    `tau_final` (s) is the membrane's time constant where only the rate at the last step is read out.
    """

    tables: tuple[ComparisonTable, ...]
    augmented: bool
    seeds: int
    tau_final: float
    timing: MethodTiming
    network: NetworkSettings
    training: TrainingSettings


@dataclass(frozen=True)
class Experiments:
    """The paper's experiments, and the comparison beyond it."""

    accuracy: AccuracyExperiment
    regularization: RegularizationExperiment
    loss_mode: LossModeExperiment
    robustness: RobustnessExperiment
    timing: TimingExperiment
    comparison: ComparisonExperiment


def check_experiments(experiments: Experiments, tests: int | None) -> None:
    """Raise `SettingsError` for what is not among the trained, or trained twice; `tests` is the most samples
    that the test split can have (None: not known).
    """
    _check_published(experiments.regularization.published)
    _check_robustness(experiments, tests)
    _check_tables(experiments.comparison.tables)


def _check_published(thresholds: Mapping[str, float]) -> None:
    for model, threshold in thresholds.items():
        if model not in get_args(Model) or not threshold > 0:
            raise SettingsError(
                f"configuration: experiments.regularization.published has {model!r}: {threshold}; it must "
                f"give models ({', '.join(get_args(Model))}) thresholds above 0"
            )


def _check_robustness(experiments: Experiments, tests: int | None) -> None:
    robustness, accuracy = experiments.robustness, experiments.accuracy
    absent = set(robustness.models) - set(accuracy.models)
    if absent or robustness.condition not in accuracy.conditions or robustness.seed >= accuracy.seeds:
        raise SettingsError(
            "configuration: experiments.robustness shows networks of experiments.accuracy, so its models, "
            "condition and seed must be among those trained there"
        )
    if tests is not None and robustness.sample >= tests:
        raise SettingsError(
            f"configuration: experiments.robustness.sample is {robustness.sample}, but the test split has "
            f"{tests} samples; name one from 0 to {tests - 1}"
        )


def _check_tables(tables: tuple[ComparisonTable, ...]) -> None:
    """No method twice on one time step, as far as a run's name tells steps apart (`grid.comparison_name`)."""
    seen = set()
    for i, table in enumerate(tables):
        for method in table.methods:
            run = f"{1000 * table.time_step:g} ms", method
            if run in seen:
                raise SettingsError(
                    f"configuration: experiments.comparison.tables[{i}] has {method} on steps of {run[0]} "
                    "again; leave it in one table of that time_step"
                )
            seen.add(run)
