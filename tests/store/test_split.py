import numpy as np
import pytest
from astropy.table import Table
from pydantic import ValidationError

from cherenkov_pipeline.store.chunks import TRUTH
from cherenkov_pipeline.store.parameters import SplitParameters
from cherenkov_pipeline.store.split import run_ids, shower_ids, split_changes, split_codes


def events(n: int, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    return Table(
        {
            "obs_id": np.ones(n, dtype=np.int32),
            "event_id": np.arange(n),
            "tel_id": np.ones(n, dtype=np.int16),
            "true_shower_primary_id": np.zeros(n, dtype=int),
            "true_energy": rng.uniform(1, 100, n),
            "true_alt": rng.uniform(69, 71, n),
            "true_az": rng.uniform(179, 181, n),
            "true_h_first_int": rng.uniform(1e4, 3e4, n),
            "true_x_max": rng.uniform(200, 500, n),
        }
    )


def test_uses_telescopes_and_files_of_a_shower_share_its_id():
    table = events(50)
    again = table.copy()
    again["event_id"] += 1000  # the shower's second use
    again["tel_id"] = 2
    again["obs_id"] = 7
    np.testing.assert_array_equal(shower_ids(table, "a"), shower_ids(again, "b"))
    assert len(np.unique(shower_ids(table, "a"))) == 50


@pytest.mark.parametrize(
    "name", ["true_shower_primary_id", "true_energy", "true_alt", "true_az", "true_h_first_int", "true_x_max"]
)
def test_each_true_value_counts(name):
    table, other = events(20), events(20)
    other[name] = other[name] + 1
    assert not np.intersect1d(shower_ids(table, "a"), shower_ids(other, "a")).size


def test_equal_numbers_do_not_make_equal_showers():
    gammas, protons = events(20, seed=1), events(20, seed=2)
    assert not np.intersect1d(shower_ids(gammas, "a"), shower_ids(protons, "a")).size


def test_without_truth_the_event_number_of_the_file_counts():
    table = events(20)
    table["true_energy"] = np.nan
    showers = shower_ids(table, "a")
    other_telescope = table.copy()
    other_telescope["tel_id"] = 2
    np.testing.assert_array_equal(showers, shower_ids(other_telescope, "a"))
    assert len(np.unique(showers)) == 20
    assert not np.intersect1d(showers, shower_ids(table, "b")).size


def test_unset_true_values_are_equal_whatever_their_bits():
    table, other = events(5), events(5)
    table["true_x_max"], other["true_x_max"] = np.nan, -np.nan
    table["true_az"], other["true_az"] = 0.0, -0.0
    np.testing.assert_array_equal(shower_ids(table, "a"), shower_ids(other, "a"))


def test_units_and_precision_do_not_count():
    table = events(200)
    for name, unit in TRUTH.items():
        if name in table.colnames:
            table[name] = table[name].astype(np.float32).astype(float)
            table[name].unit = unit
    units = {"true_energy": "GeV", "true_alt": "rad", "true_az": "rad", "true_h_first_int": "km"}
    other = table.copy()
    for name, unit in units.items():
        other[name].convert_unit_to(unit)
    single = table.copy()
    for name in table.colnames:
        if name.startswith("true_") and table[name].dtype.kind == "f":
            single[name] = table[name].astype(np.float32)
    plain = Table({name: np.asarray(table[name]) for name in table.colnames})

    for same in (other, single, plain):
        np.testing.assert_array_equal(shower_ids(same, "a"), shower_ids(table, "a"))


def test_split_does_not_depend_on_order_or_company():
    showers = shower_ids(events(1000), "a")
    parameters = SplitParameters()
    codes = split_codes(showers, parameters)
    order = np.random.default_rng(0).permutation(1000)[:300]
    np.testing.assert_array_equal(split_codes(showers[order], parameters), codes[order])


@pytest.mark.parametrize(("train", "validation"), [(0.7, 0.1), (0.2, 0.3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_fractions(train, validation):
    parameters = SplitParameters(train=train, validation=validation, test=1 - train - validation)
    n = 20_000
    codes = split_codes(shower_ids(events(n), "a"), parameters)
    for code, fraction in enumerate((train, validation, 1 - train - validation)):
        # five standard deviations of a binomial; none at all where none was wanted
        assert abs(np.mean(codes == code) - fraction) <= 5 * np.sqrt(fraction * (1 - fraction) / n) + 1e-12


def test_another_seed_is_an_independent_split():
    showers = shower_ids(events(4000), "a")
    first, second = (split_codes(showers, SplitParameters(seed=seed)) == 0 for seed in (0, 1))
    assert np.mean(first & second) == pytest.approx(0.7**2, abs=0.04)


def test_runs_stay_together():
    table = events(2000)
    table["obs_id"] = np.arange(2000) // 20
    runs = run_ids(table)
    assert len(np.unique(runs)) == 100
    codes = split_codes(runs, SplitParameters(by="run"))
    assert all(len(np.unique(codes[runs == run])) == 1 for run in np.unique(runs))
    assert set(codes) == {0, 1, 2}


def test_fractions_must_sum_to_one():
    with pytest.raises(ValidationError, match="sum to 1"):
        SplitParameters(train=0.9)


def test_changes_of_a_split_are_told():
    learnt = SplitParameters().model_dump(mode="json")
    assert split_changes(learnt, dict(learnt)) == ""
    assert split_changes(learnt, learnt | {"seed": 3, "by": "run"}) == "by run instead of shower, seed 3 instead of 0"
    earlier = {name: value for name, value in learnt.items() if name != "by"}
    assert split_changes(earlier, learnt) == "by shower instead of None"
    assert split_changes(learnt, earlier) == "by None instead of shower"
