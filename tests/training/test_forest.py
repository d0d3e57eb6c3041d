import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from pydantic import ValidationError

from cherenkov_pipeline.directions import Direction, along_axis, on_axis, true_direction
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.forest_features import COLUMNS, feature_names
from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.training.forest import _matrix, fit

ALTITUDE = 70.0
FEW_TREES = ForestParameters(n_trees_regression=30, n_trees_classification=30)


def toy_images(n: int, seed: int = 1, protons: float = 0.5) -> Table:
    """Images whose shape tells energy, particle, distance and side of the source."""
    rng = np.random.default_rng(seed)
    is_proton = rng.random(n) < protons
    log_energy = rng.uniform(-0.5, 1.5, n)
    disp = rng.uniform(0.2, 1.5, n) * rng.choice([-1, 1], n)
    psi = rng.uniform(-90, 90, n)
    centroid = rng.uniform(-1, 1, (2, n))
    lon = centroid[0] + disp * np.cos(np.deg2rad(psi))
    lat = centroid[1] + disp * np.sin(np.deg2rad(psi))
    alt, az = sky(lon, lat)
    width = np.where(is_proton, 0.18, 0.1) * rng.lognormal(0, 0.1, n)
    return Table(
        {
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n),
            "tel_id": np.ones(n, dtype=int),
            "hillas_intensity": 10 ** (2 + log_energy) * rng.lognormal(0, 0.1, n),
            "hillas_width": width * u.deg,
            "hillas_length": 0.3 * np.abs(disp) * rng.lognormal(0, 0.05, n) * u.deg,
            "hillas_skewness": np.sign(disp) * rng.normal(0.5, 0.2, n),
            "hillas_kurtosis": rng.normal(3, 0.3, n),
            "hillas_psi": psi * u.deg,
            "hillas_fov_lon": centroid[0] * u.deg,
            "hillas_fov_lat": centroid[1] * u.deg,
            "timing_slope": rng.normal(0, 1, n) / u.deg,
            "leakage_intensity_width_2": np.zeros(n),
            "telescope_pointing_altitude": np.full(n, np.deg2rad(ALTITUDE)) * u.rad,
            "telescope_pointing_azimuth": np.zeros(n) * u.rad,
            "true_energy": 10**log_energy * u.TeV,
            "true_alt": alt * u.deg,
            "true_az": az * u.deg,
            "true_shower_primary_id": np.where(is_proton, 101, 0),
        }
    )


