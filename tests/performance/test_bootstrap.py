import numpy as np
import pytest
from astropy.table import Table

from cherenkov_pipeline.performance import bootstrap, statistics
from cherenkov_pipeline.performance.bootstrap import resampled_rows, shower_labels
from cherenkov_pipeline.performance.metrics import Metric, Share, estimate

MEAN = Metric("mean", "Mean", ("x",), statistics.mean)


def test_clusters_are_drawn_whole():
    clusters = np.array([5, 2, 5, 9, 2, 5])
    for rows in np.concatenate(list(resampled_rows(clusters, 50, np.random.default_rng(0)))):
        used = rows[rows >= 0]
        drawn, counts = np.unique(used, return_counts=True)
        times = dict(zip(drawn, counts, strict=True))
        for label in np.unique(clusters):
            assert len({times.get(row, 0) for row in np.flatnonzero(clusters == label)}) == 1
        assert sum(times[row] for row in times if row in (1, 0, 3)) == 3  # one row of each cluster: three draws


def test_batches_do_not_change_what_is_drawn(monkeypatch):
    clusters = np.arange(40)
    whole = np.concatenate(list(resampled_rows(clusters, 30, np.random.default_rng(3))))
    monkeypatch.setattr(bootstrap, "BATCH_ROWS", 200)
    batches = list(resampled_rows(clusters, 30, np.random.default_rng(3)))
    assert len(batches) == 6
    np.testing.assert_array_equal(np.concatenate(batches), whole)


def test_interval_holds_the_truth_as_often_as_it_says(parameters):
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(200):
        x = rng.exponential(1, 60)
        found = estimate({"x": x}, [MEAN], np.arange(60), parameters, rng)["mean"]
        inside += found.low <= 1 <= found.high
    assert 0.88 <= inside / 200 <= 0.98


def test_images_of_one_shower_do_not_count_twice(parameters):
    rng = np.random.default_rng(5)
    x = rng.normal(size=400)
    single = estimate({"x": x}, [MEAN], np.arange(400), parameters, rng)["mean"]
    twice = np.repeat(x, 2)
    clustered = estimate({"x": twice}, [MEAN], np.repeat(np.arange(400), 2), parameters, rng)["mean"]
    naive = estimate({"x": twice}, [MEAN], np.arange(800), parameters, rng)["mean"]
    width = single.high - single.low
    assert clustered.high - clustered.low == pytest.approx(width, rel=0.2)
    assert naive.high - naive.low < 0.85 * width


def test_infinite_replicas_count(parameters):
    """Few events of the background are kept: many resamples keep none, and their rejection is infinite."""
    rng = np.random.default_rng(8)
    kept = np.append(np.ones(3), np.zeros(97))
    rejection = Metric("rejection", "Rejection", ("x",), lambda x: 1 / np.nanmean(x, axis=-1))
    with np.errstate(divide="ignore"):
        found = estimate({"x": kept}, [rejection], np.arange(100), parameters, rng)["rejection"]
    assert found.low < found.value < found.high == np.inf
    mean = estimate({"x": kept}, [MEAN], np.arange(100), parameters, np.random.default_rng(8))["mean"]
    assert mean.low == 0  # 5 % of the resamples keep none
    assert np.isfinite([mean.low, mean.high]).all()


def test_same_seed_same_interval(parameters):
    x = np.random.default_rng(6).normal(size=50)
    first, second = (estimate({"x": x}, [MEAN], np.arange(50), parameters, np.random.default_rng(7)) for _ in range(2))
    assert first == second


def test_one_shower_has_no_interval(parameters):
    found = estimate({"x": np.ones(3)}, [MEAN], np.zeros(3), parameters, np.random.default_rng(0))["mean"]
    assert found.value == 1
    assert np.isnan(found.low)
    assert found.n == 3


@pytest.mark.parametrize(("held", "bound"), [(0.0, "high"), (1.0, "low")])
def test_a_share_of_none_or_all_is_known_as_well_as_clusters_tell(parameters, held, bound):
    # a true share at the bound shows as this one, in as many clusters, in half of (1 - confidence)
    share = Share("share", "Share", ("x",), statistics.mean)
    columns = {"x": np.append(np.full(120, held), np.full(20, np.nan))}
    clusters = np.append(np.repeat(np.arange(60), 2), np.arange(60, 80))
    found = estimate(columns, [share], clusters, parameters, np.random.default_rng(0))["share"]
    limit = getattr(found, bound)
    assert found.value == held
    assert abs(limit - held) == pytest.approx(1 - ((1 - parameters.confidence) / 2) ** (1 / 60))
    assert {found.low, found.high} == {held, limit}
    assert found.n == 120


def test_other_shares_have_the_bounds_of_the_resamples(parameters):
    x = {"x": (np.random.default_rng(1).random(200) < 0.1).astype(float)}
    one, other = (
        estimate(x, [metric], np.arange(200), parameters, np.random.default_rng(0))["mean"]
        for metric in (MEAN, Share("mean", "Mean", ("x",), statistics.mean))
    )
    assert one == other


def test_production_belongs_to_the_key_of_a_shower():
    table = Table({"production": ["a", "a", "b", "a"], "obs_id": [1, 1, 1, 1], "event_id": [7, 8, 7, 7]})
    first, second, third, fourth = shower_labels(table)
    assert first == fourth
    assert len({first, second, third}) == 3


def test_a_shower_is_one_in_whatever_file_it_is_used():
    table = Table({"production": ["a", "a", "b", "a"], "obs_id": [1, 1, 2, 1], "event_id": [7, 8, 7, 9]})
    table["shower"] = [3, 3, 3, 4]
    first, second, third, fourth = shower_labels(table)
    assert first == second == third
    assert fourth != first
