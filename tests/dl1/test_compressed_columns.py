"""Columns that ctapipe stored as scaled integers, with offset and codes for what is not finite, are read right.

value = (stored - offset) / scale; a reader that forgets the offset, or takes the codes for charges, is off by hundreds
of photo-electrons.
"""

import numpy as np
import pytest
import tables
from ctapipe.calib import CameraCalibrator
from ctapipe.image import ImageProcessor
from ctapipe.io import DataWriter, SimTelEventSource

from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.merge import copy_stripped
from cherenkov_pipeline.dl1.parameters import DL1Parameters, KeptData, SelectionParameters
from cherenkov_pipeline.dl1.written import start_activity
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.chunks import iter_chunks
from cherenkov_pipeline.store.packing import CHARGE_PRECISION
from cherenkov_pipeline.store.parameters import StoreParameters

SST = "SST_1M_DigiCam"
ENCODINGS = {
    "uint16": {"image_dtype": "uint16", "image_offset": 2000, "image_scale": 20.0},
    "int16": {"image_dtype": "int16", "image_offset": -700, "image_scale": 50.0},
    "int32": {},  # ctapipe's defaults
}
BROKEN = {5: np.nan, 6: np.inf, 7: -np.inf}
"""Charges of some pixels of the first event."""


def write(path, source_path, obs_id=None, **options):
    start_activity()
    with SimTelEventSource(source_path, focal_length_choice="EQUIVALENT") as source:
        calibrate, process = CameraCalibrator(subarray=source.subarray), ImageProcessor(subarray=source.subarray)
        with DataWriter(source, output_path=path, write_dl1_images=True, **options) as writer:
            for number, event in enumerate(source):
                calibrate(event)
                process(event)
                if number == 0:
                    for pixel, charge in BROKEN.items():
                        event.dl1.tel[1].image[pixel] = charge
                writer(event)
    if obs_id is not None:
        with tables.open_file(path, "a") as file:
            for table in file.walk_nodes("/", "Table"):
                if "obs_id" in table.colnames:
                    table.modify_column(colname="obs_id", column=np.full(table.nrows, obs_id))
    return path


@pytest.fixture(scope="module")
def plain(raw, tmp_path_factory):
    """The images as they are."""
    (chunk,) = iter_chunks(write(tmp_path_factory.mktemp("plain") / "plain.dl1.h5", raw["sst1m"]), SST)
    return chunk


@pytest.fixture(scope="module", params=ENCODINGS)
def compressed(request, raw, tmp_path_factory):
    """File, and the precision of its charges."""
    options = ENCODINGS[request.param]
    path = tmp_path_factory.mktemp(request.param) / "compressed.dl1.h5"
    times = {"transform_peak_time": True, "peak_time_offset": -300, "peak_time_scale": 100.0}
    write(path, raw["sst1m"], transform_image=True, **times, **options)
    with tables.open_file(path) as file:
        assert file.root.dl1.event.telescope.images.tel_001.dtype["image"].base == request.param
    return path, 0.5001 / options.get("image_scale", 10.0)


def assert_same(chunk, plain, precision):
    usual = np.isfinite(plain.image)
    assert (~usual).sum() == len(BROKEN)
    np.testing.assert_allclose(chunk.image[usual], plain.image[usual], atol=precision)
    np.testing.assert_array_equal(chunk.image[~usual], plain.image[~usual])
    np.testing.assert_allclose(chunk.peak_time, plain.peak_time, atol=0.5001 / 100)


def test_chunks_are_decoded(compressed, plain):
    path, precision = compressed
    (chunk,) = iter_chunks(path, SST)
    assert_same(chunk, plain, precision)


def test_kept_and_stripped_files_are_decoded(compressed, plain, tmp_path):
    path, precision = compressed
    (kept,) = run_plan(plan_dl1(find_inputs(path), DL1Parameters(n_workers=1)), tmp_path / "kept").records
    assert kept["path"] == str(path)
    copy_stripped(tmp_path / "stripped.h5", [str(path)], KeptData(true_images=False))
    assert "true_images" not in describe(tmp_path / "stripped.h5")["levels"]
    (chunk,) = iter_chunks(tmp_path / "stripped.h5", SST)
    assert_same(chunk, plain, precision)


def test_the_store_holds_the_charges(compressed, plain, tmp_path):
    path, precision = compressed
    files = run_plan(plan_dl1(find_inputs(path), DL1Parameters(n_workers=1)), tmp_path / "dl1")
    plan = plan_store(files, SelectionParameters(quality={}), StoreParameters(n_workers=1))
    store = EventStore(run_plan(plan, tmp_path / "store").paths)
    found, usual = store.read(slice(None)).image, np.isfinite(plain.image)
    np.testing.assert_allclose(found[usual], plain.image[usual], atol=precision, rtol=CHARGE_PRECISION)


def test_files_of_different_encoding_are_not_merged(raw, tmp_path):
    """ctapipe's merger would append the integers of one to the charges of the other."""
    whole = write(tmp_path / "whole.h5", raw["sst1m"], 1)
    int16 = write(tmp_path / "int16.h5", raw["sst1m"], 2, transform_image=True, **ENCODINGS["int16"])
    other = write(tmp_path / "other.h5", raw["sst1m"], 3, transform_image=True, image_dtype="int16", image_offset=5)
    for first, second in ((whole, int16), (int16, other)):
        with pytest.raises(UserError, match=r"column image .* stored differently") as caught:
            copy_stripped(tmp_path / "merged.h5", [str(first), str(second)], KeptData())
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "merged.h5").exists()
