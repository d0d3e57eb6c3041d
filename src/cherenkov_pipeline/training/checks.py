"""What cannot be trained: said in one line before the work starts.

All functions here raise `~cherenkov_pipeline.errors.UserError`.
"""

import json
from typing import Any

import numpy as np

from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.card import card_path
from cherenkov_pipeline.models.on_disk import model_path, read_card
from cherenkov_pipeline.models.parameters import HeadParameters, ModelParameters, PretrainedParameters
from cherenkov_pipeline.models.registry import HEADS, REGISTRY
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.store.split import split_changes
from cherenkov_pipeline.tasks import Task
from cherenkov_pipeline.training.parameters import TrainingParameters

OF_TREES = ("seed", "weights", "calibrate")
"""Training parameters that count where trees are grown."""

OF_IMAGES = ("mapping", "size", "map_in")
"""Fields of the input that say how channels become images."""


def check_types(store: JoinedStores, task: Task, model: ModelParameters, inputs: InputParameters) -> None:
    """Refuse what is for one telescope type."""
    if inputs.mode != "stereo":
        raise UserError(
            f"The event stores hold {store.telescope_type}, and {model.name} reads images one by one: choose one with"
            " dl1.telescope_types and process the data again, or take the model stereo_set_network."
        )
    if of_camera := [one.name for one in task.members if one.to_truth]:
        raise UserError(
            f"The task {of_camera[0]} is a place in one camera, but the event stores hold {store.telescope_type}: train"
            " skydirection, or choose one type with dl1.telescope_types."
        )


def check_pretrained(
    store: EventStore | JoinedStores, pretrained: PretrainedParameters, inputs: InputParameters
) -> None:
    """Refuse weights of other telescope types or inputs, or that may have been learnt from test events of the store.

    Without a card none of it is known.
    """
    path = model_path(pretrained.path)
    if not card_path(path).is_file():
        return
    card = read_card(path)
    types = [one.telescope_type for one in store.stores]
    if card.further_cameras and [one.telescope_type for one in card.cameras] != types:
        raise UserError(
            f"{path} was trained on {', '.join(one.telescope_type for one in card.cameras)}, but {store.path} has "
            f"{store.telescope_type}: take a model of these telescope types, or of one alone."
        )
    for name in ("channels", "parameters"):
        learnt, given = list(card.inputs.get(name) or ()), list(getattr(inputs, name))
        if learnt and given and learnt != given:
            raise UserError(
                f"{path} was trained with input.{name}: [{', '.join(learnt)}], this task has [{', '.join(given)}]: give"
                " it the same, in this order."
            )
    if changed := split_changes(card.data.split, store.provenance["split"]):
        raise UserError(
            f"{store.path} is split otherwise than the training data of {path} ({changed}): the pre-trained weights "
            "may have been learnt from its test events; make the store with the same split, or train those again."
        )


def check_effects(model: ModelParameters, inputs: InputParameters) -> None:
    """Refuse options that others make meaningless or wrong, where they are not what they are by default.

    Here and not in the parameters themselves: cards of models that were trained with them still load.
    """
    options = model.options if model.name in REGISTRY else {}
    reasons = {}
    if not inputs.channels:
        chosen = {name: getattr(inputs, name) for name in OF_IMAGES}
        without = [name for name, value in chosen.items() if value not in (None, _default(InputParameters, name))]
        reasons |= {f"input.{name}": "without input.channels" for name in without}
    for name, other, values in (
        ("array_filters", "combination", ("vectors",)),
        ("attention_ratio", "attention", ("spatial", None)),
    ):
        if name not in options or options[other] not in values:
            continue
        if options[name] != REGISTRY[model.name].options().model_dump(mode="json")[name]:
            reasons[f"model.options.{name}"] = f"with {other}: {json.dumps(options[other])}"
    head = model.head.options if model.head.name in HEADS else {}
    if head.get("units") == []:
        own = REGISTRY[model.name].head.get("options", {}) if model.name in REGISTRY else {}
        usual = HEADS[model.head.name].options().model_dump(mode="json") | own
        without = [name for name, value in head.items() if name != "units" and value != usual[name]]
        reasons |= {f"model.head.options.{name}": "without units" for name in without}
    if options.get("order") == "intensity" and inputs.channels and not inputs.channels[0].endswith("image"):
        raise UserError(
            f"The brightest image is found in the first channel, which is {inputs.channels[0]}: put one of a charge"
            " first in input.channels, or set model.options.order to given."
        )
    for name, reason in reasons.items():
        raise UserError(f"{name} has no effect {reason}: leave it out.")


def _default(parameters: type[Parameters], name: str) -> Any:
    return parameters.model_fields[name].default


def check_growing(model: ModelParameters, inputs: InputParameters, training: TrainingParameters) -> None:
    """Refuse options that mean something to networks alone, where they are not what they are by default."""
    if inputs.mode == "stereo":
        raise UserError(f"The model {model.name} is for mono input: leave input.mode out, or choose a stereo model.")
    without_effect = {
        "model.pretrained": model.pretrained,
        "model.head": model.head != HeadParameters(),
        "input.channels": inputs.channels,
        "input.brightest": inputs.brightest,
    }
    for name, given in without_effect.items():
        if given:
            raise UserError(f"{name} has no effect on {model.name}, which reads image parameters alone: leave it out.")
    for name in ("augmentation", "fraction", "precision", "devices", "tensorboard"):
        if getattr(training, name) != _default(TrainingParameters, name):
            raise UserError(f"training.{name} has no effect on {model.name}, whose trees are grown: leave it out.")


def check_events(store: EventStore | JoinedStores, task: Task, split: str, rows: np.ndarray) -> None:
    """Refuse an empty or unlabelled set."""
    particles = " or ".join(task.particles)
    if not len(rows):
        raise UserError(
            f"{store.path} has no {split} events of {particles}: add such files, loosen the cuts or change the split."
        )
    for part in task.members:
        missing = [name for name in part.labels if name not in store.colnames]
        if missing:
            raise UserError(
                f"{store.path} has no column {missing[0]}, which {part.name} is learnt from: use simulated files."
            )
        own = np.intersect1d(rows, store.indices(split, part.particles), assume_unique=True)
        targets = part.to_target(store.columns(part.labels)[own])
        unlabelled = ~np.isfinite(targets).all(axis=1)
        if unlabelled.any():
            raise UserError(
                f"{unlabelled.sum()} of {len(own)} {split} events in {store.path} have no usable "
                f"{', '.join(part.labels)}: leave their files or events out."
            )
        if split == "train" and part.likelihood == "bernoulli" and len(np.unique(targets)) < 2:
            raise UserError(
                f"All training events of {part.name} in {store.path} are of one kind, so that there is nothing to tell "
                "apart: add files of the other particles."
            )
