"""The basilar membrane of `spsn.data.membrane` in torch, on a CPU or a CUDA device.

One recording and one block of channels are transformed at a time, as there: every transform then has the
shape that it would have alone, and its bits do not depend on the recordings heard beside it. The table of
responses is the same, kept on the device.
"""

from functools import lru_cache

import numpy as np
import torch

from spsn.data import membrane
from spsn.data.inner_ear import SAMPLE_RATE


def fold(spectrum: torch.Tensor, n_fft: int) -> torch.Tensor:
    """Return `membrane.fold` of `spectrum` (..., K) complex, its first and last bin made real.

    Their imaginary parts do not count in an inverse real transform; on CUDA it may take them in.
    """
    M = n_fft // 2
    kept = spectrum.shape[-1]
    H = spectrum.new_zeros((*spectrum.shape[:-1], M // 2 + 1))
    low = min(kept, M // 2 + 1)
    H[..., :low] = spectrum[..., :low]
    if kept > M // 2:
        high = spectrum[..., M // 2 :]
        H[..., M // 2 - high.shape[-1] + 1 :] += high.flip(-1).conj()
    H[..., 1:] *= 0.5
    torch.view_as_real(H)[..., [0, -1], 1] = 0.0
    return H


def move(sound: np.ndarray, sample_rate: int, out: torch.Tensor) -> None:
    """Write the velocity of all channels into `out` (T, 700), for a conditioned sound of 2 T - 2 samples or
    one more.
    """
    n_fft, bins = transform(len(sound), sample_rate)
    # as in membrane.motion, on the host: the spectrum is small and its bits are the same
    spectrum = torch.from_numpy(membrane.fft.rfft(sound, n_fft).astype(np.complex64)).to(out.device)
    for i, response in enumerate(_table(n_fft, bins, out.device)):
        half = fold(response * spectrum[: response.shape[1]], n_fft)
        moved = torch.fft.irfft(half, n=n_fft // 2)
        out[:, i * membrane.BLOCK : (i + 1) * membrane.BLOCK] = moved[:, : len(out)].T


def transform(samples: int, sample_rate: int) -> tuple[int, int]:
    """Return the transform length and how many bins are used, as `inner_ear.hear` chooses them."""
    n_fft = membrane.transform_length(samples)
    highest = min(SAMPLE_RATE / 2, sample_rate / 2 * 1.05)
    return n_fft, min(n_fft // 2 + 1, int(highest / SAMPLE_RATE * n_fft) + 1)


@lru_cache(maxsize=4)
def _table(n_fft: int, bins: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return `membrane.table` on `device`, kept there between calls: 90 MB for a sound of 0.5 s."""
    return tuple(torch.from_numpy(block).to(device) for block in membrane.table(n_fft, SAMPLE_RATE, bins))
