"""The steps of the alerts' pipelines: images, their split, trained methods, the ensemble, and what is asked of them."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, Table, vstack

from cherenkov_pipeline.alerts.bundle import Bundle
from cherenkov_pipeline.alerts.ensemble import Pooled, pool
from cherenkov_pipeline.alerts.guarantee import needed
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.parameters import NetworkMethod
from cherenkov_pipeline.alerts.pretraining import Pretraining
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.alerts.splits import groups, split
from cherenkov_pipeline.alerts.verdict import FALSE, REAL
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path

if TYPE_CHECKING:
    from cherenkov_pipeline.training.study import SearchResult
    from cherenkov_pipeline.training.trials import TrialRecord

logger = logging.getLogger(__name__)

SAMPLE, CALIBRATION, HELD_BACK = "sample", "calibration", "held_back"
"""Parts of the images: those that are split; those for the thresholds; those of another mask pattern."""

MEMBERS = "members"
"""Folder of the trained methods, within that of their states."""

NETWORK, AUTOENCODER, FOREST = "model.onnx", "autoencoder.onnx", "isolation_forest.npz"
"""Files of a method in its folder."""

PREPARATION = "preparation.json"
"""How the images of an autoencoder are made, beside it."""


def obtain_images(parameters: AlertParameters) -> SubImages:
    """Read labelled sub-images, or simulate them.

    Returns
    -------
    SubImages
        With the column ``part``: `SAMPLE`, and of simulated ones also `CALIBRATION` and `HELD_BACK`.

    Raises
    ------
    UserError
        If they cannot be read, or have no labels.
    """
    if parameters.path is not None:
        from cherenkov_pipeline.alerts.files import read_sub_images

        images = read_sub_images(parameters.path)
        if "is_real" not in images.table.colnames:
            raise UserError(f"{parameters.path} has no labels (is_real): nothing can be learnt from it.")
        parts = [(SAMPLE, images)]
    else:
        from cherenkov_pipeline.alerts.simulation.sample import simulate_sample

        simulation, seed = parameters.simulation, parameters.simulation.seed
        # what is promised of verdicts is promised of what they are about, not of labels: here it is known
        others = {"n_images": parameters.n_calibration, "seed": seed + 1, "label_noise": 0.0}
        held_back = {"n_images": parameters.n_held_back, "seed": seed + 2}
        parts = [
            (SAMPLE, simulate_sample(simulation)),
            (CALIBRATION, simulate_sample(simulation.model_copy(update=others))),
            (HELD_BACK, simulate_sample(simulation.with_held_back_pattern(**held_back))),
        ]
    tables = []
    for name, images in parts:
        table = relabelled(images.table, parameters.label_map)
        table["part"] = name
        tables.append(table)
    snr, codes = (np.concatenate([getattr(images, name) for _, images in parts]) for name in ("snr", "codes"))
    return SubImages(snr, codes, vstack(tables, metadata_conflicts="silent"))


def relabelled(table: Table, label_map: Mapping[str, bool]) -> Table:
    """Label images by their cause where the map knows it; wrong labels of simulated images stay wrong."""
    table = table.copy()
    causes = np.asarray(table["cause"]) if "cause" in table.colnames else np.full(len(table), "")
    for cause, is_real in label_map.items():
        rows = np.flatnonzero(causes == cause)
        wrong = False
        if "true_is_real" in table.colnames:
            wrong = np.asarray(table["is_real"])[rows] != np.asarray(table["true_is_real"])[rows]
            table["true_is_real"][rows] = is_real
        table["is_real"][rows] = np.logical_xor(is_real, wrong)
    return table


def divide(images: SubImages, parameters: AlertParameters) -> Table:
    """Split the sample; the other parts are splits of their own.

    Returns
    -------
    Table
        ``image_id``, ``split``: train, validation, test, calibration or held_back.
    """
    part = np.asarray(images.table["part"]).astype("U16")
    sample = np.flatnonzero(part == SAMPLE)
    splits = part.copy()
    splits[sample] = split(images.table[sample], parameters.split)
    return Table({"image_id": images.table["image_id"], "split": splits})


def sample_rows(splits: Table) -> np.ndarray:
    """Tell which images are of the sample that is split, (n,) bool."""
    return np.isin(np.asarray(splits["split"]), ("train", "validation", "test"))


def train_methods(
    images: SubImages, splits: Table, parameters: AlertParameters, folder: Path
) -> tuple[QTable, QTable, list[dict[str, Any]]]:
    """Train all methods, and keep what can be kept of them in ``folder``.

    Parameters
    ----------
    images, splits
        From `obtain_images` and `divide`.
    parameters : AlertParameters
    folder : Path
        For states and models; what was trained before is not trained again.

    Returns
    -------
    predictions : QTable
        One row an image: ``image_id``, ``split``, ``is_real``, ``group``, ``valid_fraction``, ``snr_mismatch``,
        ``logit_<method>``, ``anomaly_<method>`` of those that score.
    histories : QTable
        One row an epoch of each network, by ``method``.
    experiments : list of dict
        Rows of the table of experiments, of the test images.

    Raises
    ------
    UserError
        If the test images, where the thresholds are found on them, are too few for any.
    """
    from cherenkov_pipeline.alerts.evaluation.experiments import experiment_row
    from cherenkov_pipeline.alerts.methods import train_method

    folder = Path(folder)
    pretraining = _pretraining(parameters, folder)
    names, own = np.asarray(splits["split"]), sample_rows(splits)
    if own.all():
        _check_promise(images.table[names == "test"], parameters)
    sample, others = images[own], images[~own]
    is_real = np.asarray(images.table["is_real"], dtype=bool)
    predictions = QTable(
        {
            "image_id": images.table["image_id"],
            "split": names,
            "is_real": is_real,
            "group": groups(images.table, parameters.split.by),
            **images.quality,
        }
    )
    histories, experiments = [], []
    for name, method in parameters.chosen.items():
        trained = train_method(name, sample, names[own], method, folder, pretraining)
        keep(trained, folder / MEMBERS / name)
        predictions[f"logit_{name}"] = _joined(own, trained.logits, trained.logit(others))
        if trained.score is not None:
            predictions[f"anomaly_{name}"] = _joined(own, trained.score(sample), trained.score(others))
        if trained.history is not None:
            history = QTable(trained.history)
            history.add_column([name] * len(history), index=0, name="method")
            histories.append(history)
        experiments.append(experiment_row(name, trained, is_real[own], names[own] == "test"))
    # an autoencoder has no accuracy
    joined = vstack(histories).filled(np.nan) if histories else QTable({"method": []})
    return predictions, joined, experiments


def _check_promise(tested: Table, parameters: AlertParameters) -> None:
    """Find out whether a threshold is possible at all, before anything is trained."""
    ensemble = parameters.ensemble
    group, is_real = groups(tested, parameters.split.by), np.asarray(tested["is_real"], dtype=bool)
    problems = []
    for name, chosen in ((REAL, is_real), (FALSE, ~is_real)):
        n, alpha = len(np.unique(group[chosen])), ensemble.alpha[name]
        if n < needed(alpha, ensemble.delta):
            smallest = math.ceil(1000 * (1 - ensemble.delta ** (1 / max(n, 1)))) / 1000
            problems.append(f"alpha_{name} to {smallest:g} or more (it is {alpha:g}, for {n} bursts)")
    if problems:
        raise UserError(
            f"The test images are too few for what is promised: label more, or set {', '.join(problems)}, below"
            " grb_alerts.ensemble."
        )


def keep(trained: Any, folder: Path) -> None:
    """Write what the bundle needs of a method; forests that are no detectors are not kept."""
    from cherenkov_pipeline.alerts.autoencoder import TrainedAutoencoder
    from cherenkov_pipeline.alerts.isolation_forest import IsolationForest, write_isolation_forest
    from cherenkov_pipeline.alerts.training import TrainedNetwork, save_network

    match trained.trained:
        case TrainedNetwork() as network:
            save_network(network, folder / "model.keras")
        case TrainedAutoencoder() as autoencoder:
            folder.mkdir(parents=True, exist_ok=True)
            autoencoder.export(folder / AUTOENCODER)
            with atomic_path(folder / PREPARATION) as part:
                part.write_text(autoencoder.preparation.model_dump_json())
        case IsolationForest() as forest:
            folder.mkdir(parents=True, exist_ok=True)
            write_isolation_forest(forest, folder / FOREST)


def pool_members(predictions: QTable, parameters: AlertParameters) -> Pooled:
    """Calibrate the ensemble: temperature and limits by the validation images, thresholds by images of their own."""
    return pool(
        logits_of(predictions, parameters.ensemble.members),
        np.asarray(predictions["is_real"]),
        np.asarray(predictions["group"]),
        np.asarray(predictions["split"]) == "validation",
        calibration_rows(predictions),
        predictions,
        parameters.ensemble,
        scores_of(predictions, parameters.ensemble.detectors),
    )


def calibration_rows(predictions: Table) -> np.ndarray:
    """Images for the thresholds, (n,) bool: those that are for nothing else, or else the test images."""
    split = np.asarray(predictions["split"])
    return split == (CALIBRATION if (split == CALIBRATION).any() else "test")


def logits_of(predictions: Table, methods: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Logits by the method's name."""
    return {name: np.asarray(predictions[f"logit_{name}"]) for name in methods}


