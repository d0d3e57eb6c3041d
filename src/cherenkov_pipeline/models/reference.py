"""Distributions of image quantities in a model's training data, as they are expected of any sample of showers.

Training data are thrown with another spectrum than the data that a model is applied to: intensities, and with them all
image parameters, are distributed differently even where nothing has changed. What is left of a quantity after the part
that intensity and time gradient explain (the energy and the distance of the shower, by a quadratic regression) hardly
depends on the spectrum. A `Reference` holds that regression, and deciles of the deviations from it in bins of the
intensity; between the bins' centres they are interpolated. Each image of new data falls between two deciles, and if
nothing has changed it falls there as often as the training images did.
"""

from collections.abc import Mapping

import numpy as np

from cherenkov_pipeline.models.card import Reference

N_BINS = 10
"""Between the nine deciles, below and above."""

_QUANTILES = np.arange(1, N_BINS) / N_BINS
_BIN_WIDTH = 0.25
"""Decades of the intensity, where a bin then has `_BIN_IMAGES`; wider otherwise."""
_BIN_IMAGES = 100
_OUTER = 0.002, 0.998
"""Images of the least and the greatest intensities are left out."""


def make_reference(
    telescope_type: str, particle: str, given: np.ndarray, quantities: Mapping[str, np.ndarray]
) -> Reference | None:
    """Make the reference of some training images.

    Parameters
    ----------
    telescope_type, particle : str
    given : ndarray
        (n, 2), see `cherenkov_pipeline.store.quantities.given_quantities`.
    quantities : mapping of str to ndarray
        (n,) each.

    Returns
    -------
    Reference or None
        None where there are too few images for one bin.
    """
    known = np.isfinite(given).all(axis=1)
    if known.sum() < _BIN_IMAGES:
        return None
    given, quantities = given[known], {name: values[known] for name, values in quantities.items()}
    limits = np.quantile(given[:, 0], _OUTER)
    groups = _groups(given[:, 0], *limits)
    usable = [
        name
        for name, values in quantities.items()
        if all(np.isfinite(values[rows]).sum() >= _BIN_IMAGES // 2 for rows in groups)
    ]
    expected = {name: _fit(given, quantities[name]) for name in usable}
    deviations = {name: quantities[name] - _terms(given) @ expected[name] for name in usable}
    found = Reference(
        telescope_type=telescope_type,
        particle=particle,
        n_images=len(given),
        limits=_rounded(limits),
        nodes=_rounded([np.median(given[rows, 0]) for rows in groups]),
        expected=expected,
        deciles={
            name: tuple(_rounded(np.nanquantile(values[rows], _QUANTILES)) for rows in groups)
            for name, values in deviations.items()
        },
        shares={},
    )
    counts = count_images(found, given, quantities)
    return found.model_copy(update={"shares": {name: _rounded(n / n.sum()) for name, n in counts.items()}})


def count_images(
    reference: Reference, given: np.ndarray, quantities: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Count images between the deciles of the training data.

    Parameters
    ----------
    reference : Reference
    given : ndarray
        (n, 2)
    quantities : mapping of str to ndarray
        (n,) each.

    Returns
    -------
    dict of str to ndarray
        (N_BINS,) int, of each quantity that the reference has and that is given. Images without a value, or of
        intensities that the reference does not cover, are not counted.
    """
    low, high = reference.limits
    covered = np.isfinite(given).all(axis=1)
    covered[covered] = (given[covered, 0] >= low) & (given[covered, 0] <= high)
    counts = {}
    for name, at_nodes in reference.deciles.items():
        if name not in quantities:
            continue
        rows = np.flatnonzero(covered & np.isfinite(quantities[name]))
        deviation = quantities[name][rows] - _terms(given[rows]) @ np.asarray(reference.expected[name])
        each = zip(*at_nodes, strict=True)
        deciles = np.stack([np.interp(given[rows, 0], reference.nodes, one) for one in each], axis=1)
        counts[name] = np.bincount((deviation[:, np.newaxis] > deciles).sum(axis=1), minlength=N_BINS)
    return counts


def _fit(given: np.ndarray, values: np.ndarray) -> tuple[float, ...]:
    known = np.isfinite(values)
    return _rounded(np.linalg.lstsq(_terms(given[known]), values[known])[0])


def _terms(given: np.ndarray) -> np.ndarray:
    """Terms of the regression, (n, 6); a table without gradients has none of them in its fit."""
    intensity, gradient = given[:, 0] - 2, given[:, 1]
    ones = np.ones_like(intensity)
    return np.stack([ones, intensity, gradient, intensity**2, intensity * gradient, gradient**2], axis=1)


def _groups(logarithm: np.ndarray, low: float, high: float) -> list[np.ndarray]:
    """Group images by intensity: bins of equal width, those with too few images joined with the bins below."""
    n_bins = max(1, round((high - low) / _BIN_WIDTH))
    edges = np.linspace(low, high, n_bins + 1)
    inside = np.flatnonzero((logarithm >= low) & (logarithm <= high))
    place = np.clip(np.searchsorted(edges, logarithm[inside], side="right") - 1, 0, n_bins - 1)
    groups: list[np.ndarray] = []
    for number in range(n_bins):
        rows = inside[place == number]
        if groups and min(len(rows), len(groups[-1])) < _BIN_IMAGES:
            groups[-1] = np.concatenate([groups[-1], rows])
        else:
            groups.append(rows)
    return groups


def _rounded(values: np.ndarray | list[float]) -> tuple[float, ...]:
    """Numbers as the card keeps them, so that a model that was saved has the same reference as before."""
    return tuple(float(f"{value:.4g}") for value in values)
