import astropy.units as u
import numpy as np
import pytest
from ctapipe.instrument import CameraGeometry, SubarrayDescription

from cherenkov_pipeline.dl1.cameras import (
    camera_orders,
    compare_geometries,
    geometry_fingerprint,
    read_geometry,
    report_orders,
    require_one_type,
)
from cherenkov_pipeline.errors import UserError


@pytest.fixture(scope="module")
def digicam(records) -> CameraGeometry:
    return read_geometry(records["sst1m"]["path"], "DigiCam")


def changed(geometry: CameraGeometry, order=slice(None), x=1.0, y=1.0) -> CameraGeometry:
    """Make the camera with other pixel numbers or positions."""
    return CameraGeometry(
        geometry.name,
        geometry.pix_id,
        geometry.pix_x[order] * x,
        geometry.pix_y[order] * y,
        geometry.pix_area,
        geometry.pix_type,
    )


def test_relation_of_orders(digicam):
    shuffled = np.random.default_rng(0).permutation(digicam.n_pixels)

    assert compare_geometries(digicam, changed(digicam)) == "same order"
    assert compare_geometries(digicam, changed(digicam, x=1.03, y=1.03)) == "same order"
    assert compare_geometries(digicam, changed(digicam, y=-1)) == "mirrored in y"
    assert compare_geometries(digicam, changed(digicam, x=-1)) == "mirrored in x"
    assert compare_geometries(digicam, changed(digicam, order=shuffled)) == "other order"
    assert compare_geometries(digicam, changed(digicam, x=1.2)) == "other positions"
    assert compare_geometries(digicam, digicam[np.arange(1000)]) == "other positions"


def test_noise_of_single_precision_is_no_difference(digicam):
    moved = changed(digicam)
    moved.pix_x = moved.pix_x + 1e-7 * u.m

    assert compare_geometries(digicam, moved) == "same order"
    assert geometry_fingerprint(digicam) == geometry_fingerprint(changed(digicam))
    assert geometry_fingerprint(digicam) != geometry_fingerprint(changed(digicam, y=-1))


def test_file_has_the_order_of_the_array(test_data, digicam):
    array = SubarrayDescription.from_hdf(test_data / "sst1m" / "sst1m_array.h5", focal_length_choice="EQUIVALENT")
    other = CameraGeometry.from_table(test_data / "sst1m" / "DigiCam.camgeom.fits.gz")

    assert compare_geometries(array.tel[21].camera.geometry, digicam) == "same order"
    assert compare_geometries(other, digicam) == "other order"


def test_two_orders_of_digicam_are_reported(records):
    orders = camera_orders([records["sst1m"], records["empty"], records["proton"], records["gamma_diffuse"]])
    rows = orders[orders["camera"] == "DigiCam"]

    assert list(rows["order"]) == [0, 1]
    assert list(rows["relation"]) == ["same order", "other order"]
    # the other camera file has a pitch of 23.6 mm instead of 24.3 mm
    assert rows["scale"][1] == pytest.approx(23.6 / 24.3, rel=1e-3)
    (line,) = report_orders(orders)
    assert line.startswith("DigiCam: the pixels of gamma_merged.dl1.h5")
    nectarcam = orders[orders["camera"] == "MSTx-NectarCam"]
    assert list(nectarcam["n_files"]) == [2]


def test_one_type(records):
    assert require_one_type([records["sst1m"]]) == "SST_1M_DigiCam"
    assert require_one_type([records["sst1m"], records["empty"]]) == "SST_1M_DigiCam"
    with pytest.raises(UserError, match=r"found LST_LSTN-design_LSTN-design, MST.*: set dl1\.telescope_types"):
        require_one_type([records["proton"]])
    with pytest.raises(UserError, match="no image"):
        require_one_type([records["empty"]])
