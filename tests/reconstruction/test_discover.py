"""Whose predictions a file holds."""

import pytest
import tables

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.reconstruction.discover import find_prefixes

WANTED = dict.fromkeys(("energy", "type", "skydirection"))


@pytest.fixture
def write(tmp_path):
    def write(**groups):
        path = tmp_path / "some.h5"
        with tables.open_file(path, "w") as file:
            for group, prefixes in groups.items():
                for prefix in prefixes:
                    file.create_group(f"/dl2/event/telescope/{group}", prefix, createparents=True)
        return path

    return write


def test_only_one_is_taken(write):
    path = write(energy=["CTLearn"], particle_type=["CTLearn"], geometry=["CTLearn"])
    assert find_prefixes(path, "telescope", WANTED) == dict.fromkeys(WANTED, "CTLearn")


def test_direction_on_the_sky_comes_before_others(write):
    geometry = ["m_cameradirection", "m_core", "m_skydirection"]
    path = write(energy=["m_energy"], particle_type=["m_type"], geometry=geometry)
    assert find_prefixes(path, "telescope", WANTED)["skydirection"] == "m_skydirection"
    wanted = WANTED | {"skydirection": "m_cameradirection"}
    assert find_prefixes(path, "telescope", wanted)["skydirection"] == "m_cameradirection"


@pytest.mark.parametrize(
    ("energy", "wanted", "message"),
    [
        (["a_energy", "b_energy"], None, "by a_energy, b_energy: name one"),
        ([], None, "no telescope predictions of energy: reconstruct"),
        (["a_energy"], "c_energy", "named c_energy: it has a_energy"),
    ],
)
def test_what_cannot_be_chosen_is_refused(write, energy, wanted, message):
    with pytest.raises(UserError, match=message):
        find_prefixes(write(energy=energy), "telescope", {"energy": wanted})


def test_level_without_predictions_is_refused(write):
    with pytest.raises(UserError, match="no subarray predictions of energy"):
        find_prefixes(write(energy=["CTLearn"]), "subarray", {"energy": None})


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(UserError, match="no HDF5 file"):
        find_prefixes(tmp_path / "text.h5", "telescope", WANTED)
