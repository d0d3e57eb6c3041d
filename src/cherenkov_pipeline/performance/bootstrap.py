"""Bootstrap that draws showers, not images.

Two telescopes that see one shower err together. Drawing their images one by one would give intervals that are
too narrow, so whole clusters (showers) are drawn with replacement (Davison & Hinkley 1997, chapter 3.8).
"""

from collections.abc import Iterator

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT

#: Rows of one batch of resamples, over all its resamples: bounds the memory to some 10 MB a column.
BATCH_ROWS = 1_000_000


def shower_labels(predictions: Table) -> np.ndarray:
    """Label the showers of a predictions table.

    Parameters
    ----------
    predictions : Table
        With ``shower``, which joins the re-uses of one shower, also those in another file, as
        `cherenkov_pipeline.store.split.shower_ids` does; or else with ``production``, ``obs_id`` and ``event_id``.

    Returns
    -------
    ndarray of int, shape (n,)
        Equal for the rows of one shower, counted from 0.
    """
    names = ("shower",) if "shower" in predictions.colnames else PRODUCTION_EVENT
    codes = [np.unique(np.asarray(predictions[name]), return_inverse=True)[1] for name in names]
    return np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def resampled_rows(clusters: np.ndarray, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Draw bootstrap resamples of clustered rows, in batches.

    Parameters
    ----------
    clusters : ndarray of int, shape (n,)
        Cluster that each row belongs to.
    resamples : int
        Number of resamples, over all batches.
    rng : numpy.random.Generator

    Yields
    ------
    ndarray of int, shape (k, m)
        Row numbers of k resamples, padded with -1: resamples differ in length if clusters differ in size.
    """
    labels, sizes = np.unique(clusters, return_counts=True)
    order = np.argsort(clusters, kind="stable")
    starts = np.cumsum(sizes) - sizes
    batch = max(1, BATCH_ROWS // max(1, len(clusters)))
    for first in range(0, resamples, batch):
        drawn = rng.integers(len(labels), size=(min(batch, resamples - first), len(labels)))
        yield _rows_of_clusters(drawn, starts, sizes, order)


def weighted_draws(weights: np.ndarray, n_draws: int) -> np.ndarray:
    """Draw positions as often as their weights say, without chance: systematic resampling (Kitagawa 1996).

    Any statistic of what was drawn is the weighted one: no statistic has to know of weights. A position is drawn
    ``n_draws`` times its share of the weights, rounded up or down so that the sum of the first ones is never off by
    more than one half.

    Parameters
    ----------
    weights : ndarray, shape (k, n)
        k samples, at least 0.
    n_draws : int

    Returns
    -------
    ndarray of int, shape (k, n_draws)
        Positions from 0 to n - 1, in order.
    """
    ends = np.cumsum(weights, axis=1)
    ends = np.floor(ends / ends[:, -1:] * n_draws + 0.5).astype(np.int64)
    times = np.diff(ends, axis=1, prepend=0)
    positions = np.broadcast_to(np.arange(weights.shape[1]), weights.shape)
    return np.repeat(positions.ravel(), times.ravel()).reshape(len(weights), n_draws)


def _rows_of_clusters(drawn: np.ndarray, starts: np.ndarray, sizes: np.ndarray, order: np.ndarray) -> np.ndarray:
    drawn_sizes = sizes[drawn]
    lengths = drawn_sizes.sum(axis=1)
    flat_sizes = drawn_sizes.ravel()
    flat_starts = np.cumsum(flat_sizes) - flat_sizes
    # n-th row of its cluster, for every drawn row of all resamples one after the other
    within = np.arange(lengths.sum()) - np.repeat(flat_starts, flat_sizes)
    flat_rows = order[np.repeat(starts[drawn.ravel()], flat_sizes) + within]
    rows = np.full((len(drawn), lengths.max(initial=0)), -1)
    rows[np.arange(rows.shape[1]) < lengths[:, np.newaxis]] = flat_rows
    return rows
