import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, SkyCoord
from ctapipe.coordinates import CameraFrame

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.ground import pointing_axes
from cherenkov_pipeline.simulation.array import sst1m_array
from cherenkov_pipeline.simulation.telescope import direction, pixel_at, telescopes


def test_each_pixel_is_found_anywhere_inside_it(setup):
    telescopes = setup.observatory.telescopes
    geometry = setup.subarray.tel[1].camera.geometry
    radius = 0.49 * telescopes.pixel_pitch
    for angle in np.arange(0, 2 * np.pi, np.pi / 3):
        dx, dy = radius * np.cos(angle + np.pi / 6), radius * np.sin(angle + np.pi / 6)
        x, y = geometry.pix_x.to_value(u.m) + dx, geometry.pix_y.to_value(u.m) + dy
        found = [pixel_at(telescopes, a, b) for a, b in zip(x, y, strict=True)]
        np.testing.assert_array_equal(found, np.arange(geometry.n_pixels))


@pytest.mark.parametrize("turn", [30, 90])
def test_cameras_in_another_orientation_are_refused(parameters, turn):
    subarray = sst1m_array()
    geometry = subarray.tel[1].camera.geometry
    sine, cosine = np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))
    x, y = geometry.pix_x, geometry.pix_y
    geometry.pix_x, geometry.pix_y = cosine * x - sine * y, sine * x + cosine * y
    with pytest.raises(UserError, match="DigiCam cannot be simulated"):
        telescopes(subarray, parameters.optics, 70 * u.deg, 0 * u.deg)


def test_there_is_nothing_outside_the_camera(setup):
    for angle in np.linspace(0, 2 * np.pi, 50):
        assert pixel_at(setup.observatory.telescopes, 0.53 * np.cos(angle), 0.53 * np.sin(angle)) == -1


def test_a_star_lands_where_ctapipe_puts_it(setup):
    pointing = SkyCoord(alt=70 * u.deg, az=40 * u.deg, frame=AltAz())
    star = SkyCoord(alt=71 * u.deg, az=46 * u.deg, frame=AltAz())
    focal_length = setup.observatory.telescopes.focal_length
    expected = star.transform_to(CameraFrame(focal_length=focal_length * u.m, telescope_pointing=pointing))

    y, x, forward = pointing_axes(pointing.alt.rad, pointing.az.rad) @ direction(star.alt.rad, star.az.rad)
    np.testing.assert_allclose(focal_length * x / forward, expected.x.to_value(u.m), atol=2e-3)
    np.testing.assert_allclose(focal_length * y / forward, expected.y.to_value(u.m), atol=2e-3)
