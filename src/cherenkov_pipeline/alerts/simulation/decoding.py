"""From counts of the detector to sky images: the background fitted, the shadow decoded, and its variance.

Balanced cross-correlation as for other coded masks (Fenimore & Cannon 1978; Goldwurm et al. 2003, A&A 411, L223): with
the mask's open share G on the detector's grid, ★ a correlation, and D the counts,

    S = G ★ D' - B (1 - G) ★ D',   B = (G ★ 1) / ((1 - G) ★ 1),   V = G² ★ D + B² (1 - G)² ★ D,   SNR = S / √V,

where D' is what a quadratic background leaves. V leaves out the product of G and 1 - G, which is not zero in cells that
are open in part: noise alone has a standard deviation of 0.93, not 1.
"""

from functools import cache

import numpy as np
from scipy import fft

from cherenkov_pipeline.alerts.simulation.instrument import DETECTOR, MASK, SKY, SKY_CENTER, mask_pattern, sampled_mask

LENGTH = SKY + 1
"""Of the Fourier transforms: a shadow that wraps around falls where there is no mask."""


class Decoder:
    """Decodes counts with one mask pattern.

    Parameters
    ----------
    pattern : ndarray
        (46, 46), 1 where open.

    Attributes
    ----------
    norm : ndarray
        (`SKY`, `SKY`), S at the place of a source that puts one count into each fully open pixel.
    """

    def __init__(self, pattern: np.ndarray):
        self._share = sampled_mask(pattern).astype(np.float32)
        kernels = (self._share, self._share**2, np.ones_like(self._share))
        self._kernels = np.stack([fft.rfft2(kernel[::-1, ::-1], s=(LENGTH, LENGTH)) for kernel in kernels])
        open_, square, seen = self._correlate(np.ones((1, DETECTOR, DETECTOR), dtype=np.float32))[0]
        # at the border the mask's outermost elements may all be closed: no balance there
        self._balance = open_ / np.maximum(seen - open_, 0.5)
        self.norm = (1 + self._balance) * square - self._balance * open_
        basis = _quadratic_basis()
        self._basis = basis
        self._decoded_basis = self._signal(self._correlate(basis.T.reshape(-1, DETECTOR, DETECTOR)))

    def fit_background(self, counts: np.ndarray) -> np.ndarray:
        """Fit a quadratic surface to each of the (n, 80, 80) counts: its (n, 6) coefficients."""
        return counts.reshape(len(counts), -1).astype(np.float32) @ self._basis

    def decode(self, counts: np.ndarray, background: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Decode counts.

        Parameters
        ----------
        counts : ndarray
            (n, 80, 80)
        background : ndarray, optional
            (n, 6), coefficients of the surface that is subtracted. Default: that of `fit_background`.

        Returns
        -------
        signal, variance : ndarray
            (n, `SKY`, `SKY`) float32: S and V.
        """
        counts = counts.astype(np.float32)
        background = self.fit_background(counts) if background is None else background.astype(np.float32)
        correlated = self._correlate(counts)
        signal = self._signal(correlated)
        signal -= np.tensordot(background, self._decoded_basis, axes=1)
        open_, square, seen = correlated[:, 0], correlated[:, 1], correlated[:, 2]
        variance = square + self._balance**2 * (square - 2 * open_ + seen)
        return signal, variance

    def snr(self, counts: np.ndarray, background: np.ndarray | None = None) -> np.ndarray:
        """Signal to noise of (n, 80, 80) counts: (n, `SKY`, `SKY`) float32; parameters as of `decode`."""
        signal, variance = self.decode(counts, background)
        # below a count: rounding errors of the Fourier transforms at the very border
        return np.where(variance > 1, signal / np.sqrt(np.maximum(variance, 1)), 0)

    def at(self, counts: np.ndarray, row: int, column: int) -> tuple[float, float]:
        """Decode (80, 80) counts for one sky pixel, their quadratic background subtracted: S and V."""
        rows, here = _seen(row)
        columns, there = _seen(column)
        share, balance = self._share[rows, columns], self._balance[row, column]
        fitted = (self._basis @ (self._basis.T @ counts.reshape(-1))).reshape(counts.shape)
        signal = np.sum((share - balance * (1 - share)) * (counts - fitted)[here, there])
        variance = np.sum((share**2 + balance**2 * (1 - share) ** 2) * counts[here, there])
        return float(signal), float(variance)

    def _correlate(self, counts: np.ndarray) -> np.ndarray:
        """Correlate (n, 80, 80) with G, G² and 1: (n, 3, `SKY`, `SKY`)."""
        spectrum = fft.rfft2(counts, s=(LENGTH, LENGTH))[:, None] * self._kernels
        # the full convolution with flipped kernels runs against the sky's rows and columns
        return fft.irfft2(spectrum, s=(LENGTH, LENGTH), overwrite_x=True)[..., SKY - 1 :: -1, SKY - 1 :: -1]

    def _signal(self, correlated: np.ndarray) -> np.ndarray:
        """S from (n, 3, `SKY`, `SKY`) correlations."""
        return (1 + self._balance) * correlated[:, 0] - self._balance * correlated[:, 2]


@cache
def decoder(pattern: int) -> Decoder:
    """Give the decoder of a numbered mask pattern."""
    return Decoder(mask_pattern(pattern))


def _seen(at: int) -> tuple[slice, slice]:
    """Cells of the mask through which a sky pixel is seen, and the detector pixels behind them, along one side."""
    begin = at - SKY_CENTER + (MASK - DETECTOR) // 2
    low, high = max(0, -begin), min(DETECTOR, MASK - begin)
    return slice(low + begin, high + begin), slice(low, high)


def _quadratic_basis() -> np.ndarray:
    """Orthonormal quadratic polynomials on the detector: (pixels, 6)."""
    y, x = np.indices((DETECTOR, DETECTOR)).reshape(2, -1) / DETECTOR - 0.5
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return np.linalg.qr(terms)[0].astype(np.float32)
