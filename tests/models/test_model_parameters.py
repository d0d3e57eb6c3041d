import pytest
from pydantic import ValidationError

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import HeadParameters, ModelParameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY, resolve


def test_defaults_are_filled_in():
    model = ModelParameters()
    assert model.name == "single_tel"
    assert model.options["filters"] == [32, 32, 64, 128]
    assert model.head.options == {"units": [128], "dropout": 0.0, "batch_normalization": False, "l2": 0.0}


def test_models_have_their_own_heads():
    assert ModelParameters(name="cnn_rnn").head.options["units"] == [1024, 512]
    changed = ModelParameters(name="cnn_rnn", head={"options": {"dropout": 0.2}}).head.options
    assert (changed["units"], changed["dropout"]) == ([1024, 512], 0.2)
    own = ModelParameters(name="cnn_rnn", head={"name": "dense", "options": {"units": [7]}}).head.options
    assert (own["units"], own["dropout"]) == ([7], 0.0)


def test_parameters_survive_json():
    model = ModelParameters(options={"filters": [4]}, head=HeadParameters(options={"dropout": 0.5}))
    assert ModelParameters.model_validate_json(model.model_dump_json()) == model


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "single_tell"},
        {"options": {"filter": [4]}},
        {"options": {"filters": []}},
        {"head": {"options": {"dropout": 1.0}}},
        {"head": {"name": "denser"}},
        {"heads": {}},
        {"pretrained": {}},
        {"pretrained": {"path": "model.keras", "prefixes": []}},
        {"name": "resnet", "options": {"filters": [8, 16]}},
        {"name": "hex_resnet", "options": {"attention": "triple"}},
    ],
)
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        ModelParameters(**wrong)


@pytest.mark.parametrize("entry", [*REGISTRY.items(), *HEADS.items()], ids=lambda entry: entry[0])
def test_entries_take_their_own_options(entry):
    name, registered = entry
    entries = REGISTRY if name in REGISTRY else HEADS
    assert callable(resolve(name, entries, registered.options().model_dump()))


def test_own_backbone_is_imported():
    assert resolve("os.path:join", REGISTRY, {}).__name__ == "join"


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("no_such_package:function", {}, "install"),
        ("os.path:no_such_function", {}, "correct the name"),
        ("os.path:basename", {"width": 3}, "width"),
    ],
)
def test_unusable_backbone_says_why(path, options, message):
    with pytest.raises(UserError, match=message):
        resolve(path, REGISTRY, options)
