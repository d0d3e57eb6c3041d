"""Angular resolution per bin of true energy.

Convention: 68.27 % containment of the angle between reconstructed and true direction, gammas only. With one telescope
it is given for all events, and for those alone whose source was put on the right side of the image (head or
tail), which is the convention of the SST-1M collaboration.
"""

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.binning import bins_table, energy_edges, rows_per_bin
from cherenkov_pipeline.performance.bootstrap import shower_labels
from cherenkov_pipeline.performance.metrics import Metric, grouped_metrics
from cherenkov_pipeline.performance.parameters import EvaluationParameters

BIN_METRICS = (
    Metric("angular_resolution", "68.27 % containment, right side", ("right",), statistics.quantile_68, "deg"),
    Metric("angular_resolution_all", "68.27 % containment, all events", ("all",), statistics.quantile_68, "deg"),
    Metric("right_sign", "Share of events on the right side", ("right_sign",), statistics.mean),
)


def direction_per_bin(predictions: Table, parameters: EvaluationParameters, rng: np.random.Generator) -> QTable:
    """Angular resolution per bin of true energy.

    Parameters
    ----------
    predictions : Table
        ``separation`` and ``true_energy`` with units, ``right_sign``, ``is_valid``, the keys of the shower
        (`performance.bootstrap.shower_labels`). Only gammas count.
    parameters : EvaluationParameters
    rng : numpy.random.Generator

    Returns
    -------
    QTable
        One row a bin: ``true_energy_low``, ``true_energy_high``, ``true_energy_center`` in TeV, ``n``, each of
        `BIN_METRICS` with ``_low`` and ``_high`` (angles in deg), and ``drawn``: whether the bin has enough events.
    """
    used = np.asarray(predictions["is_valid"], dtype=bool)
    if "true_shower_primary_id" in predictions.colnames:
        used &= np.asarray(predictions["true_shower_primary_id"]) == 0
    predictions = predictions[used]
    separation = u.Quantity(predictions["separation"]).to_value(u.deg)
    right_sign = np.asarray(predictions["right_sign"], dtype=bool)
    columns = {
        "all": separation,
        "right": np.where(right_sign, separation, np.nan),
        "right_sign": right_sign.astype(float),
    }
    edges = energy_edges(parameters)
    table = bins_table("true_energy", edges)
    groups = rows_per_bin(u.Quantity(predictions["true_energy"]), edges)
    found = grouped_metrics(columns, BIN_METRICS, shower_labels(predictions), groups, parameters, rng)
    for name, column in found.columns.items():
        table[name] = column << u.deg if name.startswith("angular") else column
    table["drawn"] = table["n"] >= parameters.minimum_events
    table.meta["minimum_events"] = parameters.minimum_events
    return table
