"""Nodes of the training."""

import inspect

import pytest
from pydantic import TypeAdapter

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.pipelines.search.nodes import search_of
from cherenkov_pipeline.pipelines.training.nodes import training_of
from cherenkov_pipeline.training.ensemble_parameters import EnsembleParameters
from cherenkov_pipeline.training.parameters import TrainingParameters


@pytest.fixture
def completed(monkeypatch):
    """Train in name only, with an input as it is written in a file; gives the input that the training got."""
    monkeypatch.setattr("cherenkov_pipeline.store.store_for", lambda mode, stores: stores)
    monkeypatch.setattr("cherenkov_pipeline.training.task.train_task", lambda *arguments, run: arguments[3])

    def train(model, written):
        node = training_of("energy")
        given = TypeAdapter(inspect.signature(node).parameters["inputs"].annotation).validate_python(written)
        return node(None, ModelParameters(name=model), given, TrainingParameters(), EnsembleParameters(), None, None)

    return train


def test_an_input_is_judged_when_the_model_has_completed_it(completed):
    assert completed("set_network", None).brightest == 64
    stereo = completed("stereo_set_network", {"min_telescopes": 2})
    assert (stereo.mode, stereo.min_telescopes, stereo.brightest) == ("stereo", 2, 64)
    assert completed("set_network", {"channels": [], "mapping": None}).brightest == 64
    with pytest.raises(
        UserError, match=r"^The input of energy does not go with set_network: min_telescopes has no .*$"
    ):
        completed("set_network", {"min_telescopes": 2})


def test_a_search_takes_the_same_input_as_a_training():
    searched, trained = (
        inspect.signature(node).parameters["inputs"].annotation
        for node in (search_of("energy", "energy"), training_of("energy"))
    )
    assert searched == trained
