import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from pyirf.benchmarks import energy_bias_resolution
from sklearn.metrics import root_mean_squared_log_error

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.energy import (
    energy_distribution,
    energy_metrics,
    energy_per_bin,
    energy_pulls,
    energy_quarters,
    energy_tables,
    migration_matrix,
)
from cherenkov_pipeline.performance.statistics import ONE_SIGMA


def by_name(metrics: QTable) -> dict[str, QTable.Row]:
    return {row["metric"]: row for row in metrics}


def test_bins_are_those_of_the_collaboration(parameters):
    np.testing.assert_allclose(energy_edges(parameters).to_value("TeV"), np.logspace(-1, 3, 21))


def test_metrics_agree_with_pyirf(make_predictions, parameters, rng):
    predictions = make_predictions(2000, shift=0.1)
    metrics = by_name(energy_metrics(predictions, parameters, rng))
    reference = energy_bias_resolution(predictions, [0.1, 1000] * u.TeV)
    assert metrics["bias"]["value"] == pytest.approx(reference["bias"][0], abs=1e-6)
    assert metrics["resolution"]["value"] == pytest.approx(reference["resolution"][0], abs=1e-6)


def test_metrics_agree_with_ctaplot(make_predictions, parameters, rng):
    """Its definitions, written out: `ctaplot.ana.resolution` (at one sigma exactly) and ``relative_bias``."""
    predictions = make_predictions(2000, shift=0.1)
    metrics = by_name(energy_metrics(predictions, parameters, rng))
    true, reco = (predictions[name].to_value("TeV") for name in ("true_energy", "reco_energy"))
    resolution = np.percentile(np.abs((reco - true) / np.abs(true)), 100 * ONE_SIGMA)
    assert metrics["quantile_68"]["value"] == pytest.approx(resolution, abs=1e-6)
    assert metrics["bias"]["value"] == pytest.approx(np.median((reco - true) / np.abs(true)), abs=1e-6)


def test_bins_agree_with_pyirf(make_predictions, parameters, rng):
    predictions = make_predictions(2000, shift=0.1)
    bins = energy_per_bin(predictions, parameters, rng)
    reference = energy_bias_resolution(predictions, energy_edges(parameters))
    np.testing.assert_array_equal(bins["n"], reference["n_events"])
    np.testing.assert_allclose(bins["bias"], reference["bias"], atol=1e-6)
    np.testing.assert_allclose(bins["resolution"], reference["resolution"], atol=1e-6)
    filled = bins[bins["n"] > 1]
    for name in ("bias", "resolution"):
        assert np.all((filled[f"{name}_low"] <= filled[name]) & (filled[name] <= filled[f"{name}_high"]))


