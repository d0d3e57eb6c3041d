"""Metrics and curves of directions, on the sky and in the camera, from predictions.

Conventions: gammas only; angles on the sphere between reconstructed and true direction; the angular resolution is
their 68.27 % containment, with 25, 50 and 95 % beside it (`pyirf.benchmarks.angular_resolution`); bins are in true
energy. With one telescope it is given for all events, and for those alone whose source was put on the right side of the
image (head or tail), which is the convention of the SST-1M collaboration: the side is that along ``hillas_psi`` from
the image's centroid, known where the predictions have the image's parameters.

The network predicts a radius that holds the source in 68.27 % of the events.
"""

from functools import partial

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline.directions import (
    POINTING,
    Direction,
    along_axis,
    from_sky,
    pointing_of,
    separation,
)
from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT
from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.gallery import choose_events, error_kinds
from cherenkov_pipeline.performance.metrics import Metric, Share, metrics_table
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.sample import (
    Sample,
    check_columns,
    choose_gammas,
    generators,
    per_energy,
    quarters,
    sample_of,
    share,
    values_in,
)
from cherenkov_pipeline.performance.weighting import weighted_metrics

ANGLES = ("true_alt", "true_az", "reco_alt", "reco_az", "reco_ang_distance_uncert")
IMAGE = ("hillas_fov_lon", "hillas_fov_lat", "hillas_psi", *POINTING)
CAMERA = ("true_camera_x", "true_camera_y", "reco_camera_x", "reco_camera_y")

RESOLUTION = Metric(
    "angular_resolution",
    "Angular resolution: 68.27 % containment, all events",
    ("angle",),
    statistics.quantile_68,
    "deg",
)
RESOLUTION_RIGHT = Metric(
    "angular_resolution_right", "68.27 % containment, right side", ("angle_right",), statistics.quantile_68, "deg"
)
RIGHT_SIDE = Share("right_side", "Share of events on the right side", ("right_side",), statistics.mean)
COVERAGE = Share("coverage_68", "Coverage of the predicted 68.27 % radius", ("covered",), statistics.mean)
PREDICTED_ERROR = Metric(
    "predicted_error", "Median predicted 68.27 % radius", ("predicted_error",), statistics.median, "deg"
)


def _containment(percent: int) -> Metric:
    return Metric(
        f"containment_{percent}", f"{percent} % containment", ("angle",),
        partial(statistics.absolute_quantile, probability=percent / 100), "deg",
    )  # fmt: skip


SUMMARY_METRICS = (
    RESOLUTION,
    RESOLUTION_RIGHT,
    RIGHT_SIDE,
    Metric("mdae", "MDAE: mean angular error", ("angle",), statistics.mean, "deg"),
    Metric("rmsde", "RMSDE: root mean square angular error", ("angle",), statistics.root_mean_square, "deg"),
    *(_containment(percent) for percent in (25, 50, 95)),
    Metric("mae_alt", "MAE of the altitude", ("delta_alt",), statistics.mean_absolute, "deg"),
    Metric("mae_az", "Circular MAE of the azimuth", ("delta_az",), statistics.mean_absolute, "deg"),
    COVERAGE,
    PREDICTED_ERROR,
    Metric(
        "half_ratio",
        "Better half by predicted error: its resolution over that of the worse half",
        ("angle", "predicted_error"),
        statistics.half_ratio,
    ),
)
BIN_METRICS = (
    RESOLUTION,
    RESOLUTION_RIGHT,
    RIGHT_SIDE,
    _containment(50),
    _containment(95),
    *(
        metric
        for name, label in (("alt", "altitude"), ("az", "azimuth"))
        for metric in (
            Metric(f"bias_{name}", f"Median bias of the {label}", (f"delta_{name}",), statistics.median, "deg"),
            Metric(
                f"spread_{name}", f"Std. dev. of the {label}", (f"delta_{name}",), statistics.standard_deviation, "deg"
            ),
        )
    ),
    COVERAGE,
    PREDICTED_ERROR,
)
CAMERA_METRICS = tuple(
    metric
    for name in ("x", "y")
    for metric in (
        Metric(f"bias_{name}", f"Median bias of the camera's {name}", (f"delta_{name}",), statistics.median, "mm"),
        Metric(f"spread_{name}", f"Std. dev. of {name}", (f"delta_{name}",), statistics.standard_deviation, "mm"),
    )
)
SIDE_METRICS = (RESOLUTION_RIGHT, RESOLUTION, RIGHT_SIDE)
QUARTER_METRICS = (RESOLUTION, COVERAGE)

