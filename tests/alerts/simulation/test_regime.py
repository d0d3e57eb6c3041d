"""Is the task neither trivial nor arbitrary? Two numbers do not settle it, more of them do, and no one settles all."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

from cherenkov_pipeline.alerts.features import hand_features
from cherenkov_pipeline.alerts.images import FALSE_CAUSES
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_sample


@pytest.fixture(scope="module")
def sample():
    return simulate_sample(AlertSimulationParameters())


def _accuracy(features, table):
    real = np.asarray(table["true_is_real"])
    predicted = cross_val_predict(
        RandomForestClassifier(200, min_samples_leaf=2, random_state=0),
        features,
        real,
        groups=np.asarray(table["burst_id"]),
        cv=StratifiedGroupKFold(5, shuffle=True, random_state=0),
    )
    return np.mean(predicted == real)


def test_forests_reach_what_they_reach_in_the_talk_s_regime(sample):
    table = sample.table
    two = _accuracy(np.stack([table["snr_max"], table["snr_std"]], axis=1), table)
    many = _accuracy(hand_features(sample), table)
    assert two == pytest.approx(0.89, abs=0.04)
    assert many == pytest.approx(0.98, abs=0.015)


def test_shares_of_the_talk(sample):
    table, real = sample.table, np.asarray(sample.table["true_is_real"])
    assert real.mean() == pytest.approx(0.617, abs=0.01)
    assert 0.2 < (~sample.is_complete[real]).mean() < 0.35
    assert 0.75 < (~sample.is_complete[~real]).mean() < 0.97
    assert 8 < np.median(table["snr_max"][real]) < 15
    assert 0.002 < table["is_unclear"].mean() < 0.05
    for cause in FALSE_CAUSES:
        assert np.sum(table["cause"] == cause) > 25