def test_rmsle_is_the_one_of_logarithms(make_predictions, parameters, rng):
    predictions = make_predictions(500)
    expected = root_mean_squared_log_error(predictions["true_energy"].value, predictions["reco_energy"].value)
    assert by_name(energy_metrics(predictions, parameters, rng))["rmsle"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(("shift", "width"), [(0, 0.1), (0.2, 0.25), (-0.3, 0.15)])
def test_injected_bias_and_smearing_come_back(make_predictions, parameters, rng, shift, width):
    metrics = by_name(energy_metrics(make_predictions(4000, shift=shift, width=width), parameters, rng))
    expected = {
        "bias": np.exp(shift) - 1,
        "resolution": np.exp(shift) * np.sinh(width),  # half of exp(shift + width) - exp(shift - width)
        "mse_log": (shift**2 + width**2) / np.log(10) ** 2,
        "pull_mean": shift / width,
        "pull_width": 1,
    }
    for name, value in expected.items():
        margin = 0.5 * (metrics[name]["high"] - metrics[name]["low"])  # four standard errors in all
        assert metrics[name]["low"] - margin <= value <= metrics[name]["high"] + margin, name


def test_unit_of_the_input_does_not_matter(make_predictions, parameters):
    predictions = make_predictions(300)
    in_gev = predictions.copy()
    for name in ("true_energy", "reco_energy", "reco_energy_uncert"):
        in_gev[name] = in_gev[name].to("GeV")
    first, second = (energy_tables(table, parameters)["metrics"] for table in (predictions, in_gev))
    np.testing.assert_allclose(first["value"], second["value"], rtol=1e-9)


@pytest.mark.parametrize(("predicted", "coverage"), [(0.2, 0.6827), (0.1, 0.3829), (0.4, 0.9545)])
def test_coverage_follows_the_predicted_error(make_predictions, parameters, rng, predicted, coverage):
    predictions = make_predictions(6000, width=0.2, predicted=predicted)
    assert by_name(energy_metrics(predictions, parameters, rng))["coverage_68"]["value"] == pytest.approx(
        coverage, abs=0.025
    )
    pulls = energy_pulls(predictions)
    assert pulls["n"].sum() == pulls.meta["n"] == 6000
    assert pulls.meta["width"] == pytest.approx(0.2 / predicted, rel=0.05)


def test_what_cannot_be_used_is_left_out_and_counted(make_predictions, parameters, rng):
    clean = make_predictions(400)
    spoiled = make_predictions(400)
    spoiled["is_valid"][:10] = False
    spoiled["reco_energy"][:10] = 1e6 * u.TeV  # a number that would spoil every metric
    spoiled["reco_energy"][10:15] = np.nan
    spoiled["reco_energy"][15:17] = 0 * u.TeV
    spoiled["true_energy"][17:20] = np.nan
    spoiled["true_shower_primary_id"][20:30] = 101
    metrics = by_name(energy_metrics(spoiled, parameters, rng))
    counts = {name: int(row["value"]) for name, row in metrics.items() if name.startswith("events_")}
    assert counts == {
        "events_total": 400,
        "events_valid": 370,
        "events_invalid": 17,
        "events_other": 10,
        "events_without_truth": 3,
    }
    reference = by_name(energy_metrics(clean[30:], parameters, rng))
    for name in ("bias", "resolution", "mse", "coverage_68"):
        assert metrics[name]["value"] == reference[name]["value"]
        assert metrics[name]["n"] == 370


def test_events_without_predicted_error_still_have_an_energy(make_predictions, parameters, rng):
    predictions = make_predictions(100)
    predictions["reco_energy_uncert"][:40] = np.nan
    metrics = by_name(energy_metrics(predictions, parameters, rng))
    assert metrics["resolution"]["n"] == 100
    assert metrics["coverage_68"]["n"] == 60
    assert energy_quarters(predictions, parameters, rng)["n"].sum() == 60


@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_inputs_give_nan_not_a_crash(make_predictions, parameters, n):
    predictions = make_predictions(n)
    tables = energy_tables(predictions, parameters)
    metrics = by_name(tables["metrics"])
    assert int(metrics["events_valid"]["value"]) == n
    assert np.isnan(metrics["bias"]["value"]) == (n == 0)
    assert np.isnan(metrics["bias"]["low"]) == (n < 2)
    assert len(tables["per_energy"]) == 20
    assert not tables["per_energy"]["drawn"].any()
    assert tables["quarters"]["n"].sum() == n


def test_small_bins_are_listed_but_not_drawn(make_predictions, parameters, rng):
    bins = energy_per_bin(make_predictions(150), parameters, rng)
    np.testing.assert_array_equal(bins["drawn"], bins["n"] >= 20)
    assert 0 < bins["n"][~bins["drawn"]].max() < 20


def test_events_outside_the_bins_are_counted(make_predictions, parameters, rng):
    predictions = make_predictions(100)
    predictions["true_energy"][:4] = 0.05 * u.TeV
    bins = energy_per_bin(predictions, parameters, rng)
    assert bins["n"].sum() == 96
    assert bins.meta["n_outside_bins"] == 4


def test_migration_and_distribution_hold_every_event(make_predictions, parameters):
    predictions = make_predictions(500, width=0.1)
    migration = migration_matrix(predictions, parameters)
    distribution = energy_distribution(predictions, parameters)
    assert migration["n_reco"].sum() == migration["n"].sum() == 500
    np.testing.assert_array_equal(migration["n"], distribution["n_true"])
    np.testing.assert_array_equal(np.sum(migration["n_reco"], axis=0), distribution["n_reco"])
    perfect = make_predictions(500, width=0)
    assert np.trace(migration_matrix(perfect, parameters)["n_reco"]) == 500


def test_quarters_tell_good_events_from_bad_ones(make_predictions, parameters, rng):
    good, bad = make_predictions(1000, width=0.1, seed=2), make_predictions(1000, width=0.4, seed=3)
    predictions = QTable({name: np.concatenate([good[name], bad[name]]) for name in good.colnames})
    predictions["event_id"] = np.arange(2000)
    quarters = energy_quarters(predictions[np.random.default_rng(0).permutation(2000)], parameters, rng)
    assert quarters["n"].tolist() == [500] * 4
    np.testing.assert_allclose(quarters["predicted_error"], [0.1, 0.1, 0.4, 0.4])
    np.testing.assert_allclose(quarters["resolution"], np.sinh([0.1, 0.1, 0.4, 0.4]), rtol=0.2)


def test_order_of_the_events_does_not_matter(make_predictions, parameters):
    predictions = make_predictions(300)
    shuffled = predictions[np.random.default_rng(1).permutation(300)]
    first, second = (energy_tables(table, parameters) for table in (predictions, shuffled))
    np.testing.assert_allclose(first["metrics"]["value"], second["metrics"]["value"])
    np.testing.assert_allclose(first["per_energy"]["resolution"], second["per_energy"]["resolution"])


def test_same_seed_same_tables(make_predictions, parameters):
    first, second = (energy_tables(make_predictions(200), parameters) for _ in range(2))
    for name in first:
        assert first[name].pformat(max_lines=-1) == second[name].pformat(max_lines=-1)


def test_missing_column_and_missing_unit_are_named(make_predictions, parameters):
    predictions = make_predictions(5)
    predictions["true_energy"] = predictions["true_energy"].value
    with pytest.raises(UserError, match=r"true_energy .* no unit"):
        energy_tables(predictions, parameters)
    predictions.remove_column("is_valid")
    with pytest.raises(UserError, match="no column is_valid"):
        energy_tables(predictions, parameters)
