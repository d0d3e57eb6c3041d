"""What is compared, models and DL2 files of others: whether that can be done, and whether they are different ones."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.card import ModelCard
from cherenkov_pipeline.models.on_disk import read_card
from cherenkov_pipeline.reconstruction.discover import Level
from cherenkov_pipeline.reconstruction.others import Method, find_method
from cherenkov_pipeline.store.choice import store_for
from cherenkov_pipeline.tasks import get_task

if TYPE_CHECKING:
    from cherenkov_pipeline.store import EventStore


class Candidate(BaseModel):
    """A model that is compared, as its own card describes it, or DL2 files of others, of which little is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    source: str
    path: str
    task: str
    name: str
    mode: str
    file_fingerprint: str
    method: Method | None = None
    created: datetime | None = None
    epochs: int | None = None
    n_train: int | None = None
    n_validation: int | None = None
    data_fingerprint: str | None = None
    mlflow_run: str | None = None
    training_s: float | None = None
    parameters: int | None = None
    layers: int | None = None
    gflops: float | None = None

    @classmethod
    def from_card(cls, label: str, source: str, path: Path, card: ModelCard) -> Self:
        """Take what a comparison shows from a model's card."""
        return cls(
            label=label,
            source=source,
            path=str(path),
            task=card.task,
            name=card.name,
            mode=card.mode,
            created=card.created,
            epochs=card.training["epochs"],
            n_train=card.data.n_train,
            n_validation=card.data.n_validation,
            data_fingerprint=card.data.fingerprint,
            file_fingerprint=card.file_fingerprint,
            mlflow_run=card.training["mlflow_run"],
            training_s=card.training["seconds"],
            parameters=card.cost.parameters,
            layers=card.cost.layers,
            gflops=card.cost.gflops if math.isfinite(card.cost.gflops) else None,
        )

    @classmethod
    def from_dl2(cls, label: str, source: str, method: Method) -> Self:
        """Take what DL2 files tell: whose predictions they are."""
        return cls(
            label=label,
            source=source,
            path=method.paths[0],
            task=method.task,
            name=method.prefix,
            mode=method.mode,
            file_fingerprint=method.fingerprint,
            method=method,
        )


def choose_candidates(
    task: str | None,
    models: Mapping[str, tuple[str, Path]],
    stores: "Mapping[str, EventStore]",
    dl2: Mapping[str, str] | None = None,
) -> tuple[str, list[Candidate]]:
    """Check that some saved models can be compared on the test events of a data set, and DL2 files with them.

    Neither networks nor events are loaded.

    Parameters
    ----------
    task : str or None
        None: the one that all models do.
    models : mapping of str to (str, Path)
        By label: how the model was named, and its ``.keras`` file.
    stores : mapping of str to EventStore
        Of the telescope types of the data set: stereo models see them together.
    dl2 : mapping of str to str, optional
        By label: DL2 files of others, as `cherenkov_pipeline.reconstruction.others.find_method` takes them.

    Returns
    -------
    task : str
    candidates : list of Candidate

    Raises
    ------
    UserError
        If there are fewer than two, two are the same one, one is of another task, some take images and some
        events, the models are for one telescope type and there are several, or the stores are split otherwise than
        the training data of one.
    """
    from cherenkov_pipeline.reconstruction.predict import check_split

    dl2 = dl2 or {}
    labels = [*models, *dl2]
    if len(labels) < 2:
        named = f"the only model is {labels[0]}" if labels else "there is none"
        raise UserError(
            f"A comparison takes two models or more, and {named}: train another, or name them under comparison.models."
        )
    cards = {label: read_card(path) for label, (_, path) in models.items()}
    for (one, first), (other, second) in combinations(cards.items(), 2):
        if _result(first) == _result(second):
            raise UserError(
                f"{one} and {other} are the same model ({models[one][1]}, {models[other][1]}): leave one out."
            )
    task = _common_task(task, cards)
    candidates = [Candidate.from_card(label, source, path, cards[label]) for label, (source, path) in models.items()]
    if len({one.mode for one in candidates}) > 1:
        modes = ", ".join(f"{one.label}: {one.mode}" for one in candidates)
        raise UserError(f"Models of images and of whole events have no event in common ({modes}): compare one kind.")
    if candidates:
        store = store_for(candidates[0].mode, stores)
        for card in cards.values():
            check_split(card, store)
    others = _find_methods(task, dl2, candidates[0].mode if candidates else None)
    return task, candidates + others


def _find_methods(task: str, dl2: Mapping[str, str], mode: str | None) -> list[Candidate]:
    """Find what DL2 files hold for each image, or for each event: as the models take them, else as all files can."""
    level = None if mode is None else {"mono": "telescope", "stereo": "subarray"}[mode]

    def find(level: Level | None) -> dict[str, Method]:
        return {label: find_method(text, task, level, name=f"comparison.models.{label}") for label, text in dl2.items()}

    methods = find(level)
    if len({method.level for method in methods.values()}) > 1:
        methods = find("subarray")
    check_distinct({label: method.fingerprint for label, method in methods.items()})
    return [Candidate.from_dl2(label, dl2[label], method) for label, method in methods.items()]


def _result(card: ModelCard) -> str:
    """Give what was trained, on what, and the metrics: not the file, nor when, where and by which run it was trained.

    A model that is saved again has another file; a random forest, of which a training is not continued, is grown anew
    by the same command, to the same trees.
    """
    occasion = {"seconds", "mlflow_run"}
    return card.model_dump_json(
        exclude={"file_fingerprint": True, "created": True, "versions": True, "training": occasion}
    )


def without_copies(paths: Mapping[str, Path]) -> dict[str, Path]:
    """Leave out models of which a later one was trained alike, to the same metrics, or is the same one saved again."""
    kept = {_result(read_card(path)): name for name, path in paths.items()}
    return {name: path for name, path in paths.items() if name in kept.values()}


def _common_task(task: str | None, cards: Mapping[str, ModelCard]) -> str:
    tasks = {label: [member.name for member in get_task(card.task).members] for label, card in cards.items()}
    if not cards and task is None:
        raise UserError("DL2 files hold several tasks: say which one, --params=comparison.task=energy.")
    if task is not None:
        others = [f"{label} of {'+'.join(names)}" for label, names in tasks.items() if task not in names]
        if others:
            raise UserError(f"These are not models of {task}: {', '.join(others)}. Compare models of one task.")
        return task
    common = set.intersection(*map(set, tasks.values()))
    if len(common) != 1:
        found = ", ".join(f"{label} of {'+'.join(names)}" for label, names in tasks.items())
        todo = "choose one, --params=comparison.task=..." if common else "compare models of one task"
        raise UserError(f"The models have {len(common) or 'no'} tasks in common ({found}): {todo}.")
    return common.pop()


def check_distinct(fingerprints: Mapping[str, str]) -> None:
    """Refuse two models with the same network and weights, whatever their files are called.

    Parameters
    ----------
    fingerprints : mapping of str to str
        `~cherenkov_pipeline.models.saved.TrainedModel.fingerprint` by label.

    Raises
    ------
    UserError
        If two are equal.
    """
    labels: Sequence[str] = list(fingerprints)
    for one, other in combinations(labels, 2):
        if fingerprints[one] == fingerprints[other]:
            raise UserError(f"{one} and {other} are the same model (fingerprint {fingerprints[one]}): leave one out.")
