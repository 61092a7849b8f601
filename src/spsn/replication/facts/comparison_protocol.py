"""What the comparison trained, and what its equations say before anything is trained.

Of a decay lam = exp(-dt / tau), threshold theta:

    1 / (1 - lam)                           the most by which SLAYER's gradient grows in a layer, sum lam^k
    -theta / 2 lam / (1 - lam)              a parallel spiking unit at rest: it subtracts sigma(0) every step
    -theta sigma(-theta) lam / (1 - lam)    the same where the estimate is centred
"""

from collections.abc import Callable, Iterable
from math import ceil, exp

import pandas as pd

from spsn.methods import METHODS, TRAITS
from spsn.replication import latex
from spsn.replication.compared import in_order, steps_of
from spsn.replication.facts.common import counted, devices
from spsn.replication.method_style import method_look
from spsn.replication.text import cell
from spsn.settings import ComparisonExperiment, Settings

SURROGATES = {  # of the distance v = u - theta
    "exponential": r"\sigma'(v)=e^{-|v|/\theta}/\theta",
    "sigmoid": r"\sigma'(v)=4\,\varsigma(4v)\,(1-\varsigma(4v)),\ \varsigma(x)=1/(1+e^{-x})",
    "superspike": r"\sigma'(v)=(100\,|v|+1)^{-2}",
}


def protocol_macros(settings: Settings, runs: pd.DataFrame, longest: float) -> dict[str, str]:
    """Numbers of the comparison as configured and trained; `longest` sample in s.

    `runs` is `compared.read_compared_runs`'.
    """
    e = settings.experiments.comparison
    network, training = e.network, e.training
    return {
        "ComparisonCount": latex.integer(runs.method.nunique()),
        "ComparisonRunCount": latex.integer(len(runs)),
        "ComparisonSeedCount": counted(e.seeds, "seed"),
        "ComparisonEpochCount": counted(training.epochs, "epoch"),
        "ComparisonBatch": latex.integer(training.batch_size),
        "ComparisonLearningRate": f"{training.learning_rate:g}",
        "ComparisonLayers": latex.integer(network.hidden_layers),
        "ComparisonWidth": latex.integer(network.hidden_size),
        "ComparisonThreshold": f"{network.threshold:g}",
        "ComparisonTauMem": milliseconds(network.tau_mem),
        "ComparisonTauSyn": milliseconds(network.tau_syn),
        "ComparisonTauFinal": milliseconds(e.tau_final),
        "ComparisonSteps": latex.listed(milliseconds(step) for step in steps_of(runs)),
        "ComparisonSurrogate": rf"${SURROGATES[network.surrogate]}$",
        "ComparisonSurrogateName": latex.escape(network.surrogate),
        "ComparisonDevices": devices(runs.device),
        "ComparisonAbsent": _names(set(_configured(e)) - set(runs.method)),
        "ComparisonSquareWeights": _square_weights(runs, longest),
    } | _equations(e, steps_of(runs))


def protocol_switches(settings: Settings, runs: pd.DataFrame) -> dict[str, bool]:
    """Whether training data were augmented, seeds are single, some methods were left out or learn T x T."""
    e = settings.experiments.comparison
    return {
        "comparisonaugmented": e.augmented,
        "comparisonsingle": e.seeds == 1,
        "comparisonabsent": not set(_configured(e)) <= set(runs.method),
        "comparisonsquare": any(TRAITS[METHODS[name].model].square for name in runs.method),
        "comparisonunitthreshold": e.network.threshold == 1,
    }


def label(method: str) -> str:
    """A method's name as LaTeX."""
    return cell(method_look(method).label)


def milliseconds(seconds: float) -> str:
    """`4\\,ms`."""
    return rf"{1000 * seconds:g}\,ms"


def _equations(e: ComparisonExperiment, steps: Iterable[float]) -> dict[str, str]:
    """What decays and thresholds amount to, at every time step."""
    tau, theta = e.network.tau_mem, e.network.threshold
    centred = theta / (1 + exp(theta))

    def at(law: Callable[[float], float], tau: float = tau, decimals: int = 2) -> str:
        found = [(latex.fixed(law(exp(-step / tau)), decimals), milliseconds(step)) for step in steps]
        return latex.listed(f"{value} at {step}" for value, step in found)

    return {
        "ComparisonDecay": at(lambda lam: lam, decimals=3),
        "ComparisonDecayFinal": at(lambda lam: lam, e.tau_final, decimals=3),
        "ComparisonGrowth": at(lambda lam: 1 / (1 - lam), decimals=1),
        "ComparisonRest": at(lambda lam: -theta / 2 * lam / (1 - lam)),
        "ComparisonRestCentred": at(lambda lam: -centred * lam / (1 - lam)),
    }


def _configured(e: ComparisonExperiment) -> list[str]:
    return in_order(name for table in e.tables for name in table.methods)


def _names(methods: Iterable[str]) -> str:
    return latex.listed(map(label, in_order(methods)))


def _square_weights(runs: pd.DataFrame, longest: float) -> str:
    """About how many weights over time a layer learns, where methods learn a T x T matrix."""
    learning = runs[[TRAITS[METHODS[name].model].square for name in runs.method]]
    found = []
    for step in steps_of(learning):
        count = ceil(longest / step)
        found.append(f"{latex.integer(count * (count + 1) // 2)} ({milliseconds(step)})")
    return latex.listed(found)
