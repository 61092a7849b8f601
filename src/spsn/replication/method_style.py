"""How the methods of the comparison are named and drawn: a colour a family, a marker a model, a filling a
variant.

Colours are Okabe and Ito's (2008), as everywhere; black is the family of the replicated paper. Within a
family no two methods share marker and filling, so that each can be told from its neighbours without colour.
"""

from dataclasses import dataclass
from typing import Any

from spsn.methods import METHODS, TRAITS
from spsn.replication.style import INK

FAMILIES = {  # colour, name; the order in which they stand everywhere
    "SPSN": (INK, "SPSN and its baselines"),
    "PSU": ("#D55E00", "PSU"),
    "EXODUS": ("#0072B2", "EXODUS, SLAYER, BPTT"),
    "SAF": ("#CC79A7", "SAF, OTTT, rates"),
}
MODELS = {  # name, marker
    "lif": ("LIF", "o"),
    "spsn-sb": ("SPSN-SB", "s"),
    "spsn-gs": ("SPSN-GS", "^"),
    "non-spiking": ("Non-spiking", "D"),
    "psu": ("PSU", "o"),
    "ipsu-code": ("IPSU (code)", "s"),
    "ipsu-sigmoid": ("IPSU (sigmoid)", "^"),
    "rpsu": ("RPSU", "D"),
    "bptt": ("BPTT", "o"),
    "bptt-detached": ("BPTT (reset detached)", "s"),
    "exodus": ("EXODUS", "^"),
    "slayer": ("SLAYER", "D"),
    "ottt": ("OTTT", "o"),
    "saf-e": ("SAF-E", "s"),
    "saf-f": ("SAF-F", "^"),
    "spike-representation": ("Spike Representation", "D"),
}
VARIANTS = {  # name, filling of the marker
    "": ("", "full"),
    "per-step": ("per step", "hollow"),
    "centred": ("centred", "hollow"),
    "final": ("final step", "half"),
    "instantaneous-input": ("instantaneous input", "hollow"),
}

_SIZES = {"o": 1.2, "s": 0.8, "^": 0.95, "D": 0.65}  # in the order in which they are drawn


@dataclass(frozen=True)
class MethodLook:
    """Name, colour (the family's), marker (the model's) and filling (the variant's: full, half, hollow)."""

    label: str
    color: str
    marker: str
    filling: str

    def style(self, size: float) -> dict[str, Any]:
        """The marker for `Axes.plot`, about `size` points large; of two on one spot both can be seen."""
        solid = self.filling == "full"
        return {
            "marker": self.marker,
            "markersize": size * _SIZES[self.marker] * (1.0 if solid else 0.85),
            "fillstyle": {"full": "full", "half": "left", "hollow": "none"}[self.filling],
            "color": self.color,
            "markerfacecoloralt": "none",
            "markeredgecolor": "white" if solid else self.color,
            "markeredgewidth": 0.4 if solid else 0.9,
            "zorder": 3 if solid else 4,
        }


def method_look(name: str) -> MethodLook:
    """How the method `name` of `spsn.methods.METHODS` is named and drawn."""
    method = METHODS[name]
    label, marker = MODELS[method.model]
    variant, filling = VARIANTS[method.variant]
    if variant:  # in brackets: names stand in lists, between commas
        label = f"{label[:-1]}, {variant})" if label.endswith(")") else f"{label} ({variant})"
    return MethodLook(label, FAMILIES[family(name)][0], marker, filling)


def family(name: str) -> str:
    """The family of a method, a key of `FAMILIES`."""
    return TRAITS[METHODS[name].model].family


def by_family(names: list[str]) -> dict[str, list[str]]:
    """The methods of each family that has any, families in their order, methods in that of `names`."""
    groups = {known: [name for name in names if family(name) == known] for known in FAMILIES}
    return {known: members for known, members in groups.items() if members}
