"""The basilar membrane: how 700 places along the cochlea move with a sound.

Linear, passive, shallow-water model of Sieroka, Dosch & Rupp (2006), as used for the Heidelberg spiking
data sets (Cramer et al. 2020). At angular frequency w and place c (cm from the base, where high frequencies
are heard):

    S  = C0 exp(-alpha c) - a        stiffness                 xi = S - m w^2 - i w R     impedance
    R  = R0 exp(-alpha c / 2)        damping                   g  = w sqrt(rho / (h xi))  wave number
    q  = sqrt(a + m w^2)
    D  = alpha/2 exp(alpha c/2) [ -2 sqrt(xi) + i (2 a + w (2 m w + i R)) / q ]
    G  = 2 g(0) / alpha - 2 sqrt(2) i w / (alpha sqrt(2 h) q) ln( D(0) / D(c) )     phase: g from 0 to c
    p  = sqrt(G / g) H0(G)                                                          pressure
    Z  = sqrt(2 C0 / h) (i J0(z) + Y0(z)) / (J1(z) - i Y1(z)),  z = 2 w / alpha sqrt(2 / (h C0))
    v  = 2 w / xi(c)  p(c) / p(0)  Z                                                velocity

H0 is the Hankel function of the first kind; square roots and the logarithm are the principal ones. The
exponential in H0 is divided out before the ratio p(c) / p(0) is formed, so that nothing under- or
overflows.

The model's velocity is the real part of the one-sided spectrum v X transformed over half the number of
samples: the filtered sound, every second sample, with no anti-alias filter between (`fold` states it as a
real transform). Two habits of the original converter are kept, since SHD was made with them: bin k of a
transform over [0, fs/2] is read at 1 + k (fs/2 - 1)/(N/2) Hz, about 1 Hz too high at the low end; and the
time step counts as exactly 2 / fs.

Departure: the sound is padded with zeros, where the original wraps its
end into its beginning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spsn.errors import SpsnError

try:
    from scipy import fft, special
except ImportError as error:
    raise SpsnError("the inner ear needs the package scipy. Run: pip install 'spsn[ear]'") from error

CHANNELS = 700
BLOCK = 50  # channels transformed together: what is in flight stays in the cache
TAIL = 960  # samples of silence behind the sound, for the membrane to come to rest
NEGLIGIBLE = 1e-8  # of a place's greatest response: below what single precision resolves
SHORTEST = 16384  # samples of the shortest transform


@dataclass(frozen=True)
class Membrane:
    """Constants of the cochlea (CGS units), in the symbols of the equations above."""

    length: float = 3.5
    rho: float = 1.0
    alpha: float = 3.0
    C0: float = 1e9
    a: float = 3500.0
    h: float = 0.1
    m: float = 0.05
    damping: float = 0.15

    @property
    def R0(self) -> float:
        """Damping at the base."""
        return self.damping * np.sqrt(self.C0 * self.m)

    def places(self, channels: int = CHANNELS) -> np.ndarray:
        """Return the places (channels,) in cm, evenly spaced from base to apex."""
        return self.length * np.arange(channels) / (channels - 1)


COCHLEA = Membrane()


def velocity(w: np.ndarray, c: np.ndarray, membrane: Membrane = COCHLEA) -> np.ndarray:
    """Return v (len(c), len(w)), complex128: the membrane's velocity per unit of sound.

    `w` (K,) are angular frequencies in rad/s, all positive; `c` (C,) places in cm. Sieroka et al. (2006).
    """
    w, c = np.asarray(w, float)[None, :], np.asarray(c, float)[:, None]
    base, xi_base = _phase(w, np.zeros((1, 1)), membrane)
    here, xi = _phase(w, c, membrane)
    # H0(G) = hankel1e(G) exp(i G): the difference of the phases is taken before the exponential
    ratio = (
        np.exp(1j * (here - base)) * _envelope(here, w, xi, membrane) / _envelope(base, w, xi_base, membrane)
    )
    return 2 * w / xi * ratio * _input_impedance(w, membrane)


def _phase(w: np.ndarray, c: np.ndarray, k: Membrane) -> tuple[np.ndarray, np.ndarray]:
    """Return G and xi, both broadcast over w and c."""
    q = np.sqrt(k.a + k.m * w**2)

    def at(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        R = k.R0 * np.exp(-k.alpha * place / 2)
        xi = k.C0 * np.exp(-k.alpha * place) - k.a - k.m * w**2 - 1j * w * R
        inner = -2 * np.sqrt(xi) + 1j * (2 * k.a + w * (2 * k.m * w + 1j * R)) / q
        return xi, k.alpha / 2 * np.exp(k.alpha * place / 2) * inner

    xi_base, D_base = at(np.zeros((1, 1)))
    xi, D = at(c)
    g_base = w * np.sqrt(k.rho / (k.h * xi_base))
    G = 2 * g_base / k.alpha - 2j * np.sqrt(2) * w / (k.alpha * np.sqrt(2 * k.h) * q) * np.log(D_base / D)
    return G, xi


def _envelope(G: np.ndarray, w: np.ndarray, xi: np.ndarray, k: Membrane) -> np.ndarray:
    """Return the pressure p without its factor exp(i G)."""
    g = w * np.sqrt(k.rho / (k.h * xi))
    return np.sqrt(G / g) * special.hankel1e(0, G)


def _input_impedance(w: np.ndarray, k: Membrane) -> np.ndarray:
    z = 2 * w / k.alpha * np.sqrt(2 / (k.h * k.C0))
    numerator = 1j * special.j0(z) + special.y0(z)
    return np.sqrt(2 * k.C0 / k.h) * numerator / (special.j1(z) - 1j * special.y1(z))


def frequencies(n_fft: int, sample_rate: int) -> np.ndarray:
    """Return the frequencies (n_fft // 2 + 1,) in Hz at which a transform's bins are read (see above)."""
    return np.linspace(1.0, sample_rate // 2, n_fft // 2 + 1)


def transform_length(samples: int) -> int:
    """Return the power of two of samples over which a sound of `samples` samples is transformed."""
    return max(SHORTEST, 1 << (samples + TAIL - 1).bit_length())


@lru_cache(maxsize=4)
def table(n_fft: int, sample_rate: int, bins: int) -> tuple[np.ndarray, ...]:
    """Return v at the lowest bins of a transform over `n_fft` samples: (BLOCK, <= bins) complex64 each block.

    A block ends where its channels no longer follow (`NEGLIGIBLE`). Kept in memory between calls: 0.5 us an
    element to make, 8 bytes each.
    """
    w = 2 * np.pi * frequencies(n_fft, sample_rate)[:bins]
    blocks = np.split(COCHLEA.places(), CHANNELS // BLOCK)
    return tuple(_responses(w[: _reach(w, block[0])], block) for block in blocks)


def _responses(w: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return `velocity` in single precision, made piece by piece: intermediate results stay in the cache."""
    pieces = np.array_split(w, len(w) // 1024 + 1)
    return np.concatenate([velocity(piece, places).astype(np.complex64) for piece in pieces], axis=1)


def _reach(w: np.ndarray, place: float) -> int:
    """Return how many of the frequencies `w` move the membrane at `place`, and so anywhere beyond it."""
    sample = np.unique(np.geomspace(1, len(w), 400).astype(int)) - 1
    moved = np.abs(velocity(w[sample], [place])[0])
    last = np.nonzero(moved > NEGLIGIBLE * moved.max())[0][-1]
    return len(w) if last + 1 == len(sample) else int(sample[last + 1])


def fold(spectrum: np.ndarray, n_fft: int) -> np.ndarray:
    """Return the half spectrum H (..., n_fft/4 + 1) whose real inverse transform is the velocity.

    `spectrum` (..., K), K <= n_fft/2 + 1, holds the lowest bins of Y = v X; the others are 0. With M =
    n_fft/2, the real part of the M-sample inverse transform of Y_0 .. Y_{M-1} (bin M aliases to bin 0) is
    that of H_k = (Y_k + conj Y_{M-k}) / 2 for k > 0 and H_0 = Y_0 + Y_M.
    """
    M = n_fft // 2
    kept = spectrum.shape[-1]
    H = np.zeros((*spectrum.shape[:-1], M // 2 + 1), spectrum.dtype)
    low = min(kept, M // 2 + 1)
    H[..., :low] = spectrum[..., :low]
    if kept > M // 2:  # bins M/2 .. M lie above a quarter of the sample rate and fold back
        high = spectrum[..., M // 2 :]
        H[..., M // 2 - high.shape[-1] + 1 :] += np.conj(high[..., ::-1])
    H[..., 1:] *= 0.5  # bin 0 is its own mirror image: Y_0 + Y_M, whole
    return H


def motion(audio: np.ndarray, sample_rate: int, highest: float | None = None) -> Iterator[np.ndarray]:
    """Yield the velocity of `BLOCK` channels at a time, each (BLOCK, n // 2 + 1) float32, at half the rate.

    `audio` (n,) is one sound at `sample_rate` Hz; what lies above `highest` Hz is left out.
    """
    n_fft = transform_length(len(audio))
    bins = n_fft // 2 + 1
    if highest is not None:
        bins = min(bins, int(highest / sample_rate * n_fft) + 1)
    spectrum = fft.rfft(np.asarray(audio, float), n_fft).astype(np.complex64)
    for response in table(n_fft, sample_rate, bins):
        half = fold(response * spectrum[: response.shape[1]], n_fft)
        yield fft.irfft(half, n_fft // 2)[:, : len(audio) // 2 + 1]