#: Angles [deg] at which the share of the events within is given.
WITHIN = np.linspace(0, 3, 61)
#: Edges of the squared angles [deg2].
THETA2 = np.linspace(0, 0.5, 51)
#: Bins along each side of the map of directions.
MAP_BINS = 40


def direction_sample(predictions: Table) -> Sample:
    """Select the events that directions can be judged by, and count the rest.

    Parameters
    ----------
    predictions : Table
        Keys, true and reconstructed altitude and azimuth and ``reco_ang_distance_uncert`` with units, ``is_valid``,
        ``true_energy``; the pointing, the image's parameters and places in the camera where there are any.

    Returns
    -------
    Sample
        Columns ``true_energy`` [TeV]; ``angle``, ``angle_right``, ``delta_alt``, ``delta_az``, ``predicted_error``
        [deg]; ``right_side``, ``covered``; places in the field of view ``true_lon``, ``true_lat``, ``reco_lon``,
        ``reco_lat``, ``offset``, the angle of the source to the pointing, and ``off_angle``, the angle to the place
        across the pointing from the source [deg]; of directions in the camera also ``delta_x``, ``delta_y`` [mm].

    Raises
    ------
    UserError
        If a column or a unit is missing.
    """
    check_columns(predictions, (*PRODUCTION_EVENT, *ANGLES, "true_energy", "is_valid"))
    altitude, azimuth, reco_altitude, reco_azimuth, radius = (values_in(predictions, name, "deg") for name in ANGLES)
    known = np.isfinite(altitude) & np.isfinite(azimuth)
    used, counts = choose_gammas(
        predictions, known, np.isfinite(reco_altitude) & np.isfinite(reco_azimuth), "direction"
    )
    angle = separation(azimuth, altitude, reco_azimuth, reco_altitude)
    error = np.where(radius > 0, radius, np.nan)
    columns = {
        "true_energy": values_in(predictions, "true_energy", "TeV"),
        "angle": angle,
        "delta_alt": reco_altitude - altitude,
        "delta_az": (reco_azimuth - azimuth + 180) % 360 - 180,
        "predicted_error": error,
        "covered": np.where(np.isfinite(error), angle <= error, np.nan),
        **_field_of_view(predictions, (altitude, azimuth), (reco_altitude, reco_azimuth)),
    }
    columns |= _sides(predictions, columns)
    if all(name in predictions.colnames for name in CAMERA):
        true_x, true_y, reco_x, reco_y = (values_in(predictions, name, "mm") for name in CAMERA)
        columns |= {"delta_x": reco_x - true_x, "delta_y": reco_y - true_y}
    return sample_of(predictions, used, columns, counts)


