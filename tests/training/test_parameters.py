import sys

import pytest
from pydantic import ValidationError

from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.training.parameters import OptimizerParameters, TrainingParameters, input_parameters


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"optimizer": {"name": "adam", "momentum": 0.9}}, "momentum has no effect on adam"),
        ({"optimizer": {"name": "rmsprop", "momentum": 0.9, "nesterov": True}}, "nesterov has no effect on rmsprop"),
        ({"optimizer": {"name": "sgd", "nesterov": True}}, "nesterov has no effect without momentum"),
        ({"optimizer": {"clip_value": 1.0}}, "exclude each other"),
        ({"optimizer": {"name": "lion"}}, "adamw"),
        ({"schedule": {"name": "cosine", "patience": 3}}, "patience"),
        ({"schedule": {"name": "constant", "factor": 0.1}}, "factor"),
        ({"schedule": {"name": "staircase"}}, "constant, plateau, cosine, steps"),
        ({"schedule": {"name": "steps", "epochs": [5, 3]}}, "must rise"),
        ({"schedule": {"name": "steps", "epochs": [5, 30]}, "epochs": 30}, "has no effect in a training of 30"),
        ({"schedule": {"name": "cosine", "warmup_epochs": 3}, "epochs": 3}, "leaves none of 3"),
        ({"weights": {"classes": {"muon": 2}}}, "proton"),
        ({"weights": {"spectra": {"gamma": {"target": "CRAB"}}}}, "CRAB_HEGRA"),
        ({"weights": {"spectra": {"gamma": {"target": 2.6}}}}, "less than or equal to 0"),
        ({"fraction": 0}, "greater than 0"),
        ({"devices": 0}, "greater than 0"),
        ({"precision": "float64"}, "mixed_bfloat16"),
        ({"augmentation": {"flip": True}}, "flip"),
        ({"plateau": {"patience": 3}}, "plateau"),
    ],
)
def test_what_is_wrong_or_has_no_effect_is_refused(parameters, message):
    with pytest.raises(ValidationError, match=message):
        TrainingParameters(**parameters)


def test_parameters_come_back_from_plain_values():
    parameters = TrainingParameters(
        schedule={"name": "steps", "epochs": [3, 5.5]},
        weights={"classes": "balanced", "spectra": {"proton": {"target": "IRFDOC_PROTON_SPECTRUM"}}},
        optimizer={"name": "sgd", "momentum": 0.9, "nesterov": True},
        devices="all",
    )
    assert TrainingParameters.model_validate(parameters.model_dump(mode="json")) == parameters
    assert TrainingParameters(schedule={"patience": 2}).schedule.name == "plateau"


def test_only_adamw_decays_by_default():
    assert OptimizerParameters().decay == 1e-4
    assert OptimizerParameters(name="adam").decay is None
    assert OptimizerParameters(name="sgd", weight_decay=0.01).decay == 0.01
    assert OptimizerParameters(weight_decay=0).decay is None


def test_input_is_completed_with_what_the_model_needs():
    model = ModelParameters(name="single_tel")
    needed = input_parameters(model)
    assert needed == input_parameters(model, {}) == input_parameters(model, InputParameters())
    assert needed.mapping == "axial"
    assert input_parameters(model, {"mapping": None}).mapping is None  # a null that was written is taken
    changed = input_parameters(model, InputParameters(channels=("image",)))
    assert (changed.channels, changed.mapping) == (("image",), needed.mapping)
    assert input_parameters(ModelParameters(name="cnn_rnn")).mode == "stereo"
    assert input_parameters(ModelParameters(name="mine:backbone")) == InputParameters()
    with pytest.raises(ValidationError, match="colour"):
        input_parameters(model, {"colour": 1})


def test_parameters_are_light():
    """They are read before anything runs, Keras' backend may still be chosen."""
    import subprocess

    code = (
        "import sys; import cherenkov_pipeline.training, cherenkov_pipeline.training.search_parameters;"
        "print(*({'keras', 'tensorflow', 'jax', 'ctapipe', 'optuna', 'tables', 'numba', 'pyirf', 'matplotlib'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
