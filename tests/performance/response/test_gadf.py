"""FITS files: what was put in comes back, by hand and through gammapy."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from pyirf.utils import cone_solid_angle
from tests.performance.response.conftest import EFFICIENCY, OFFSET, RADIUS, SIGMA, WIDTH

from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response.cuts import best_cuts
from cherenkov_pipeline.performance.response.gadf import response_file
from cherenkov_pipeline.performance.response.selection import passes_gammaness

EDGES = energy_edges(EvaluationParameters())
AREA = EFFICIENCY * np.pi * RADIUS**2
INSIDE = slice(6, 10)
"""Bins of energy with many events."""


@pytest.fixture(scope="module")
def cuts(sample, fixed):
    return best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)


@pytest.fixture(scope="module")
def files(sample, info, cuts, fixed) -> dict[str, fits.HDUList]:
    return {
        name: response_file(sample.gammas, sample.protons, info, cuts, EDGES, fixed, point_like=name == "point_like")
        for name in ("point_like", "full_enclosure")
    }


@pytest.fixture(scope="module")
def paths(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gadf")
    found = {name: folder / f"{name}.fits.gz" for name in files}
    for name, extensions in files.items():
        extensions.writeto(found[name], checksum=True)
    return found


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("point_like", {"AEFF_2D", "EDISP_2D", "BKG_2D", "RAD_MAX_2D"}),
        ("full_enclosure", {"AEFF_2D", "EDISP_2D", "BKG_2D", "PSF_TABLE"}),
    ],
)
def test_files_say_what_they_hold(paths, name, classes):
    with fits.open(paths[name]) as extensions:
        headers = [extension.header for extension in extensions[1:-1]]
        assert {header["HDUCLAS4"] for header in headers} == classes
        assert all(header["HDUCLASS"] == "GADF" and header["TELESCOP"] == "SST-1M" for header in headers)
        kinds = {header["HDUCLAS3"] for header in headers if header["HDUCLAS2"] in ("EFF_AREA", "EDISP")}
        assert kinds == {name.upper().replace("_", "-")}
        for extension in extensions[1:-1]:
            for column in extension.columns:
                assert np.isfinite(extension.data[column.name]).all(), column.name


@pytest.mark.parametrize(("name", "kept"), [("point_like", 0.6 * 0.68), ("full_enclosure", 0.6)])
def test_area_is_the_known_one(files, name, kept):
    area = files[name]["EFFECTIVE AREA"].data["EFFAREA"][0, 0]
    np.testing.assert_allclose(area[INSIDE], kept * AREA, rtol=0.1)


def test_dispersion_is_the_known_one(files):
    data = files["full_enclosure"]["EDISP"].data
    matrix, low, high = data["MATRIX"][0, 0], data["MIGRA_LO"][0], data["MIGRA_HI"][0]
    density = matrix[:, INSIDE]
    np.testing.assert_allclose((density.T * (high - low)).sum(axis=1), 1)
    logarithm = np.log(np.sqrt(low * high))
    weight = (density.T * (high - low)).mean(axis=0)
    mean = (weight * logarithm).sum()
    assert mean == pytest.approx(0, abs=0.02)
    bins = (logarithm[1] - logarithm[0]) / np.sqrt(12)
    assert np.sqrt((weight * (logarithm - mean) ** 2).sum()) == pytest.approx(np.hypot(WIDTH, bins), rel=0.05)


def test_point_spread_is_the_known_one(files):
    data = files["full_enclosure"]["PSF"].data
    density, low, high = data["RPSF"][0, :, 0], data["RAD_LO"][0] * u.deg, data["RAD_HI"][0] * u.deg
    share = (density[:, INSIDE].T * (cone_solid_angle(high) - cone_solid_angle(low)).value).mean(axis=0)
    assert share.sum() == pytest.approx(1)
    radius = np.interp(0.6827, np.append(0, share.cumsum()), np.append(0, high.value))
    assert radius == pytest.approx(1.515 * SIGMA, rel=0.05)


def test_background_is_the_rate_of_what_passes(files, sample, cuts):
    """Summed over energies and solid angles it is the sum of the weights in the field of view."""
    data = files["point_like"]["BACKGROUND"].data
    energy = (data["ENERG_HI"][0] - data["ENERG_LO"][0]) * u.TeV.to("MeV")
    solid_angle = (cone_solid_angle(data["THETA_HI"][0] * u.deg) - cone_solid_angle(data["THETA_LO"][0] * u.deg)).value
    total = np.einsum("te,t,e->", data["BKG"][0], solid_angle, energy)
    seen = passes_gammaness(sample.protons, cuts) & (sample.protons["reco_source_fov_offset"] < 5 * u.deg)
    assert total == pytest.approx(sample.protons["weight"][seen].value.sum())
    # protons from everywhere alike: flat over the field of view
    per_ring = np.einsum("te,e->t", data["BKG"][0], energy)
    assert per_ring.std() < 0.1 * per_ring.mean()


def test_radius_is_the_theta_cut(files, cuts):
    radius = files["point_like"]["RAD_MAX"].data["RAD_MAX"][0, 0]
    np.testing.assert_allclose(radius, np.nan_to_num(cuts["theta"].to_value("deg")))


def test_gammapy_reads_the_files(paths):
    irf = pytest.importorskip("gammapy.irf", reason="gammapy is not installed: pip install -e .[dev]")
    from gammapy.irf import load_irf_dict_from_file

    point_like, full = (load_irf_dict_from_file(paths[name]) for name in ("point_like", "full_enclosure"))
    assert {"aeff", "edisp", "bkg", "rad_max"} <= set(point_like)
    assert {"aeff", "edisp", "bkg", "psf"} <= set(full)
    assert point_like["aeff"].is_pointlike
    assert not full["aeff"].is_pointlike
    energy, offset = 5 * u.TeV, OFFSET * u.deg
    area = full["aeff"].evaluate(energy_true=energy, offset=offset)
    assert area.to_value("m2") == pytest.approx(0.6 * AREA, rel=0.1)
    radius = full["psf"].containment_radius(fraction=0.6827, energy_true=energy, offset=offset)
    assert radius.to_value("deg") == pytest.approx(1.515 * SIGMA, rel=0.1)
    kernel = full["edisp"].to_edisp_kernel(offset=offset)
    bias, resolution = (np.asarray(found).item() for found in (kernel.get_bias(energy), kernel.get_resolution(energy)))
    assert bias == pytest.approx(0, abs=0.05)
    assert resolution == pytest.approx(WIDTH, rel=0.2)
    assert isinstance(full["bkg"], irf.Background2D)
    assert full["bkg"].evaluate(energy=energy, offset=1 * u.deg).to_value("s-1 TeV-1 sr-1") > 0
    cut = point_like["rad_max"].evaluate(energy=energy, offset=offset)
    assert cut.to_value("deg") == pytest.approx(np.sqrt(-2 * np.log(1 - 0.68)) * SIGMA, rel=0.05)


def test_bin_of_the_offset_is_around_the_source(sample, info, fixed):
    cuts = best_cuts(sample.gammas, sample.protons, EDGES, fixed, 20)
    file = response_file(sample.gammas, sample.protons, info, cuts, EDGES, fixed, point_like=True)
    data = file["EFFECTIVE AREA"].data
    assert 0.5 * (data["THETA_LO"] + data["THETA_HI"])[0, 0] == pytest.approx(OFFSET)
