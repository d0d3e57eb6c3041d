"""Hooks: what is checked before a run, what is recorded of it."""

from types import SimpleNamespace

import pytest

from cherenkov_pipeline.config import Parameters, quantity
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.hooks import EnvironmentCheck, KerasBackend, unknown_parameters
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
