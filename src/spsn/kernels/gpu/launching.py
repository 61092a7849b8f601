"""What every launch needs."""

from contextlib import nullcontext

import torch


def on(device: torch.device):
    """The context in which Triton launches on `device`; a CPU, on which it interprets, needs none."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
