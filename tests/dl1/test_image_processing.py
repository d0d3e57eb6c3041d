import numpy as np
import pytest
from ctapipe.image import ImageProcessor, apply_time_delta_cleaning, tailcuts_clean
from ctapipe.io import SimTelEventSource

from cherenkov_pipeline.dl1.image_processing import camera_calibrator, image_processor
from cherenkov_pipeline.dl1.parameters import CalibrationParameters, CleaningParameters, DL1Parameters


@pytest.fixture(scope="module")
def source(raw):
    with SimTelEventSource(raw["sst1m"], focal_length_choice="EQUIVALENT") as source:
        yield source


@pytest.fixture
def geometry(source):
    return source.subarray.tel[1].camera.geometry


def shower(geometry, seed=0):
    """Noise with a bright blob; times differ between pixels by some ns."""
    random = np.random.default_rng(seed)
    distance = np.hypot(geometry.pix_x.to_value("m") - 0.1, geometry.pix_y.to_value("m"))
    image = 40 * np.exp(-((distance / 0.04) ** 2)) + random.normal(0, 2, geometry.n_pixels)
    return image.astype(np.float32), random.normal(60, 6, geometry.n_pixels).astype(np.float32)


@pytest.mark.parametrize(
    "cleaning", [{}, {"picture_threshold_pe": 6, "min_picture_neighbors": 1, "time_limit": "4 ns"}]
)
def test_cleaning_is_tailcuts_then_time(source, geometry, cleaning):
    cleaning = CleaningParameters(**cleaning)
    image, times = shower(geometry)
    tailcuts = tailcuts_clean(
        geometry,
        image,
        cleaning.picture_threshold_pe,
        cleaning.boundary_threshold_pe,
        cleaning.keep_isolated,
        cleaning.min_picture_neighbors,
    )
    both = apply_time_delta_cleaning(
        geometry, tailcuts, times, cleaning.min_time_neighbors, cleaning.time_limit.to_value("ns")
    )

    mask = image_processor(source.subarray, DL1Parameters(cleaning=cleaning)).clean(1, image, times)
    assert 0 < both.sum() < tailcuts.sum()
    np.testing.assert_array_equal(mask, both)


def test_cleaning_without_time(source, geometry):
    image, times = shower(geometry)
    parameters = DL1Parameters(cleaning=CleaningParameters(min_time_neighbors=0))

    mask = image_processor(source.subarray, parameters).clean(1, image, times)
    np.testing.assert_array_equal(mask, tailcuts_clean(geometry, image, 8, 4, False, 2))


def test_bright_images_lose_no_faint_pixel(source, geometry):
    # ctapipe's own default drops pixels below 3 % of the brightest in bright images; SST-1M's cleaning does not
    image = np.full(geometry.n_pixels, 5, dtype=np.float32)
    image[: geometry.n_pixels // 2] = 3000

    mask = image_processor(source.subarray, DL1Parameters()).clean(1, image, np.zeros_like(image))
    assert mask[image == 5].any()


def test_telescope_frame(source):
    processor = image_processor(source.subarray, DL1Parameters())

    assert isinstance(processor, ImageProcessor)
    assert processor.use_telescope_frame


def test_window_reaches_the_extractor(source):
    calibration = CalibrationParameters(image_extractor="GlobalPeakWindowSum", window_width=5, window_shift=2)
    calibrate = camera_calibrator(source.subarray, DL1Parameters(calibration=calibration))
    extractor = calibrate.image_extractors["GlobalPeakWindowSum"]

    assert (extractor.window_width.tel[1], extractor.window_shift.tel[1]) == (5, 2)
