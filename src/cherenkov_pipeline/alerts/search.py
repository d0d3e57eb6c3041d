"""The best configuration of a network that judges sub-images: the search of all trainings, for theirs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.parameters import NetworkMethod
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.search_parameters import AlertSearchParameters
from cherenkov_pipeline.alerts.training import ROOMS, data_fingerprint, train_network
from cherenkov_pipeline.config import merge
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint
from cherenkov_pipeline.training.callbacks import Watch
from cherenkov_pipeline.training.study import SearchResult, Tried, conclude, run_trials
from cherenkov_pipeline.training.trials import TrialRecord, Trials


def search_method(
    images: SubImages,
    splits: np.ndarray,
    method: NetworkMethod,
    search: AlertSearchParameters,
    folder: Path,
    pretraining: Pretraining | None = None,
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> SearchResult[NetworkMethod]:
    """Search for the best configuration of a network, or go on with a search.

    Parameters
    ----------
    images, splits
        See `~cherenkov_pipeline.alerts.training.train_network`. Test images are not looked at.
    method : NetworkMethod
        A trial changes some of its parameters.
    search : AlertSearchParameters
    folder : Path
        For the journal and the states of the trainings. The same images, parameters, space and code belong to one
        search; its ``n_trials`` may be raised.
    pretraining : Pretraining, optional
        Of the weights ``simulated``; a trial with another network or preparation begins with weights of its own.
    on_trial : callable, optional
        Called with each trial that this process has ended.

    Raises
    ------
    UserError
        If the objective does not exist, or no trial could be trained: with the first reason.
    """
    used = splits != "test"
    images, splits, folder = images[used], splits[used], Path(folder)
    name = fingerprint(
        data_fingerprint(images, splits.astype("U10")),
        method,
        search.identity,
        pretraining.fingerprint if pretraining and method.frames else None,
        code_fingerprint(*ROOMS),
    )

    def attempt(values: Mapping[str, Any], watch: Watch) -> Tried:
        configured = configure(method, values)
        simulated = pretraining.weights(configured) if pretraining else None
        trained = train_network(search.of, images, splits, configured, folder, simulated, watch, wait=True)
        return Tried(trained.card.metrics, trained.card.epochs)

    def written(chosen: NetworkMethod) -> dict[str, Any]:
        # changes of a preset, as the project has them
        return {"grb_alerts": {"methods": {search.of: chosen.model_dump(mode="json", exclude={"method"})}}}

    records = run_trials(Trials(folder / "search", search, name), attempt, on_trial)
    return conclude(records, search, lambda values: configure(method, values), written)


def configure(method: NetworkMethod, values: Mapping[str, Any]) -> NetworkMethod:
    """Parameters of a method with some of them changed.

    Parameters
    ----------
    method : NetworkMethod
    values : mapping
        Dotted name -> value.

    Raises
    ------
    pydantic.ValidationError
        If they do not go together.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        block = changes
        for key in path:
            block = block.setdefault(key, {})
        block[last] = value
    return NetworkMethod.model_validate(merge(method.model_dump(mode="json"), changes))
