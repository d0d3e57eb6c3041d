import numpy as np
import pytest
from astropy.table import Table
from pydantic import ValidationError

from cherenkov_pipeline.alerts.splits import CrossValidationParameters, SplitParameters, cross_validation, groups, split
from cherenkov_pipeline.errors import UserError


def _table(n=540, seed=0):
    rng = np.random.default_rng(seed)
    is_real = rng.random(n) < 0.6
    burst = rng.integers(0, n // 2, size=n)
    is_real = is_real[burst]
    cause = np.where(
        is_real, np.where(burst % 3 == 0, "grb", "known_source"), np.where(burst % 9, "ghost", "earth_limb")
    )
    return Table(
        {
            "is_real": is_real,
            "cause": cause,
            "burst_id": [f"b{number}" for number in burst],
            "source_name": np.where(cause == "known_source", [f"source {number % 20}" for number in burst], ""),
        }
    )


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.3), (0.7, 0.15, 0.15)])
@pytest.mark.parametrize("by", ["burst", "source"])
def test_split_divides_no_group_and_shares_out_causes(fractions, by):
    table = _table()
    train, validation, test = fractions
    found = split(table, SplitParameters(train=train, validation=validation, test=test, by=by, seed=3))
    own = groups(table, by)
    for group in np.unique(own):
        assert len(set(found[own == group])) == 1
    for name, fraction in zip(("train", "validation", "test"), fractions, strict=True):
        assert np.mean(found == name) == pytest.approx(fraction, abs=0.03)
        for cause in ("grb", "ghost"):
            assert np.mean(found[table["cause"] == cause] == name) == pytest.approx(fraction, abs=0.12)


def test_split_depends_on_the_seed_alone():
    table = _table()
    same = [split(table, SplitParameters(seed=seed)) for seed in (0, 0, 1)]
    assert (same[0] == same[1]).all()
    assert (same[0] != same[2]).any()


def test_groups_by_source_join_bursts_of_one_source():
    table = Table({"burst_id": ["a", "a", "b", "", "c", ""], "source_name": ["Crab", "", "Crab", "", "", "Crab"]})
    by_burst = groups(table)
    assert by_burst[0] == by_burst[1]
    assert len(set(by_burst)) == 5
    by_source = groups(table, "source")
    assert by_source[0] == by_source[1] == by_source[2] == by_source[5]
    assert len(set(by_source)) == 3
    assert groups(table[["burst_id"]])[0] == groups(table[["burst_id"]])[1]
    assert len(set(groups(Table({"is_real": [True, False]})))) == 2


def test_cross_validation_tests_each_image_once_a_repeat():
    table = _table(200)
    parameters = CrossValidationParameters(folds=4, repeats=2)
    tested = np.zeros((2, len(table)), dtype=int)
    own = groups(table)
    for repeat, fold, splits in cross_validation(table, parameters):
        assert 0 <= fold < 4
        tested[repeat] += splits == "test"
        assert np.mean(splits == "validation") == pytest.approx(0.75 * 0.25, abs=0.04)
        for group in np.unique(own):
            assert len(set(splits[own == group])) == 1
    assert (tested == 1).all()


def test_fractions_that_no_folds_make_are_refused():
    with pytest.raises(ValidationError, match="sum to 1"):
        SplitParameters(train=0.5, validation=0.2, test=0.2)
    with pytest.raises(ValidationError, match=r"multiples of 0\.05"):
        SplitParameters(train=0.51, validation=0.19, test=0.3)


def test_too_few_groups_are_refused():
    table = _table(60)
    table["burst_id"] = np.where(table["is_real"], "one", table["burst_id"])
    with pytest.raises(UserError, match="1 independent true sources, but 10 parts"):
        split(table, SplitParameters())
