from pathlib import Path

import pytest
import tables
from ctapipe.io import HDF5Merger

from cherenkov_pipeline import __version__
from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.merge import merge_files, plan_merge
from cherenkov_pipeline.dl1.parameters import DL1Parameters, KeptData
from cherenkov_pipeline.dl1.settings import (
    common_settings,
    differences,
    make_settings,
    read_settings,
    write_settings,
)
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan

OTHER = {"cleaning": {"picture_threshold_pe": 9, "time_limit": "12 ns"}}


def made_with(calibrated=True, **parameters):
    return make_settings(DL1Parameters(**parameters), calibrated=calibrated)


@pytest.fixture
def without_settings(records, tmp_path) -> Path:
    """The SST-1M file as ctapipe-process makes it: it does not tell how."""
    path = tmp_path / "others" / "others.dl1.h5"
    path.parent.mkdir()
    with HDF5Merger(path) as merge:  # ctapipe's merger drops what it does not know
        merge(records["sst1m"]["path"])
    return path


def convert(raw_path, folder, **parameters):
    (record,) = run_plan(plan_dl1(find_inputs(raw_path), DL1Parameters(n_workers=1, **parameters)), folder).records
    return record


def test_differences_are_named():
    assert differences(made_with(), made_with()) == []
    assert differences(made_with(**OTHER), made_with()) == [
        "cleaning.picture_threshold_pe 9.0 instead of 8.0",
        "cleaning.time_limit 12.0 ns instead of 8.0 ns",
    ]
    assert differences(made_with(focal_length_choice="EFFECTIVE"), made_with()) == [
        "focal_length_choice EFFECTIVE instead of EQUIVALENT"
    ]


def test_what_one_does_not_know_is_not_compared():
    # simulated charges have no window
    assert differences(made_with(calibrated=False), made_with(calibration={"window_width": 5})) == []
    assert differences(made_with(calibration={"window_width": 5}), made_with()) == [
        "calibration.window_width 5 instead of 7"
    ]


def test_common_settings():
    simulated, converted = made_with(calibrated=False), made_with()
    assert common_settings({"a": converted, "b": converted}) == converted
    assert common_settings({"a": simulated, "b": converted}) == converted
    assert common_settings({"a": converted, "b": None}) is None
    assert common_settings({}) is None

    newer = {**converted, "versions": {**converted["versions"], "ctapipe": "99"}}
    both = common_settings({"a": converted, "b": newer})
    assert both["versions"]["ctapipe"] == f"{converted['versions']['ctapipe']}, 99"
    assert both["cleaning"] == converted["cleaning"]


def test_files_of_different_cleaning_are_refused():
    with pytest.raises(
        UserError, match=r"b\.h5 and a\.h5 .* different settings \(cleaning\.picture_threshold"
    ) as caught:
        common_settings({"a.h5": made_with(), "x.h5": None, "b.h5": made_with(**OTHER)})
    assert "\n" not in str(caught.value)


def test_difference_hidden_by_a_file_that_does_not_know():
    files = {
        "a": made_with(calibration={"window_width": 5}),
        "b": made_with(calibrated=False),
        "c": made_with(calibration={"window_width": 7}),
    }
    with pytest.raises(UserError, match="window_width 7 instead of 5"):
        common_settings(files)


def test_written_and_read_back(tmp_path):
    path = tmp_path / "file.h5"
    with tables.open_file(path, "w"):
        pass
    assert read_settings(path) is None
    write_settings(path, made_with(**OTHER))
    assert read_settings(path) == made_with(**OTHER)


def test_converted_file_carries_its_settings(raw, tmp_path):
    record = convert(raw["sst1m"], tmp_path, **OTHER)
    assert record["dl1_settings"] == read_settings(record["path"]) == made_with(**OTHER)
    assert record["dl1_settings"]["versions"]["cherenkov_pipeline"] == __version__


def test_file_of_others_tells_nothing(without_settings):
    assert describe(without_settings)["dl1_settings"] is None


def test_chosen_telescopes_keep_the_settings(records, tmp_path):
    """Images that are not cleaned again keep the settings that they were made with."""
    (tel_id, *_) = records["flashcam"]["telescope_types"]["MST_MST_FlashCam"]["tel_ids"]
    record = convert(records["flashcam"]["path"], tmp_path, telescope_ids=[tel_id], **OTHER)
    assert record["dl1_settings"] == records["flashcam"]["dl1_settings"] == made_with()


def test_images_that_are_cleaned_again(raw, tmp_path):
    """The cleaning is new, the charges are those of the first conversion."""
    first = convert(
        raw["sst1m"],
        tmp_path / "images",
        keep=KeptData(parameters=False),
        calibration={"window_width": 5},
    )
    record = convert(first["path"], tmp_path / "cleaned", **OTHER)
    assert record["dl1_settings"]["cleaning"] == made_with(**OTHER)["cleaning"]
    assert record["dl1_settings"]["calibration"]["window_width"] == 5


def test_merging_and_stripping_keep_them(records, tmp_path):
    merged = merge_files(tmp_path / "merged.h5", [records["sst1m"]], KeptData(images=False, true_images=False))
    assert merged["dl1_settings"] == made_with()
    assert merged["levels"] == ["parameters"]


def test_merging_with_a_file_of_others_is_not_known(records, without_settings, tmp_path):
    with tables.open_file(without_settings, "a") as file:
        for table in file.walk_nodes("/", "Table"):
            if "obs_id" in table.colnames:
                table.modify_column(colname="obs_id", column=[77] * table.nrows)
    sources = [records["sst1m"], {**describe(without_settings), **records["sst1m"], "path": str(without_settings)}]
    assert merge_files(tmp_path / "merged.h5", sources, KeptData())["dl1_settings"] is None


def test_different_cleaning_is_refused_before_merging(raw, records, tmp_path):
    other = convert(raw["sst1m"], tmp_path, **OTHER)
    files = FileSet("f00d", (records["sst1m"], other))
    with pytest.raises(UserError, match="different settings"):
        plan_merge(files, DL1Parameters(merge_into=1))
    assert not plan_merge(files, DL1Parameters()).jobs
