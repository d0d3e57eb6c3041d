import gzip
import pickle
import shutil
import threading

import h5py
import numpy as np
import pytest
import tables

from cherenkov_pipeline.dl1 import inputs
from cherenkov_pipeline.dl1.inputs import classify, find_inputs, inputs_of
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.fingerprints import fingerprint_file


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.touch, ()


def test_folder_file_and_pattern(simtel):
    folder = find_inputs(simtel)

    assert [item.path for item in folder] == sorted(str(path) for path in simtel.iterdir())
    assert {item.kind for item in folder} == {"simtel"}
    assert find_inputs(folder[0].path) == folder[:1]
    assert find_inputs(f"{simtel}/*.simtel.zst") == [item for item in folder if item.path.endswith("zst")]
    assert find_inputs(f"{simtel.parent}/**/*9ev*") == [item for item in folder if "9ev" in item.path]
    for item in folder[-2:]:
        assert (item.fingerprint, item.size) == (fingerprint_file(item.path), (simtel / item.path).stat().st_size)


def test_content_decides_not_the_name(raw, tmp_path, converted):
    shutil.copy(raw["sst1m"], tmp_path / "notes.txt")
    (tmp_path / "plain").write_bytes(gzip.decompress((raw["sst1m"]).read_bytes()))
    shutil.copy(converted.paths[0], tmp_path / "shower.dat")

    assert [item.kind for item in find_inputs(tmp_path)] == ["simtel", "simtel", "dl1"]


