from dataclasses import asdict
from types import SimpleNamespace

import pytest

from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.merge import plan_merge
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.provenance import COLUMNS, provenance_table
from cherenkov_pipeline.files import run_plan


@pytest.fixture(scope="module")
def raw_files(simtel):
    return [asdict(item) for item in find_inputs(simtel)]


@pytest.fixture(scope="module")
def dl1_files(converted, tmp_path_factory):
    return run_plan(plan_merge(converted, DL1Parameters()), tmp_path_factory.mktemp("kept"))


def test_raw_and_dl1_files(raw_files, dl1_files):
    table = provenance_table(raw_files, dl1_files)
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
    truncated = raw.loc["test_lasercal_v3.simtel.gz"]
    assert "ends early (File seems to be truncated), its 3 readable events are kept" in truncated["detail"]
    sst1m = dl1.loc["sst1m_digicam_gamma_9ev.dl1.h5", "detail"]
    assert sst1m == (
        "9 gamma events; 1000 showers thrown; 9 images of SST_1M_DigiCam; from sst1m_digicam_gamma_9ev.simtel.gz"
    )


def test_stores(raw_files, dl1_files):
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
    table = provenance_table(raw_files, dl1_files, {"DigiCam.store.h5": store})
    rows = table[table["detail"].str.startswith("DigiCam.store.h5")]

    assert [tuple(row) for row in rows[["step", "item", "n_in", "n_out"]].itertuples(index=False)] == [
        ("store input", "a", 9, 7),
        ("cut", "read", 9, 9),
        ("cut", "bright", 9, 7),
        ("split", "gamma train", 7, 7),
    ]
    assert rows["detail"].tolist()[0].endswith("pixels reordered")
