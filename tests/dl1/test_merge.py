import shutil
from pathlib import Path

import numpy as np
import pytest
import tables
from ctapipe.io import TableLoader

from cherenkov_pipeline.dl1.merge import merge_files, plan_merge
from cherenkov_pipeline.dl1.parameters import DL1Parameters, KeptData
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.fingerprints import fingerprint_file


def into(n: int | None, **parameters) -> DL1Parameters:
    return DL1Parameters(merge_into=n, n_workers=1, **parameters)


def read(path) -> "tables.Table":
    with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
        return loader.read_telescope_events(dl1_images=True, simulated=True)


@pytest.fixture
def runs(records, tmp_path):
    """Make copies of the SST-1M file that are runs 1, 2, 3, ... of one production."""

    def make(*obs_ids: int) -> FileSet:
        made = []
        for number, obs_id in enumerate(obs_ids):
            path = tmp_path / "runs" / f"run{number}.dl1.h5"
            path.parent.mkdir(exist_ok=True)
            shutil.copy(records["sst1m"]["path"], path)
            with tables.open_file(str(path), "a") as file:
                for table in file.walk_nodes("/", "Table"):
                    if "obs_id" in table.colnames:
                        table.modify_column(colname="obs_id", column=np.full(table.nrows, obs_id))
            made.append(
                {**records["sst1m"], "path": str(path), "obs_ids": [obs_id], "fingerprint": fingerprint_file(path)}
            )
        return FileSet("f00d", tuple(made))

    return make


def test_left_as_they_are(converted):
    plan = plan_merge(converted, into(None))

    assert not plan.jobs
    assert [record["path"] for record in plan.kept] == [
        record["path"] for record in converted.records if record["n_images"]
    ]


def test_runs_of_one_production(runs, tmp_path):
    sources = runs(1, 2, 3)
    merged = run_plan(plan_merge(sources, into(2)), tmp_path / "merged")

    assert sorted(record["n_images"] for record in merged.records) == [9, 18]
    assert sum(record["n_thrown"] for record in merged.records) == 3000
    assert sorted(obs_id for record in merged.records for obs_id in record["obs_ids"]) == [1, 2, 3]
    assert sorted(item["path"] for record in merged.records for item in record["inputs"]) == sorted(
        item["path"] for record in sources.records for item in record["inputs"]
    )
    by_run = {}
    for path in merged.paths:
        table = read(path)
        by_run |= {int(obs_id): table[table["obs_id"] == obs_id] for obs_id in np.unique(table["obs_id"])}
    for path, obs_id in zip(sources.paths, (1, 2, 3), strict=True):
        for column in ("event_id", "image", "hillas_length", "true_energy"):
            np.testing.assert_array_equal(by_run[obs_id][column], read(path)[column])


def test_more_files_than_sources(runs, tmp_path):
    assert len(plan_merge(runs(1, 2), into(5)).jobs) == 2


def test_equal_runs_are_never_fused(runs, tmp_path):
    sources = runs(1, 1, 2)
    with pytest.raises(UserError, match="into 1, events of run 1 would be fused") as caught:
        plan_merge(sources, into(1))
    assert "\n" not in str(caught.value)

    merged = run_plan(plan_merge(sources, into(2)), tmp_path / "merged")
    assert sorted(record["obs_ids"] for record in merged.records) in ([[1], [1, 2]], [[1, 2], [1]])
    assert sum(record["n_images"] for record in merged.records) == 27


def test_particles_and_arrays_stay_apart(converted, records):
    with pytest.raises(UserError, match=r"cannot be merged into 2, .*gamma.*proton.* must stay apart") as caught:
        plan_merge(converted, into(2))
    assert "set dl1.merge_into to 6 or more" in str(caught.value)
    names = [job.name for job in plan_merge(converted, into(6)).jobs]
    assert len(names) == len(set(names)) == 6

    pair = FileSet("f00d", (records["proton"], {**records["gamma_diffuse"], "array": records["proton"]["array"]}))
    assert [job.name.split("_")[0] for job in plan_merge(pair, into(2)).jobs] == ["proton", "gamma"]


def test_file_of_unknown_thrown_number_stays_apart(runs):
    known, cut = runs(1, 2).records
    sources = FileSet("f00d", (known, {**cut, "n_thrown": None}))

    with pytest.raises(UserError, match="gamma; gamma of unknown number must stay apart"):
        plan_merge(sources, into(1))


def test_merging_strips(runs, tmp_path):
    keep = KeptData(images=False, true_images=False)
    (record,) = run_plan(plan_merge(runs(1, 2), into(1, keep=keep)), tmp_path / "merged").records

    assert record["levels"] == ["parameters"]
    assert record["n_images"] == 18


def test_incompatible_files_are_one_line(records, tmp_path):
    with pytest.raises(UserError, match="cannot be merged: Subarrays do not match") as caught:
        merge_files(tmp_path / "merged.h5", [records["sst1m"], records["proton"]], KeptData())
    assert "\n" not in str(caught.value)


def test_fingerprint_covers_the_number_of_files(converted):
    assert plan_merge(converted, into(6)).fingerprint != plan_merge(converted, into(7)).fingerprint
    assert plan_merge(converted, into(None)).fingerprint != plan_merge(converted, into(6)).fingerprint


def test_simulated_files_have_no_inputs(runs, tmp_path):
    simulated = [{name: value for name, value in record.items() if name != "inputs"} for record in runs(1, 2).records]
    (record,) = run_plan(plan_merge(FileSet("f00d", tuple(simulated)), into(1)), tmp_path / "merged").records

    assert [Path(item["path"]).name for item in record["inputs"]] == ["run0.dl1.h5", "run1.dl1.h5"]
    assert [item["n_images"] for item in record["inputs"]] == [9, 9]
