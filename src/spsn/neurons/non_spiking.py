"""The non-spiking network's unit: ReLU at every time step, y[t] = max(x[t], 0).

As in the authors' program there is no integrator, neither here nor in the readout: the network is a per-frame
perceptron whose outputs are averaged over time, and the order of the frames cannot matter.
"""

import torch
from torch import Tensor, nn


class NonSpiking(nn.Module):
    """A layer of rectified linear units."""

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0), (..., T, N)."""
        return torch.relu(x)
