"""Shares with intervals."""

import numpy as np
import pytest
from astropy.stats import binom_conf_interval

from cherenkov_pipeline.performance.sample import share
from cherenkov_pipeline.performance.statistics import deviations


@pytest.mark.parametrize(("inside", "n"), [(0, 5), (5, 5), (1, 7), (30, 100)])
def test_interval_of_independent_events_is_wilsons(inside, n):
    """Five of five are no certainty."""
    found = share(np.arange(n) < inside, np.arange(n), deviations(0.95))
    expected = binom_conf_interval(inside, n, 0.95, interval="wilson")
    np.testing.assert_allclose(found, [inside / n, *expected], atol=1e-12)


@pytest.mark.parametrize("n_inside", [0, 3, 10])
def test_images_of_a_shower_tell_no_more_than_one(n_inside):
    inside, showers = np.arange(10) < n_inside, np.arange(10)
    one = share(inside, showers, deviations(0.95))
    np.testing.assert_allclose(share(np.repeat(inside, 4), np.repeat(showers, 4), deviations(0.95)), one)


def test_share_of_nothing_is_not_known():
    assert np.isnan(share(np.array([], dtype=bool), np.array([], dtype=int), 1.0)).all()
