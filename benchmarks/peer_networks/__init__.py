"""The LIF network 700 - hidden layers - classes in this package and in four libraries, each in a process of
its own.

`SYSTEMS` names what is compared. A peer is a library in the environment that `tools/peers.sh` makes; its
module here imports it and nothing else of the project but what needs torch and numpy alone. Every library is
used through its public interface in the ordinary way that is fastest on a CPU: all time steps at once where
it has such a mode, and each affine map applied to all time steps before the neurons. Where the ordinary way
slices its input at every step, whose backward takes time quadratic in T, a form without slices stands beside
it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """What is compared, and how its neuron differs.

    library: the distribution on PyPI, or "spsn"; form: how it is used; order: 2 with a synaptic current, 1
    without; reset and surrogate: as the library is set here; module: below this package.
    """

    library: str
    label: str
    form: str
    order: int
    reset: str
    surrogate: str
    module: str

    @property
    def is_peer(self) -> bool:
        """Whether it runs in the peers' environment."""
        return self.library != "spsn"


_ZERO = "to zero after the spike"
_OWN = ("to zero after the spike, not differentiated", "1 / (100 abs(u - 1) + 1)^2")
_OWN_FORMS = {
    "fused": "kernels on events, the default on a CPU",
    "torch": "the plain definition, backward in closed form",
    "unbind": "eager time loop as the paper's, without its slices",
    "paper": "eager time loop that slices its input at every step, as the paper timed it",
}
_SNNTORCH = ("to zero at the step after the spike, not differentiated", "fast_sigmoid(slope=100)")
_NORSE = (f"{_ZERO}, differentiated", "super: 1 / (abs(u - 1) + 1)^2 whatever its slope")
_SINABS = (f"{_ZERO}, not differentiated", "SingleExponential()")
_JELLY = (f"{_ZERO}, not differentiated", "SuperSpike(): 1 / (abs(u - 1) + 1)^2")

SYSTEMS: dict[str, System] = {
    **{name: System("spsn", f"spsn, {name}", form, 2, *_OWN, "ours") for name, form in _OWN_FORMS.items()},
    "spikingjelly-lif": System(
        "spikingjelly",
        "SpikingJelly LIFNode",
        "LIFNode, step_mode m, torch backend",
        1,
        *_JELLY,
        "spikingjelly",
    ),
    "snntorch-leaky": System(
        "snntorch", "snnTorch Leaky", "Leaky, one call a step", 1, *_SNNTORCH, "snntorch"
    ),
    "snntorch-synaptic": System(
        "snntorch", "snnTorch Synaptic", "Synaptic, one call a step", 2, *_SNNTORCH, "snntorch"
    ),
    "norse-integral": System(
        "norse", "norse lif_feed_forward_integral", "lif_feed_forward_integral", 2, *_NORSE, "norse"
    ),
    "norse-module": System("norse", "norse LIF", "LIF, which slices its input", 2, *_NORSE, "norse"),
    "sinabs-steps": System(
        "sinabs", "sinabs LIF, step by step", "LIF, one call a step", 2, *_SINABS, "sinabs"
    ),
    "sinabs-layer": System("sinabs", "sinabs LIF", "LIF, which slices its input", 2, *_SINABS, "sinabs"),
}
