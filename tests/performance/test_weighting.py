"""Metrics weighted to physical spectra."""

import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from pyirf.simulations import SimulatedEventsInfo
from pyirf.spectral import CRAB_HEGRA, DAMPE_P_He_SPECTRUM
from tests.test_spectra import thrown

from cherenkov_pipeline.performance import statistics
from cherenkov_pipeline.performance.bootstrap import weighted_draws
from cherenkov_pipeline.performance.energy import RESOLUTION, energy_sample, energy_tables
from cherenkov_pipeline.performance.metrics import Metric, estimate
from cherenkov_pipeline.performance.type import AUC, SUMMARY_METRICS, type_sample, type_tables
from cherenkov_pipeline.performance.weighting import flux_weights, spectral_weights, weighted_metrics

LOW, HIGH = 1.0, 100.0


def energies(n: int, power: float, rng: np.random.Generator) -> np.ndarray:
    """Energies thrown with dN/dE = E^power."""
    return (LOW ** (power + 1) + rng.random(n) * (HIGH ** (power + 1) - LOW ** (power + 1))) ** (1 / (power + 1))


def gammas_of(n: int, power: float, rng: np.random.Generator) -> QTable:
    """Predictions of gammas whose resolution is better at high energies."""
    energy = energies(n, power, rng)
    table = QTable({name: np.arange(n) for name in ("obs_id", "event_id", "tel_id")})
    table["production"] = "gamma"
    table["true_energy"] = energy * u.TeV
    table["reco_energy"] = energy * np.exp(rng.normal(0, 0.4 * energy**-0.3)) * u.TeV
    table["reco_energy_uncert"] = 0.2 * energy * u.TeV
    table["is_valid"] = True
    table["hillas_intensity"] = 1000.0
    table["true_shower_primary_id"] = 0
    table.meta["thrown"] = [thrown(10 * n, LOW, HIGH, power)]
    return table


def with_protons(gammas: QTable, n: int, rng: np.random.Generator) -> QTable:
    """With protons, and a gammaness that is better at high energies."""
    both = QTable(np.concatenate([gammas.as_array(), gammas.as_array()[rng.integers(len(gammas), size=n)]]))
    both["true_energy"] = both["true_energy"] << u.TeV
    both["reco_energy"] = both["reco_energy"] << u.TeV
    both["event_id"] = np.arange(len(both))
    both["true_shower_primary_id"][len(gammas) :] = 101
    shift = np.where(both["true_shower_primary_id"] == 0, 1, -1) * 0.5 * both["true_energy"].value ** 0.3
    both["gammaness"] = 1 / (1 + np.exp(-rng.normal(shift)))
    both.meta["thrown"] = [*gammas.meta["thrown"], {**gammas.meta["thrown"][0], "true_shower_primary_id": 101}]
    return both


def test_equal_weights_draw_all_alike():
    np.testing.assert_array_equal(weighted_draws(np.ones((1, 7)), 21)[0], np.repeat(np.arange(7), 3))


def test_positions_are_drawn_as_often_as_their_weights_say(rng):
    weights = rng.lognormal(size=(3, 500))
    weights[:, 100:120] = 0
    drawn = weighted_draws(weights, 2000)
    for own, positions in zip(weights, drawn, strict=True):
        times = np.bincount(positions, minlength=500)
        assert not times[100:120].any()
        expected = 2000 * np.cumsum(own) / own.sum()
        assert np.abs(np.cumsum(times) - expected).max() <= 0.5 + 1e-9


def test_weighted_values_are_those_of_weighted_formulae(parameters, rng):
    x, weights = rng.normal(size=5000), rng.lognormal(size=5000)
    metrics = [
        Metric("mean", "", ("x",), statistics.mean),
        Metric("root", "", ("x",), statistics.root_mean_square),
        Metric("median", "", ("x",), statistics.median),
    ]
    found = estimate({"x": x}, metrics, np.arange(5000), parameters, rng, weights)
    expected = {
        "mean": np.average(x, weights=weights),
        "root": np.sqrt(np.average(x**2, weights=weights)),
        "median": np.quantile(x, 0.5, weights=weights, method="inverted_cdf"),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=0.05 * (found[name].high - found[name].low))
    # the interval is that of fewer events than there are
    effective = weights.sum() ** 2 / (weights**2).sum()
    error = np.sqrt(np.average((x - expected["mean"]) ** 2, weights=weights) / effective)
    assert found["mean"].high - found["mean"].low == pytest.approx(2 * 1.96 * error, rel=0.2)


def test_intervals_are_those_of_weighted_showers(parameters, rng):
    """Of heavy tails, whose events have small weights."""
    n = 1000
    x, energy = rng.standard_t(4, n), rng.pareto(1, n) + 1
    x, weights = x * energy**0.5, energy**-0.8
    square = Metric("square", "", ("x",), lambda x: statistics.mean(x**2))
    found = estimate({"x": x}, [square], np.arange(n), parameters, rng, weights)["square"]
    times = rng.multinomial(n, np.full(n, 1 / n), 2000)
    exact = np.quantile((times * weights) @ x**2 / (times @ weights), (0.025, 0.975))
    assert found.high - found.low == pytest.approx(np.diff(exact)[0], rel=0.25)


