"""The protocol as configured: its numbers, and a table of what departs from the full one."""

from collections.abc import Iterable

from spsn.grid import TRAINED
from spsn.replication import latex
from spsn.replication.facts.common import counted
from spsn.replication.protocol import Difference
from spsn.replication.style import model_look
from spsn.settings import Settings

THEIR_BATCH = 64  # of the program that the paper's authors published
_TRAINING = (
    "epochs",
    "seeds",
    "time step",
    "samples used for training",
    "neurons in a hidden layer",
    "hidden layers",
)


def protocol_macros(settings: Settings, found: Iterable[Difference]) -> dict[str, str]:
    """The numbers of the protocol as configured, and the table of what departs from the full one."""
    lines = [
        (
            latex.escape(d.setting),
            latex.escape(_names(d.experiments)),
            latex.escape(d.full),
            latex.escape(d.here),
        )
        for d in found
    ]
    wide, last = r">{\raggedright}p{0.22\linewidth}", r">{\raggedright\arraybackslash}p{0.22\linewidth}"
    head = ("setting", "experiment", "full protocol", "here")
    macros = _network_macros(settings) | {
        "ConfigurationName": latex.escape(settings.name),
        "DifferencesTable": latex.tabular(f"@{{}}{wide}{wide}{wide}{last}@{{}}", head, lines),
        "Thresholds": latex.listed(f"{t:g}" for t in settings.experiments.regularization.thresholds),
    }
    for name in TRAINED:
        experiment, prefix = getattr(settings.experiments, name), latex.letters(name)
        macros[f"{prefix}Epochs"] = latex.integer(experiment.training.epochs)
        macros[f"{prefix}Seeds"] = latex.integer(experiment.seeds)
        macros[f"{prefix}Batch"] = latex.integer(experiment.training.batch_size)
        macros[f"{prefix}EpochCount"] = counted(experiment.training.epochs, "epoch")
        macros[f"{prefix}SeedCount"] = counted(experiment.seeds, "seed")
        macros[f"{prefix}Models"] = latex.listed(latex.escape(model_look(m).label) for m in experiment.models)
    batches = sorted({getattr(settings.experiments, name).training.batch_size for name in TRAINED})
    return macros | {"BatchSizes": latex.listed(map(latex.integer, batches))}


def protocol_switches(settings: Settings) -> dict[str, bool]:
    """Which experiments have one seed alone, so no interval; whether batches are as large as theirs."""
    experiments = {name: getattr(settings.experiments, name) for name in TRAINED}
    single = {name: experiment.seeds == 1 for name, experiment in experiments.items()}
    return {
        **{f"single{name.replace('_', '')}": alone for name, alone in single.items()},
        "singleall": all(single.values()),
        "theirbatch": all(e.training.batch_size == THEIR_BATCH for e in experiments.values()),
    }


def _network_macros(settings: Settings) -> dict[str, str]:
    network, loss_mode = settings.experiments.accuracy.network, settings.experiments.loss_mode.network
    return {
        "HiddenLayers": latex.integer(network.hidden_layers),
        "HiddenSize": latex.integer(network.hidden_size),
        "HiddenWidths": r"\,--\,".join([latex.integer(network.hidden_size)] * network.hidden_layers),
        "TauMem": _milliseconds(network.tau_mem),
        "TauSyn": _milliseconds(network.tau_syn),
        "Threshold": f"{network.threshold:g}",
        "TimeStep": _milliseconds(network.time_step),
        "LossModeTimeStep": _milliseconds(loss_mode.time_step),
        "LossModeTau": _milliseconds(loss_mode.tau_mem),
        "LossModeLayers": latex.integer(loss_mode.hidden_layers),
        "LearningRate": f"{settings.training.learning_rate:g}",
        "Shift": latex.percent(settings.augmentation.shift, 0),
        "Scale": latex.percent(settings.augmentation.scale, 0),
        "RobustnessTrials": latex.integer(settings.experiments.robustness.trials),
    }


def trained_less(found: Iterable[Difference]) -> bool:
    """Whether a training is shorter, smaller or coarser in time than the full protocol's."""
    return any(difference.setting in _TRAINING for difference in found)


def _names(experiments: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in experiments) or "all"


def _milliseconds(seconds: float) -> str:
    return rf"{1000 * seconds:g}\,ms"