def sky(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Altitude and azimuth of directions in the telescope frame."""
    from astropy.coordinates import AltAz, SkyCoord
    from ctapipe.coordinates import TelescopeFrame

    frame = TelescopeFrame(telescope_pointing=AltAz(alt=ALTITUDE * u.deg, az=0 * u.deg))
    found = SkyCoord(fov_lon=lon * u.deg, fov_lat=lat * u.deg, frame=frame).transform_to(AltAz())
    return found.alt.deg, found.az.deg


@pytest.fixture(scope="module")
def training():
    return toy_images(3000)


@pytest.fixture(scope="module")
def forests(training):
    return fit(training, FEW_TREES, seed=1)


def test_what_is_in_the_images_is_recovered(forests):
    test = toy_images(800, seed=2)
    predictions = forests.predict(test)
    gammas = test["true_shower_primary_id"] == 0
    error = np.log10(predictions["reco_energy"] / predictions["true_energy"]).value
    assert np.std(error[gammas]) < 0.08
    assert np.mean(predictions["right_sign"][gammas]) > 0.97
    right = gammas & predictions["right_sign"]
    assert np.quantile(predictions["separation"][right].to_value("deg"), 0.68) < 0.1
    assert np.mean((predictions["gammaness"] > 0.5) == gammas) > 0.95
    assert predictions["is_valid"].all()


def test_a_wrong_side_is_far_from_the_source(forests):
    predictions = forests.predict(toy_images(800, seed=2, protons=0))
    right = predictions["right_sign"]
    assert np.count_nonzero(~right) > 0
    assert predictions["separation"][~right].min() > 0.3 * u.deg


def test_directions_are_those_of_the_truth(training):
    truth = true_direction(training)
    np.testing.assert_allclose(sky(truth.lon, truth.lat), (training["true_alt"], training["true_az"]), atol=1e-9)
    assert np.abs(truth.lon).max() < 4
    again = on_axis(training, along_axis(training, truth))
    assert np.max(again.separation(truth)) < 1e-6  # the toy's sources lie on the axes


def test_separation_is_that_on_the_sphere():
    assert Direction(np.array([0.0]), np.array([0.0])).separation(
        Direction(np.array([3.0]), np.array([4.0]))
    ) == pytest.approx(np.rad2deg(np.arccos(np.cos(np.deg2rad(3)) * np.cos(np.deg2rad(4)))))


def test_a_seed_grows_the_same_forests(training):
    test = toy_images(50, seed=3)
    few = training[:600]
    first, second = (fit(few, FEW_TREES.model_copy(update={"n_jobs": n}), seed=5).predict(test) for n in (1, 2))
    other = fit(few, FEW_TREES, seed=6).predict(test)
    for name in ("reco_energy", "gammaness", "reco_fov_lon"):
        np.testing.assert_allclose(first[name], second[name], rtol=1e-9)  # threads add in any order
        assert not np.allclose(first[name], other[name])


def test_images_without_parameters_are_invalid(forests):
    test = toy_images(20, seed=4)
    test["hillas_width"][3] = np.nan
    test["hillas_psi"][5] = np.nan
    predictions = forests.predict(test)
    np.testing.assert_array_equal(np.flatnonzero(~predictions["is_valid"]), [3, 5])
    for name in ("reco_energy", "gammaness", "reco_fov_lon", "reco_fov_lat", "separation"):
        np.testing.assert_array_equal(np.isfinite(predictions[name]), predictions["is_valid"])
    assert not predictions["right_sign"][[3, 5]].any()


def test_images_without_parameters_teach_nothing(training):
    broken = training[:400].copy()
    broken["hillas_length"][:200] = np.nan
    test = toy_images(50, seed=3)
    expected = fit(broken[200:], FEW_TREES, seed=1).predict(test)
    predictions = fit(broken, FEW_TREES, seed=1).predict(test)
    np.testing.assert_allclose(predictions["reco_energy"], expected["reco_energy"])


def test_observed_data_needs_no_truth(forests):
    test = toy_images(20, seed=4)
    expected = forests.predict(test)
    test.remove_columns([name for name in test.colnames if name.startswith("true_")])
    predictions = forests.predict(test)
    assert "separation" not in predictions.colnames
    np.testing.assert_allclose(predictions["reco_energy"], expected["reco_energy"])


def test_an_empty_table_gives_an_empty_table(forests, training):
    assert len(forests.predict(training[:0])) == 0


def test_gammas_alone_give_no_gammaness(training):
    gammas = training[training["true_shower_primary_id"] == 0][:300]
    predictions = fit(gammas, FEW_TREES, seed=1).predict(gammas[:10])
    assert np.isnan(predictions["gammaness"]).all()
    assert np.isfinite(predictions["reco_energy"]).all()


def test_forests_without_timing_do_not_see_it(training):
    forests = fit(training[:600], FEW_TREES.model_copy(update={"timing": False}), seed=1)
    test = toy_images(50, seed=3)
    expected = forests.predict(test)
    test["timing_slope"] = np.nan
    np.testing.assert_allclose(forests.predict(test)["gammaness"], expected["gammaness"])


def test_features_are_those_of_the_collaboration(test_data):
    """sst1mpipe's mono features; it names the camera frame where ours are in the telescope frame."""
    import json

    config = json.loads((test_data / "sst1m" / "sst1mpipe_mc_config.json").read_text())
    ours = {
        "log_hillas_intensity": "log_camera_frame_hillas_intensity",
        "width_over_length": "camera_frame_hillas_wl",
        "hillas_fov_lon": "camera_frame_hillas_x",
        "hillas_fov_lat": "camera_frame_hillas_y",
        "leakage_intensity_width_2": "leakage_intensity_width_2",
    }
    for forest, key in (
        ("energy", "energy_regression_features"),
        ("type", "particle_classification_features"),
        ("disp", "disp_regression_features"),
        ("sign", "disp_classification_features"),
    ):
        expected = {name for name in config[key] if not name.startswith("HillasReconstructor")}
        assert {ours.get(n, f"camera_frame_{n}") for n in feature_names(forest, timing=True)} == expected
    regressor, classifier = (config[f"random_forest_{kind}_args"] for kind in ("regressor", "classifier"))
    defaults = ForestParameters()
    assert defaults.n_trees_regression == regressor["n_estimators"]
    assert defaults.n_trees_classification == classifier["n_estimators"]
    for name in ("max_depth", "min_samples_leaf", "min_samples_split"):
        assert getattr(defaults, name) == regressor[name] == classifier[name]


def test_angles_may_have_any_unit(training):
    radians = training[:100].copy()
    for name in ("hillas_width", "hillas_length", "hillas_fov_lon", "hillas_fov_lat", "hillas_psi"):
        radians[name] = radians[name].quantity.to(u.rad)
    expected = _matrix(training[:100])
    assert expected.shape == (100, len(COLUMNS))
    np.testing.assert_allclose(_matrix(radians), expected, rtol=1e-6)


def test_missing_columns_and_events_are_told(training):
    particle = training["true_shower_primary_id"]
    few = np.r_[np.flatnonzero(particle == 0)[:100], np.flatnonzero(particle != 0)[:3]]
    with pytest.raises(UserError, match="hillas_skewness"):
        fit(training["hillas_width",], FEW_TREES, seed=1)
    with pytest.raises(UserError, match="gammas"):
        fit(training[particle != 0], FEW_TREES, seed=1)
    with pytest.raises(UserError, match="hadrons"):
        fit(training[few], FEW_TREES, seed=1)
    with pytest.raises(ValidationError):
        ForestParameters(n_trees_regression=0)