def scores_of(predictions: Table, detectors: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Anomaly scores by the detector's name."""
    return {name: np.asarray(predictions[f"anomaly_{name}"]) for name in detectors}


def cross_validate(
    images: SubImages, splits: Table, parameters: AlertParameters, folder: Path
) -> tuple[QTable, QTable]:
    """Cross-validate methods and ensemble on all images that are split.

    Parameters
    ----------
    images, splits, parameters, folder
        See `train_methods`.

    Returns
    -------
    predictions : QTable
        See `~cherenkov_pipeline.alerts.evaluation.cross_validation.validate`; ``part``: `SAMPLE` or `HELD_BACK`.
    scores : QTable
        Metrics of probabilities and verdicts with intervals, by ``part``, ``against`` the labels and, of simulated
        images, what was simulated.
    """
    from cherenkov_pipeline.alerts.evaluation import scores
    from cherenkov_pipeline.alerts.evaluation.cross_validation import validate
    from cherenkov_pipeline.performance.parameters import EvaluationParameters

    part, own_rows = np.asarray(splits["split"]), sample_rows(splits)
    calibration, held_back = part == CALIBRATION, part == HELD_BACK
    found = validate(
        images[own_rows],
        parameters.chosen,
        parameters.ensemble,
        parameters.cross_validation,
        Path(folder),
        _pretraining(parameters, folder),
        {HELD_BACK: images[held_back]} if held_back.any() else {},
        images[calibration] if calibration.any() else None,
    )
    settings = EvaluationParameters(resamples=parameters.resamples)
    tables, rows = [], []
    known = {SAMPLE: images[own_rows].table, HELD_BACK: images[held_back].table}
    for part, table in {SAMPLE: found.predictions, **found.others}.items():
        labels = {"label": np.asarray(table["is_real"])}
        if "true_is_real" in known[part].colnames:
            labels["simulated"] = np.asarray(known[part]["true_is_real"], dtype=bool)[table["row"]]
        for against, is_real in labels.items():
            for columns, metrics in (
                (scores.probability_columns(table["probability_ensemble"], is_real), scores.METRICS),
                (scores.verdict_columns(np.asarray(table["verdict"]), is_real), scores.VERDICT_METRICS),
            ):
                one = scores.score_table(columns, metrics, np.asarray(table["group"]), settings)
                one.add_columns([[part] * len(one), [against] * len(one)], indexes=[0, 0], names=["part", "against"])
                rows.append(one)
        table = QTable(table)
        table.add_column([part] * len(table), index=0, name="part")
        tables.append(table)
    return vstack(tables), vstack(rows, metadata_conflicts="silent")


def search_method(
    images: SubImages,
    splits: Table,
    parameters: AlertParameters,
    folder: Path,
    on_trial: "Callable[[TrialRecord], None] | None" = None,
) -> "SearchResult[NetworkMethod]":
    """Search for the best configuration of one network, on training and validation images.

    Parameters
    ----------
    images, splits, parameters, folder
        See `train_methods`.
    on_trial : callable, optional
        Called with each trial that this process has ended.

    Returns
    -------
    SearchResult

    Raises
    ------
    UserError
        If no search is described; otherwise as `~cherenkov_pipeline.alerts.search.search_method`.
    """
    from cherenkov_pipeline.alerts.search import search_method

    if parameters.search is None:
        raise UserError("grb_alerts: search names no parameters: there is nothing to search.")
    method, own = parameters.chosen[parameters.search.of], sample_rows(splits)
    names = np.asarray(splits["split"])[own]
    pretraining = _pretraining(parameters, folder)
    return search_method(images[own], names, method, parameters.search, Path(folder), pretraining, on_trial)


def ablate(images: SubImages, splits: Table, parameters: AlertParameters, folder: Path) -> QTable:
    """Cross-validate the variants of the ablation on all images that are split.

    Parameters
    ----------
    images, splits, parameters, folder
        See `train_methods`.

    Returns
    -------
    QTable
        See `~cherenkov_pipeline.alerts.evaluation.ablation.ablation_table`.

    Raises
    ------
    UserError
        If there are no variants; otherwise as the trainings.
    """
    from cherenkov_pipeline.alerts.evaluation.ablation import ablation_table
    from cherenkov_pipeline.performance.parameters import EvaluationParameters

    if not parameters.variants:
        raise UserError("grb_alerts: ablation names no variants: there is nothing to compare.")
    pretraining = _pretraining(parameters, folder)
    settings = EvaluationParameters(resamples=parameters.resamples)
    own = images[sample_rows(splits)]
    return ablation_table(own, parameters.variants, parameters.cross_validation, Path(folder), pretraining, settings)


def count_false_alarms(bundle: Bundle, parameters: AlertParameters) -> QTable:
    """Judge simulated frames without any source.

    Returns
    -------
    QTable
        See `~cherenkov_pipeline.alerts.evaluation.scores.false_alarm_curve`; in its ``meta``: ``n_frames``,
        ``n_triggers``, and how many verdicts were "real" (``n_real``).
    """
    from cherenkov_pipeline.alerts.evaluation.scores import false_alarm_curve
    from cherenkov_pipeline.alerts.simulation.sample import simulate_noise
    from cherenkov_pipeline.alerts.verdict import judge

    simulation = parameters.simulation.model_copy(update={"seed": parameters.simulation.seed + 3})
    probability, triggers, n_real = [], [], 0
    for images in simulate_noise(simulation, parameters.n_noise):
        verdicts = judge(bundle, images)
        # what no number was found for is called nothing
        probability += [0.0 if one.p_astro is None else one.p_astro for one in verdicts]
        n_real += sum(one.verdict == REAL for one in verdicts)
        triggers.append(np.asarray(images.table["triggers"], dtype=bool))
        logger.info("%d of %d frames without a source judged.", len(probability), parameters.n_noise)
    triggered = np.concatenate(triggers)
    table = QTable(false_alarm_curve(np.array(probability), triggered, parameters.n_noise))
    table.meta.update(n_frames=parameters.n_noise, n_triggers=int(triggered.sum()), n_real=n_real)
    return table


def _pretraining(parameters: AlertParameters, folder: Path) -> Pretraining:
    return Pretraining(parameters.simulation, Path(folder) / "pretraining")


def _joined(own: np.ndarray, values: np.ndarray, others: np.ndarray) -> np.ndarray:
    joined = np.empty(len(own))
    joined[own], joined[~own] = values, others
    return joined
