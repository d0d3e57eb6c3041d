import pytest
from pydantic import ValidationError
from tests.alerts.project_parameters import project_parameters

from cherenkov_pipeline.alerts.parameters import PRESETS, MethodParameters, NetworkMethod, preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_one(name):
    assert preset(name).method in name or "talk" in name


@pytest.mark.parametrize(
    ("name", "epochs", "head", "layer4"),
    [("talk_1", 30, 1e-4, 1e-5), ("talk_2", 200, 1e-6, 1e-6), ("talk_3", 200, 1e-4, 1e-4)],
)
def test_final_models_are_those_of_the_talk(name, epochs, head, layer4):
    method = preset(name)
    training = method.training.for_trainer()
    assert (training.epochs, training.batch_size, training.optimizer.name) == (epochs, 16, "adam")
    assert training.optimizer.learning_rate == head
    assert method.training.factor * head == pytest.approx(layer4)
    assert training.schedule.name == "plateau"
    assert training.calibrate is False
    assert method.training.loss == "crossentropy"
    assert method.fine_tuning == "layer4"
    assert method.augmentation.when == "ahead"
    assert len(method.augmentation.orientations) == 8
    assert method.preparation.size == 224
    assert method.preparation.normalization == "local"
    assert method.preparation.scalars == ("snr_max", "snr_std")


def test_a_preset_is_changed_leaf_by_leaf():
    method = preset(
        "resnet18_transfer", training={"epochs": 3, "optimizer": {"learning_rate": 1e-2}}, weights="a.keras"
    )
    assert isinstance(method, NetworkMethod)
    assert method.training.epochs == 3
    assert method.training.optimizer.learning_rate == 1e-2
    assert method.training.optimizer.name == "adam"
    assert method.training.backbone_learning_rate == 1e-4
    assert method.weights == "a.keras"
    changed = preset("resnet18_transfer", training={"optimizer": {"name": "sgd", "momentum": 0.9}})
    assert changed.training.optimizer.learning_rate == 1e-3  # of the optimizer, not of the preset
    assert preset("cnn_scratch", network={"options": {"filters": [4]}}).network.options["kernel_size"] == 3


def test_blocks_that_are_named_in_part_keep_the_defaults_of_the_method():
    shorter = preset("resnet18_transfer", pretraining={"training": {"epochs": 2}}).pretraining.training
    assert shorter == preset("resnet18_transfer").pretraining.training.model_copy(update={"epochs": 2})
    assert preset("random_forest", forest={"max_depth": 10}).forest.n_trees_classification == 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "vgg"}, "preset must be one of cnn_scratch"),
        ({}, "Received: None"),
        ({"preset": "cnn_scratch", "fine_tuning": "layer4"}, "is for resnet18"),
        ({"preset": "resnet18_transfer", "weights": None}, "would freeze random weights"),
        ({"preset": "cnn_scratch", "training": {"backbone_learning_rate": 1e-5}}, "learnt elsewhere"),
        ({"preset": "cnn_scratch", "epochs": 3}, "epochs"),
        ({"preset": "random_forest", "features": ["colour"]}, "log_snr_max"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        MethodParameters.model_validate(changes)


def test_parameters_survive_being_written():
    method = MethodParameters(preset="talk_1")
    assert MethodParameters.model_validate(method.model_dump(mode="json")) == method


@pytest.mark.parametrize(
    ("name", "chosen", "message"),
    [
        ("my net", "cnn_scratch", "letters, digits"),
        ("../net", "cnn_scratch", "letters, digits"),
        ("ensemble", "cnn_scratch", "name of something else"),
        ("autoencoder", "cnn_scratch", "name of something else"),
    ],
)
def test_methods_have_names_that_files_can_have(name, chosen, message):
    methods = {**{one: {"preset": one} for one in ("cnn_scratch", "autoencoder")}, name: {"preset": chosen}}
    with pytest.raises(ValidationError, match=message):
        project_parameters("base", methods=methods)
