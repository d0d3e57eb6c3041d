import io
import pickle

import h5py
import numpy as np
import pytest
from astropy.io import fits

from cherenkov_pipeline.alerts import single
from cherenkov_pipeline.alerts.files import read_sub_images
from cherenkov_pipeline.alerts.images import CENTER, MISSING, SOURCE
from cherenkov_pipeline.alerts.single import LARGEST_FILE, read_single
from cherenkov_pipeline.errors import UserError

IMAGE = np.random.default_rng(0).normal(size=(50, 56)).astype(np.float32)
IMAGE[30, 20] = 12


def npy(image=IMAGE, **options):
    stream = io.BytesIO()
    np.save(stream, image, **options)
    return stream.getvalue()


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def hdf5(image=IMAGE, **attributes):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["image"] = image
        file["image"].attrs.update(attributes)
    return stream.getvalue()


def fits_file(image=IMAGE, hdu=fits.PrimaryHDU, **keywords):
    stream = io.BytesIO()
    written = hdu(image)
    for name, value in keywords.items():
        written.header[name] = value
    fits.HDUList([written] if hdu is fits.PrimaryHDU else [fits.PrimaryHDU(), written]).writeto(stream)
    return stream.getvalue()


KINDS = {
    "npy": npy(),
    "npz": npz(image=IMAGE),
    "h5": hdf5(),
    "fits": fits_file(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_image_alone(kind):
    images = read_single(KINDS[kind], f"some.alert.{kind}")
    assert len(images) == 1
    assert images.snr[0, CENTER, CENTER] == 12
    np.testing.assert_array_equal(images.snr[0, CENTER - 3 : CENTER + 4, CENTER], IMAGE[27:34, 20])
    row = images.table[0]
    assert (row["image_id"], row["burst_id"]) == ("some.alert", "")
    assert row["snr_max"] == 12
    assert row["snr_std"] == pytest.approx(IMAGE[2:, :48].std(), rel=1e-5)  # what lies around the trigger


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npz", npz(image=IMAGE, burst_id="sb26021801", snr_max=13.5, snr_std=1.1, trigger=[10, 12])),
        ("a.h5", hdf5(burst_id="sb26021801", snr_max=13.5, snr_std=1.1, trigger=[10, 12])),
        ("a.fits", fits_file(BURST_ID="sb26021801", SNR_MAX=13.5, SNR_STD=1.1, TRIG_ROW=10, TRIG_COL=12)),
        (
            "a.FITS",
            fits_file(hdu=fits.ImageHDU, BURST_ID="sb26021801", SNR_MAX=13.5, SNR_STD=1.1, TRIG_ROW=10, TRIG_COL=12),
        ),
    ],
)
def test_what_is_known_comes_with_it(name, content):
    images = read_single(content, name)
    row = images.table[0]
    assert (row["burst_id"], row["snr_max"], row["snr_std"]) == ("sb26021801", 13.5, 1.1)
    assert images.snr[0, CENTER, CENTER] == IMAGE[10, 12]


def test_keywords_of_the_primary_header_count_for_an_image_in_an_extension():
    stream = io.BytesIO()
    primary, image = fits.PrimaryHDU(), fits.ImageHDU(IMAGE)
    primary.header["BURST_ID"], primary.header["TRIG_ROW"], primary.header["TRIG_COL"] = "sb26021801", 10, 12
    primary.header["SNR_MAX"], image.header["SNR_MAX"] = 9.0, 13.5
    fits.HDUList([primary, image]).writeto(stream)
    images = read_single(stream.getvalue(), "a.fits")
    assert (images.table["burst_id"][0], images.table["snr_max"][0]) == ("sb26021801", 13.5)
    assert images.snr[0, CENTER, CENTER] == IMAGE[10, 12]


@pytest.mark.parametrize(("value", "known"), [(np.array([b"sb1"]), "sb1"), (np.nan, ""), ("sb1", "sb1")])
def test_burst_of_an_hdf5_file(value, known):
    assert read_single(hdf5(burst_id=value), "a.h5").table["burst_id"][0] == known


def test_too_little_memory_is_no_fault_of_the_file(monkeypatch):
    def exhausted(content):
        raise MemoryError

    monkeypatch.setitem(single.READERS, "npy", exhausted)
    with pytest.raises(MemoryError):
        read_single(npy(), "a.npy")


def test_sources_and_pixels_that_cannot_be_used():
    usable = np.ones(IMAGE.shape, dtype=bool)
    usable[:, :10] = False
    images = read_single(npz(image=IMAGE, usable=usable, sources=[[30, 30]]), "a.npz")
    assert images.codes[0, CENTER, CENTER + 10] == SOURCE
    assert images.codes[0, CENTER, CENTER - 11] == MISSING


