"""The forests that simulations are compared by."""

import numpy as np
import pytest
from benchmarks._forest import fit
from tests.training.toy_forest import toy_images

from cherenkov_pipeline.models.options import ForestParameters

FEW_TREES = ForestParameters(n_trees_regression=30, n_trees_classification=30)


@pytest.fixture(scope="module")
def training():
    return toy_images(3000)


@pytest.fixture(scope="module")
def forests(training):
    return fit(training, FEW_TREES, seed=1)


def test_what_is_in_the_images_is_recovered(forests):
    test = toy_images(800, seed=2)
    predictions = forests.predict(test)
    gammas = test["true_shower_primary_id"] == 0
    error = np.log10(predictions["reco_energy"] / predictions["true_energy"]).value
    assert np.std(error[gammas]) < 0.08
    right = predictions["right_sign"]
    separation = predictions["separation"].to_value("deg")
    assert np.mean(right[gammas]) > 0.97
    assert np.quantile(separation[gammas & right], 0.68) < 0.1
    assert separation[gammas & ~right].min(initial=np.inf) > 0.3
    assert np.mean((predictions["gammaness"] > 0.5) == gammas) > 0.95
    assert predictions["is_valid"].all()


def test_images_without_parameters_are_invalid_and_teach_nothing(training, forests):
    few, test = training[:600], toy_images(20, seed=4)
    test["hillas_width"][3] = np.nan
    test["hillas_psi"][5] = np.nan
    predictions = forests.predict(test)
    np.testing.assert_array_equal(np.flatnonzero(~predictions["is_valid"]), [3, 5])
    assert np.isnan(predictions["separation"][[3, 5]]).all()
    assert not predictions["right_sign"][[3, 5]].any()
    broken = few.copy()
    broken["hillas_length"][:200] = np.nan
    expected, found = (fit(table, FEW_TREES, seed=1).predict(test[6:]) for table in (few[200:], broken))
    np.testing.assert_allclose(found["reco_energy"].value, expected["reco_energy"].value)


def test_forests_without_timing_do_not_see_it(training):
    forests = fit(training[:600], FEW_TREES.model_copy(update={"timing": False}), seed=1)
    test = toy_images(50, seed=3)
    expected = forests.predict(test)
    test["timing_slope"] = np.nan
    np.testing.assert_allclose(forests.predict(test)["gammaness"], expected["gammaness"])
