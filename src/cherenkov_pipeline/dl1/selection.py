"""Which images are used: telescopes, quality, true values, multiplicity, with counts at every step."""

import difflib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.dl1.contents import EVENT
from cherenkov_pipeline.dl1.expressions import columns_of
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.errors import UserError, reason

# columns are compared as plain numbers in these units
PLAIN_UNITS = ("TeV", "deg", "m", "ns", "g / cm2")


def select(table: Table, parameters: SelectionParameters, *, use_truth: bool = True) -> tuple[np.ndarray, Table]:
    """Select images of a DL1 table.

    Parameters
    ----------
    table : astropy.table.Table
        One row per image, with ctapipe's column names. For the multiplicity it must hold the images of whole events
        of one file, where obs_id and event_id tell events apart.
    parameters : SelectionParameters
    use_truth : bool
        Whether the conditions on true values count. Observed data have none.

    Returns
    -------
    mask : numpy.ndarray of bool, shape (n,)
        The images that are used.
    counts : astropy.table.Table
        One row per cut, in the order in which they are applied, after a first row named ``read``: ``cut`` (its name),
        ``condition``, ``n_in``, ``n_cut``, ``n_out``. Always n_in = n_cut + n_out, and n_in of a row is n_out of the
        row before.

    Raises
    ------
    UserError
        If a column does not exist or an expression cannot be evaluated.
    """
    conditions = parameters.quality | (parameters.truth if use_truth else {})
    mask = np.ones(len(table), dtype=bool)
    rows = [("read", "", len(table))]
    if parameters.telescope_ids is not None:
        mask &= np.isin(table["tel_id"], parameters.telescope_ids)
        rows.append(("telescopes", f"tel_id in {list(parameters.telescope_ids)}", np.count_nonzero(mask)))
    passed, n_left = _evaluate(_plain_columns(table, conditions)[mask], conditions)
    mask[mask] = passed
    rows += [(name, condition, n) for (name, condition), n in zip(conditions.items(), n_left, strict=True)]
    if parameters.min_telescopes > 1:
        mask[mask] = _multiplicity(table[mask]) >= parameters.min_telescopes
        rows.append(("multiplicity", f"telescopes >= {parameters.min_telescopes}", np.count_nonzero(mask)))
    return mask, _counts_table(rows)


def sum_counts(counts: Iterable[Table]) -> Table:
    """Add the counts of several tables that were cut alike.

    Parameters
    ----------
    counts : iterable of astropy.table.Table
        From `select` with the same parameters; at least one.
    """
    first, *others = counts
    total = first.copy()
    for other in others:
        if list(other["cut"]) != list(total["cut"]):
            raise ValueError("counts of different selections cannot be added")
        for name in ("n_in", "n_cut", "n_out"):
            total[name] += other[name]
    return total


def require_selected(counts: Table) -> None:
    """Refuse a selection that leaves nothing.

    Parameters
    ----------
    counts : astropy.table.Table
        Of the whole sample, see `select` and `sum_counts`.

    Raises
    ------
    UserError
        Naming the cut that removed the last images.
    """
    for row in counts:
        if row["n_out"] == 0:
            if row["n_in"] == 0:
                raise UserError("There is no image to select from.")
            cut = f"{str(row['cut'])!r} ({row['condition']})"
            raise UserError(f"No image is left, the cut {cut} removed the last {row['n_in']}: loosen it.")


def _evaluate(table: Table, conditions: Mapping[str, str]) -> tuple[np.ndarray, Sequence[int]]:
    """Evaluate conditions; how many rows are left after each, in their order."""
    from ctapipe.core import QualityQuery
    from ctapipe.core.expression_engine import ExpressionError

    query = QualityQuery(quality_criteria=list(conditions.items()))
    try:
        with np.errstate(all="ignore"):  # the logarithm of nothing is NaN, which passes no cut
            mask = query.get_table_mask(table)
    except ExpressionError as error:
        raise UserError(f"A cut cannot be evaluated: {reason(error)}") from error
    return mask, [int(n) for n in query.to_table()["cumulative_counts"][1:]]


def _plain_columns(table: Table, conditions: Mapping[str, str]) -> Table:
    """Columns that the conditions need, as plain numbers; what is masked becomes NaN."""
    plain = Table({"row": np.arange(len(table))})
    for name, condition in conditions.items():
        try:
            needed = columns_of(condition)
        except ValueError as error:
            raise UserError(f"The cut {name!r} is not usable: {error}.") from error
        for column in needed - set(plain.colnames):
            if column not in table.colnames:
                raise UserError(f"The cut {name!r} asks for {column!r}, which does not exist{_near(column, table)}.")
            plain[column] = _plain_values(table, column)
    return plain


def _plain_values(table: Table, name: str) -> np.ndarray:
    column = table[name]
    values = np.asarray(getattr(column, "unmasked", column))
    unit = getattr(column, "unit", None)
    if unit is not None:
        values = values * next((unit.to(plain) for plain in PLAIN_UNITS if unit.is_equivalent(plain)), 1)
    mask = getattr(column, "mask", None)
    return values if mask is None else np.where(mask, np.nan, values)


def _near(name: str, table: Table) -> str:
    near = difflib.get_close_matches(name, table.colnames, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(table.colnames[:8])}, ..."


def _multiplicity(table: Table) -> np.ndarray:
    """For each image, the number of telescopes with an image of its event."""
    keys = np.column_stack([np.asarray(table[name], dtype=np.int64) for name in EVENT])
    _, event = np.unique(keys, axis=0, return_inverse=True)
    images = np.unique(np.column_stack([event, table["tel_id"]]), axis=0)
    return np.bincount(images[:, 0])[event]


def _counts_table(rows: Sequence[tuple[str, str, int]]) -> Table:
    n_out = np.array([n for _, _, n in rows], dtype=int)
    n_in = np.array([n_out[0], *n_out[:-1]], dtype=int)
    return Table(
        {
            "cut": np.array([name for name, _, _ in rows], dtype=str),
            "condition": np.array([condition for _, condition, _ in rows], dtype=str),
            "n_in": n_in,
            "n_cut": n_in - n_out,
            "n_out": n_out,
        }
    )
