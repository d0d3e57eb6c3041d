"""Weights that are learnt from simulated frames of other masks."""

import pytest

from cherenkov_pipeline.alerts.files import read_sub_images
from cherenkov_pipeline.alerts.networks.build import build_network
from cherenkov_pipeline.alerts.parameters import PretrainingParameters, preset
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.weights import HEAD, find_weights

QUICK = {"n_images": 60, "training": {"epochs": 1}}
SMALL = {"network": {"options": {"filters": [4, 4]}}, "preparation": {"size": 16}, "pretraining": QUICK}


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory):
    return Pretraining(AlertSimulationParameters(label_noise=0.5 - 1e-9), tmp_path_factory.mktemp("pretraining"))


@pytest.fixture(scope="module")
def weights(pretraining):
    return pretraining.weights(preset("cnn_transfer", **SMALL))


def test_frames_are_of_other_masks_and_have_no_wrong_labels(pretraining, weights):
    (path,) = pretraining.folder.glob("frames_*.h5")
    frames = read_sub_images(path).table
    assert len(frames) == QUICK["n_images"]
    assert set(frames["mask_pattern"]) <= set(PretrainingParameters().mask_patterns)
    assert (frames["is_real"] == frames["true_is_real"]).all()


def test_what_does_not_matter_makes_no_other_weights(pretraining, weights):
    written = weights.stat().st_mtime_ns
    others = {"training": {"epochs": 7}, "augmentation": {"mirror": False}}
    assert pretraining.weights(preset("cnn_transfer", **SMALL, **others)) == weights
    without_side_inputs = {**SMALL, "preparation": {"size": 16, "snr_max": False}}
    assert pretraining.weights(preset("cnn_transfer", **without_side_inputs)) == weights
    assert weights.stat().st_mtime_ns == written


def test_another_network_or_preparation_learns_its_own_from_the_same_frames(pretraining, weights):
    smaller = {**SMALL, "preparation": {"size": 8}}
    mask = preset("cnn_transfer_mask", **{**SMALL, "preparation": {"size": 16, "features": True}})
    found = {weights, pretraining.weights(preset("cnn_transfer", **smaller)), pretraining.weights(mask)}
    assert len(found) == 3
    assert len(list(pretraining.folder.glob("frames_*.h5"))) == 1
    network = build_network(mask.network, mask.preparation.shapes)
    learnt = find_weights("simulated", pretraining.weights(mask))
    learnt.apply(network)
    for layer in network.layers:
        assert not layer.weights or layer.name in {*HEAD, *learnt.layers}


def test_largest_size_bounds_what_is_learnt_from(pretraining, weights):
    larger = {**SMALL, "preparation": {"size": 24}, "pretraining": {**QUICK, "largest_size": 16}}
    assert pretraining.weights(preset("cnn_transfer", **larger)) == weights


def test_other_weights_need_no_simulation(tmp_path):
    assert Pretraining(AlertSimulationParameters(), tmp_path).weights(preset("cnn_scratch")) is None
    assert not list(tmp_path.iterdir())
