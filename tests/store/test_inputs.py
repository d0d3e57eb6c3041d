import numpy as np
import pytest
from pydantic import ValidationError
from tests.store.toy_dl1 import geometry

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.chunks import EventChunk, iter_chunks
from cherenkov_pipeline.store.inputs import input_maker
from cherenkov_pipeline.store.packing import CHARGE_PRECISION, TIME_PRECISION, pack
from cherenkov_pipeline.store.parameters import InputParameters

CHANNELS = (
    "image", "log_image", "peak_time", "relative_peak_time",
    "cleaned_image", "cleaned_log_image", "cleaned_peak_time", "cleaned_relative_peak_time",
)  # fmt: skip


@pytest.fixture(scope="module")
def chunk(gamma_file) -> EventChunk:
    return next(iter_chunks(gamma_file, "SST_TOY_ToyCam"))


def make(chunk: EventChunk, **parameters) -> dict[str, np.ndarray]:
    return input_maker(geometry(), InputParameters(**parameters)).from_chunk(chunk)


def pixels(chunk: EventChunk, *channels: str) -> np.ndarray:
    return make(chunk, channels=channels, mapping=None)["pixels"]


def test_channels(chunk):
    found = dict(zip(CHANNELS, np.moveaxis(pixels(chunk, *CHANNELS), -1, 0), strict=True))
    mask = chunk.image_mask
    np.testing.assert_array_equal(found["image"], chunk.image)
    np.testing.assert_array_equal(found["peak_time"], chunk.peak_time)
    np.testing.assert_array_equal(np.sign(found["log_image"]), np.sign(chunk.image))
    np.testing.assert_allclose(10 ** np.abs(found["log_image"]) - 1, np.abs(chunk.image), rtol=1e-4, atol=1e-5)
    for name in CHANNELS[:4]:
        np.testing.assert_array_equal(found[f"cleaned_{name}"], np.where(mask, found[name], 0))
    np.testing.assert_allclose(np.mean(found["relative_peak_time"], axis=1, where=mask), 0, atol=1e-4)
    np.testing.assert_allclose(np.diff(found["relative_peak_time"]), np.diff(chunk.peak_time), atol=1e-4)


def test_one_channel_does_not_touch_another(chunk):
    """Peers' fault 6: dl1-data-handler masks the peak times in place, so that the order of channels matters there."""
    before = chunk.image.copy(), chunk.peak_time.copy(), chunk.image_mask.copy()
    forward, backward = pixels(chunk, *CHANNELS), pixels(chunk, *CHANNELS[::-1])
    np.testing.assert_array_equal(forward, backward[..., ::-1])
    for array, copy in zip((chunk.image, chunk.peak_time, chunk.image_mask), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_empty_cleaning_gives_zeros(chunk):
    empty = EventChunk(chunk.table, chunk.image, chunk.peak_time, np.zeros_like(chunk.image_mask))
    for mapping_name in (None, "bilinear"):
        (values,) = make(empty, channels=CHANNELS, mapping=mapping_name).values()
        assert np.isfinite(values).all()
        assert (values[..., 4:] == 0).all()
        assert (values[..., :4] != 0).any()


def test_broken_pixels_and_parameters_count_as_zero(chunk):
    image, peak_time = chunk.image.copy(), chunk.peak_time.copy()
    image[0, :5], peak_time[1, :5], peak_time[2] = np.nan, np.inf, np.nan
    table = chunk.table.copy()
    table["hillas_width"][0], table["hillas_length"][0] = np.nan, 0
    broken = EventChunk(table, image, peak_time, np.ones_like(chunk.image_mask))
    inputs = make(broken, channels=CHANNELS, parameters=("hillas_width", "log_hillas_length"), brightest=20)
    assert all(np.isfinite(values).all() for values in inputs.values())
    assert inputs["parameters"][0].tolist() == [0, 0]
    assert (pixels(broken, "image")[0, :5] == 0).all()


def test_image_parameters(chunk):
    parameters = InputParameters(channels=(), mapping=None, parameters=("hillas_fov_lon", "log_hillas_intensity"))
    inputs = input_maker(geometry(), parameters).from_chunk(chunk)
    assert list(inputs) == ["parameters"]
    np.testing.assert_allclose(inputs["parameters"][:, 0], chunk.table["hillas_fov_lon"], rtol=1e-6)
    np.testing.assert_allclose(10 ** inputs["parameters"][:, 1], chunk.table["hillas_intensity"], rtol=1e-5)
    assert parameters.columns == ("hillas_fov_lon", "hillas_intensity")
    with pytest.raises(UserError, match="no image parameter 'hillas_size'"):
        make(chunk, parameters=("hillas_size",))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mapping": None, "channels": CHANNELS[:3]},
        {"mapping": "bilinear", "size": 40, "parameters": ("hillas_width",)},
        {"mapping": "bilinear", "map_in": "network"},
        {"channels": (), "parameters": ("hillas_width",)},
        {"channels": (), "brightest": 80},
    ],
)
def test_shapes(chunk, options):
    maker = input_maker(geometry(), InputParameters(**options))
    inputs = maker.from_chunk(chunk)
    assert {name: values.shape[1:] for name, values in inputs.items()} == maker.shapes
    assert all(values.dtype == np.float32 and len(values) == len(chunk) for values in inputs.values())


