import errno
import gzip
import shutil
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import zstandard
from ctapipe.io import SimTelEventSource, TableLoader

from cherenkov_pipeline.dl1.contents import describe
from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import CalibrationParameters, CleaningParameters, DL1Parameters, KeptData
from cherenkov_pipeline.dl1.thrown import read_thrown
from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.files import LOCK


def convert(raw_path: Path, folder: Path, **parameters) -> FileSet:
    return run_plan(plan_dl1(find_inputs(raw_path), DL1Parameters(**{"n_workers": 1, **parameters})), folder)


def read(path: Path, **what):
    with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
        return loader.read_telescope_events(**what)


def test_sst1m_events(records):
    record = records["sst1m"]
    table = read(record["path"], dl1_images=True, true_images=True, simulated=True)

    assert len(table) == record["n_images"] == record["n_events"] == 9
    for name in ("intensity", "length", "width", "psi", "fov_lon", "fov_lat", "r", "phi", "skewness", "kurtosis"):
        assert np.isfinite(table[f"hillas_{name}"]).all()
    correlation = [np.corrcoef(row["image"], row["true_image"])[0, 1] for row in table]
    assert np.median(correlation) >= 0.9
    # charge is calibrated: cleaned images have the true photo-electrons of the same pixels
    ratio = [row["image"][row["image_mask"]].sum() / row["true_image"][row["image_mask"]].sum() for row in table]
    assert np.median(ratio) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("name", "n_images", "n_events", "particle"), [("gamma_diffuse", 8, 2, "gamma"), ("proton", 15, 4, "proton")]
)
def test_telescope_types_are_kept_apart(records, name, n_images, n_events, particle):
    record = records[name]
    with TableLoader(record["path"], focal_length_choice="EQUIVALENT") as loader:
        by_type = loader.read_telescope_events_by_type(dl1_images=True)

    assert (record["n_images"], record["n_events"], record["particles"]) == (n_images, n_events, {particle: n_events})
    assert sum(len(table) for table in by_type.values()) == n_images
    seen = {str(telescope): len(table) for telescope, table in by_type.items() if len(table)}
    assert seen == {name: one["n_images"] for name, one in record["telescope_types"].items() if one["n_images"]}
    assert len(seen) == 2


def test_keys_are_those_of_the_raw_file(raw, records):
    with SimTelEventSource(raw["proton"], focal_length_choice="EQUIVALENT") as source:
        keys = {(event.index.obs_id, event.index.event_id, tel) for event in source for tel in event.r1.tel}
    table = read(records["proton"]["path"])

    assert {tuple(row) for row in table["obs_id", "event_id", "tel_id"]} == keys


def test_thrown_showers_are_known(records):
    assert records["sst1m"]["n_thrown"] == 1000
    assert records["truncated"]["n_thrown"] is None, "the histogram stands at the end, which is missing"


def test_truncated_file_is_kept_and_recorded(records):
    record = records["truncated"]

    assert (record["truncated"], record["n_events"], record["n_images"]) == (True, 3, 10)
    (item,) = record["inputs"]
    assert (item["n_events"], item["n_images"], item["problem"]) == (3, 10, "File seems to be truncated")
    assert np.isfinite(read(record["path"])["hillas_intensity"]).any(), "shower events, not calibration"


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "Stale file handle"), MemoryError()])
def test_a_disk_that_fails_is_no_truncated_file(raw, tmp_path, monkeypatch, error):
    """Part of the events, kept as if there were no more, would never be mended."""

    def broken(self):
        yield from islice(whole(self), 2)
        raise error

    whole = SimTelEventSource._generator
    monkeypatch.setattr(SimTelEventSource, "_generator", broken)
    with pytest.raises((TemporaryError, MemoryError), match=r"cannot be read now|^$"):
        convert(raw["sst1m"], tmp_path)
    assert not list(tmp_path.rglob("*.dl1.h5"))


def test_truncated_file_fails_if_asked(raw, tmp_path):
    with pytest.raises(UserError, match=r"ends early .* after 3 readable events.*on_truncated"):
        convert(raw["truncated"], tmp_path, on_truncated="fail")
    assert {path.name for path in tmp_path.iterdir()} <= {LOCK}


