"""Input files are open while they are read, one at a time, and closed afterwards."""

from pathlib import Path

import pytest

from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.merge import merge_files
from cherenkov_pipeline.dl1.parameters import DL1Parameters, KeptData, SelectionParameters
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.chunks import cameras, iter_chunks
from cherenkov_pipeline.store.parameters import StoreParameters

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list open files")


def open_files() -> set[str]:
    """Files that this process holds open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except OSError:  # closed meanwhile
            continue
    return {path for path in found if path.startswith("/")}


@pytest.fixture
def held(records, raw) -> "callable":
    """Tell which of the input files, raw or DL1, are open."""
    inputs = {str(Path(record["path"]).resolve()) for record in records.values()}
    inputs |= {str(path.resolve()) for path in raw.values()}
    return lambda: open_files() & inputs


def test_an_open_file_would_be_seen(records, held):
    with Path(records["sst1m"]["path"]).open("rb"):
        assert held() == {str(Path(records["sst1m"]["path"]).resolve())}
    assert not held()


def test_one_file_is_open_while_chunks_are_read(records, held):
    for name in ("sst1m", "proton", "gamma_diffuse", "history"):
        path = Path(records[name]["path"])
        for telescope_type in cameras(path):
            assert not held()
            for _ in iter_chunks(path, telescope_type, chunk_size=2):
                assert held() == {str(path.resolve())}
            assert not held()


def test_a_reader_that_stops_early_closes(records, held):
    chunks = iter_chunks(records["sst1m"]["path"], "SST_1M_DigiCam", chunk_size=2)
    next(chunks)
    assert held()
    chunks.close()
    assert not held()


def test_conversion_merging_and_store_leave_nothing_open(raw, records, held, tmp_path):
    files = run_plan(plan_dl1(find_inputs(raw["sst1m"]), DL1Parameters(n_workers=1)), tmp_path / "dl1")
    assert not held()
    merge_files(tmp_path / "merged.h5", [records["sst1m"]], KeptData())
    assert not held()
    before = open_files()
    plan = plan_store(files, SelectionParameters(quality={}), StoreParameters(n_workers=1))
    store = EventStore(run_plan(plan, tmp_path / "store").paths)
    store.read(slice(None))
    store.records(slice(None))
    assert {path for path in open_files() - before if path.startswith(str(tmp_path))} == set()


def test_a_conversion_that_fails_closes_its_file(raw, held, tmp_path):
    plan = plan_dl1(find_inputs(raw["truncated"]), DL1Parameters(n_workers=1, on_truncated="fail"))
    with pytest.raises(Exception, match="ends early"):
        run_plan(plan, tmp_path)
    assert not held()
