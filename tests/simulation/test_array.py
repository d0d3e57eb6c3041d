import astropy.units as u
import numpy as np
import pytest
from ctapipe.instrument import SubarrayDescription

from cherenkov_pipeline.simulation.array import sst1m_array


@pytest.fixture(scope="module")
def real(test_data):
    return SubarrayDescription.from_hdf(test_data / "sst1m" / "sst1m_array.h5")


def test_camera_is_a_hexagon_of_neighbours():
    geometry = sst1m_array().tel[1].camera.geometry
    assert geometry.n_pixels == 1296
    np.testing.assert_allclose(geometry.pixel_width.to_value(u.mm), 23.3, rtol=1e-3)
    neighbours = geometry.neighbor_matrix.sum(axis=1)
    assert neighbours.max() == 6
    assert np.count_nonzero(neighbours < 6) == np.count_nonzero(geometry.get_border_pixel_mask())


def test_pixels_are_those_of_the_real_camera_in_the_same_order(real):
    ours, theirs = sst1m_array().tel[1].camera.geometry, real.tel[21].camera.geometry
    np.testing.assert_allclose(ours.pix_x.to_value(u.mm), theirs.pix_x.to_value(u.mm), atol=0.02)
    np.testing.assert_allclose(ours.pix_y.to_value(u.mm), theirs.pix_y.to_value(u.mm), atol=0.02)
    np.testing.assert_allclose(ours.pix_area.to_value(u.m**2), theirs.pix_area.to_value(u.m**2), rtol=1e-3)
    np.testing.assert_array_equal(ours.neighbor_matrix, theirs.neighbor_matrix)
    assert (ours.pix_type, ours.pix_rotation, ours.cam_rotation) == (
        theirs.pix_type,
        theirs.pix_rotation,
        theirs.cam_rotation,
    )


def test_telescopes_are_the_real_ones(real):
    ours = sst1m_array()
    assert str(ours.tel[1]) == str(real.tel[21])
    assert ours.tel[1].optics.effective_focal_length.to_value(u.m) == pytest.approx(5.69705, abs=1e-4)
    for mine, theirs in ((1, 21), (2, 22)):
        np.testing.assert_allclose(ours.positions[mine].to_value(u.m), real.positions[theirs].to_value(u.m), atol=0.01)
    assert ours.tel[1].camera.readout.sampling_rate == real.tel[21].camera.readout.sampling_rate


@pytest.mark.parametrize(("choice", "metres"), [("EQUIVALENT", 5.6), ("EFFECTIVE", 5.69705)])
def test_camera_frame_has_the_chosen_focal_length(choice, metres, tmp_path):
    ours = sst1m_array(choice)
    assert ours.tel[1].camera.geometry.frame.focal_length.to_value(u.m) == pytest.approx(metres)
    ours.to_hdf(tmp_path / "array.h5")
    read = SubarrayDescription.from_hdf(tmp_path / "array.h5", focal_length_choice=choice)
    assert read.tel[1].camera.geometry.frame.focal_length.to_value(u.m) == pytest.approx(metres)


def test_array_stands_where_it_is_put():
    assert sst1m_array().reference_location.height.to_value(u.m) == pytest.approx(511.195)
    moved = sst1m_array(altitude=2150 * u.m)
    assert moved.reference_location.height.to_value(u.m) == pytest.approx(2150)
    assert moved.reference_location.lat.deg == pytest.approx(sst1m_array().reference_location.lat.deg)


def test_pulse_is_as_wide_as_the_real_one(real):
    def width(readout):
        pulse = readout.reference_pulse_shape[0]
        return np.count_nonzero(pulse > pulse.max() / 2) * readout.reference_pulse_sample_width.to_value(u.ns)

    assert width(sst1m_array().tel[1].camera.readout) == pytest.approx(width(real.tel[21].camera.readout), abs=0.5)
