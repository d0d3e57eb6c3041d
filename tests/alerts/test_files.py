import csv
from contextlib import suppress

import h5py
import numpy as np
import pandas as pd
import pytest

from cherenkov_pipeline.alerts.columns import from_columns
from cherenkov_pipeline.alerts.evaluation.scores import strata_of
from cherenkov_pipeline.alerts.files import read_sub_images, write_sub_images
from cherenkov_pipeline.alerts.images import CENTER, MISSING, SIZE, SOURCE, TRIGGER, SubImages
from cherenkov_pipeline.alerts.plots import sample_sheet
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_sample
from cherenkov_pipeline.alerts.splits import groups
from cherenkov_pipeline.errors import UserError


@pytest.fixture(scope="module")
def sample() -> SubImages:
    return simulate_sample(AlertSimulationParameters(n_images=30))


def _images(n=4, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, SIZE, SIZE))
    images[:, CENTER, CENTER] = 12
    return images


def _write(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values if np.asarray(values).dtype.kind != "U" else np.asarray(values).astype(object)
    return path


@pytest.mark.parametrize("name", ["set.h5", "set.hdf5", "set.npz"])
def test_what_is_written_is_read(sample, tmp_path, name):
    write_sub_images(sample, tmp_path / name)
    read = read_sub_images(tmp_path / name)
    np.testing.assert_array_equal(read.snr, sample.snr)
    np.testing.assert_array_equal(read.codes, sample.codes)
    assert set(read.table.colnames) == set(sample.table.colnames)
    for column in sample.table.colnames:
        np.testing.assert_array_equal(read.table[column], sample.table[column])
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_files_keep_the_shapes_and_hold_no_more(sample, tmp_path):
    write_sub_images(sample, tmp_path / "set.h5")
    with h5py.File(tmp_path / "set.h5") as file:
        shapes, codes = file["shapes"][()], file["codes"][()]
        assert len({tuple(shape) for shape in shapes}) > 3
        assert len(file["pixels"]) == len(codes) == shapes.prod(axis=1).sum()
        assert (codes != MISSING).sum() == (sample.codes != MISSING).sum()


def test_existing_file_stays_when_writing_fails(sample, tmp_path, monkeypatch):
    path = tmp_path / "set.npz"
    write_sub_images(sample[:3], path)
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez_compressed", lambda stream, **arrays: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_sub_images(sample, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_images_can_be_written_but_not_read(sample, tmp_path):
    write_sub_images(sample[:0], tmp_path / "none.h5")
    with pytest.raises(UserError, match="no image"):
        read_sub_images(tmp_path / "none.h5")


def test_unknown_suffix_is_refused(sample, tmp_path):
    with pytest.raises(UserError, match="written as"):
        write_sub_images(sample, tmp_path / "set.fits")


@pytest.mark.parametrize("name", ["own.npz", "own.h5"])
def test_own_layout_with_few_names(tmp_path, name):
    images = _images()
    images[2, :, 40:] = np.nan
    path = _write(
        tmp_path / name, images=images, labels=[1, 0, 1, 0], SNR_max=[9.0, 8, 7, 10], comment=["a", "b", "", "d"]
    )
    read = read_sub_images(path)
    np.testing.assert_array_equal(read.snr, images.astype(np.float32))
    assert read.table["is_real"].tolist() == [True, False, True, False]
    assert read.table["snr_max"].tolist() == [9, 8, 7, 10]
    np.testing.assert_allclose(read.table["snr_std"], np.nanstd(images, axis=(1, 2)), rtol=1e-5)
    assert read.table["comment"].tolist() == ["a", "b", "", "d"]
    assert read.table["image_id"][1] == "own-000001"
    assert read.table["burst_id"].tolist() == read.table["image_id"].tolist()
    assert read.is_complete.tolist() == [True, True, False, True]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_without_a_name_images_do_not_belong_together(missing):
    columns = {"image": _images(), "is_real": [1, 0, 1, 0], "burst_id": ["a", missing, missing, "a"]}
    images, _ = from_columns(columns, "own")
    assert images.table["burst_id"].tolist() == ["a", "", "", "a"]
    assert groups(images.table).tolist() == [0, 1, 2, 0]


def test_images_that_differ_in_shape(tmp_path):
    shapes = np.array([(56, 56), (30, 56), (56, 12)])
    pixels = np.random.default_rng(1).normal(size=shapes.prod(axis=1).sum())
    path = _write(tmp_path / "own.npz", pixels=pixels, shapes=shapes, trigger=[(28, 28), (2, 28), (28, 11)])
    read = read_sub_images(path)
    np.testing.assert_array_equal(read.valid_fraction, shapes.prod(axis=1) / SIZE**2)
    assert read.snr[1, CENTER, CENTER] == pixels[56 * 56 + 2 * 56 + 28].astype(np.float32)
    assert read.snr[2, CENTER, CENTER + 1] != read.snr[2, CENTER, CENTER + 1]


def test_codes_and_usable_pixels_are_taken(tmp_path):
    images = _images(2)
    codes = np.ones(images.shape, dtype=int)
    codes[0, :10], codes[1, 20:23, 5:8] = 0, 2
    read = read_sub_images(_write(tmp_path / "own.npz", image=images, masks=codes))
    assert (read.codes[0, :10] == MISSING).all()
    assert np.count_nonzero(read.codes[1] == SOURCE) == 9
    assert (read.codes[1, 20:23, 5:8] == SOURCE).all()
    usable = read_sub_images(_write(tmp_path / "usable.npz", image=images, usable=codes > 0))
    np.testing.assert_array_equal(usable.snr, read.snr)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"table": np.zeros(3)}, "no column of images"),
        ({"image": _images(), "labels": [1, 0]}, "4 images, but 2 entries of is_real"),
        ({"image": _images(), "labels": [1, 0, 7, 0]}, "image 2: a label is true or false"),
        ({"image": _images(), "source_name": np.ones((4, 2))}, "source_name is one text or number an image"),
        ({"image": _images(), "snr_max": [9.0, np.nan, 9, 9]}, "image 1: snr_max must be positive"),
        ({"image": _images(), "snr_std": [1.0, 1, 1, 0]}, "image 3: snr_std must be positive"),
        ({"image": _images(), "images": _images()}, "two columns that may be image"),
        ({"image": _images(), "image_id": ["a", "b", "b", "c"]}, "image_id of its own"),
        ({"image": _images(), "codes": np.full((4, SIZE, SIZE), 9)}, "image 0: The codes are 0 to 3"),
        ({"image": _images(), "codes": np.ones((4, 5, 5))}, "image's shape"),
        ({"image": _images(), "trigger": [(28, 28)] * 3 + [(60, 0)]}, "image 3: The trigger lies within"),
        ({"image": np.full((2, SIZE, SIZE), np.nan)}, "image 0: .*finite"),
        ({"image": np.zeros((2, 3, 4, 5))}, "table of numbers"),
        ({"image": np.zeros((0, SIZE, SIZE))}, "no image"),
        ({"pixels": np.zeros(10)}, "beside pixels there are shapes"),
        ({"pixels": np.zeros(10), "shapes": [(2, 3)]}, "add up to 6 pixels"),
        ({"pixels": np.zeros(10), "shapes": [(-2, -5)]}, "beside pixels"),
    ],
)
def test_faults_of_a_file_are_told_in_one_line(tmp_path, arrays, problem):
    for name in ("own.npz", "own.h5"):
        with pytest.raises(UserError, match=problem) as caught:
            read_sub_images(_write(tmp_path / name, **arrays))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "neither HDF5 nor"),
        (b"hello", "neither HDF5 nor"),
        (b"PK\x03\x04 broken", "broken or cut off"),
        (b"\x89HDF\r\n\x1a\n broken", "broken or cut off"),
        (b"\x80\x04K\x01.", "pickle, which can run any program"),
    ],
)
def test_what_is_no_data_set_is_told(tmp_path, content, problem):
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=problem):
        read_sub_images(path)
    with pytest.raises(UserError, match="There is no"):
        read_sub_images(tmp_path / "missing.h5")


