"""Parameters of the tasks: what all share, and what one alone has."""

from pathlib import Path

import pytest

from cherenkov_pipeline.config_loader import TaskConfigLoader, fill_in_defaults
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.settings import CONFIG_LOADER_ARGS
from cherenkov_pipeline.tasks import TASKS
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters

PROJECT = Path(__file__).parents[1]

DEFAULTS = {"model": {"name": "a", "options": {"x": 1}}, "training": {"epochs": 3, "schedule": {"name": "plateau"}}}


@pytest.fixture
def conf(tmp_path):
    def write(**files: str):
        for name, text in files.items():
            environment, _, stem = name.partition("__")
            folder = tmp_path / environment
            folder.mkdir(exist_ok=True)
            (folder / f"parameters_{stem}.yml").write_text(text)

        def load(**params) -> dict:
            arguments = {name: value for name, value in CONFIG_LOADER_ARGS.items() if name != "custom_resolvers"}
            return TaskConfigLoader(str(tmp_path), env="local", runtime_params=params, **arguments)["parameters"]

        return load

    return write


def test_every_task_has_the_defaults_and_keeps_its_own():
    filled = fill_in_defaults({"task_defaults": DEFAULTS, "energy": {"training": {"epochs": 9}}, "other": 1})
    assert set(filled) == {*TASKS, "joint", "other"}
    assert filled["type"] == DEFAULTS
    assert filled["energy"]["training"] == {"epochs": 9, "schedule": {"name": "plateau"}}
    assert filled["energy"]["model"] == DEFAULTS["model"]


def test_parameters_without_defaults_are_left_alone():
    assert fill_in_defaults({"energy": {"a": 1}}) == {"energy": {"a": 1}}


def test_environment_and_command_line_change_one_task_or_all(conf):
    load = conf(
        base__training="task_defaults: {training: {epochs: 30, seed: 0, batch_size: 64}}\nenergy: {}\n",
        local__training="task_defaults: {training: {epochs: 12}}\ntype: {training: {batch_size: 32}}\n",
    )
    parameters = load()
    assert parameters["energy"]["training"] == {"epochs": 12, "seed": 0, "batch_size": 64}
    assert parameters["type"]["training"]["batch_size"] == 32
    assert "task_defaults" not in parameters
    parameters = load(energy={"training": {"epochs": 3}}, task_defaults={"training": {"seed": 7}})
    assert parameters["energy"]["training"] == {"epochs": 3, "seed": 7, "batch_size": 64}
    assert parameters["core"]["training"] == {"epochs": 12, "seed": 7, "batch_size": 64}


@pytest.mark.parametrize("name", ["energy", "joint", "task_defaults"])
def test_a_value_in_place_of_a_block_is_refused(name):
    with pytest.raises(UserError, match=f"{name} is a block, not 3: .*{name}.training.epochs=3"):
        fill_in_defaults({"task_defaults": DEFAULTS} | {name: 3})


@pytest.mark.parametrize("schedule", ["plateau", "constant", "cosine"])
def test_another_schedule_for_all_tasks_is_one_parameter(schedule):
    chosen = {"task_defaults": {"training": {"schedule": {"name": schedule}}}}
    loader = TaskConfigLoader(str(PROJECT / "conf"), env="local", runtime_params=chosen, **CONFIG_LOADER_ARGS)
    assert TrainingParameters.model_validate(loader["parameters"]["energy"]["training"]).schedule.name == schedule


def test_the_shipped_network_of_the_core_is_told_how_the_image_lies():
    """What else it reads is the same for a turned image, and the core is not."""
    parameters = TaskConfigLoader(str(PROJECT / "conf"), env="local", **CONFIG_LOADER_ARGS)["parameters"]["core"]
    model = ModelParameters.model_validate(parameters["model"])
    told = input_parameters(model, parameters["input"]).parameters
    assert told == (*input_parameters(model).parameters, "hillas_fov_lon", "hillas_fov_lat", "hillas_psi")
