import numpy as np
import pytest
from tests.toy_store import toy_camera
from tests.training.toy_showers import shower_images, shower_store

from cherenkov_pipeline.directions import true_direction
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.augmentation import Augmentation, camera_symmetries, check_parameters
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.brightest import brightest_pixels, pixel_places
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import AugmentationParameters, InputParameters

ALL = AugmentationParameters(mirror=True, rotation=True)
VECTORS = ("hillas_fov_lon", "hillas_fov_lat", "hillas_psi", "hillas_skewness")
INPUTS = InputParameters(channels=("image",), mapping="square", brightest=16, parameters=VECTORS)


def source(table):
    direction = true_direction(table)
    return np.stack([direction.lon, direction.lat], axis=-1)


def make(store, augmentation, **options):
    options = {"batch_size": 16, "seed": 3, "vectors": (0,)} | options
    return Batches(store, np.arange(len(store)), INPUTS, source, augmentation=augmentation, **options)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shower_store(tmp_path_factory.mktemp("augmentation") / "toy.store.h5", 64)


def test_symmetries_of_a_square_camera_are_eight():
    symmetries = camera_symmetries(toy_camera(), mirror=True, rotation=True)
    assert len(symmetries) == 8
    assert len({tuple(order) for order in symmetries.orders}) == 8
    np.testing.assert_array_equal(symmetries.orders[0], np.arange(toy_camera().n_pixels))
    assert sorted(np.linalg.det(symmetries.matrices).round()) == [-1] * 4 + [1] * 4


@pytest.mark.parametrize(("mirror", "rotation", "n"), [(False, False, 1), (True, False, 2), (False, True, 4)])
def test_only_what_is_wanted(mirror, rotation, n):
    symmetries = camera_symmetries(toy_camera(), mirror, rotation)
    assert len(symmetries) == n
    if mirror:  # the azimuth changes its sign, the altitude does not
        np.testing.assert_allclose(symmetries.matrices[1], np.diag([-1, 1]), atol=1e-12)


def test_a_pixel_comes_to_the_place_that_the_matrix_says():
    camera = toy_camera()
    places = pixel_places(camera)
    at = np.stack([places.lon, places.lat], axis=-1)
    symmetries = camera_symmetries(camera, mirror=True, rotation=True)
    for matrix, order in zip(symmetries.matrices, symmetries.orders, strict=True):
        image = np.arange(len(at))
        for pixel in (0, 5, 77):
            np.testing.assert_allclose(at[image[order] == pixel][0], matrix @ at[pixel], atol=1e-3)


def test_a_camera_without_symmetry_is_refused():
    camera = toy_camera()
    cut = camera[camera.pix_x + 0.3 * camera.pix_y > -0.2 * camera.pix_x.unit]
    cut.frame = camera.frame
    with pytest.raises(UserError, match="mirror to false"):
        camera_symmetries(cut, mirror=True, rotation=False)
    with pytest.raises(UserError, match="rotation to false"):
        camera_symmetries(cut, mirror=False, rotation=True)
    assert len(camera_symmetries(cut, mirror=False, rotation=False)) == 1


def test_images_labels_and_parameters_change_alike(store):
    """In the shower's frame nothing changes but the side across the axis: the physics is the same."""
    plain, changed = make(store, None), make(store, ALL)
    kept = []
    for number in range(len(plain)):
        (inputs, targets), (others, turned) = plain[number], changed[number]
        assert not np.allclose(targets, turned)
        for values, label in ((inputs, targets), (others, turned)):
            centre, axis = values["shower_frame"][:, :2], values["shower_frame"][:, 2:]
            offset = label - centre
            along = np.einsum("ni,ni->n", offset, axis)
            across = offset[:, 1] * axis[:, 0] - offset[:, 0] * axis[:, 1]
            distance = np.hypot(*(values["parameters"][:, :2] - label).T)
            psi, sign = np.deg2rad(values["parameters"][:, 2]), values["parameters"][:, 3]
            head = sign[:, np.newaxis] * np.stack([np.cos(psi), np.sin(psi)], axis=-1)
            forward = np.einsum("ni,ni->n", head, label - values["parameters"][:, :2])
            kept.append([along, np.abs(across), distance, forward, values["image"].sum((1, 2, 3))])
        np.testing.assert_allclose(kept[-2], kept[-1], rtol=1e-3, atol=2e-2)
        np.testing.assert_allclose(kept[-1][3], 0.8, atol=1e-3)  # the axis leads to the source, as it did


def test_changes_are_the_same_whenever_a_batch_is_made(store):
    first, second = make(store, ALL), make(store, ALL, in_memory=False)
    for epoch in (0, 3):
        for batches in (first, second):
            batches.set_epoch(epoch)
        for number in (2, 0):
            (inputs, targets), (others, again) = first[number], second[number]
            np.testing.assert_array_equal(targets, again)
            for name, values in inputs.items():
                np.testing.assert_array_equal(values, others[name])
    later, other_seed = first[0][1], make(store, ALL, seed=4)
    assert not np.allclose(later, other_seed[0][1])


