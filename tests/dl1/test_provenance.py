from dataclasses import asdict
from types import SimpleNamespace

import pytest

from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.merge import plan_merge
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.provenance import COLUMNS, provenance_table
from cherenkov_pipeline.file_plans import FileSet, run_plan


@pytest.fixture(scope="module")
def raw_files(simtel):
    return [asdict(item) for item in find_inputs(simtel)]


@pytest.fixture(scope="module")
def dl1_files(converted, tmp_path_factory):
    return run_plan(plan_merge(converted, DL1Parameters()), tmp_path_factory.mktemp("kept"))


def test_raw_and_dl1_files(raw_files, converted, dl1_files):
    table = provenance_table(raw_files, converted, dl1_files)
    raw, dl1 = (table[table["step"] == step].set_index("item") for step in ("raw file", "DL1 file"))

    assert tuple(table.columns) == COLUMNS
    assert not table.isna().any().any()
    assert len(raw) == 7
    assert len(dl1) == 6
    assert raw["n_out"].sum() == dl1["n_in"].sum() == dl1["n_out"].sum() == 59
    assert dict(zip(raw.index, raw["fingerprint"], strict=True)) == {
        item["path"].split("/")[-1]: item["fingerprint"] for item in raw_files
    }
    assert "left out" in raw.loc["gamma_merged.simtel.gz", "detail"]
    assert raw["detail"].str.contains("left out").sum() == 1
    truncated = raw.loc["test_lasercal_v3.simtel.gz"]
    assert "ends early (File seems to be truncated), its 3 readable events are kept" in truncated["detail"]
    sst1m = dl1.loc["sst1m_digicam_gamma_9ev.dl1.h5", "detail"]
    assert sst1m == "9 gamma events; 9 images of SST_1M_DigiCam; from sst1m_digicam_gamma_9ev.simtel.gz"


def test_thrown_showers_are_triggered_or_not(raw_files, converted, dl1_files):
    table = provenance_table(raw_files, converted, dl1_files)
    thrown = table[table["step"] == "thrown"]
    known = [record for record in converted.records if record["n_thrown"] is not None]
    assert thrown["n_in"].sum() == sum(record["n_thrown"] for record in known)
    assert thrown["n_out"].sum() == sum(record["n_events"] for record in known)
    missing = thrown["detail"].str.extract(r"^(\d+) uses of showers in no event")[0].astype(int)
    assert (thrown["n_in"] == thrown["n_out"] + missing).all()
    unknown = [record for record in converted.records if record["particles"] and record["n_thrown"] is None]
    assert table["detail"].str.contains("thrown is not known").sum() == len(unknown) > 0


def test_file_without_images_keeps_its_account(raw_files, converted, dl1_files):
    """A file that ends before its first image: it is dropped, what was read from it is not."""

    def cut_off(record):
        if record["n_images"]:
            return record
        item = {**record["inputs"][0], "n_events": 3, "problem": "File seems to be truncated"}
        return {**record, "n_events": 3, "truncated": True, "inputs": [item]}

    cut = FileSet(converted.fingerprint, tuple(cut_off(record) for record in converted.records))
    table = provenance_table(raw_files, cut, dl1_files).set_index("item")
    detail = table.loc["gamma_merged.simtel.gz", "detail"]
    assert "ends early (File seems to be truncated)" in detail
    assert "no image in 3 events: left out" in detail


def test_without_merging_all_converted_files_are_dl1_files(raw_files, converted):
    table = provenance_table(raw_files, converted)

    assert (table["step"] == "DL1 file").sum() == len(converted)
    assert not table["detail"].str.contains("left out").any()


def test_stores(raw_files, converted, dl1_files):
    store = SimpleNamespace(
        fingerprint="beef",
        provenance={
            "inputs": [
                {"production": "a", "fingerprint": "1", "n_read": 9, "n_selected": 7, "pixels_reordered": True},
            ],
            "cuts": [
                {"cut": "read", "condition": "", "n_in": 9, "n_cut": 0, "n_out": 9},
                {"cut": "bright", "condition": "hillas_intensity > 50", "n_in": 9, "n_cut": 2, "n_out": 7},
            ],
            "samples": [{"particle": "gamma", "split": "train", "n_images": 7, "n_showers": 6}],
        },
    )
    table = provenance_table(raw_files, converted, dl1_files, {"DigiCam.store.h5": store})
    rows = table[table["detail"].str.startswith("DigiCam.store.h5")]

    assert [tuple(row) for row in rows[["step", "item", "n_in", "n_out"]].itertuples(index=False)] == [
        ("store input", "a", 9, 7),
        ("cut", "read", 9, 9),
        ("cut", "bright", 9, 7),
        ("split", "gamma train", 7, 7),
    ]
    assert rows["detail"].tolist()[0].endswith("pixel order mapped to the store's")