@pytest.mark.parametrize(("compression", "part"), [("plain", 0.6), ("gz", 0.99), ("zst", 0.8)])
def test_readable_part_is_that_of_the_whole_file(raw, tmp_path, records, compression, part):
    plain = gzip.decompress(raw["sst1m"].read_bytes())
    packed = {"plain": bytes, "gz": gzip.compress, "zst": zstandard.compress}[compression](plain)
    cut = tmp_path / "cut.simtel"
    cut.write_bytes(packed[: int(part * len(packed))])

    (record,) = convert(cut, tmp_path / "dl1").records
    assert record["truncated"]
    assert 0 < record["n_events"] <= 9
    some, whole = (read(path, dl1_images=True) for path in (record["path"], records["sst1m"]["path"]))
    np.testing.assert_array_equal(some["image"], whole["image"][: len(some)])
    np.testing.assert_array_equal(some["event_id"], whole["event_id"][: len(some)])
    # events are numbered by 100 times the shower
    (thrown,), (all_thrown,) = (read_thrown([Path(one["path"])]) for one in (record, records["sst1m"]))
    assert some["event_id"].max() // 100 <= thrown["n_thrown"] / thrown["uses_per_shower"]
    assert thrown["n_thrown"] <= all_thrown["n_thrown"]
    if len(some) < len(whole):
        assert thrown["n_thrown"] / thrown["uses_per_shower"] <= whole["event_id"][len(some)] // 100


def test_nothing_readable_is_one_line(raw, tmp_path):
    cut = tmp_path / "cut.simtel"
    cut.write_bytes(gzip.decompress(raw["sst1m"].read_bytes())[:3000])

    with pytest.raises(UserError, match="ends before its first event") as caught:
        convert(cut, tmp_path / "dl1")
    assert "\n" not in str(caught.value)


def test_file_without_events_is_recorded(records):
    record = records["empty"]

    assert (record["n_events"], record["n_images"], record["particles"]) == (0, 0, {})
    assert record["telescope_types"]["SST_1M_DigiCam"]["n_images"] == 0
    assert not record["truncated"]


def test_effective_focal_length_is_missing(raw, tmp_path):
    with pytest.raises(UserError, match="focal_length_choice to EQUIVALENT") as caught:
        convert(raw["sst1m"], tmp_path, focal_length_choice="EFFECTIVE")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["simtel", "dl1"])
def test_telescopes_are_selected(raw, tmp_path, records, kind):
    item = raw["flashcam"] if kind == "simtel" else Path(records["flashcam"]["path"])
    whole = read(records["flashcam"]["path"])
    ids = [int(whole["tel_id"][0])]

    by_type = convert(item, tmp_path / "type", telescope_types=["MST_MST_FlashCam", "NectarCam"])
    by_id = convert(item, tmp_path / "id", telescope_ids=ids)
    for chosen, wanted in ((by_type, whole), (by_id, whole[:1])):
        assert list(chosen.records[0]["telescope_types"]) == ["MST_MST_FlashCam"]
        # the same images, whatever else stands in the file
        table = read(chosen.paths[0])
        np.testing.assert_array_equal(table["tel_id"], wanted["tel_id"])
        np.testing.assert_allclose(table["hillas_length"], wanted["hillas_length"], rtol=1e-6)


def test_absent_telescopes_are_one_line(raw, tmp_path):
    for wrong in ({"telescope_types": ["DigiCam"]}, {"telescope_ids": [99]}):
        with pytest.raises(UserError, match=r"has no telescope of .*(DigiCam|99)\. It has: LST.*NectarCam") as caught:
            convert(raw["proton"], tmp_path, **wrong)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keep", "levels"),
    [
        (KeptData(waveforms=True), "image_masks images parameters true_images true_parameters waveforms"),
        (KeptData(true_images=False), "image_masks images parameters"),
        (KeptData(images=False), "parameters true_parameters"),
        (KeptData(parameters=False), "images true_images"),
    ],
)
def test_only_what_is_kept(raw, tmp_path, keep, levels, records):
    (made,) = convert(raw["sst1m"], tmp_path / "simtel", keep=keep).records

    assert " ".join(made["levels"]) == levels
    assert made["n_images"] == 9
    if keep.waveforms:
        return
    # a DL1 file that has more ends with the same content
    (stripped,) = convert(Path(records["sst1m"]["path"]), tmp_path / "dl1", keep=keep).records
    # ctapipe writes cleaning masks only with the parameters, but copies them always
    assert set(stripped["levels"]) - {"image_masks"} == set(made["levels"]) - {"image_masks"}
    assert stripped["n_images"] == 9
    what = {
        "dl1_images": keep.images,
        "dl1_parameters": keep.parameters,
        "true_images": keep.true_images and keep.images,
        "true_parameters": keep.true_images and keep.parameters,
    }
    columns = [set(read(record["path"], **what).colnames) - {"image_mask"} for record in (made, stripped)]
    assert columns[0] == columns[1]