def test_values_of_many_events_need_little_memory(parameters, rng):
    """A metric's own columns are drawn, one metric after the other; of many events fewer draws a row will do."""
    n = 600_000
    columns = {name: rng.random(n) for name in "abcdefghij"}
    metrics = [Metric(name, "", (name,), statistics.mean) for name in columns]
    weights = rng.lognormal(size=n)
    tracemalloc.start()
    try:
        found = estimate(columns, metrics, np.zeros(n, dtype=int), parameters, rng, weights)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    error = np.sqrt((weights**2).sum()) / weights.sum() * np.std(columns["a"])
    assert found["a"].value == pytest.approx(np.average(columns["a"], weights=weights), abs=0.2 * error)


def test_what_is_weighted_is_as_if_thrown_so(parameters, rng):
    flat, steep = gammas_of(20_000, -1.5, rng), gammas_of(20_000, -2.7, rng)
    wanted = parameters.model_copy(update={"spectra": {"gamma": -2.7}})
    table = energy_tables(flat, wanted)["metrics_weighted"]
    row = table[table["metric"] == "resolution"][0]
    columns = energy_sample(steep).columns
    assert row["low"] < RESOLUTION(columns) < row["high"]
    assert not row["low"] < RESOLUTION(energy_sample(flat).columns) < row["high"]
    assert table.meta["spectra"] == {"gamma": -2.7}
    assert table.meta["n_effective"]["gamma"] < 15_000
    assert table.meta["n_left_out"] == 0


def test_productions_of_any_spectra_are_weighted_together(rng):
    parts = [gammas_of(3000, -1.5, rng), gammas_of(9000, -2.5, rng)]
    both = QTable(np.concatenate([part.as_array() for part in parts]))
    both["true_energy"] = both["true_energy"] << u.TeV
    both.meta["thrown"] = [one for part in parts for one in part.meta["thrown"]]
    weights = spectral_weights(both, np.arange(len(both)), {"gamma": -2.0})
    assert weights.mean() == pytest.approx(1)
    edges = np.geomspace(LOW, HIGH, 6)
    counts, _ = np.histogram(both["true_energy"].value, edges, weights=weights)
    slope = np.polyfit(np.log(edges[:-1]), np.log(counts), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)  # dN/dlogE


def test_the_mixture_of_particles_stays(parameters, rng):
    events = with_protons(gammas_of(4000, -1.5, rng), 1500, rng)
    sample = type_sample(events)
    weights = spectral_weights(events, sample.rows, parameters.spectra)
    gamma = sample.columns["is_gamma"] > 0
    assert weights[gamma].sum() == pytest.approx(4000)
    assert weights[~gamma].sum() == pytest.approx(1500)
    tables = type_tables(events, parameters)
    assert list(tables["metrics_weighted"]["metric"]) == [
        name for name in tables["metrics"]["metric"] if not name.startswith("events_")
    ]
    values = {name: {row["metric"]: row for row in tables[name]}["auc"] for name in ("metrics", "metrics_weighted")}
    # most of a physical spectrum is at low energies, where particles look alike
    assert values["metrics_weighted"]["high"] < values["metrics"]["low"]


def test_particles_without_a_spectrum_are_left_out(parameters, rng):
    events = with_protons(gammas_of(500, -1.5, rng), 300, rng)
    wanted = parameters.model_copy(update={"spectra": {"gamma": "CRAB_HEGRA"}})
    table = weighted_metrics(events, type_sample(events), SUMMARY_METRICS, wanted, rng)
    assert table.meta["n_left_out"] == 300
    assert np.isnan(table[table["metric"] == AUC.name]["value"])


@pytest.mark.parametrize("spectra", [{}, {"proton": -2.7}])
def test_nothing_to_weigh_is_no_table(spectra, parameters, rng):
    events = gammas_of(50, -2, rng)
    wanted = parameters.model_copy(update={"spectra": spectra})
    assert len(energy_tables(events, wanted)["metrics_weighted"]) == 0
    events.meta.clear()
    assert len(energy_tables(events, parameters)["metrics_weighted"]) == 0


def test_events_are_weighted_only_where_showers_were_thrown(parameters, rng):
    events = gammas_of(200, -2, rng)
    events.meta["thrown"][0]["energy_max"] = 20.0
    table = energy_tables(events, parameters)["metrics_weighted"]
    assert table.meta["n_left_out"] == int((events["true_energy"] > 20 * u.TeV).sum()) > 0


@pytest.mark.parametrize(("spectrum", "viewcone"), [(CRAB_HEGRA, 0), (DAMPE_P_He_SPECTRUM, 8)])
def test_weights_give_the_flux_that_falls_on_the_thrown_area(spectrum, viewcone, rng):
    n, low, high, radius = 20_000, 0.5, 50.0, 300.0
    energy = 1 / (1 / low - rng.random(n) * (1 / low - 1 / high))  # E^-2
    thrown_events = SimulatedEventsInfo(
        n_showers=n,
        energy_min=low * u.TeV,
        energy_max=high * u.TeV,
        max_impact=radius * u.m,
        spectral_index=-2,
        viewcone_min=0 * u.deg,
        viewcone_max=viewcone * u.deg,
    )
    weights = flux_weights(energy * u.TeV, thrown_events, spectrum)
    rate, error = weights.sum(), np.sqrt((weights**2).sum())
    fine = np.geomspace(low, high, 2001) * u.TeV
    expected = np.trapezoid(spectrum(fine), fine) * np.pi * (radius * u.m) ** 2
    if viewcone:
        expected = expected * 2 * np.pi * (1 - np.cos(np.deg2rad(viewcone))) * u.sr
    assert abs(rate - expected.to(u.Hz)) < 4 * error
    assert error < 0.02 * rate
