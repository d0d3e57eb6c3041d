from itertools import product

import numpy as np
import pytest
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.ensemble import EnsembleParameters
from cherenkov_pipeline.alerts.evaluation import cross_validation
from cherenkov_pipeline.alerts.evaluation.cross_validation import validate
from cherenkov_pipeline.alerts.parameters import preset
from cherenkov_pipeline.alerts.splits import CrossValidationParameters
from cherenkov_pipeline.errors import UserError

IMAGES, OTHERS = toy_images(160), toy_images(20, seed=5)
FOREST = {"forest": {"n_trees_classification": 20}}
METHODS = {
    "forest": preset("random_forest", **FOREST),
    "snr": preset("random_forest_snr", **FOREST),
    "unusual": preset("isolation_forest", forest={"n_trees": 20}, learn_from="all"),
}
ENSEMBLE = EnsembleParameters(
    members=("forest", "snr"),
    detectors=("unusual",),
    alpha_real=0.2,
    alpha_false=0.2,
    delta=0.2,
    largest_disagreement=1,
)
FOLDS = CrossValidationParameters(folds=4, repeats=2)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return validate(IMAGES, METHODS, ENSEMBLE, FOLDS, tmp_path_factory.mktemp("cv"), others={"held back": OTHERS})


def test_every_image_is_predicted_once_a_repeat(found):
    table = found.predictions
    assert len(table) == 2 * len(IMAGES)
    for repeat in (0, 1):
        assert sorted(table["row"][table["repeat"] == repeat]) == list(range(len(IMAGES)))
    np.testing.assert_array_equal(table["is_real"], np.asarray(IMAGES.table["is_real"])[table["row"]])
    assert {"logit_forest", "logit_snr", "logit_unusual", "probability_ensemble", "verdict"} <= set(table.colnames)
    right = (table["probability_ensemble"] > 0.5) == table["is_real"]
    assert right.mean() > 0.9


@pytest.mark.parametrize("by", ["burst", "source"])
def test_intervals_take_together_what_is_not_divided(by, tmp_path):
    images = toy_images(160)
    images.table["burst_id"] = [f"b{row}" for row in range(160)]
    images.table["source_name"] = [f"s{row // 4}" for row in range(160)]
    methods = {name: METHODS[name] for name in ("forest", "snr")}
    ensemble = ENSEMBLE.model_copy(update={"detectors": ()})
    folds = CrossValidationParameters(folds=2, by=by)
    table = validate(images, methods, ensemble, folds, tmp_path).predictions
    assert len(np.unique(table["group"])) == {"burst": 160, "source": 40}[by]


def test_verdicts_are_given_by_thresholds_of_other_folds(found):
    table = found.predictions
    assert set(table["verdict"]) <= {"real", "false", "unsure"}
    given = table[table["verdict"] != "unsure"]
    assert len(given) > 0.5 * len(table)
    assert np.mean((given["verdict"] == "real") == given["is_real"]) > 0.9
    assert (table["verdict"][table["anomaly_unusual"] > 1] == "unsure").all()


def spied(monkeypatch) -> list:
    """Give the list that gets the tables from which the thresholds of each fold are found."""
    seen, original = [], cross_validation._with_thresholds

    def spy(pooled, known):
        seen.append(known)
        return original(pooled, known)

    monkeypatch.setattr(cross_validation, "_with_thresholds", spy)
    return seen


def test_thresholds_of_a_fold_are_from_the_other_folds_of_its_repeat_alone(tmp_path, monkeypatch):
    seen = spied(monkeypatch)
    table = validate(IMAGES, METHODS, ENSEMBLE, CrossValidationParameters(folds=4, repeats=2), tmp_path).predictions
    for (repeat, fold), known in zip(product(range(2), range(4)), seen, strict=True):
        tested = table["row"][(table["repeat"] == repeat) & (table["fold"] == fold)]
        assert sorted([*known["row"], *tested]) == list(range(len(IMAGES)))


def test_images_for_the_thresholds_take_the_place_of_other_folds(tmp_path, monkeypatch):
    calibration, seen = toy_images(120, seed=8), spied(monkeypatch)
    folds = CrossValidationParameters(folds=2, repeats=1)
    table = validate(IMAGES, METHODS, ENSEMBLE, folds, tmp_path, calibration=calibration).predictions
    assert len(seen) == 2
    for known in seen:
        assert "logit_unusual" not in known.colnames, "no member"
        np.testing.assert_array_equal(known["is_real"], calibration.table["is_real"])
    assert sorted(table["row"]) == list(range(len(IMAGES)))
    assert np.mean(table["verdict"] != "unsure") > 0.5


def test_other_images_are_judged_by_the_models_of_every_fold(found):
    table = found.others["held back"]
    assert len(table) == 8 * len(OTHERS)
    assert np.mean((table["probability_ensemble"] > 0.5) == table["is_real"]) > 0.85


def test_member_that_is_not_trained_is_refused(tmp_path):
    with pytest.raises(UserError, match="wants nobody, but the methods are forest"):
        validate(IMAGES, METHODS, EnsembleParameters(members=("nobody",)), FOLDS, tmp_path)