def test_fitting_dl1_stays_where_it_is(converted, records, tmp_path, serial):
    shutil.copy(records["sst1m"]["path"], tmp_path / "mine.h5")
    plan = plan_dl1(find_inputs(tmp_path), serial)

    assert not plan.jobs
    file_set = run_plan(plan, tmp_path / "out")
    assert file_set.paths == [tmp_path / "mine.h5"]
    (record,) = file_set.records
    assert (record["n_images"], record["inputs"][0]["n_images"], record["truncated"]) == (9, 9, False)


def test_dl1_without_events_is_recorded(records, tmp_path):
    for number, parameters in enumerate(({}, {"telescope_types": ["DigiCam"]}, {"keep": KeptData(images=False)})):
        made = convert(Path(records["empty"]["path"]), tmp_path / str(number), **parameters)

        assert made.paths == [Path(records["empty"]["path"])]
        (record,) = made.records
        assert (record["n_events"], record["n_images"], record["inputs"][0]["problem"]) == (0, 0, None)


def test_missing_parameters_are_computed(raw, tmp_path, records):
    only_images = convert(raw["sst1m"], tmp_path / "images", keep=KeptData(parameters=False)).paths[0]
    completed = convert(only_images, tmp_path / "completed").paths[0]

    table, expected = (read(path, dl1_images=True, simulated=True) for path in (completed, records["sst1m"]["path"]))
    for name in ("image", "image_mask", "hillas_width", "timing_slope", "leakage_intensity_width_2", "true_energy"):
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-5)
    assert describe(completed)["n_thrown"] == 1000


def test_what_cannot_be_computed_is_refused(raw, tmp_path, serial):
    only_parameters = convert(raw["sst1m"], tmp_path, keep=KeptData(images=False)).paths[0]

    with pytest.raises(UserError, match="holds no images"):
        plan_dl1(find_inputs(only_parameters), serial)


@pytest.mark.parametrize("images", [True, False])
def test_selecting_telescopes_leaves_parameters_as_they_are(raw, tmp_path, images):
    """DL1 made by others has their cleaning: that of the default parameters would find other pixels."""
    keep, cleaning = KeptData(images=images), CleaningParameters(picture_threshold_pe=30, boundary_threshold_pe=15)
    theirs = convert(raw["flashcam"], tmp_path / "theirs", keep=keep, cleaning=cleaning)
    # ctapipe writes true parameters only with the images
    whole = read(theirs.paths[0], dl1_images=images, true_parameters=images)
    tel_id = int(whole["tel_id"][np.isfinite(whole["hillas_length"])][0])

    chosen = convert(theirs.paths[0], tmp_path / "chosen", keep=keep, telescope_ids=[tel_id])
    (record,) = chosen.records
    table = read(chosen.paths[0], dl1_images=images, true_parameters=images)
    wanted = whole[whole["tel_id"] == tel_id]
    assert record["inputs"][0]["problem"] is None
    assert record["n_images"] == len(table) == len(wanted) > 0
    compared = ("event_id", "hillas", "timing", "true_hillas", "image")
    for name in (name for name in whole.colnames if name.startswith(compared)):
        np.testing.assert_array_equal(table[name], wanted[name], err_msg=name)


