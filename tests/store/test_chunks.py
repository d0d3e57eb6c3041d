import numpy as np
import pytest
import tables
from ctapipe.io import EventSource, TableLoader, read_table
from tests.store.toy_dl1 import ToyEvent, camera, subarray, toy_image, write_dl1

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store import chunks
from cherenkov_pipeline.store.chunks import cameras, iter_chunks

TOY = "SST_TOY_ToyCam"


@pytest.mark.parametrize("chunk_size", [1, 7, 10_000])
def test_slices_join_to_the_whole_file(gamma_file, toy_gammas, chunk_size):
    chunks = list(iter_chunks(gamma_file, TOY, chunk_size))
    assert max(len(chunk) for chunk in chunks) <= max(chunk_size, 2)
    event_ids = np.concatenate([chunk.table["event_id"] for chunk in chunks])
    tel_ids = np.concatenate([chunk.table["tel_id"] for chunk in chunks])
    assert event_ids.tolist() == np.repeat([event.event_id for event in toy_gammas], 2).tolist()
    assert tel_ids.tolist() == [1, 2] * len(toy_gammas)
    images = np.concatenate([chunk.image for chunk in chunks])
    geometry = camera().geometry
    wanted = [toy_image(geometry, event.seed + 7 * tel_id)[0] for event in toy_gammas for tel_id in (1, 2)]
    np.testing.assert_array_equal(images, wanted)


def test_columns_units_and_types(gamma_file):
    chunk = next(iter_chunks(gamma_file, TOY))
    table = chunk.table
    assert {"hillas_intensity", "timing_slope", "leakage_intensity_width_2", "telescope_pointing_altitude"} <= set(
        table.colnames
    )
    assert (table["true_energy"].unit, table["hillas_fov_lon"].unit, table["pos_x"].unit) == ("TeV", "deg", "m")
    assert (table["true_shower_primary_id"] == 0).all()
    assert chunk.image.dtype == chunk.peak_time.dtype == np.float32
    assert chunk.image_mask.dtype == bool
    np.testing.assert_array_equal(table["pos_x"], 70 * table["tel_id"])
    # the parameters stand beside their own image
    cleaned = np.sum(chunk.image, axis=1, where=chunk.image_mask)
    np.testing.assert_allclose(table["hillas_intensity"], cleaned, rtol=1e-5)


def test_events_are_never_cut(tmp_path):
    """Events of one to three images, also across the slices in which the tables are read."""
    array = subarray({tel_id: camera(rings=3) for tel_id in (1, 2, 3)})
    tels = [(1, 2, 3), (2,), (1, 3), (1,), (2, 3), (1, 2, 3), (3,)]
    path = write_dl1(tmp_path / "some.dl1.h5", array, [ToyEvent(n, n, tel_ids=ids) for n, ids in enumerate(tels, 1)])
    (whole,) = iter_chunks(path, TOY)
    for rows_at_a_time in (3, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(chunks, "_ROWS_AT_A_TIME", rows_at_a_time)
            parts = list(iter_chunks(path, TOY, chunk_size=4))
        assert max(len(part) for part in parts) <= 4
        ids = [set(part.table["event_id"]) for part in parts]
        assert sum(map(len, ids)) == len(set.union(*ids)) == len(tels)
        np.testing.assert_array_equal(np.concatenate([part.image for part in parts]), whole.image)
        assert [n for part in parts for n in part.table["tel_id"]] == [n for ids in tels for n in ids]


def test_images_without_their_parameters_are_noticed(gamma_file, tmp_path):
    """Rows of the images that stand beside others' parameters."""
    path = tmp_path / "swapped.dl1.h5"
    path.write_bytes(gamma_file.read_bytes())
    with tables.open_file(str(path), "r+") as file:
        table = file.root.dl1.event.telescope.images.tel_002
        rows = table.read()
        table[:] = rows[::-1]
    with pytest.raises(UserError, match=r"swapped.* do not fit together: images of telescope 2"):
        list(iter_chunks(path, TOY))


def test_data_without_truth_have_nan_labels(tmp_path, toy_gammas):
    path = write_dl1(tmp_path / "data.dl1.h5", subarray({1: camera(), 2: camera()}), toy_gammas[:3], simulated=False)
    (chunk,) = iter_chunks(path, TOY)
    assert len(chunk) == 6
    assert np.isnan(chunk.table["true_energy"]).all()
    assert chunk.table["true_energy"].unit == "TeV"
    assert (chunk.table["true_shower_primary_id"] == -1).all()
    assert np.isfinite(chunk.table["hillas_intensity"]).all()


def test_offsets_and_nan_codes_of_compressed_columns(tmp_path, toy_gammas):
    transforms = {
        "transform_image": True, "image_offset": 100, "image_scale": 20.0,
        "transform_peak_time": True, "peak_time_offset": -50, "peak_time_scale": 100.0,
    }  # fmt: skip
    array = subarray({1: camera()})
    events = [ToyEvent(event.event_id, event.seed, tel_ids=(1,)) for event in toy_gammas[:4]]
    path = write_dl1(tmp_path / "fixed.dl1.h5", array, events, **transforms)
    with tables.open_file(path, "r+") as file:
        table = file.root.dl1.event.telescope.images.tel_001
        stored = table.col("image")
        assert stored.dtype.kind == "i"
        stored[0, 5] = table.attrs["CTAFIELD_3_NAN_VALUE"]
        table.modify_column(column=stored, colname="image")
    (chunk,) = iter_chunks(path, TOY)
    image, peak_time = toy_image(array.tel[1].camera.geometry, events[1].seed + 7)
    np.testing.assert_allclose(chunk.image[1], image, atol=0.5001 / 20)
    np.testing.assert_allclose(chunk.peak_time[1], peak_time, atol=0.5001 / 100)
    assert np.isnan(chunk.image[0, 5])


def test_telescope_types_are_kept_apart(tmp_path):
    array = subarray({1: camera(), 2: camera(rings=6, pitch=0.05, name="BigCam"), 3: camera(), 4: camera(name="Idle")})
    events = [ToyEvent(1, 1, tel_ids=(1, 2, 3)), ToyEvent(2, 2, tel_ids=(2,)), ToyEvent(3, 3, tel_ids=(1, 3))]
    path = write_dl1(tmp_path / "two.dl1.h5", array, events)
    assert set(cameras(path)) == {TOY, "SST_TOY_BigCam"}  # those with images
    small = list(iter_chunks(path, TOY, chunk_size=2))
    big = list(iter_chunks(path, "SST_TOY_BigCam", chunk_size=2))
    assert [chunk.image.shape for chunk in small] == [(2, 331), (2, 331)]
    assert [chunk.image.shape for chunk in big] == [(2, 127)]
    assert list(iter_chunks(path, "SST_TOY_Idle")) == []
    with pytest.raises(UserError, match="no telescopes of type 'LSTCam'"):
        next(iter_chunks(path, "LSTCam"))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"write_dl1_images": False}, "no DL1 images"), ({"write_dl1_parameters": False}, "no DL1 image parameters")],
)
def test_missing_parts_are_named(tmp_path, toy_gammas, options, message):
    path = write_dl1(tmp_path / "part.dl1.h5", subarray({1: camera(), 2: camera()}), toy_gammas[:2], **options)
    with pytest.raises(UserError, match=message):
        next(iter_chunks(path, TOY))
    with pytest.raises(UserError, match=message):
        cameras(path)