@pytest.mark.parametrize("mapping", [None, "bilinear"])
def test_stores_and_files_give_the_same_inputs(chunk, mapping):
    """A network must not see a difference between its training data and the file that it reconstructs."""
    parameters = InputParameters(channels=CHANNELS, mapping=mapping, brightest=80)
    maker = input_maker(geometry(), parameters)
    rows = np.random.default_rng(0).permutation(len(chunk))
    stored = maker.from_records(pack(chunk.image, chunk.peak_time, chunk.image_mask), rows)
    fresh = maker.from_chunk(chunk[rows])
    assert stored.keys() == fresh.keys()
    charge, time = CHARGE_PRECISION * np.abs(chunk.image).max(), 4 * TIME_PRECISION
    for name, values in fresh.items():
        if name in ("image", "pixels"):
            tolerance = np.array([charge, CHARGE_PRECISION, time, time] * 2)
            assert (np.abs(stored[name] - values) <= tolerance).all()
        else:
            # pixels of equal charge may change places: as sets they are the same
            np.testing.assert_allclose(stored[name].sum(1), values.sum(1), atol=2 * time, rtol=1e-3)


def test_mapping_may_be_left_to_the_network(chunk):
    (pixels,) = make(chunk, mapping="bilinear", map_in="network").values()
    np.testing.assert_array_equal(pixels, make(chunk, mapping=None)["pixels"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ("charge",)}, "cleaned_image"),
        ({"channels": ("image", "image")}, "must differ"),
        ({"channels": (), "parameters": ()}, "at least one"),
        ({"mapping": None, "map_in": "network"}, "needs a mapping"),
        ({"mapping": "axial", "size": 48}, "size can only be chosen"),
        ({"parameters": ("log_true_energy",)}, "true values are not inputs"),
        ({"chanels": ("image",)}, "Extra inputs"),
    ],
)
def test_wrong_parameters(options, message):
    with pytest.raises(ValidationError, match=message):
        InputParameters(**options)


def test_the_showers_frame_comes_alone_or_with_the_brightest_pixels(chunk):
    makers = {
        name: input_maker(geometry(), InputParameters(**options))
        for name, options in (
            ("alone", {"channels": ("image",), "mapping": None, "shower_frame": True}),
            ("brightest", {"channels": (), "brightest": 9}),
            ("none", {"channels": ("image",), "mapping": None}),
        )
    }
    inputs = {name: maker.from_chunk(chunk) for name, maker in makers.items()}
    for name, maker in makers.items():
        assert {key: values.shape[1:] for key, values in inputs[name].items()} == maker.shapes
    assert set(inputs["alone"]) == {"pixels", "shower_frame"}
    assert set(inputs["none"]) == {"pixels"}
    np.testing.assert_array_equal(inputs["alone"]["shower_frame"], inputs["brightest"]["shower_frame"])
    packed = makers["alone"].from_records(pack(chunk.image, chunk.peak_time, chunk.image_mask), np.arange(len(chunk)))
    np.testing.assert_allclose(packed["shower_frame"], inputs["alone"]["shower_frame"], atol=2e-3)


def test_a_number_of_telescopes_means_nothing_to_single_images():
    with pytest.raises(ValidationError, match="no effect with mode mono"):
        InputParameters(min_telescopes=2)
    assert InputParameters(mode="stereo", min_telescopes=2).min_telescopes == 2