def test_other_files_of_a_folder_are_passed_over(raw, tmp_path, caplog):
    shutil.copy(raw["sst1m"], tmp_path)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "readme.md").write_text("notes")
    (tmp_path / ".part-1-x.simtel").write_text("unfinished")

    assert len(find_inputs(tmp_path)) == 1
    assert "readme.md" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.simtel", None, "does not exist"),
        ("*.simtel", None, "No file matches"),
        ("**.simtel", None, "is no pattern"),
        ("text.simtel", b"no showers here, only words", "neither simtel nor DL1"),
        ("empty.simtel", b"", "is empty"),
        ("cut.simtel.gz", gzip.compress(b"\x37\x8a\x1f\xd4" * 100, mtime=0)[:11], "cannot be decompressed"),
        ("text.simtel.gz", gzip.compress(b"words", mtime=0), "neither simtel nor DL1"),
        ("broken.h5", b"\x89HDF\r\n\x1a\n and then nothing", "damaged HDF5"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(UserError, match=message) as caught:
        find_inputs(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_home_of_nobody():
    with pytest.raises(UserError, match=r"~nobody-of-that-name/runs: .*Correct raw_path"):
        find_inputs("~nobody-of-that-name/runs")


def test_empty_folder(tmp_path):
    with pytest.raises(UserError, match="is empty: set raw_path"):
        find_inputs(tmp_path)
    (tmp_path / "readme.md").write_text("notes")
    with pytest.raises(UserError, match=r"holds only readme\.md"):
        find_inputs(tmp_path)


def test_damaged_simtel_in_a_folder_is_not_passed_over(raw, tmp_path):
    shutil.copy(raw["sst1m"], tmp_path)
    (tmp_path / "run2.simtel.gz").write_text("an error page of the download server")

    with pytest.raises(UserError, match=r"run2\.simtel\.gz is neither simtel"):
        find_inputs(tmp_path)


def test_copies_are_refused(raw, tmp_path):
    shutil.copy(raw["sst1m"], tmp_path / "a.simtel.gz")
    shutil.copy(raw["sst1m"], tmp_path / "b.simtel.gz")

    with pytest.raises(UserError, match="same content"):
        find_inputs(tmp_path)


def test_hdf5_of_another_kind(tmp_path, converted):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    old, without = tmp_path / "old.h5", tmp_path / "without.h5"
    for copy in (old, without):
        shutil.copy(converted.paths[0], copy)
    with tables.open_file(str(old), "a") as file:
        file.root._v_attrs["CTA PRODUCT DATA MODEL VERSION"] = "v3.0.0"
    with tables.open_file(str(without), "a") as file:
        file.remove_node("/dl1/event/telescope/images", recursive=True)
        file.remove_node("/dl1/event/telescope/parameters", recursive=True)

    for name, message in (("other", "not in ctapipe's data model"), ("old", r"v3\.0\.0"), ("without", "no DL1 images")):
        with pytest.raises(UserError, match=message):
            classify(tmp_path / f"{name}.h5")


@pytest.mark.parametrize("name", ["TITLE", "FILTERS", "CTA PRODUCT DATA MODEL VERSION", "CTA PRODUCT DATA LEVELS"])
def test_nothing_is_unpickled_to_tell_what_a_file_is(tmp_path, name):
    """PyTables takes such attributes for pickled objects."""
    marker = tmp_path / "executed"
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file.attrs["CLASS"], file.attrs["PYTABLES_FORMAT_VERSION"] = np.bytes_("GROUP"), np.bytes_("2.1")
        file.attrs[name] = np.bytes_(pickle.dumps(Touch(marker), protocol=0))
    with pytest.raises(UserError, match="not in ctapipe's data model"):
        classify(tmp_path / "foreign.h5")
    assert not marker.exists()


@pytest.mark.parametrize("node", ["dl1", "dl1/event/subarray/trigger", "dl1/event/telescope/images"])
def test_nodes_of_another_kind_hold_no_events(tmp_path, node):
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file.attrs["CTA PRODUCT DATA MODEL VERSION"] = "v7.0.0"
        file[node] = 1
    with pytest.raises(UserError, match="no DL1 images"):
        classify(tmp_path / "odd.h5")


def test_dl1_without_events_is_an_input(tmp_path, records, caplog):
    for name in ("empty", "sst1m"):
        shutil.copy(records[name]["path"], tmp_path / f"{name}.h5")

    assert [item.kind for item in find_inputs(tmp_path)] == ["dl1", "dl1"]
    assert not caplog.text


def test_damaged_dl1_in_a_folder_is_not_passed_over(tmp_path, records, caplog):
    shutil.copy(records["sst1m"]["path"], tmp_path / "good.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dl1/event/telescope/images/x/y"] = [1]
        file["dl1/event/subarray/trigger/x"] = [1]
    assert len(find_inputs(tmp_path)) == 1
    assert "other.h5" in caplog.text

    bad = tmp_path / "bad.h5"
    bad.write_bytes((tmp_path / "good.h5").read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"bad\.h5 is a damaged HDF5 file"):
        find_inputs(tmp_path)
    shutil.copy(tmp_path / "good.h5", bad)
    with tables.open_file(str(bad), "a") as file:
        file.remove_node("/dl1/event/telescope/images", recursive=True)
        file.remove_node("/dl1/event/telescope/parameters", recursive=True)
    with pytest.raises(UserError, match=r"bad\.h5 holds no DL1 images"):
        find_inputs(tmp_path)
    with tables.open_file(str(bad), "a") as file:
        file.root._v_attrs["CTA PRODUCT DATA MODEL VERSION"] = "v3.0.0"
    with pytest.raises(UserError, match=r"bad\.h5 has ctapipe's data model v3\.0\.0"):
        find_inputs(tmp_path)


def test_files_are_hashed_side_by_side(raw, tmp_path, monkeypatch):
    for name in ("sst1m", "flashcam"):
        shutil.copy(raw[name], tmp_path)
    both = threading.Barrier(2)

    def hash_together(path):
        both.wait(timeout=10)
        return fingerprint_file(path)

    monkeypatch.setattr(inputs, "fingerprint_file", hash_together)
    found = find_inputs(tmp_path)
    assert [item.fingerprint for item in found] == [fingerprint_file(item.path) for item in found]


def test_simulated_files_are_inputs(converted):
    items = inputs_of(converted)

    assert items[-1].kind == "dl1"
    assert [item.path for item in items] == [str(path) for path in converted.paths]
