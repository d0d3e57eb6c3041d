from copy import deepcopy

import astropy.units as u
import numpy as np
import pytest
from ctapipe.instrument import CameraGeometry, SubarrayDescription
from dl1_data_handler.image_mapper import AxialMapper, BicubicMapper, BilinearMapper, NearestNeighborMapper
from tests.store.toy_dl1 import geometry, toy_image

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.mapping import MAPPERS, image_mapping

HEXAGONAL = [name for name in MAPPERS if name not in ("square", "oversampling")]  # oversampling: not for every hexagon
PITCH = 0.024  # in whole millimetres dl1-data-handler finds the lines of pixels


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    return rng.gamma(1, 5, (6, 331, 2)).astype(np.float32)


@pytest.mark.parametrize(("name", "mapper"), [("axial", AxialMapper), ("bilinear", BilinearMapper)])
@pytest.mark.parametrize("rotation", [0.0, 30.0])
def test_same_image_as_dl1_data_handler(values, name, mapper, rotation):
    camera = geometry(pitch=PITCH, rotation=rotation)
    expected = mapper(geometry=deepcopy(camera)).map_image(values)
    np.testing.assert_allclose(image_mapping(camera, name).map(values), expected, rtol=1e-5, atol=1e-5)


def test_same_image_as_dl1_data_handler_for_digicam(test_data):
    camera = CameraGeometry.from_table(test_data / "sst1m/DigiCam.camgeom.fits.gz")
    camera.frame = geometry().frame
    values = np.random.default_rng(1).gamma(1, 5, (3, 1296, 1)).astype(np.float32)
    for name, mapper, shape in (("axial", AxialMapper, (48, 48)), ("bilinear", BilinearMapper, (96, 96))):
        mapping = image_mapping(camera, name)
        assert mapping.shape == shape
        expected = mapper(geometry=deepcopy(camera)).map_image(values)
        np.testing.assert_allclose(mapping.map(values), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", HEXAGONAL)
@pytest.mark.parametrize("pitch", [PITCH, 0.0243])
def test_charge_is_conserved(name, pitch):
    camera = geometry(pitch=pitch)
    mapping = image_mapping(camera, name)
    assert mapping.table.sum() / 331 == pytest.approx(1, abs=0.005)
    image = np.stack([toy_image(camera, seed)[0] for seed in range(10)]).clip(0)
    tolerance = {"axial": 1e-5, "shifting": 1e-5, "bilinear": 0.06}.get(name, 0.2)
    np.testing.assert_allclose(mapping.map(image).sum((1, 2)), image.sum(1), rtol=tolerance)


@pytest.mark.parametrize("mapper", [NearestNeighborMapper, BicubicMapper])
def test_dl1_data_handler_multiplies_the_charge(mapper):
    """Peers' fault 12, which our scaling removes: see test_charge_is_conserved."""
    table = mapper(geometry=geometry(pitch=PITCH)).mapping_table
    assert table.sum() / 331 > 2.5


def test_dl1_data_handler_loses_pixels_of_sst1m(test_data):
    """The fault that the exact lattice removes: a pitch of 24.3 mm, rounded to millimetres."""
    array = SubarrayDescription.from_hdf(test_data / "sst1m/sst1m_array.h5", focal_length_choice="EQUIVALENT")
    camera = array.tel[21].camera.geometry
    peer = np.asarray(BilinearMapper(geometry=deepcopy(camera)).mapping_table.sum(axis=1)).ravel()
    assert (peer == 0).any()
    ours = np.asarray(image_mapping(camera, "bilinear").table.sum(axis=0)).ravel()
    assert 0.94 < ours.min() < ours.max() < 1.06
    for name, shape in (("axial", (48, 48)), ("oversampling", (96, 96))):
        mapping = image_mapping(camera, name)
        assert mapping.shape == shape
        np.testing.assert_allclose(mapping.table.sum(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("rotation", [0.0, 30.0, 90.0])
def test_neighbours_stay_neighbours_on_the_axial_grid(rotation):
    """Each of the six neighbours of a pixel lies in the same six cells around it."""
    camera = geometry(pitch=0.0243, rotation=rotation)
    mapping = image_mapping(camera, "axial")
    table = mapping.table.tocoo()
    place = np.empty((331, 2), dtype=int)
    place[table.col] = np.stack(np.unravel_index(table.row, mapping.shape), axis=-1)
    assert len(np.unique(place, axis=0)) == 331
    first, second = camera.neighbor_matrix_sparse.nonzero()
    steps, counts = np.unique(place[second] - place[first], axis=0, return_counts=True)
    assert len(steps) == 6
    assert np.abs(steps).max() == 1
    assert counts.sum() == len(first)


def test_images_are_where_the_camera_has_them():
    """A bilinear image has its centre of gravity, in pixels, where the camera's image has it."""
    camera = geometry(pitch=0.0243)
    image = np.stack([toy_image(camera, seed)[0] for seed in range(10)])
    image[image < 8] = 0
    mapping = image_mapping(camera, "bilinear")
    mapped = mapping.map(image)
    rows, columns = np.indices(mapping.shape)
    pixels = np.stack([camera.pix_x.to_value("m"), camera.pix_y.to_value("m")], axis=-1)
    cells = np.stack([columns, -rows], axis=-1).reshape(-1, 2)  # the first row is at the top
    in_camera = image @ pixels / image.sum(1, keepdims=True)
    in_image = mapped.reshape(10, -1) @ cells / mapped.sum((1, 2))[:, None]
    for axis in (0, 1):
        assert np.corrcoef(in_camera[:, axis], in_image[:, axis])[0, 1] > 0.999


def test_size():
    camera = geometry(pitch=PITCH)
    mapping = image_mapping(camera, "bilinear", 30)
    assert mapping.shape == (30, 30)
    assert mapping.map(np.ones((2, 331))).shape == (2, 30, 30)
    with pytest.raises(UserError, match="leave size away"):
        image_mapping(camera, "axial", 30)


def test_nothing_is_changed_in_place(values):
    camera = geometry(pitch=PITCH, rotation=30)
    before, copy = camera.pix_x.copy(), values.copy()
    image_mapping(camera, "axial").map(values)
    np.testing.assert_array_equal(camera.pix_x, before)
    np.testing.assert_array_equal(values, copy)


def test_wrong_pixel_shape_and_name():
    with pytest.raises(UserError, match="cannot be mapped by 'square'"):
        image_mapping(geometry(), "square")
    with pytest.raises(UserError, match="no mapping 'cubic'"):
        image_mapping(geometry(), "cubic")


def test_square_pixels():
    camera = CameraGeometry.make_rectangular(8, 8, range_x=(-0.035, 0.035), range_y=(-0.035, 0.035))[:-1]  # no corner
    camera.frame = geometry().frame
    values = np.random.default_rng(0).random((2, 63))
    mapping = image_mapping(camera, "square")
    assert mapping.shape == (8, 8)
    np.testing.assert_allclose(np.sort(mapping.map(values).reshape(2, -1))[:, 1:], np.sort(values), rtol=1e-6)
    assert u.isclose(camera.pix_x.max(), 0.035 * u.m)
