"""A model meets only files that were cleaned like its training data."""

import logging
from types import SimpleNamespace

import pytest
import tables

from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.settings import make_settings, write_settings
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.models.card import Camera, Cost, Data, ModelCard, Validity, now
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.pipelines.reconstruction.nodes import list_inputs
from cherenkov_pipeline.reconstruction.validity import check_dl1_settings


def settings(**parameters):
    return make_settings(DL1Parameters(**parameters), calibrated=True)


@pytest.fixture
def card():
    return ModelCard(
        name="single_tel",
        task="energy",
        model=ModelParameters(),
        inputs={},
        camera=Camera(telescope_type="TOY_ToyCam", name="ToyCam", n_pixels=10, fingerprint="f00d"),
        data=Data(fingerprint="abc", n_train=10, n_validation=2, split={"train": 0.7}),
        validity=Validity(particles=("gamma",), energy=(1, 100), zenith=None),
        dl1_settings=settings(),
        training={},
        metrics={},
        cost=Cost(parameters=1, layers=1, gflops=0),
        versions={},
        created=now(),
    )


@pytest.fixture
def file(tmp_path):
    """Make a file with these settings."""

    def make(settings):
        path = tmp_path / "gamma.dl1.h5"
        with tables.open_file(path, "w"):
            pass
        write_settings(path, settings)
        return path

    return make


def test_equal_settings_pass_silently(card, file, caplog):
    with caplog.at_level(logging.WARNING):
        check_dl1_settings(card, file(settings()))
    assert not caplog.records


def test_other_cleaning_is_refused(card, file):
    path = file(settings(cleaning={"picture_threshold_pe": 9}))
    with pytest.raises(UserError, match=r"gamma.*cleaning\.picture_threshold_pe 9.0 instead of 8.0") as caught:
        check_dl1_settings(card, path)
    assert "\n" not in str(caught.value)


def test_other_focal_length_is_refused(card, file):
    with pytest.raises(UserError, match="focal_length_choice EFFECTIVE instead of EQUIVALENT"):
        check_dl1_settings(card, file(settings(focal_length_choice="EFFECTIVE")))


def test_simtel_files_are_not_converted_otherwise(card, test_data):
    loaded = []
    model, path = SimpleNamespace(card=card, load=lambda: loaded.append(True)), str(test_data / "simtel")
    assert len(list_inputs(path, FileSet("dl1"), DL1Parameters(), {}, model)) == len(find_inputs(path))
    assert loaded  # a network that cannot be built is told before the conversion
    other = DL1Parameters(cleaning={"picture_threshold_pe": 9})
    with pytest.raises(UserError, match=r"single_tel \(cleaning\.picture_threshold_pe 9.0 instead of 8.0\)"):
        list_inputs(path, FileSet("dl1"), other, {}, model)
    unknown = SimpleNamespace(card=card.model_copy(update={"dl1_settings": None}), load=model.load)
    assert list_inputs(path, FileSet("dl1"), other, {}, unknown)


@pytest.mark.parametrize("silent", ["file", "card"])
def test_unknown_settings_are_warned_of(card, file, silent, caplog):
    path = file(None if silent == "file" else settings(cleaning={"picture_threshold_pe": 9}))
    if silent == "card":
        card = card.model_copy(update={"dl1_settings": None})
    with caplog.at_level(logging.WARNING):
        check_dl1_settings(card, path)
    (record,) = caplog.records
    assert ("gamma.dl1.h5 does not tell" if silent == "file" else "card does not tell") in record.getMessage()


def test_card_keeps_them(card):
    assert ModelCard.model_validate_json(card.model_dump_json()) == card
    # cards of older models, without them, are read
    older = card.model_dump(mode="json", exclude={"dl1_settings"})
    assert ModelCard.model_validate(older).dl1_settings is None