@pytest.mark.parametrize("name", ["set.h5", "set.npz"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_files_that_are_cut_off_are_told(sample, tmp_path, name, share):
    path = tmp_path / name
    write_sub_images(sample, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="broken or cut off"):
        read_sub_images(path)


def test_damaged_bytes_of_an_archive_are_told(tmp_path):
    path = tmp_path / "own.npz"
    np.savez_compressed(path, image=_images())
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(UserError):  # where the damage is to be seen
            read_sub_images(path)


def test_objects_in_npz_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    np.savez(tmp_path / "own.npz", image=_images(), comment=np.array([Trap()] * 4, dtype=object))
    with pytest.raises(UserError, match="pickled objects"):
        read_sub_images(tmp_path / "own.npz")
    assert not (tmp_path / "sprung").exists()


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path):
    _write(tmp_path / "other.h5", image=_images())
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["image"] = h5py.ExternalLink("other.h5", "image")
    with pytest.raises(UserError, match="no column of images"):
        read_sub_images(tmp_path / "own.h5")


def _labels(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_folder_of_single_files(tmp_path):
    images = _images(3)
    for number, image in enumerate(images):
        np.savez(
            tmp_path / f"alert{number}.npz", image=image[: SIZE - 10 * number], trigger=(CENTER, CENTER), snr_max=12.0
        )
    (tmp_path / "readme.txt").write_text("not an image")
    read = read_sub_images(tmp_path)
    assert read.table["image_id"].tolist() == ["alert0", "alert1", "alert2"]
    np.testing.assert_array_equal(read.snr[2, : SIZE - 20], images[2, : SIZE - 20].astype(np.float32))
    assert np.isnan(read.snr[2, SIZE - 20 :]).all()
    assert "is_real" not in read.table.colnames


def test_folder_with_labels(tmp_path, caplog):
    for number, image in enumerate(_images(3)):
        np.savez(tmp_path / f"alert{number}.npz", image=image, burst_id="sb1")
    rows = [
        {"path": "alert1.npz", "is_real": "True", "cause": "grb", "burst_id": ""},
        {"path": str(tmp_path / "alert0.npz"), "is_real": "False", "cause": "ghost", "burst_id": ""},
        {"path": "alert2.npz", "is_real": "", "cause": "", "burst_id": ""},
    ]
    _labels(tmp_path / "labels.csv", rows)
    for place in (tmp_path, tmp_path / "labels.csv"):
        read = read_sub_images(place)
        assert read.table["image_id"].tolist() == ["alert1", "alert0"]
        assert read.table["is_real"].tolist() == [True, False]
        assert read.table["cause"].tolist() == ["grb", "ghost"]
        assert read.table["burst_id"].tolist() == ["sb1", "sb1"]
    assert "1 rows without a label" in caplog.text


def test_what_a_list_says_counts_cell_by_cell(tmp_path):
    for number, image in enumerate(_images(3)):
        np.savez(tmp_path / f"alert{number}.npz", image=image, burst_id="sb9", snr_max=10.0 + number)
    rows = [
        {
            "path": "alert0.npz",
            "is_real": "1",
            "burst_id": "sb9",
            "snr_max": "",
            "timescale": "20",
            "is_unclear": "True",
        },
        {"path": "alert1.npz", "is_real": "0", "burst_id": "", "snr_max": "8", "timescale": "", "is_unclear": "False"},
        {
            "path": "alert2.npz",
            "is_real": "0",
            "burst_id": "sb7",
            "snr_max": "",
            "timescale": "5",
            "is_unclear": "false",
        },
    ]
    _labels(tmp_path / "labels.csv", rows)
    images = read_sub_images(tmp_path)
    assert images.table["burst_id"].tolist() == ["sb9", "sb9", "sb7"]
    assert images.table["snr_max"].tolist() == [10, 8, 12]
    np.testing.assert_array_equal(images.table["timescale"], [20, np.nan, 5])
    assert images.table["is_unclear"].tolist() == [True, False, False]
    sample_sheet(images)
    strata = strata_of(images.table, np.ones(3))
    assert strata["time scale up to 100 s"].tolist() == [True, False, True]


def test_the_code_of_the_trigger_says_where_it_is(tmp_path):
    (image,) = _images(1)
    codes = np.ones(image.shape, dtype=np.uint8)
    codes[10, 12] = TRIGGER
    np.savez(tmp_path / "a.npz", image=image[np.newaxis], codes=codes[np.newaxis])
    assert read_sub_images(tmp_path / "a.npz").snr[0, CENTER, CENTER] == np.float32(image[10, 12])
    np.savez(tmp_path / "b.npz", image=image[np.newaxis], trigger=[[10.5, 12]])
    with pytest.raises(UserError, match="whole numbers"):
        read_sub_images(tmp_path / "b.npz")


def test_names_of_a_files_own_columns_are_left_out(tmp_path, caplog):
    np.savez(tmp_path / "a.npz", image=_images(2), shapes=[1.0, 2.0])
    images = read_sub_images(tmp_path / "a.npz")
    assert "shapes" not in images.table.colnames
    assert "shapes is left out" in caplog.text
    write_sub_images(images, tmp_path / "b.npz")
    assert len(read_sub_images(tmp_path / "b.npz")) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "lists no files"),
        ("name,is_real\na,1\n", "column path"),
        ("path,is_real\nmissing.npz,1\n", "Cannot read .*missing.npz: No such file"),
        ("path,is_real\nbroken.npz,1\n", "broken.npz: The file is broken"),
        ("path,is_real\na.npz\n", "more or fewer entries"),
        ("path,is_real\nalert.npz,\n", "no row has a label"),
        ("path,is_real\nalert.npz,perhaps\n", "image 0: a label is true or false"),
    ],
)
def test_faults_of_a_list_are_told(tmp_path, text, problem):
    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "alert.npz", image=_images(1)[0])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=problem):
        read_sub_images(tmp_path)


def test_empty_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="no sub-image"):
        read_sub_images(tmp_path)