def _field_of_view(
    predictions: Table, true: tuple[np.ndarray, np.ndarray], reco: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Places relative to the pointing; NaN where that is not known."""
    if not all(name in predictions.colnames for name in POINTING):
        nothing = np.full(len(predictions), np.nan)
        return dict.fromkeys(("true_lon", "true_lat", "reco_lon", "reco_lat", "offset", "off_angle"), nothing)
    source, found = (from_sky(*direction, pointing_of(predictions)) for direction in (true, reco))
    return {
        "true_lon": source.lon,
        "true_lat": source.lat,
        "reco_lon": found.lon,
        "reco_lat": found.lat,
        "offset": separation(source.lon, source.lat, np.zeros_like(source.lon), np.zeros_like(source.lat)),
        "off_angle": separation(-source.lon, -source.lat, found.lon, found.lat),
    }


def _sides(predictions: Table, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Whether the source was put on its side of the image; NaN where the image is not known."""
    right = np.full(len(predictions), np.nan)
    if all(name in predictions.colnames for name in IMAGE):
        true, reco = (
            along_axis(predictions, Direction(columns[f"{kind}_lon"], columns[f"{kind}_lat"]))
            for kind in ("true", "reco")
        )
        right = np.where(np.isfinite(true * reco), np.sign(true) == np.sign(reco), np.nan)
    return {"right_side": right, "angle_right": np.where(right == 1, columns["angle"], np.nan)}


def share_within(sample: Sample, parameters: EvaluationParameters) -> QTable:
    """Share of the events whose error is at most some angles.

    Returns
    -------
    QTable
        ``angle`` [deg], ``n`` (events within), ``share`` with ``_low`` and ``_high``.
    """
    deviations = statistics.deviations(parameters.confidence)
    angle = sample.columns["angle"]
    shares = np.array([share(angle <= limit, sample.showers, deviations) for limit in WITHIN])
    table = QTable({"angle": WITHIN * u.deg, "n": [int((angle <= limit).sum()) for limit in WITHIN]})
    for name, values in zip(("share", "share_low", "share_high"), shares.T, strict=True):
        table[name] = values
    return table


def squared_angles(sample: Sample) -> QTable:
    """Count the events over the squared angle to the source, and to the place across the pointing from it.

    A source at the pointing lies across it too: events count in an off bin only if on and off region of its size do not
    overlap.

    Returns
    -------
    QTable
        ``theta2_low``, ``theta2_high`` [deg2], ``n_on``, ``n_off``, and ``n_off_events``, of how many events the source
        is far enough from the pointing; ``meta`` has ``n``, all events.
    """
    low, high = THETA2[:-1], THETA2[1:]
    on, off, offset = (sample.columns[name] ** 2 for name in ("angle", "off_angle", "offset"))
    table = QTable({"theta2_low": low * u.deg**2, "theta2_high": high * u.deg**2})
    table["n_on"] = np.histogram(on, THETA2)[0]
    bins = np.minimum(np.digitize(off, THETA2), len(high)) - 1
    table["n_off"] = np.histogram(off[offset >= high[bins]], THETA2)[0]
    table["n_off_events"] = [int((offset >= size).sum()) for size in high]
    table.meta["n"] = len(sample.showers)
    return table


def field_of_view(sample: Sample) -> QTable:
    """Count the events over the field of view, by true and by reconstructed direction.

    Returns
    -------
    QTable
        One row a bin of the longitude (along the azimuth): ``lon_low``, ``lon_high`` [deg], ``n_true`` and ``n_reco``,
        vectors over the same bins of the latitude. The pointing is at (0, 0).
    """
    places = [sample.columns[f"{kind}_{axis}"] for kind in ("true", "reco") for axis in ("lon", "lat")]
    known = np.isfinite(places).all(axis=0)
    size = np.quantile(np.abs([values[known] for values in places[:2]]), 0.99) if known.any() else 1.0
    edges = np.linspace(-1, 1, MAP_BINS + 1) * max(1.3 * float(size), 0.5)
    table = QTable({"lon_low": edges[:-1] * u.deg, "lon_high": edges[1:] * u.deg})
    for name, (lon, lat) in (("n_true", places[:2]), ("n_reco", places[2:])):
        table[name] = np.histogram2d(lon[known], lat[known], bins=(edges, edges))[0].astype(np.int64)
    return table


def direction_gallery(predictions: Table, sample: Sample) -> QTable:
    """Choose events worth looking at by the angle to the truth, see `performance.gallery.choose_events`."""
    scores = error_kinds(sample.columns["angle"], sample.columns["predicted_error"])
    return choose_events(predictions, sample, scores, {"angle": "deg", "predicted_error": "deg"})


def direction_tables(predictions: Table, parameters: EvaluationParameters) -> dict[str, QTable]:
    """Make every table of the direction tasks.

    Parameters
    ----------
    predictions : Table
        See `direction_sample`.
    parameters : EvaluationParameters
        Its seed makes the intervals reproducible.

    Returns
    -------
    dict of str to QTable
        ``metrics``, ``metrics_weighted``, ``per_energy``, ``within``, ``theta2``, ``field_of_view``, ``quarters``,
        ``gallery``.

    Raises
    ------
    UserError
        If a column or a unit is missing.
    """
    sample = direction_sample(predictions)
    streams = generators(parameters, 4)
    bin_metrics = BIN_METRICS + (CAMERA_METRICS if "delta_x" in sample.columns else ())
    return {
        "metrics": metrics_table(
            sample.columns, SUMMARY_METRICS, sample.showers, sample.counts, parameters, streams[0]
        ),
        "metrics_weighted": weighted_metrics(predictions, sample, SUMMARY_METRICS, parameters, streams[3]),
        "per_energy": per_energy(sample, bin_metrics, parameters, streams[1]),
        "within": share_within(sample, parameters),
        "theta2": squared_angles(sample),
        "field_of_view": field_of_view(sample),
        "quarters": quarters(sample, PREDICTED_ERROR, QUARTER_METRICS, parameters, streams[2]),
        "gallery": direction_gallery(predictions, sample),
    }
