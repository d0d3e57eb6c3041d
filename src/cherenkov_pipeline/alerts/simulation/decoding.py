"""From counts of the detector to sky images: the background fitted, the shadow decoded, and its variance.

Balanced cross-correlation as for other coded masks (Fenimore & Cannon 1978; Goldwurm et al. 2003, A&A 411, L223): with
the mask's open share G on the detector's grid, ★ a correlation, and D the counts,

    S = G ★ D' - B (1 - G) ★ D',   B = (G ★ 1) / ((1 - G) ★ 1),   V = G² ★ D + B² (1 - G)² ★ D,   SNR = S / √V,

where D' is what the fit of the background leaves. V leaves out the product of G and 1 - G, which is not zero in cells
that are open in part: noise alone has a standard deviation of 0.94, not 1.
"""

import numpy as np
from scipy import fft

from cherenkov_pipeline.alerts.simulation.instrument import (
    DETECTOR,
    MASK,
    SKY,
    SKY_CENTER,
    sampled_mask,
)

_LENGTH = fft.next_fast_len(SKY, real=True)


class Decoder:
    """Decodes counts with one mask pattern.

    Parameters
    ----------
    pattern : ndarray
        (46, 46), 1 where open.

    Attributes
    ----------
    norm : ndarray
        (`SKY`, `SKY`), what S is at the place of a source, per count in a fully open pixel.
    """

    def __init__(self, pattern: np.ndarray):
        mask = sampled_mask(pattern).astype(np.float32)
        flipped = [_spectrum(values[::-1, ::-1]) for values in (mask, mask**2, np.ones_like(mask))]
        self._mask, self._square, self._all = flipped
        self._cells = mask
        full = _spectrum(np.ones((1, DETECTOR, DETECTOR), dtype=np.float32))
        open_, square, seen = (_back(full * kernel)[0] for kernel in flipped)
        # outer cells may be closed altogether: no balance there
        self._balance = open_ / np.maximum(seen - open_, 0.5)
        self.norm = (1 + self._balance) * square - self._balance * open_
        self._quadratic = _quadratic_basis()

    def fit_background(self, counts: np.ndarray) -> np.ndarray:
        """Fit a quadratic surface to each of the (n, 80, 80) counts; same shape."""
        flat = counts.reshape(len(counts), -1)
        return (flat @ self._quadratic @ self._quadratic.T).reshape(counts.shape)

    def decode(self, counts: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decode counts.

        Parameters
        ----------
        counts : ndarray
            (n, 80, 80)
        background : ndarray
            Same shape, taken from the counts ahead of decoding.

        Returns
        -------
        sky, variance : ndarray
            (n, `SKY`, `SKY`) float32.
        """
        counts = counts.astype(np.float32)
        signal, raw = _spectrum(counts - background.astype(np.float32)), _spectrum(counts)
        balance = self._balance
        sky = _back(signal * self._mask) * (1 + balance) - balance * _back(signal * self._all)
        # (1 + B²) G² - 2 B² G + B², each correlated with D
        variance = (1 + balance**2) * _back(raw * self._square)
        variance += balance**2 * _back(raw * (self._all - 2 * self._mask))
        return sky, variance

    def at(self, counts: np.ndarray, background: np.ndarray, row: int, column: int) -> tuple[float, float]:
        """Decode (80, 80) counts for one sky pixel: signal and variance."""
        rows, here = _seen(row)
        columns, there = _seen(column)
        share = self._cells[rows, columns]
        counts, signal = counts[here, there], (counts - background)[here, there]
        balance = self._balance[row, column]
        sky = np.sum((share - balance * (1 - share)) * signal)
        return float(sky), float(np.sum((share**2 + balance**2 * (1 - share) ** 2) * counts))

    def snr(self, counts: np.ndarray, background: np.ndarray | None = None) -> np.ndarray:
        """Signal to noise of (n, 80, 80) counts: (n, `SKY`, `SKY`) float32; the background is fitted by default."""
        background = self.fit_background(counts) if background is None else background
        sky, variance = self.decode(counts, background)
        # below a count: rounding errors of the Fourier transforms at the very border
        return np.where(variance > 1, sky / np.sqrt(np.maximum(variance, 1)), 0)


def _seen(at: int) -> tuple[slice, slice]:
    """Cells of the mask through which a sky pixel is seen, and the detector pixels behind them, along one side."""
    begin = at - SKY_CENTER + (MASK - DETECTOR) // 2
    low, high = max(0, -begin), min(DETECTOR, MASK - begin)
    return slice(low + begin, high + begin), slice(low, high)


def _spectrum(values: np.ndarray) -> np.ndarray:
    return fft.rfft2(values, s=(_LENGTH, _LENGTH))


def _back(spectrum: np.ndarray) -> np.ndarray:
    """Sky images from products with flipped masks: the full correlation, with the sky's rows and columns increasing."""
    full = fft.irfft2(spectrum, s=(_LENGTH, _LENGTH))[..., :SKY, :SKY]
    return full[..., ::-1, ::-1]


def _quadratic_basis() -> np.ndarray:
    """Orthonormal quadratic polynomials on the detector: (pixels, 6)."""
    y, x = np.indices((DETECTOR, DETECTOR)).reshape(2, -1) / DETECTOR - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return np.linalg.qr(terms)[0].astype(np.float32)
