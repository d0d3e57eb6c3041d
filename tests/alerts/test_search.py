"""The best configuration of a network for sub-images. How trials are kept: tests/training/test_search.py."""

import json

import numpy as np
import pytest
import yaml
from pydantic import ValidationError
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.parameters import preset
from cherenkov_pipeline.alerts.search import configure, search_method
from cherenkov_pipeline.alerts.search_parameters import AlertSearchParameters
from cherenkov_pipeline.config import merge
from cherenkov_pipeline.errors import UserError

IMAGES = toy_images(48)
SPLITS = np.array(["train"] * 24 + ["validation"] * 12 + ["test"] * 12)
RATE, FILTERS = "training.optimizer.learning_rate", "network.options.filters"
SPACE = {RATE: {"values": [1e-6, 1e-2]}, FILTERS: {"values": [[4], [6, 8]]}}
TINY = {"preparation": {"size": 16}, "training": {"epochs": 3, "deterministic": True}}


def search(**options) -> AlertSearchParameters:
    return AlertSearchParameters(**{"of": "mine", "method": "grid", "n_trials": None, "space": SPACE} | options)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("search"), []
    method = preset("cnn_scratch", **TINY)
    result = search_method(IMAGES, SPLITS, method, search(), folder, on_trial=told.append)
    return result, folder, method, told


def test_what_learns_is_found(found):
    result, _, method, told = found
    assert len(told) == len(result.trials) == 4
    assert set(result.trials["state"]) == {"finished"}
    best = result.trials[int(np.argmin(result.trials["objective"]))]
    assert best[RATE] == result.best.training.optimizer.learning_rate == 1e-2
    assert result.best == configure(method, {RATE: best[RATE], FILTERS: json.loads(best[FILTERS])})


def test_the_file_changes_a_method_to_the_best_one(found):
    result, _, _, _ = found
    written = yaml.safe_load(result.best_yaml)["grb_alerts"]["methods"]["mine"]
    # as the configuration is merged over what the project says of the method
    mine = merge({"preset": "cnn_scratch", **TINY}, written)
    assert preset(mine.pop("preset"), **mine) == result.best


def test_nothing_is_trained_twice_and_test_images_do_not_count(found):
    result, folder, method, _ = found
    told = []
    splits = np.where(np.arange(48) < 36, SPLITS, "test")
    other = toy_images(48, seed=9)
    images = type(IMAGES)(
        np.where((splits == "test")[:, np.newaxis, np.newaxis], other.snr, IMAGES.snr), IMAGES.codes, IMAGES.table
    )
    again = search_method(images, splits, method, search(), folder, on_trial=told.append)
    assert told == []
    assert list(again.trials["objective"]) == list(result.trials["objective"])


def test_a_configuration_that_does_not_go_together_is_a_failed_trial(tmp_path):
    space = {"fine_tuning": {"values": ["head", "layer4"]}}
    with pytest.raises(UserError, match="No trial of the search has finished"):
        search_method(IMAGES, SPLITS, preset("cnn_scratch", **TINY), search(space=space), tmp_path)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"model.name": {"values": ["a"]}}, "begins with network"),
        ({"training.loss": {"values": ["crossentropy", "mse"]}}, "changes what val_loss means"),
    ],
)
def test_what_is_no_search_is_refused(space, message):
    with pytest.raises(ValidationError, match=message):
        search(space=space)
