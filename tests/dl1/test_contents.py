from pathlib import Path

import pytest

from cherenkov_pipeline.dl1.contents import input_names, particle_name, production_of, with_events
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet


def test_particles_have_names():
    assert [particle_name(number) for number in (0, 101, 402, 777)] == ["gamma", "proton", "helium", "particle 777"]


@pytest.mark.parametrize("name", ["run_7.dl1.h5", "run_7.dl2.h5", "run_7.h5", "run_7"])
def test_production_has_the_same_name_in_every_file(name):
    assert production_of(Path("folder", name)) == "run_7"


def test_counts_are_closed(records):
    for record in records.values():
        assert record["n_images"] == sum(one["n_images"] for one in record["telescope_types"].values())
        assert sum(record["particles"].values()) == record["n_events"]


def test_array_is_told_apart(records):
    assert records["proton"]["array"] == records["gamma_diffuse"]["array"]
    assert len({records[name]["array"] for name in ("proton", "sst1m", "flashcam", "history")}) == 4


def test_files_without_events_are_left_out(converted, records):
    left = with_events(converted)

    assert len(left) == len(converted) - 1
    assert left.fingerprint == converted.fingerprint
    assert records["empty"]["path"] not in [record["path"] for record in left.records]


def test_only_a_file_without_events(records):
    with pytest.raises(UserError, match=r"No event with an image in gamma_merged\.simtel\.gz") as caught:
        with_events(FileSet("f00d", (records["empty"],)))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="in nothing"):
        with_events(FileSet("f00d"))


def test_names_of_inputs():
    assert input_names({"path": "/a/b.h5"}) == ["b.h5"]
    assert input_names({"path": "/a/b.h5", "inputs": [{"path": "/c/d.simtel"}]}) == ["d.simtel"]
