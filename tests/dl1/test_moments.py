"""Compiled Hillas parameters and concentrations are ctapipe's."""

import astropy.units as u
import numpy as np
import pytest
from ctapipe.coordinates import TelescopeFrame
from ctapipe.image import concentration_parameters, hillas_parameters

from cherenkov_pipeline.dl1.moments import moments
from cherenkov_pipeline.simulation.array import sst1m_array

TELESCOPE = TelescopeFrame()


@pytest.fixture(scope="module")
def camera():
    return sst1m_array().tel[1].camera.geometry.transform_to(TELESCOPE)


def ours(camera, mask, charge):
    """Ours under ctapipe's names: deg, and rad for angles."""
    pixels = (camera.pix_x, camera.pix_y, camera.pix_area, camera.pixel_width)
    found, longitudinal = moments(*(values.value[mask] for values in pixels), charge[mask].astype(float))
    named = found._asdict()
    named |= {"fov_lon": named.pop("x"), "fov_lat": named.pop("y")}
    named |= {name: named.pop(f"concentration_{name}") for name in ("cog", "core")}
    return named, longitudinal


def theirs(camera, mask, charge):
    selected = camera[mask]
    hillas = hillas_parameters(selected, charge[mask])
    concentration = concentration_parameters(selected, charge[mask], hillas)
    found = {**hillas.as_dict(), **concentration.as_dict()}
    return {
        name: value.to_value(u.rad if "psi" in name else u.deg) if hasattr(value, "unit") else value
        for name, value in found.items()
    }


def assert_same(camera, mask, charge):
    found, expected = ours(camera, mask, charge)[0], theirs(camera, mask, charge)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-9, err_msg=name)


def shower(camera, rng):
    """Ellipse with noise: charges and the brightest pixels."""
    angle, (cx, cy) = rng.uniform(0, np.pi), rng.uniform(-3, 3, 2)
    dx, dy = camera.pix_x.value - cx, camera.pix_y.value - cy
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    width = rng.uniform(0.05, 0.3)
    light = np.exp(-((along / width / 3) ** 2 + (across / width) ** 2) / 2) * 10 ** rng.uniform(1, 4)
    charge = (light + rng.normal(0, 1, len(light))).astype(np.float32)
    return charge, charge > max(4, np.sort(charge)[-200])


def test_showers(camera):
    rng = np.random.default_rng(0)
    n_pixels = []
    for _ in range(300):
        charge, mask = shower(camera, rng)
        if mask.sum() > 2:
            assert_same(camera, mask, charge)
            n_pixels.append(mask.sum())
    assert len(n_pixels) > 200
    assert min(n_pixels) < 10 < 100 < max(n_pixels)


def test_noise_without_a_shape(camera):
    rng = np.random.default_rng(1)
    for n in (3, 5, 30, 1296):
        mask = np.zeros(camera.n_pixels, dtype=bool)
        mask[rng.permutation(camera.n_pixels)[:n]] = True
        assert_same(camera, mask, rng.uniform(1, 50, camera.n_pixels))


def test_one_pixel_has_a_place_and_no_shape(camera):
    mask = np.arange(camera.n_pixels) == 700
    charge = np.full(camera.n_pixels, 12.0)
    assert_same(camera, mask, charge)
    found, _ = ours(camera, mask, charge)
    assert found["length"] == found["width"] == 0
    assert np.isnan(found["psi"])


@pytest.mark.parametrize("turn", [0, 60, 120])
def test_pixels_in_a_line_have_no_width(camera, turn):
    angle = np.deg2rad(turn)
    across = -np.sin(angle) * camera.pix_x.value + np.cos(angle) * camera.pix_y.value
    mask = np.abs(across - across[650]) < 0.01
    mask &= np.hypot(camera.pix_x.value - camera.pix_x.value[650], camera.pix_y.value - camera.pix_y.value[650]) < 1
    charge = np.linspace(10, 30, camera.n_pixels)
    if mask.sum() < 3:
        pytest.skip("no row of pixels in this direction")
    assert_same(camera, mask, charge)
    assert ours(camera, mask, charge)[0]["core"] == 0


def test_turning_the_image_turns_only_the_axis(camera):
    charge, mask = shower(camera, np.random.default_rng(4))
    x, y, area, width = (v.value[mask] for v in (camera.pix_x, camera.pix_y, camera.pix_area, camera.pixel_width))
    angle = 0.7
    turned = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    before, along = moments(x, y, area, width, charge[mask].astype(float))
    after, along_turned = moments(*turned, area, width, charge[mask].astype(float))

    difference = (after.psi - before.psi - angle + np.pi / 2) % np.pi - np.pi / 2
    assert difference == pytest.approx(0, abs=1e-9)
    for name in ("intensity", "length", "width", "kurtosis", "psi_uncertainty", "concentration_core"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-9)
    np.testing.assert_allclose(np.abs(along_turned), np.abs(along), atol=1e-9)
