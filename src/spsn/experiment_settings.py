"""Settings of the networks and of the experiments that train and time them; `settings.py` makes them of a
configuration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
