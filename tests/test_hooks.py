"""Hooks: what is checked before a run, what is recorded of it."""

from types import SimpleNamespace

import pytest
from kedro.io import DataCatalog, MemoryDataset, Version
from kedro.pipeline import Node, Pipeline

from cherenkov_pipeline.config import Parameters, quantity
from cherenkov_pipeline.datasets.event_store import EventStoreDataset
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.hooks import EnvironmentCheck, InputCheck, KerasBackend, unknown_parameters
from cherenkov_pipeline.tracking import flatten_parameters

USED = {"seed", "energy.training", "energy.model"}


@pytest.mark.parametrize(
    ("parameters", "unknown"),
    [
        ({"seed": 1, "energy": {"training": {"epochs": 2}, "model": {}}}, []),
        ({"sed": 1}, ["sed"]),
        ({"energy": {"trainning": {}}}, ["energy.trainning"]),
        ({"energy": 3}, ["energy"]),
    ],
)
def test_unknown_parameters_are_found_at_any_depth(parameters, unknown):
    assert list(unknown_parameters(parameters, USED)) == unknown


def test_unknown_environment_is_refused_with_the_known_ones(tmp_path):
    for name in ("base", "local", "cluster"):
        (tmp_path / name).mkdir()
    context = SimpleNamespace(config_loader=SimpleNamespace(conf_source=str(tmp_path)), env="clutser")
    with pytest.raises(UserError, match=r"'clutser'.*cluster, local"):
        EnvironmentCheck().after_context_created(context)


def test_parameters_are_flattened_with_units():
    class Beam(Parameters):
        width: quantity("deg") = "0.5 deg"
        name: str = "narrow"

    flat = flatten_parameters({"a": {"beam": Beam(width="0.25 deg"), "unused": 1}}, {"a.beam"})
    assert flat == {"a.beam.width": "0.25 deg", "a.beam.name": "narrow"}


def test_an_unknown_backend_is_told_before_anything_runs():
    context = SimpleNamespace(config_loader={"parameters": {"backend": "theano"}})
    with pytest.raises(UserError, match="no backend 'theano'"):
        KerasBackend().after_context_created(context)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        (None, "There is no event_store yet: kedro run --pipeline=data_processing makes it."),
        (Version("f00d", None), "There is no version f00d of event_store: see {folder}."),
    ],
)
def test_inputs_that_are_not_there_are_told_with_who_makes_them(tmp_path, monkeypatch, version, line):
    pipelines = {
        "data_processing": Pipeline([Node(lambda path: path, "params:raw_path", "event_store", name="build")]),
        "train": Pipeline([Node(lambda store: store, "event_store", "model", name="train")]),
    }
    monkeypatch.setattr("kedro.framework.project.pipelines", pipelines)
    folder = tmp_path / "event_store"
    catalog = DataCatalog({"event_store": EventStoreDataset(filepath=str(folder), version=version)})
    with pytest.raises(UserError) as told:
        InputCheck().before_pipeline_run(pipelines["train"], catalog)
    assert str(told.value) == line.format(folder=folder)


@pytest.mark.parametrize(("path", "line"), [("nowhere", "nowhere does not exist"), ("empty", "empty is empty: set")])
def test_raw_files_are_looked_for_before_the_run(tmp_path, path, line):
    (tmp_path / "empty").mkdir()
    catalog = DataCatalog({"params:raw_path": MemoryDataset(str(tmp_path / path))})
    pipeline = Pipeline([Node(lambda path: path, "params:raw_path", "files", name="list")])
    with pytest.raises(UserError, match=line):
        InputCheck().before_pipeline_run(pipeline, catalog)
