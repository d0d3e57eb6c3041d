"""Random forests on image parameters: the collaboration's method, and the baseline of every network.

Four forests, as in sst1mpipe for one telescope: the logarithm of the energy, gamma or hadron, the distance between the
image's centroid and the source along the image's axis (disp), and on which side of the centroid the source lies
(Lessard et al. 2001, Astropart. Phys. 15, 1). scikit-learn grows them; what predicts is the layer
`~cherenkov_pipeline.models.decision_forest.DecisionForest`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.directions import plain
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.decision_forest import (
    DecisionForest,
    ForestGaussian,
    ForestHeadTail,
    ForestLogit,
    forest_features,
)
from cherenkov_pipeline.models.forest_features import AXIS, check_columns, feature_columns
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS, TASK_LOSS, Likelihood, calibrate_model, predict_events
from cherenkov_pipeline.models.options import ForestParameters
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.inputs import image_parameters, input_maker
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import Task
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.trees import grow
from cherenkov_pipeline.training.weights import COLUMNS as WEIGHT_COLUMNS
from cherenkov_pipeline.training.weights import EventWeights

MIN_EVENTS = 20  # of each kind: fewer do not fill two leaves

LOSS_EVENTS = 8192
"""Training events that the loss is measured on."""

BATCH_SIZE = 1024
"""Images whose trees are gone down at once: 150 trees make 150,000 nodes of them."""


def train_forest(
    store: EventStore,
    task: Task,
    model: ModelParameters,
    inputs: InputParameters,
    training: TrainingParameters,
    weights: EventWeights | None = None,
) -> tuple[keras.Model, QTable]:
    """Grow the forests of one task, on the store's training events.

    Images of which a parameter or a target is missing are left out. Intervals and probabilities are calibrated on the
    validation events, as those of networks.

    Parameters
    ----------
    store : EventStore
    task : Task
        With the likelihood ``gaussian``, ``bernoulli`` or ``head_tail``.
    model : ModelParameters
        Of the model ``random_forest``.
    inputs : InputParameters
        Its ``parameters`` hold `COLUMNS`; further ones become features of all forests.
    training : TrainingParameters
        ``seed`` and ``calibrate`` count here; ``weights`` are those below.
    weights : EventWeights, optional
        Of training and validation events, see `~cherenkov_pipeline.training.weights.fit_weights`. Default: equal ones.

    Returns
    -------
    model : keras.Model
        From the inputs to the outputs of the task's likelihood; NaN where an image has no parameters.
    history : QTable
        One row, as of an epoch: ``epoch``, ``loss`` (of `LOSS_EVENTS` training events, which the trees have seen),
        ``val_loss``, ``val_task_loss`` (the same), ``learning_rate`` (0) and ``seconds``.

    Raises
    ------
    UserError
        If an image parameter is missing, there are too few events, or the task has another likelihood.
    """
    began = time.perf_counter()
    check_columns(inputs.parameters)
    options = ForestParameters.model_validate(model.options)
    likelihood = LIKELIHOODS[task.likelihood]
    rows = {split: store.indices(split, task.particles) for split in ("train", "validation")}
    usable = {split: _usable(store, found, task, inputs) for split, found in rows.items()}
    rows = {split: found[usable[split]] for split, found in rows.items()}
    learnt_from = None if weights is None else weights(store.columns(WEIGHT_COLUMNS)[rows["train"]])
    grown = _grow_task(store, rows["train"], task, inputs, options, training.seed, learnt_from)
    network = _network(grown, task, inputs, input_maker(store.camera, inputs).shapes)

    def batches(split: str, n: int | None = None) -> Batches:
        chosen = rows[split]
        if n and len(chosen) > n:
            chosen = chosen[np.linspace(0, len(chosen) - 1, n).astype(int)]
        made = Batches(store, chosen, inputs, task.to_target, BATCH_SIZE, shuffle=False, label_columns=task.labels)
        if weights:
            made.weigh(weights(made.events(WEIGHT_COLUMNS)))
        return made

    validation = batches("validation")
    if training.calibrate:
        calibrate_model(network, likelihood, validation)
    history = QTable({"epoch": [1], "loss": [_loss(network, likelihood, batches("train", LOSS_EVENTS))]})
    history["val_loss"] = history[f"val_{TASK_LOSS}"] = _loss(network, likelihood, validation)
    history["learning_rate"], history["seconds"] = 0.0, time.perf_counter() - began
    return network, history


def _usable(store: EventStore, rows: np.ndarray, task: Task, inputs: InputParameters) -> np.ndarray:
    """Which images have all parameters and targets."""
    raw = store.columns(inputs.columns)[rows]
    known = np.all([np.isfinite(plain(raw, name)) for name in raw.colnames], axis=0)
    known &= plain(raw, "hillas_length") > 0
    return known & np.isfinite(task.to_target(store.columns(task.labels)[rows])).all(axis=1)


def _loss(network: keras.Model, likelihood: Likelihood, batches: Batches) -> float:
    outputs, targets, weights = predict_events(network, batches)
    return float(keras.ops.convert_to_numpy(likelihood.loss()(targets, outputs, weights)))


@dataclass(frozen=True)
class _Grown:
    """Forests of a task, and what its output layer needs besides."""

    forests: Mapping[str, DecisionForest]
    mean: list[float]
    deviation: list[float]
    scale_across: float = 1.0


def _grow_task(
    store: EventStore,
    rows: np.ndarray,
    task: Task,
    inputs: InputParameters,
    options: ForestParameters,
    seed: int,
    weights: np.ndarray | None,
) -> _Grown:
    """Grow what the likelihood of a task needs, from usable images."""
    names = inputs.parameters
    targets = np.asarray(task.to_target(store.columns(task.labels)[rows]), dtype=float)
    if len(targets) < MIN_EVENTS:
        raise UserError(
            f"The random forest has {len(targets)} events to learn {task.name} from, {MIN_EVENTS} are needed:"
            " simulate more."
        )
    matrix = image_parameters(store.columns(inputs.columns)[rows], names)
    features = keras.ops.convert_to_numpy(forest_features({"parameters": matrix}, names))
    seeds = iter(np.random.SeedSequence(seed).generate_state(task.n_targets + 1).tolist())

    def forest(kind: str, target: np.ndarray, name: str) -> DecisionForest:
        columns = feature_columns(kind, names, timing=options.timing)
        trees = grow(features[:, columns], target, options, next(seeds), weights)
        return DecisionForest.of(trees, columns, name=f"backbone_{name}")

    match task.likelihood:
        case "gaussian":
            forests = {f"forest_{i}": forest("energy", target, f"forest_{i}") for i, target in enumerate(targets.T)}
            return _Grown(forests, targets.mean(axis=0).tolist(), targets.std(axis=0).tolist())
        case "bernoulli":
            positive = targets[:, 0] > 0.5
            if (fewer := min(positive.sum(), len(positive) - positive.sum())) < MIN_EVENTS:
                raise UserError(f"The random forest has {fewer} events of one kind, {MIN_EVENTS} are needed: add some.")
            # the forest's probability as it is: nothing is added to its logit
            return _Grown({"type": forest("type", positive, "type")}, [0.5], [0.5])
        case "head_tail":
            lon, lat, psi = matrix[:, [names.index(name) for name in AXIS]].T.astype(float)
            dx, dy, angle = targets[:, 0] - lon, targets[:, 1] - lat, np.deg2rad(psi)
            along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
            forests = {"disp": forest("disp", np.abs(along), "disp"), "sign": forest("sign", along > 0, "sign")}
            # the likeliest scale of a Laplace distribution
            return _Grown(forests, [0.0, 0.0], [1.0, 1.0], max(float(np.abs(across).mean()), 1e-3))
    raise UserError(f"The random forest cannot learn {task.name}: train its tasks one by one, with mono input.")


def _network(
    grown: _Grown, task: Task, parameters: InputParameters, shapes: Mapping[str, tuple[int, ...]]
) -> keras.Model:
    """Put forests and output layer together."""
    inputs = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    features = forest_features(inputs, parameters.parameters)
    found = {name: forest(features) for name, forest in grown.forests.items()}
    name = f"head_{task.name}"
    if task.likelihood == "gaussian":
        joined = [*found.values()]
        moments = keras.layers.Concatenate(name="backbone_forests")(joined) if len(joined) > 1 else joined[0]
        outputs = ForestGaussian(grown.mean, grown.deviation, name=name)(moments)
    elif task.likelihood == "bernoulli":
        logit = ForestLogit(name="head_logit")(found["type"])
        outputs = LIKELIHOODS["bernoulli"].output_layer(grown.mean, grown.deviation, name=name)(logit)
    else:
        logit = ForestLogit(name="head_logit")(found["sign"])
        axis = [parameters.parameters.index(column) for column in AXIS]
        layer = ForestHeadTail(grown.mean, grown.deviation, grown.scale_across, axis, name=name)
        outputs = layer(logit, found["disp"], inputs["parameters"])
    return keras.Model(inputs, outputs, name=f"random_forest_{task.name}")