def test_numbers_of_an_image_alone_are_those_of_a_data_set(tmp_path):
    image = np.random.default_rng(1).normal(size=(70, 90))
    image[20, 30], image[22, 28], image[60, 80] = 9, 30, 40  # the trigger, not usable, not within the window
    usable = np.ones(image.shape, dtype=bool)
    usable[22, 25:50] = False
    single = read_single(npz(image=image, usable=usable, trigger=[20, 30]), "a.npz")
    (tmp_path / "set.npz").write_bytes(npz(image=image[np.newaxis], usable=usable[np.newaxis], trigger=[[20, 30]]))
    many = read_sub_images(tmp_path / "set.npz")
    np.testing.assert_array_equal(single.snr, many.snr)
    for name in ("snr_max", "snr_std"):
        assert single.table[name][0] == many.table[name][0]
    assert single.table["snr_max"][0] == 9


def external_hdf5(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = IMAGE
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["image"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "image")
    return stream.getvalue()


def stored_elsewhere(tmp_path):
    IMAGE.tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", IMAGE.shape, "f4", external=[(str(tmp_path / "raw"), 0, IMAGE.nbytes)])
    return (tmp_path / "a.h5").read_bytes()


def bomb():
    return npz(image=IMAGE, usable=np.zeros(LARGEST_FILE, dtype=np.uint8))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", b"1 2 3", "one of .npy"),
        ("npy", b"1 2 3", "one of .npy"),
        ("a.pkl", pickle.dumps(IMAGE), "one of .npy"),
        ("a.npy", b"", "empty"),
        ("a.npy", pickle.dumps(IMAGE), "broken or cut off"),
        ("a.npy", npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "pickled objects"),
        ("a.npz", npz(image=np.array([[None]], dtype=object)), "pickled objects"),
        ("a.npz", npz(snr=IMAGE), "no array named image. Received: snr"),
        ("a.npz", npz(image=IMAGE, trigger=[1, 2, 3]), "trigger is not as it should be"),
        ("a.npz", npz(image=IMAGE, trigger=[1.5, 2]), "trigger holds numbers"),
        ("a.npz", npz(image=IMAGE, trigger=[100, 2]), "trigger lies within"),
        ("a.npz", npz(image=IMAGE, trigger=[1e308, 2]), "trigger holds numbers"),
        ("a.npz", npz(image=IMAGE, sources=np.zeros((101, 2))), "at most 100 sources"),
        *(
            ("a.npz", npz(image=IMAGE, sources=[[value, 2]]), "sources holds numbers")
            for value in (1e308, np.nan, -np.inf, 5000, np.iinfo(np.int64).min)
        ),
        ("a.npz", npz(image=IMAGE, usable=np.eye(50, 56, 55) > 0, trigger=[49, 0], snr_std=1), "snr_max is nan"),
        ("a.npz", npz(image=IMAGE, snr_max=np.nan), "snr_max is nan"),
        ("a.npz", npz(image=IMAGE, snr_std="large"), "snr_std is not"),
        ("a.npz", npz(image=IMAGE, usable=np.ones((3, 3))), "usable is not"),
        ("a.npy", npy(np.full((56, 56), np.nan)), "finite"),
        ("a.npy", npy(np.zeros((56, 56))), "snr_max is 0"),
        ("a.npy", npy(np.ones((56, 56))), "snr_std is 0"),
        ("a.npy", npy(np.zeros((2, 56, 56))), "table of numbers"),
        ("a.npy", npy(np.zeros((0, 56))), "pixels a side"),
        ("a.npy", npy(np.zeros((1, 9000))), "pixels a side"),
        ("a.npy", npy(np.full((5, 5), 1j)), "table of numbers"),
        ("a.h5", hdf5(np.zeros((2, 56, 56))), "table of numbers"),
        ("a.fits", fits_file(np.zeros((2, 56, 56))), "table of numbers"),
        ("a.fits", fits_file(None), "no image"),
        ("a.fits", fits_file(hdu=fits.CompImageHDU), "no image"),
        *(
            (f"a.{kind}", content[: len(content) * part // 4], "cut off")
            for kind, content in KINDS.items()
            for part in (1, 2, 3)
        ),
        *((f"a.{kind}", content[:-1], "cut off") for kind, content in KINDS.items() if kind != "fits"),
    ],
)
def test_what_cannot_be_judged_is_refused(name, content, problem):
    with pytest.raises(UserError, match=problem):
        read_single(content, name)


@pytest.mark.parametrize("make", [external_hdf5, stored_elsewhere])
def test_no_other_file_is_opened(make, tmp_path):
    with pytest.raises(UserError, match="itself"):
        read_single(make(tmp_path), "a.h5")


def test_archive_that_would_fill_the_memory_is_refused():
    content = bomb()
    assert len(content) < 1_000_000
    with pytest.raises(UserError, match="more than"):
        read_single(content, "a.npz")


def test_header_that_promises_more_than_there_is_is_refused():
    content = npy(np.zeros((40, 40), dtype=np.float32)).replace(b"(40, 40)", b"(4, 4000)")
    with pytest.raises(UserError):
        read_single(content, "a.npy")
