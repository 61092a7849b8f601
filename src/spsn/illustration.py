"""Figure 1: what the three neurons do with one and the same input.

A neuron of each model gets the same pre-activation: random input spikes of a weight, first rare, then
frequent, then none.
"""

import numpy as np
import torch

from spsn import noise
from spsn.neurons import SpsnGS, SpsnSB
from spsn.neurons.integrator import decay, recurrence
from spsn.neurons.lif import autograd_lif
from spsn.noise import Purpose
from spsn.settings import NetworkSettings

COLUMNS = ("model", "time_ms", "input", "membrane_potential", "spike")
EPISODES = ((0.10, 40.0), (0.15, 120.0), (0.05, 0.0))  # seconds, input spikes per second
WEIGHT = 0.8  # V per input spike into the synaptic current


def illustrate(network: NetworkSettings, time_step: float = 0.001, seed: int = 0) -> list[dict[str, object]]:
    """Rows of input, membrane potential (V) and spikes over time (ms) of one neuron of each spiking model.

    Time constants, threshold and reset are the network's; the step is 1 ms, so that the traces can be
    followed.
    """
    rates = np.concatenate([np.full(round(seconds / time_step), rate) for seconds, rate in EPISODES])
    draws = noise.uniforms(seed, Purpose.ILLUSTRATION, (3, len(rates), 1)).astype(np.float64)
    drive = WEIGHT * (draws[0, :, 0] < rates * time_step)
    x = torch.from_numpy(drive)[:, None]
    alpha, beta = decay(network.tau_syn, time_step), decay(network.tau_mem, time_step)
    free = recurrence(x, alpha, beta)
    spikes, reset = autograd_lif(x, alpha, beta, network.threshold, network.lif_reset)
    constants = network.tau_mem, network.tau_syn, time_step
    traces = {
        "lif": (reset, spikes),
        "spsn-sb": (free, SpsnSB(*constants).fire(free, torch.from_numpy(draws[1]))),
        "spsn-gs": (free, SpsnGS(*constants).fire(free, torch.from_numpy(draws[2]))),
    }
    return [
        dict(zip(COLUMNS, (model, 1000 * time_step * t, drive[t], float(u[t]), int(s[t])), strict=True))
        for model, (u, s) in traces.items()
        for t in range(len(drive))
    ]
