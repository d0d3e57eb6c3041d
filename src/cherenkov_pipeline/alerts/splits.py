"""Which sub-images are learnt from and which are for testing: never two of one burst on both sides."""

import warnings
from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
from astropy.table import Table
from pydantic import Field, model_validator

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError

SPLITS = ("train", "validation", "test")

FINEST = 20
"""Folds from which splits are put together: fractions are multiples of a twentieth."""


class SplitParameters(Parameters):
    """Fractions of the images, and what is not divided."""

    train: float = Field(0.5, gt=0, lt=1, description="Fraction for training, a multiple of 0.05.")
    validation: float = Field(0.2, gt=0, lt=1, description="Fraction for stopping, temperature, limits of anomalies.")
    test: float = Field(0.3, gt=0, lt=1, description="Fraction that is seen once, at the end.")
    by: Literal["burst", "source"] = Field(
        "burst", description="What is never divided: the alerts of one burst; source: all alerts of one source as well."
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Another seed is another split.")

    @model_validator(mode="after")
    def _folds(self) -> Self:
        fractions = np.array([getattr(self, name) for name in SPLITS])
        if abs(fractions.sum() - 1) > 1e-6:
            raise ValueError(f"train, validation and test must sum to 1. Received: {fractions.sum():g}")
        if np.abs(fractions * FINEST - (fractions * FINEST).round()).max() > 1e-6:
            raise ValueError(f"train, validation and test must be multiples of 0.05. Received: {fractions.tolist()}")
        return self

    @property
    def shares(self) -> dict[str, int]:
        """Folds of each split, as few as the fractions allow."""
        twentieths = {name: round(getattr(self, name) * FINEST) for name in SPLITS}
        divisor = int(np.gcd.reduce([*twentieths.values()]))
        return {name: number // divisor for name, number in twentieths.items()}


class CrossValidationParameters(Parameters):
    """Repeated stratified cross-validation over groups."""

    folds: int = Field(5, ge=2, le=20, description="Parts, each of which is tested once.")
    repeats: int = Field(1, ge=1, le=100, description="Times that the images are divided anew.")
    by: Literal["burst", "source"] = Field("burst", description="See split.")
    validation: float = Field(
        0.25, gt=0, le=0.5, description="Fraction of what is not tested that stops the training; rounded to a fold."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Another seed is another division.")


def split(table: Table, parameters: SplitParameters) -> np.ndarray:
    """Divide images into training, validation and test, with the causes shared out evenly.

    Parameters
    ----------
    table : Table
        Of labelled `~cherenkov_pipeline.alerts.images.SubImages`.
    parameters : SplitParameters

    Returns
    -------
    ndarray of str
        (n,), one of `SPLITS` each.

    Raises
    ------
    UserError
        If there are too few images or groups of either class.
    """
    shares = parameters.shares
    owners = np.repeat(list(shares), list(shares.values()))
    return owners[_fold_numbers(table, len(owners), parameters.by, parameters.seed)]


def cross_validation(table: Table, parameters: CrossValidationParameters) -> Iterator[tuple[int, int, np.ndarray]]:
    """Divide images again and again, so that each is tested once in every repeat.

    Yields
    ------
    repeat, fold : int
    splits : ndarray of str
        (n,), one of `SPLITS` each.

    Raises
    ------
    UserError
        As `split`.
    """
    for repeat in range(parameters.repeats):
        seed = parameters.seed + repeat
        tested = _fold_numbers(table, parameters.folds, parameters.by, seed)
        for fold in range(parameters.folds):
            splits = np.full(len(table), "train", dtype="U10")
            splits[tested == fold] = "test"
            rest = np.flatnonzero(tested != fold)
            parts = max(2, round(1 / parameters.validation))
            held = _fold_numbers(table[rest], parts, parameters.by, seed) == 0
            splits[rest[held]] = "validation"
            yield repeat, fold, splits


def groups(table: Table, by: str = "burst") -> np.ndarray:
    """Find what belongs together; an image without a burst's or source's name is alone.

    Parameters
    ----------
    table : Table
        With ``burst_id`` and ``source_name``, as far as they are known.
    by : {"burst", "source"}
        source: what has a burst or a source in common.

    Returns
    -------
    ndarray of int
        (n,), the number of each image's group, from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(table)
    rows, names, count = [], [], 0
    for column in ("burst_id", "source_name") if by == "source" else ("burst_id",):
        if column not in table.colnames:
            continue
        values = np.asarray(table[column]).astype(str)
        named = np.flatnonzero(values != "")
        _, codes = np.unique(values[named], return_inverse=True)
        rows.append(named)
        names.append(codes + count)
        count += codes.max(initial=-1) + 1
    if not rows:
        return np.arange(n)
    # images and names are the nodes of a graph
    edges = np.concatenate(rows), n + np.concatenate(names)
    graph = coo_array((np.ones(len(edges[0])), edges), shape=(n + count, n + count))
    labels = connected_components(graph, directed=False)[1][:n]
    return np.unique(labels, return_inverse=True)[1]


def _fold_numbers(table: Table, n_folds: int, by: str, seed: int) -> np.ndarray:
    """(n,) int, the fold in which each image is."""
    from sklearn.model_selection import StratifiedGroupKFold

    own, strata = groups(table, by), _strata(table, n_folds)
    is_real = np.asarray(table["is_real"], dtype=bool)
    for name, chosen in (("true sources", is_real), ("false alerts", ~is_real)):
        if (n := len(np.unique(own[chosen]))) < n_folds:
            raise UserError(
                f"There are {n} independent {name}, but {n_folds} parts are to have some: add images, take fewer folds,"
                " or fractions of which fewer parts are needed."
            )
    numbers = np.empty(len(table), dtype=int)
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # what is left of the causes
        for number, (_, chosen) in enumerate(folds.split(numbers, strata, own)):
            numbers[chosen] = number
    return numbers


def _strata(table: Table, n_folds: int) -> np.ndarray:
    """Label and cause of each image, the causes of which there are enough."""
    strata = np.where(np.asarray(table["is_real"], dtype=bool), "real", "false").astype("U64")
    if "cause" in table.colnames:
        named = np.char.add(np.char.add(strata, " "), np.asarray(table["cause"]).astype(str))
        names, codes, counts = np.unique(named, return_inverse=True, return_counts=True)
        strata = np.where(counts[codes] >= n_folds, names[codes], strata)
    return strata
