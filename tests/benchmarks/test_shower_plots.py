import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import QTable
from benchmarks._agreement import auc_per_intensity, direction_per_bin, membership
from matplotlib.figure import Figure
from tests.toy_events import toy_events

from benchmarks import _agreement_plots as agreement
from benchmarks import _shower_plots as showers
from cherenkov_pipeline.performance.published import random_forest_direction


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_areas_stand_beside_the_official_ones():
    table = QTable(
        {
            "energy": [1, 10, 100] * u.TeV,
            "area": [8e4, 4e5, 1e6] * u.m**2,
            "error": [1e3, 1e4, 1e4] * u.m**2,
            "official": [7e4, 5e5, np.nan] * u.m**2,
        }
    )
    figure = showers.effective_areas({"after trigger": table}, 0.25)
    assert "after trigger, official (±25%)" in texts(figure)
    (official,) = [line for line in figure.axes[0].lines if "official" in line.get_label()]
    np.testing.assert_array_equal(official.get_ydata(), [7e4, 5e5])


def test_light_pool_has_both_curves():
    table = QTable(
        {
            "distance": [10, 100] * u.m,
            "photons": [100, 120] / u.m**2,
            "error": [1, 2] / u.m**2,
            "official": [110, 130] / u.m**2,
        }
    )
    assert {"simulated here", "official"} <= set(texts(showers.light_pool(table)))


@pytest.mark.parametrize("rate", [0.0, 5.0])
def test_size_spectrum_is_per_decade(rate):
    low = np.array([2.0, 2.5])
    table = QTable(
        {
            "log_intensity_low": low,
            "log_intensity_high": low + 0.5,
            "rate": [10, rate] * u.Hz,
            "error": [12, rate] * u.Hz,
        }
    )
    figure = showers.size_spectrum({"protons": table})
    assert "Rate per decade of intensity [Hz]" in texts(figure)
    values, edges, _ = figure.axes[0].patches[0].get_data()
    np.testing.assert_allclose(values, [20, 2 * rate])
    np.testing.assert_allclose(edges, 10 ** np.array([2, 2.5, 3]))


def test_gallery_draws_every_image_and_pixel():
    from cherenkov_pipeline.simulation.array import digicam_geometry

    geometry = digicam_geometry()
    image = np.arange(geometry.n_pixels, dtype=float)
    figure = showers.camera_gallery(geometry, {"gammas": [("one", image), ("two", image)], "muons": []})
    assert {"gammas", "muons", "one", "two"} <= set(texts(figure))
    pixels = [axes.collections[0] for axes in figure.axes if axes.collections]
    assert len(pixels) == 2
    np.testing.assert_array_equal(pixels[0].get_array(), image)
    centres = np.array([path.vertices[:6].mean(axis=0) for path in pixels[0].get_paths()])
    np.testing.assert_allclose(centres[:, 0], geometry.pix_x.to_value("m"), atol=1e-6)
    # hexagons of neighbours touch, and do not overlap
    x, y = pixels[0].get_paths()[0].vertices[:6].T
    area = 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    assert area == pytest.approx(geometry.pix_area.to_value("m2")[0], rel=0.02)


@pytest.mark.parametrize("n", [0, 2000])
def test_forest_stands_beside_the_published_one(n, parameters, rng):
    predictions = toy_events(n)
    predictions["separation"] = np.abs(rng.normal(0, 0.1, n)) * u.deg
    predictions["right_sign"] = np.ones(n, dtype=bool)
    ours = direction_per_bin(predictions, parameters, rng)
    figure = agreement.forest_resolution(
        ours, random_forest_direction("mono_tel1"), "angular_resolution", "Angular resolution [deg]", (1.58, 25.2), 0.3
    )
    assert {"published ±30%", "True energy [TeV]", "Angular resolution [deg]"} <= set(texts(figure))


def test_auc_names_its_bins(parameters, rng):
    n = 300
    predictions = QTable(
        {
            "production": np.full(n, "a"),
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n),
            "hillas_intensity": 10 ** rng.uniform(1.6, 3.5, n),
            "gammaness": rng.random(n),
            "true_shower_primary_id": rng.choice([0, 101], n),
        }
    )
    table = auc_per_intensity(predictions, (1.6, 2.2, np.inf), parameters, rng)
    found = texts(agreement.auc_by_intensity(table, (0.8, 0.9), 0.05))
    assert any(text.startswith("1.6-2.2") for text in found)
    assert any(text.startswith("> 2.2") for text in found)


def test_events_outside_are_marked(rng):
    energy = np.array([1.0, 1.0, 9.0])
    events = {"hillas_intensity": np.array([100.0, 1e4, 100.0])}
    populations = [{"hillas_intensity": rng.lognormal(np.log(100), 0.2, 200)} for _ in energy]
    members = membership(events, populations, list(events))
    figure = agreement.events_in_population(energy, members, {"hillas_intensity": "Intensity [p.e.]"}, columns=1)
    assert {"real event", "outside", "Intensity [p.e.]"} <= set(texts(figure))
    (outside,) = [line for line in figure.axes[0].lines if line.get_label() == "outside"]
    np.testing.assert_array_equal(outside.get_ydata(), [1e4])
    drawn = np.concatenate([line.get_xdata() for line in figure.axes[0].lines if line.get_label() != "_nolegend_"])
    assert len(np.unique(drawn)) == 3  # equal energies are moved apart
