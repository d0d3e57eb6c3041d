from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from pyirf.benchmarks import angular_resolution
from pyirf.utils import calculate_theta

from cherenkov_pipeline.directions import Direction, to_sky
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.direction import direction_sample, direction_tables, field_of_view, squared_angles
from cherenkov_pipeline.performance.plots.direction import theta_squared
from cherenkov_pipeline.performance.statistics import ONE_SIGMA

GAUSSIAN = np.sqrt(-2 * np.log(1 - 0.6826894921370859))


def values(tables) -> dict[str, float]:
    metrics = tables["metrics"]
    return dict(zip(metrics["metric"], metrics["value"], strict=True))


def test_gaussian_is_recovered(make_events, parameters):
    tables = direction_tables(make_events(12_000, sigma=0.1), parameters)
    found = values(tables)
    assert pytest.approx(1.515, abs=1e-3) == GAUSSIAN
    assert found["angular_resolution"] == pytest.approx(0.1 * GAUSSIAN, rel=0.02)
    assert found["rmsde"] == pytest.approx(0.1 * np.sqrt(2), rel=0.02)
    assert found["mdae"] == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)
    assert found["coverage_68"] == pytest.approx(0.6827, abs=0.015)
    assert found["right_side"] == 1
    assert found["containment_95"] == pytest.approx(0.1 * np.sqrt(-2 * np.log(0.05)), rel=0.03)
    row = tables["metrics"][0]
    assert row["low"] < row["value"] < row["high"]


def test_resolution_per_energy_is_that_of_pyirf(make_events, parameters):
    events = make_events(3000, flipped=0.2)
    table = direction_tables(events, parameters)["per_energy"]
    gammas = events[events["true_shower_primary_id"] == 0]
    gammas["theta"] = calculate_theta(gammas, gammas["true_az"], gammas["true_alt"])
    expected = angular_resolution(gammas, energy_edges(parameters), quantile=[0.5, 0.6826894921370859])
    seen = table["n"] > 0
    for name, column in (("angular_resolution", "angular_resolution_68"), ("containment_50", "angular_resolution_50")):
        np.testing.assert_allclose(table[name][seen].to_value("deg"), expected[column][seen].to_value("deg"), rtol=1e-6)


def test_resolution_is_that_of_ctaplot(make_events, parameters):
    """Its definition, written out: `ctaplot.ana.angular_resolution`, at one sigma exactly."""
    events = make_events(3000, flipped=0.2)
    gammas = events[events["true_shower_primary_id"] == 0]
    names = ("true_alt", "true_az", "reco_alt", "reco_az")
    alt1, az1, alt2, az2 = (gammas[name].to_value("rad") for name in names)
    cosine = np.cos(alt1) * np.cos(alt2) * np.cos(az1 - az2) + np.sin(alt1) * np.sin(alt2)
    theta2 = np.arccos(np.clip(cosine, -1, 1)) ** 2
    expected = np.degrees(np.sqrt(np.percentile(theta2, 100 * ONE_SIGMA)))
    assert values(direction_tables(events, parameters))["angular_resolution"] == pytest.approx(expected, abs=1e-6)


def test_events_on_the_wrong_side_are_found(make_events, parameters):
    found = values(direction_tables(make_events(8000, flipped=0.2), parameters))
    assert found["right_side"] == pytest.approx(0.8, abs=0.015)
    assert found["angular_resolution_right"] == pytest.approx(0.1 * GAUSSIAN, rel=0.03)
    assert found["angular_resolution"] > 1.2 * found["angular_resolution_right"]


def test_bias_comes_back(make_events, parameters):
    table = direction_tables(make_events(8000, shift=0.05), parameters)["per_energy"]
    drawn = table[table["drawn"]]
    assert np.average(drawn["bias_alt"].to_value("deg"), weights=drawn["n"]) == pytest.approx(0.05, abs=0.01)
    assert np.average(drawn["spread_alt"].to_value("deg"), weights=drawn["n"]) == pytest.approx(0.1, rel=0.05)


def test_azimuth_is_circular(make_events, parameters):
    found = values(direction_tables(make_events(400), parameters))
    assert found["mae_az"] < 1


def test_counts_close(make_events, parameters):
    events = make_events(100)
    events["is_valid"][:10] = False
    events["reco_alt"][10] = np.nan * u.deg
    events["true_alt"][20] = np.nan * u.deg
    found = values(direction_tables(events, parameters))
    parts = ("events_valid", "events_invalid", "events_other", "events_without_truth")
    assert found["events_total"] == 100 == sum(found[name] for name in parts)
    assert (found["events_invalid"], found["events_without_truth"]) == (6, 1)


def test_shares_and_squares_count_all(make_events, parameters):
    tables = direction_tables(make_events(2000, sigma=0.3), parameters)
    within, theta2 = tables["within"], tables["theta2"]
    assert np.all(np.diff(within["share"]) >= 0)
    assert within["share"][-1] == 1
    inside = within["n"][np.searchsorted(within["angle"].to_value("deg"), np.sqrt(0.5)) - 1]
    assert inside <= theta2["n_on"].sum() <= within["n"][-1]
    assert theta2["n_on"].sum() > 5 * theta2["n_off"].sum()
    assert tables["field_of_view"]["n_true"].sum() == 1000


def at_offset(events: QTable, offset: float) -> QTable:
    """The same events with a pointing so far from the source of all of them."""
    moved = events.copy()
    moved["telescope_pointing_altitude"] = moved["true_alt"] - offset * u.deg
    moved["telescope_pointing_azimuth"] = moved["true_az"]
    return moved


