"""Surrogates for the derivative of a spike, as functions of the distance v = u - threshold.

    exponential   sg(v) = exp(-|v| / threshold) / threshold      EXODUS (arXiv 2205.10242), width 1, scale 1
    sigmoid       sg(v) = 4 sigma(4v) (1 - sigma(4v))            OTTT, which SAF follows
    superspike    sg(v) = 1 / (100 |v| + 1)^2                    Zenke and Ganguli 2018; the LIF of `lif.py`

Each is 1 at v = 0 for a threshold of 1.
"""

import torch
from torch import Tensor

from spsn.methods import Surrogate
from spsn.neurons.lif import surrogate as superspike


def surrogate_slope(distance: Tensor, kind: Surrogate, threshold: float = 1.0) -> Tensor:
    """sg of the distance u - threshold, of any shape. Raises ValueError for an unknown kind."""
    if kind == "exponential":
        return torch.exp(distance.abs() / -threshold) / threshold
    if kind == "sigmoid":
        soft = torch.sigmoid(4 * distance)
        return 4 * soft * (1 - soft)
    if kind == "superspike":
        return superspike(distance)
    raise ValueError(f"a surrogate is 'exponential', 'sigmoid' or 'superspike', not {kind!r}")
