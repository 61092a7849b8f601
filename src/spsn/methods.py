"""The methods that the comparison sets side by side: which model each trains, and what is known of it.

A method is a model together with what the comparison varies of it: the objective over time, the reset that a
parallel spiking unit estimates, the input of the first layer. What stands here is read by the grid and by the
report alike; it needs no network.
"""

from dataclasses import dataclass
from typing import Literal

Objective = Literal["mean", "per-step", "final"]
PsuReset = Literal["literal", "centred"]
FirstInput = Literal["traced", "instantaneous"]
Surrogate = Literal["exponential", "sigmoid", "superspike"]

PAPER_MODELS = ("lif", "spsn-sb", "spsn-gs", "non-spiking")  # of arXiv 2306.12666


@dataclass(frozen=True)
class Method:
    """One line of the comparison.

    variant    what distinguishes it from its model's plain form; part of a run's condition
    objective  mean: cross entropy of the readout's mean over time; per-step: the mean of its cross entropy at
               every step; final: cross entropy of a linear readout of the weighted rate at the last step
    """

    model: str
    variant: str = ""
    objective: Objective = "mean"
    psu_reset: PsuReset = "literal"
    first_input: FirstInput = "traced"

    @property
    def name(self) -> str:
        """`model` or `model-variant`."""
        return f"{self.model}-{self.variant}" if self.variant else self.model


@dataclass(frozen=True)
class Traits:
    """What is true of a model by its equations.

    family     the paper that it stands for
    parallel   whether all time steps can be computed at once, forwards
    gradient   exact: of the network with the surrogate in place of the spike's derivative, all paths kept;
               else which paths are left out
    reset      what a spike does to the membrane
    fused      which of its parts have a fused form: network, neuron, or none
    square     whether it learns matrices of time steps x time steps
    """

    family: str
    parallel: bool
    gradient: str
    reset: str
    fused: Literal["network", "neuron", "none"]
    square: bool = False


_SOFT = "soft"
_INSTANT = "this step's; the weights' from traces"
_PSU = "PSU"
TRAITS: dict[str, Traits] = {
    "lif": Traits("SPSN", False, "without the reset's", "to zero", "network"),
    "spsn-sb": Traits("SPSN", True, "exact, straight-through", "none", "network"),
    "spsn-gs": Traits("SPSN", True, "exact, straight-through", "none", "network"),
    "non-spiking": Traits("SPSN", True, "exact", "none", "network"),
    "psu": Traits(_PSU, True, "exact", "estimated", "none"),
    "ipsu-code": Traits(_PSU, True, "exact", "of the input", "none", square=True),
    "ipsu-sigmoid": Traits(_PSU, True, "exact", "estimated", "none", square=True),
    "rpsu": Traits(_PSU, True, "exact", "estimated", "none", square=True),
    "bptt": Traits("EXODUS", False, "exact", _SOFT, "none"),
    "bptt-detached": Traits("EXODUS", False, "without the reset's", _SOFT, "none"),
    "exodus": Traits("EXODUS", False, "exact", _SOFT, "neuron"),
    "slayer": Traits("EXODUS", False, "without the reset's", _SOFT, "neuron"),
    "ottt": Traits("SAF", False, _INSTANT, _SOFT, "neuron"),
    "saf-e": Traits("SAF", False, _INSTANT, _SOFT, "neuron"),
    "saf-f": Traits("SAF", False, "of the last step's rates", _SOFT, "neuron"),
    "spike-representation": Traits("SAF", False, "of the last step's rates", _SOFT, "neuron"),
}

_METHODS = (
    Method("lif"),
    Method("lif", "per-step", "per-step"),
    Method("spsn-sb"),
    Method("spsn-sb", "per-step", "per-step"),
    Method("spsn-gs"),
    Method("non-spiking"),
    Method("psu"),
    Method("psu", "centred", psu_reset="centred"),
    Method("ipsu-code"),
    Method("ipsu-sigmoid"),
    Method("ipsu-sigmoid", "centred", psu_reset="centred"),
    Method("rpsu"),
    Method("rpsu", "centred", psu_reset="centred"),
    Method("bptt"),
    Method("bptt-detached"),
    Method("exodus"),
    Method("exodus", "per-step", "per-step"),
    Method("exodus", "final", "final"),
    Method("slayer"),
    Method("slayer", "per-step", "per-step"),
    Method("ottt", objective="per-step"),
    Method("ottt", "instantaneous-input", "per-step", first_input="instantaneous"),
    Method("saf-e", objective="per-step"),
    Method("saf-f", objective="final"),
    Method("spike-representation", objective="final"),
)
METHODS: dict[str, Method] = {method.name: method for method in _METHODS}

# Pairs that are one gradient by theorem: what differs between them is noise, or a fault.
CONTROLS = (
    ("exodus", "bptt"),
    ("slayer", "bptt-detached"),
    ("saf-e", "ottt"),
    ("saf-f", "spike-representation"),
)