def test_off_region_ends_where_it_meets_the_source(make_events, parameters):
    events = make_events(2000, sigma=0.2)
    high = np.sqrt(squared_angles(direction_sample(events))["theta2_high"].to_value("deg2"))
    for offset in (0.0, 0.45, 2.0):
        table = squared_angles(direction_sample(at_offset(events, offset)))
        apart = high <= offset
        np.testing.assert_array_equal(table["n_off_events"], np.where(apart, 1000, 0))
        assert not table["n_off"][~apart].any()
        figure = theta_squared(table)
        steps = [patch.get_data() for patch in figure.axes[0].patches if "off" in str(patch.get_label())]
        assert [np.isfinite(data.values).sum() for data in steps] == ([apart.sum()] if offset else [])
        assert ("no off region" in str([text.get_text() for text in figure.axes[0].texts])) == (not offset)
    events["telescope_pointing_altitude"] = np.nan * u.deg
    assert not squared_angles(direction_sample(events))["n_off_events"].any()


def test_off_counts_are_those_of_sources_that_are_far_enough(make_events, parameters):
    """Scaled to all events: half of them at the pointing leave the off counts as they are."""
    events = at_offset(make_events(2000, sigma=0.3), 0.6)
    near = events["event_id"] < 1000
    events["telescope_pointing_altitude"][near] = events["true_alt"][near]
    table = squared_angles(direction_sample(events))
    np.testing.assert_array_equal(table["n_off_events"][table["theta2_high"] < 0.36 * u.deg**2], 500)
    alone = squared_angles(direction_sample(events[~near]))
    np.testing.assert_array_equal(table["n_off"], alone["n_off"])


def test_predicted_error_tells_good_from_bad(make_events, parameters):
    events = make_events(4000)
    wide = make_events(4000, sigma=0.3, seed=2)
    wide["event_id"] += 4000
    for name in events.colnames:
        events[name][2000:] = wide[name][2000:]
    tables = direction_tables(events, parameters)
    assert values(tables)["half_ratio"] == pytest.approx(1 / 3, rel=0.08)
    assert np.all(np.diff(tables["quarters"]["predicted_error"].value) >= 0)
    assert tables["quarters"]["n"].sum() == 2000


def test_places_in_the_camera_are_judged_where_they_are(make_events, parameters):
    events = make_events(500)
    assert "bias_x" not in direction_tables(events, parameters)["per_energy"].colnames
    for axis in "xy":
        events[f"true_camera_{axis}"] = np.zeros(500) * u.m
        events[f"reco_camera_{axis}"] = np.full(500, 0.003) * u.m
    table = direction_tables(events, parameters)["per_energy"]
    np.testing.assert_allclose(table["bias_x"][table["drawn"]].to_value("mm"), 3)


def test_events_of_others_need_neither_image_nor_pointing(make_events, parameters):
    events = make_events(300)
    events.remove_columns([name for name in events.colnames if name.startswith(("hillas", "telescope", "tel_id"))])
    found = values(direction_tables(events, parameters))
    assert np.isfinite(found["angular_resolution"])
    assert np.isnan(found["right_side"])


def test_no_events_give_empty_tables(make_events, parameters):
    tables = direction_tables(make_events(0), parameters)
    assert np.isnan(tables["metrics"]["value"][0])
    assert not tables["per_energy"]["drawn"].any()


def test_missing_column_or_unit_is_named(make_events):
    events = make_events(10)
    events["reco_alt"] = events["reco_alt"].value
    with pytest.raises(UserError, match="reco_alt of the predictions has no unit"):
        direction_sample(events)
    events.remove_column("reco_alt")
    with pytest.raises(UserError, match="no column reco_alt"):
        direction_sample(events)


def test_bias_of_the_azimuth_has_its_sign(make_events, parameters):
    events = make_events(2000)
    events["reco_az"] = (events["true_az"] + 0.07 * u.deg) % (360 * u.deg)
    table = direction_tables(events, parameters)["per_energy"]
    np.testing.assert_allclose(table["bias_az"][table["drawn"]].to_value("deg"), 0.07, atol=1e-9)


def test_off_place_is_the_source_seen_across_the_pointing(make_events):
    events = make_events(400)
    columns = direction_sample(events).columns
    gammas = events[events["true_shower_primary_id"] == 0]
    gammas["reco_alt"], gammas["reco_az"] = (
        angle * u.deg for angle in to_sky(Direction(-columns["true_lon"], -columns["true_lat"]), (70.0, 0.0))
    )
    sample = direction_sample(gammas)
    np.testing.assert_allclose(sample.columns["off_angle"], 0, atol=1e-6)
    np.testing.assert_allclose(sample.columns["angle"], 2 * sample.columns["offset"], rtol=1e-3)
    far = sample.columns["offset"] ** 2 >= squared_angles(sample)["theta2_high"][0].to_value("deg2")
    assert squared_angles(sample)["n_off"].sum() == squared_angles(sample)["n_off"][0] == far.sum()


def test_places_in_the_field_of_view_are_counted_where_they_are(make_events):
    events = make_events(2000, shift=0.2)  # of the latitude that is found
    sample = direction_sample(events)
    right = sample.columns["true_lon"] > 0.5
    columns = {name: values[right] for name, values in sample.columns.items()}
    table = field_of_view(replace(sample, columns=columns, showers=sample.showers[right], rows=sample.rows[right]))
    centre = 0.5 * (table["lon_low"] + table["lon_high"]).to_value("deg")
    for kind in ("true", "reco"):
        counts = np.asarray(table[f"n_{kind}"])
        for axis, name in ((1, "lon"), (0, "lat")):
            mean = counts.sum(axis=axis) @ centre / counts.sum()
            assert mean == pytest.approx(sample.columns[f"{kind}_{name}"][right].mean(), abs=0.02)
