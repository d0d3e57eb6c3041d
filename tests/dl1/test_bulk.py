"""Files whose rows were collected are those of ctapipe's DataWriter."""

import numpy as np
import pytest
import tables
from ctapipe.calib import CameraCalibrator
from ctapipe.fitting import FIT_RNG
from ctapipe.image import ImageProcessor
from ctapipe.io import DataWriter, SimTelEventSource

from cherenkov_pipeline.dl1 import bulk, simulated
from cherenkov_pipeline.dl1.bulk import BulkDataWriter
from cherenkov_pipeline.dl1.image_processing import image_processor
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.written import start_activity
from cherenkov_pipeline.simulation import SimulationParameters

OF_THE_MAKING = {"CTA PRODUCT CREATION TIME", "CTA PRODUCT ID", "CTA ACTIVITY STOP TIME"}


def content(path) -> dict:
    """Rows, types and attributes of every table, and attributes of the file."""
    with tables.open_file(path) as file:
        found = {
            node._v_pathname: (
                node.title,
                node[:],
                {name: node.attrs[name] for name in node.attrs._f_list("user")},
            )
            for node in file.walk_nodes("/", "Table")
        }
        attributes = {
            name: file.root._v_attrs[name] for name in file.root._v_attrs._f_list("user") if name not in OF_THE_MAKING
        }
    return {**found, "/": ("", np.empty(0), attributes)}


def assert_same(path, expected_path):
    ours, expected = content(path), content(expected_path)
    assert list(ours) == list(expected)
    for name, (title, rows, attributes) in expected.items():
        assert ours[name][0] == title
        assert ours[name][1].dtype == rows.dtype, name
        for column in rows.dtype.names or ():
            np.testing.assert_array_equal(ours[name][1][column], rows[column], err_msg=f"{name} {column}")
        assert ours[name][2].keys() == attributes.keys(), name
        for key, value in attributes.items():
            np.testing.assert_array_equal(ours[name][2][key], value, err_msg=f"{name} {key}")


def convert(path, source_path, writer_class, make_processor=ImageProcessor, **options):
    start_activity()
    with SimTelEventSource(source_path, focal_length_choice="EQUIVALENT") as source:
        calibrate, process = CameraCalibrator(subarray=source.subarray), make_processor(source.subarray)
        with writer_class(source, output_path=path, **{"write_dl1_images": True, **options}) as write:
            for event in source:
                calibrate(event)
                process(event)
                write(event)
            write.write_simulated_shower_distributions(source.simulated_shower_distributions)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sst1m", {"transform_image": True, "transform_peak_time": True, "write_r1_waveforms": True}),
        ("sst1m", {"write_dl1_images": False}),
        ("proton", {}),
    ],
)
def test_files_are_those_of_ctapipe(raw, tmp_path, name, options, monkeypatch):
    monkeypatch.setattr(bulk, "BUFFER", 2**15)  # two images: buffers fill up and are renewed
    for file, writer_class in (("ours.h5", BulkDataWriter), ("theirs.h5", DataWriter)):
        FIT_RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
        convert(tmp_path / file, raw[name], writer_class, **options)

    assert_same(tmp_path / "ours.h5", tmp_path / "theirs.h5")


def test_compiled_parameters_stand_in_the_same_tables(raw, tmp_path):
    """Types and attributes of columns come from the first values: those of the compiled parameters are ctapipe's."""
    convert(tmp_path / "ours.h5", raw["sst1m"], DataWriter, lambda array: image_processor(array, DL1Parameters()))
    convert(tmp_path / "theirs.h5", raw["sst1m"], DataWriter)
    ours, theirs = content(tmp_path / "ours.h5"), content(tmp_path / "theirs.h5")
    assert list(ours) == list(theirs)
    for name, (title, rows, attributes) in theirs.items():
        assert (ours[name][0], ours[name][1].dtype) == (title, rows.dtype), name
        assert {key: str(value) for key, value in ours[name][2].items()} == {
            key: str(value) for key, value in attributes.items()
        }


@pytest.fixture(scope="module")
def simulated_files(tmp_path_factory):
    """The same small run, written by collecting rows and by ctapipe."""
    folder = tmp_path_factory.mktemp("bulk")
    production = {"particle": "gamma", "n_files": 1, "n_showers": 300, "core_radius": "400 m"}
    parameters = SimulationParameters(
        training={"gamma": {**production, "energy_min": "1 TeV", "energy_max": "50 TeV"}}, test={}
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, writer_class in (("ours.h5", BulkDataWriter), ("theirs.h5", DataWriter)):
            patch.setattr(simulated, "BulkDataWriter", writer_class)
            simulated.write_run(
                folder / name,
                "gamma",
                1,
                np.random.SeedSequence(5),
                parameters,
                parameters.training["gamma"],
                DL1Parameters(),
            )
    return folder / "ours.h5", folder / "theirs.h5"


def test_simulated_files_are_those_of_ctapipe(simulated_files):
    ours, theirs = simulated_files
    assert len(content(ours)["/dl1/event/subarray/trigger"][1]) > 30
    assert_same(ours, theirs)


def test_value_in_some_events_only_is_refused(raw, tmp_path):
    start_activity()
    with SimTelEventSource(raw["sst1m"], focal_length_choice="EQUIVALENT") as source:
        calibrate, process = CameraCalibrator(subarray=source.subarray), ImageProcessor(subarray=source.subarray)
        with BulkDataWriter(source, output_path=tmp_path / "file.h5", write_dl1_images=True) as write:
            for number, event in enumerate(source):
                calibrate(event)
                process(event)
                if number == 2:
                    event.dl1.tel[1].peak_time = None
                    with pytest.raises(ValueError, match="peak_time has a value in some events only"):
                        write(event)
                    break
                write(event)
