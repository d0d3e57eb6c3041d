import astropy.units as u
import numpy as np
import pytest
from ctapipe.instrument import CameraGeometry, SubarrayDescription
from tests.store.toy_dl1 import geometry

from cherenkov_pipeline.dl1.cameras import camera_fingerprint, pixel_order
from cherenkov_pipeline.errors import UserError


@pytest.fixture
def shuffled():
    return np.random.default_rng(1).permutation(331)


def test_pixels_are_found_by_position(shuffled):
    reference, other = geometry(), geometry(order=shuffled)
    order = pixel_order(reference, other)
    np.testing.assert_array_equal(shuffled[order], np.arange(331))
    np.testing.assert_array_equal(pixel_order(reference, reference), np.arange(331))


def test_fingerprint_knows_order_and_scale_but_not_name_and_precision(shuffled):
    reference = geometry()
    single = geometry(name="another name")
    single.pix_x = single.pix_x.astype(np.float32).astype(float)
    single.pix_y = single.pix_y.astype(np.float32).astype(float)
    assert camera_fingerprint(single) == camera_fingerprint(reference)
    different = [geometry(order=shuffled), geometry(pitch=0.0236), geometry(focal_length=5.7 * u.m), geometry(rings=9)]
    fingerprints = {camera_fingerprint(camera) for camera in [reference, *different]}
    assert len(fingerprints) == 5


@pytest.mark.parametrize(
    "other",
    [
        {"rings": 9},
        {"pitch": 0.0236},
        {"focal_length": 5.4 * u.m},
        {"rotation": 10.0},
    ],
)
def test_other_cameras_are_refused_with_the_reason(other):
    with pytest.raises(UserError, match=r"331 and 271 pixels|of a pixel apart"):
        pixel_order(geometry(), geometry(**other))


@pytest.fixture
def digicams(test_data):
    """The two descriptions of DigiCam, with the same focal length."""
    array = SubarrayDescription.from_hdf(test_data / "sst1m/sst1m_array.h5", focal_length_choice="EQUIVALENT")
    first = array.tel[21].camera.geometry
    second = CameraGeometry.from_table(test_data / "sst1m/DigiCam.camgeom.fits.gz")
    second.frame = first.frame
    return first, second


def test_digicam_of_another_pitch_is_refused(digicams):
    """24.3 and 23.6 mm: in degrees these are two cameras, up to 0.57 of a pixel apart at the edge."""
    with pytest.raises(UserError, match=r"pitch 0\.2486 and 0\.2415 deg"):
        pixel_order(*digicams)


def test_the_two_orders_of_digicam_are_mapped_by_position(digicams):
    first, second = digicams
    scale = 24.3 / 23.6
    second.pix_x, second.pix_y = second.pix_x * scale, second.pix_y * scale
    order = pixel_order(first, second)
    assert np.mean(order == np.arange(1296)) < 0.1  # by number, nearly every pixel would be wrong
    np.testing.assert_allclose(second.pix_x[order].to_value("mm"), first.pix_x.to_value("mm"), atol=0.1)
    np.testing.assert_allclose(second.pix_y[order].to_value("mm"), first.pix_y.to_value("mm"), atol=0.1)