def test_epochs_differ_in_more_than_order(store):
    batches = make(store, ALL, batch_size=len(store), shuffle=False)
    first = batches[0][0]["image"]
    batches.set_epoch(1)
    changed = (first != batches[0][0]["image"]).any(axis=(1, 2, 3))
    assert 0.6 < changed.mean() < 1  # an eighth stays as it was


def test_night_sky_is_noise_around_its_mean():
    _, *pixels = shower_images(200)
    records, rows = pack(*pixels), np.arange(200)
    augmentation = Augmentation(AugmentationParameters(night_sky=4), toy_camera())
    image, peak_time, mask = augmentation.images(records, rows, augmentation.draw(200, 0, 0, 0))
    noise = image - records["image"].astype(np.float32)
    variance = noise.var(axis=1)
    assert abs(noise.mean()) < 0.03
    assert variance.min() < 0.3
    assert variance.max() > 3.3
    assert variance.mean() == pytest.approx(2, rel=0.1)  # uniform between 0 and 4
    np.testing.assert_array_equal(mask, pixels[2])
    np.testing.assert_allclose(peak_time, pixels[1], atol=0.02)


def test_an_absent_image_stays_dark():
    _, *pixels = shower_images(4)
    augmentation = Augmentation(AugmentationParameters(mirror=True, night_sky=4), toy_camera())
    image, peak_time, mask = augmentation.images(pack(*pixels), np.array([1, -1]), augmentation.draw(2, 0, 0, 0))
    assert image[0].any()
    assert not image[1].any()
    assert not peak_time[1].any()
    assert not mask[1].any()


def test_pixels_without_a_time_have_none_after():
    _, image, peak_time, mask = shower_images(2)
    peak_time[:, 3] = np.nan
    augmentation = Augmentation(AugmentationParameters(mirror=True), toy_camera())
    _, changed, _ = augmentation.images(pack(image, peak_time, mask), np.arange(2), augmentation.draw(2, 0, 0, 0))
    np.testing.assert_array_equal(np.isnan(changed).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("parameters", "missing"),
    [(("hillas_fov_lon",), "hillas_fov_lat"), (("hillas_skewness",), "hillas_psi"), (("timing_slope",), "hillas_psi")],
)
def test_a_parameter_that_cannot_be_turned_alone_is_refused(store, parameters, missing):
    inputs = INPUTS.model_copy(update={"parameters": parameters})
    with pytest.raises(UserError, match=f"without {missing}"):
        Batches(store, np.arange(8), inputs, source, 8, augmentation=ALL)


@pytest.mark.parametrize("name", ["camera_frame_hillas_x", "log_camera_frame_hillas_r"])
@pytest.mark.parametrize("option", ["mirror", "rotation"])
def test_a_parameter_of_another_frame_is_refused(name, option):
    with pytest.raises(UserError, match=f"{name} is in another frame"):
        check_parameters((*VECTORS, name), AugmentationParameters(**{option: True}))
    check_parameters((*VECTORS, name), AugmentationParameters(night_sky=1))


def test_brightest_pixels_of_a_mirrored_image_are_mirrored():
    """What a set network sees: offsets across the axis change their sign, nothing else does."""
    _, *pixels = shower_images(20)
    camera = toy_camera()
    augmentation = Augmentation(AugmentationParameters(mirror=True), camera)
    changes = augmentation.draw(20, 0, 0, 0)
    assert 0 < changes.symmetry.sum() < 20
    places = pixel_places(camera)
    before = brightest_pixels(pixels[0], pixels[1], pixels[2], places, 12)["brightest"]
    image, time, mask = augmentation.images(pack(*pixels), np.arange(20), changes)
    after = brightest_pixels(image, time, mask, places, 12)["brightest"]
    # by charge and time: pixels that are equally bright may change places
    for index, mirrored in enumerate(changes.symmetry):
        expected = before[index].copy()
        expected[:, 2] *= -1 if mirrored else 1
        np.testing.assert_allclose(np.sort(expected[:, 1]), np.sort(after[index][:, 1]), atol=0.02, err_msg=str(index))
        assert np.sum(expected[:, 2] * expected[:, 0]) == pytest.approx(
            np.sum(after[index][:, 2] * after[index][:, 0]), abs=0.1
        )


def test_angle_of_a_place_turns_with_the_place():
    names = ("hillas_fov_lon", "hillas_fov_lat", "hillas_phi")
    place = np.random.default_rng(0).normal(size=(64, 2))
    values = np.column_stack([place, np.rad2deg(np.arctan2(place[:, 1], place[:, 0]))])
    augmentation = Augmentation(AugmentationParameters(mirror=True, rotation=True), toy_camera())
    found = augmentation.image_parameters(values, names, augmentation.draw(64, 0, 0, 0))
    assert not np.allclose(found[:, 2], values[:, 2])
    np.testing.assert_allclose(found[:, 2], np.rad2deg(np.arctan2(found[:, 1], found[:, 0])), atol=1e-9)
