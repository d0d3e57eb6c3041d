"""Further tasks that a network learns beside its own, and that it is rid of when it is trained.

An image that tells how deep a shower was and where it came from tells the energy better: a network that must also
find those learns features that one target alone would teach it late, or never [1]_. The finished model is one of its
task alone.

References
----------
.. [1] Caruana 1997, Multitask Learning, Machine Learning 28, 41.
"""

import logging

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import LAST_LAYER
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, output_layer
from cherenkov_pipeline.store import EventStore, JoinedStores
from cherenkov_pipeline.tasks import Mode, Task, get_task, joint_task
from cherenkov_pipeline.training.parameters import TrainingParameters

logger = logging.getLogger(__name__)


def with_auxiliary(task: Task, training: TrainingParameters, store: EventStore | JoinedStores) -> Task:
    """Join a task with its auxiliary ones: those that the data can teach.

    Parameters
    ----------
    task : Task
    training : TrainingParameters
    store : EventStore or JoinedStores
        Auxiliary tasks whose labels it does not have are left out; the log says so.

    Returns
    -------
    Task
        The task itself where it has no auxiliary one; otherwise a joint task, whose first part it is.

    Raises
    ------
    UserError
        If there is no such task, it is learnt from particles that the task is not learnt from, or the task is a joint
        one.
    """
    wanted = [get_task(name) for name in training.auxiliary]
    if wanted and task.parts:
        raise UserError(
            f"training.auxiliary is for networks of one task, and {task.name} are several: leave it out, or train the "
            "further ones with them."
        )
    for one in wanted:
        if one.name == task.name:
            raise UserError(f"training.auxiliary names {task.name}, which is the task itself: leave it out.")
        if others := set(one.particles) - set(task.particles):
            raise UserError(
                f"training.auxiliary names {one.name}, which is learnt from {' and '.join(sorted(others))} too, but "
                f"{task.name} is not: leave it out."
            )
    names = [one.name for one in wanted if _is_taught(one, store)]
    return joint_task([task.name, *names]) if names else task


def without_auxiliary(network: keras.Model, task: Task, mode: Mode, name: str) -> keras.Model:
    """Cut the auxiliary tasks off a trained network.

    Parameters
    ----------
    network : keras.Model
        Of a joint task whose first part is ``task``, trained and calibrated.
    task : Task
    mode : {"mono", "stereo"}
    name : str
        Of the model.

    Returns
    -------
    keras.Model
        The same layers, with the first part's columns of the last one and its constants.
    """
    likelihood = LIKELIHOODS[task.likelihood_of(mode)]
    joint, last = output_layer(network), network.get_layer(LAST_LAYER)
    n_raw, n_targets = likelihood.n_raw(task.n_targets), task.n_targets
    head = keras.layers.Dense(n_raw, name=LAST_LAYER)
    raw = head(last.input)
    head.set_weights([values[..., :n_raw] for values in last.get_weights()])
    layer = likelihood.output_layer(joint.mean[:n_targets], joint.deviation[:n_targets], name=f"head_{task.name}")
    # the frame or the point comes behind the raw numbers
    _, *second = joint.input if isinstance(joint.input, list | tuple) else (joint.input,)
    outputs = layer([raw, *second] if second and (likelihood.needs_frame or likelihood.takes_point) else raw)
    layer.set_constants(own_constants(joint.constants))
    return keras.Model(network.input, outputs, name=name)


def own_constants(constants: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Constants of the first part among those of a joint output layer."""
    return {name.removeprefix("0."): values for name, values in constants.items() if name.startswith("0.")}


def _is_taught(task: Task, store: EventStore | JoinedStores) -> bool:
    if missing := [label for label in task.labels if label not in store.colnames]:
        logger.info("%s is not learnt as an auxiliary task: the data have no %s.", task.title, missing[0])
        return False
    rows = store.indices("train", task.particles)
    if not np.isfinite(task.to_target(store.columns(task.labels)[rows])).all(axis=1).any():
        logger.info("%s is not learnt as an auxiliary task: no event has its labels.", task.title)
        return False
    return True