@pytest.mark.parametrize("images", [True, False])
def test_what_ctapipe_cannot_read_by_events_is_refused(raw, tmp_path, images):
    keep = KeptData(images=images, true_images=False)
    path = convert(raw["flashcam"], tmp_path, keep=keep).paths[0]
    (item,) = find_inputs(path)
    first = int(read(path, dl1_images=False)["tel_id"][0])

    with pytest.raises(UserError, match=r"no true .*selection\.telescope_ids") as caught:
        plan_dl1([item], DL1Parameters(keep=keep, telescope_ids=[first]))
    assert "\n" not in str(caught.value)
    assert not plan_dl1([item], DL1Parameters(keep=keep)).jobs


def test_fingerprint_covers_what_matters(raw, serial):
    one, other = find_inputs(raw["sst1m"]), find_inputs(raw["proton"])
    wider = serial.model_copy(update={"calibration": CalibrationParameters(window_width=9)})
    fingerprint = plan_dl1(one, serial).fingerprint

    assert plan_dl1(one, serial.model_copy(update={"n_workers": 7})).fingerprint == fingerprint
    assert plan_dl1(one, serial.model_copy(update={"merge_into": 1})).fingerprint == fingerprint
    assert len({fingerprint, plan_dl1(other, serial).fingerprint, plan_dl1(one, wider).fingerprint}) == 3


def test_more_inputs_leave_the_files_of_the_others_as_they_are(raw, serial):
    one, other = find_inputs(raw["sst1m"]), find_inputs(raw["proton"])
    few, many = (
        {job.name: job.fingerprint for job in plan_dl1(inputs, serial).jobs} for inputs in (one, [*other, *one])
    )
    assert few.items() <= many.items()
    assert len(many) == 2


def test_result_does_not_depend_on_what_was_done_before(raw, tmp_path, records):
    # ctapipe's timing fit draws random numbers; all other files were converted before this one in the same process
    again = read(convert(raw["sst1m"], tmp_path).paths[0])

    np.testing.assert_array_equal(again["timing_slope"], read(records["sst1m"]["path"])["timing_slope"])


def test_equal_names_do_not_collide(raw, tmp_path, serial, records):
    for folder, name in (("a", "sst1m"), ("b", "flashcam")):
        (tmp_path / folder).mkdir()
        shutil.copy(raw[name], tmp_path / folder / "run1.simtel")
    names = [job.name for job in plan_dl1(find_inputs(tmp_path), serial).jobs]

    assert len(set(names)) == 2
    assert all(name.startswith("run1-") and name.endswith(".dl1.h5") for name in names)


def test_killed_conversion_goes_on(raw, tmp_path, records, serial):
    """SIGKILL after the first file; started again, the result is that of an undisturbed run."""
    names = ("sst1m", "flashcam")
    (tmp_path / "raw").mkdir()
    for number, name in enumerate(names):
        shutil.copy(raw[name], tmp_path / "raw" / f"{number}{raw[name].name}")
    out = tmp_path / "dl1"
    code = (
        "from cherenkov_pipeline.dl1.convert import plan_dl1; from cherenkov_pipeline.dl1.inputs import find_inputs; "
        "from cherenkov_pipeline.dl1.parameters import DL1Parameters; "
        "from cherenkov_pipeline.file_plans import run_plan; "
        f"run_plan(plan_dl1(find_inputs({str(tmp_path / 'raw')!r}), DL1Parameters(n_workers=1)), {str(out)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not list(out.glob("0*.dl1.h5")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (first,) = out.glob("0*.dl1.h5")
    before = first.stat().st_mtime_ns

    again = run_plan(plan_dl1(find_inputs(tmp_path / "raw"), serial), out)
    assert first.stat().st_mtime_ns == before, "the finished file was kept"
    for record, name in zip(again.records, names, strict=True):
        counts = ("n_events", "n_images", "n_thrown", "particles", "telescope_types", "levels", "array", "obs_ids")
        assert {key: record[key] for key in counts} == {key: records[name][key] for key in counts}
        table, expected = (read(one["path"], dl1_images=True, simulated=True) for one in (record, records[name]))
        for column in ("obs_id", "event_id", "tel_id", "image", "image_mask", "hillas_width", "timing_slope"):
            np.testing.assert_array_equal(table[column], expected[column])
