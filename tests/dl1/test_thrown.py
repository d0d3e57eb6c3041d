"""What was thrown, read from files of others."""

import astropy.units as u
import numpy as np
import pytest
import tables
from ctapipe.io import HDF5Merger
from tests.reconstruction.other_dl2 import write_other_dl2

from cherenkov_pipeline.dl1.thrown import count_thrown, read_thrown
from cherenkov_pipeline.errors import UserError


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("thrown")
    return {
        "gamma": write_other_dl2(folder / "gamma.h5", 0, 1, 3),
        "more": write_other_dl2(folder / "more.h5", 0, 2, 3),
        "proton": write_other_dl2(folder / "proton.h5", 101, 3, 3, {"max_viewcone_radius": 8 * u.deg}),
        "other": write_other_dl2(folder / "other.h5", 0, 4, 3, {"energy_range_max": 200 * u.TeV}),
        "low": write_other_dl2(folder / "low.h5", 0, 6, 3, {"min_alt": 50 * u.deg, "max_alt": 50 * u.deg}),
        "high": write_other_dl2(folder / "high.h5", 0, 7, 3, {"min_alt": 70 * u.deg, "max_alt": 70 * u.deg}),
        "unknown": write_other_dl2(folder / "unknown.h5", 0, 5, 3, {"n_showers": -1}),
    }


def test_runs_of_a_particle_are_summed_with_their_uses(paths):
    table = read_thrown([paths[name] for name in ("gamma", "more", "proton")])
    assert table["true_shower_primary_id"].tolist() == [0, 101]
    assert table["n_thrown"].tolist() == [2 * 1000 * 2, 1000 * 2]
    assert table["n_runs"].tolist() == [2, 1]
    np.testing.assert_array_equal(table["viewcone_max"].to_value("deg"), [0, 8])
    np.testing.assert_array_equal(table["energy_max"].to_value("TeV"), [100, 100])


def test_a_merged_file_says_the_same(paths, tmp_path):
    with HDF5Merger(tmp_path / "merged.h5", dl2_telescope=False) as merger:
        for name in ("gamma", "more", "proton"):
            merger(paths[name])
    separate = read_thrown([paths[name] for name in ("gamma", "more", "proton")])
    merged = read_thrown([tmp_path / "merged.h5"])
    for name in separate.colnames:
        np.testing.assert_array_equal(merged[name], separate[name])


def test_different_productions_are_refused(paths):
    with pytest.raises(UserError, match=r"primary 0 were thrown in different ways \(energy_max\)"):
        read_thrown([paths["gamma"], paths["other"]])
    with pytest.raises(UserError, match=r"\(altitude_min, altitude_max\)"):
        read_thrown([paths["low"], paths["high"]])


def test_altitudes_count_where_they_are_known(paths):
    assert np.isnan(read_thrown([paths["gamma"]])["altitude_min"]).all()
    assert read_thrown([paths["high"], paths["gamma"]])["altitude_max"].to_value("deg") == pytest.approx([70])


def test_what_was_thrown_in_different_ways_can_be_counted(paths):
    assert count_thrown([paths[name] for name in ("low", "high", "other", "proton")]) == {0: 6000, 101: 2000}


def test_missing_numbers_are_named(paths):
    with pytest.raises(UserError, match=r"unknown\.h5 does not say what was thrown \(n_thrown\)"):
        read_thrown([paths["unknown"]])


def test_file_without_configuration_is_refused(paths, tmp_path):
    path = write_other_dl2(tmp_path / "bare.h5", 0, 1, 3)
    with tables.open_file(path, "a") as file:
        file.remove_node("/configuration/simulation", recursive=True)
    with pytest.raises(UserError, match="does not say what was thrown"):
        read_thrown([path])