def test_no_dl1_file(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("hello")
    with pytest.raises(UserError, match="no DL1 file"):
        cameras(text)
    with pytest.raises(UserError, match="does not exist"):
        cameras(tmp_path / "absent.h5")


def test_files_are_closed(gamma_file):
    for chunk in iter_chunks(gamma_file, TOY, chunk_size=4):
        assert len(chunk)
    iterator = iter_chunks(gamma_file, TOY, chunk_size=4)
    next(iterator)
    iterator.close()  # a reader that stops early
    with pytest.raises(UserError):
        next(iter_chunks(gamma_file, "other"))
    assert str(gamma_file) not in {str(name) for name in tables.file._open_files.filenames}


def test_real_telescopes(test_data, tmp_path):
    """LST and NectarCam: 8 and 15 images, as ctapipe's own loader finds them."""
    counts = {}
    for name in ("gamma_diffuse_run000010", "proton_run000001"):
        (simtel,) = (test_data / "simtel").glob(f"{name}*")
        path = tmp_path / f"{name}.dl1.h5"
        _process(simtel, path)
        for telescope_type in cameras(path):
            (chunk,) = iter_chunks(path, telescope_type)
            key = telescope_type.split("_")[0]
            counts[key] = counts.get(key, 0) + len(chunk)
            with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
                expected = loader.read_telescope_events([telescope_type])
            np.testing.assert_array_equal(chunk.table["hillas_intensity"], expected["hillas_intensity"])
            np.testing.assert_array_equal(chunk.table["true_energy"], expected["true_energy"])
            for row, tel_id in enumerate(chunk.table["tel_id"]):
                images = read_table(path, f"/dl1/event/telescope/images/tel_{tel_id:03d}")
                same = images["event_id"] == chunk.table["event_id"][row]
                np.testing.assert_array_equal(chunk.image[row], images["image"][same][0])
    assert counts == {"LST": 8, "MST": 15}


def _process(simtel, path):
    from ctapipe.calib import CameraCalibrator
    from ctapipe.image import ImageProcessor
    from ctapipe.io import DataWriter

    with EventSource(simtel, focal_length_choice="EQUIVALENT") as source:
        calibrate, process = CameraCalibrator(source.subarray), ImageProcessor(source.subarray)
        with DataWriter(source, output_path=path, write_dl1_images=True, write_dl1_parameters=True) as write:
            for event in source:
                calibrate(event)
                process(event)
                write(event)
