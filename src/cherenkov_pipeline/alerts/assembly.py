"""What is deployed, put together from trained methods: exported networks, calibration, thresholds, detectors."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, QTable, Table

from cherenkov_pipeline import __version__
from cherenkov_pipeline.alerts.anomaly import reconstruction_error
from cherenkov_pipeline.alerts.bundle import (
    EMBEDDING,
    LOGIT,
    RECONSTRUCTION,
    Anomaly,
    Autoencoder,
    BundleCard,
    Forest,
    Member,
    Neighbours,
    TrainingImages,
)
from cherenkov_pipeline.alerts.ensemble import Pooled
from cherenkov_pipeline.alerts.features import hand_features
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.isolation_forest import read_isolation_forest
from cherenkov_pipeline.alerts.preparation import PreparationParameters, prepare
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.alerts.workflow import AUTOENCODER, FOREST, MEMBERS, NETWORK, PREPARATION, pool_members
from cherenkov_pipeline.errors import UserError

N_CHECKED = 32
"""Images whose predictions are made again, to see that networks and calibration belong together."""


def assemble(
    images: SubImages, splits: Table, predictions: QTable, parameters: AlertParameters, folder: Path
) -> tuple[BundleCard, dict[str, Path]]:
    """Put the bundle together.

    Parameters
    ----------
    images, splits, predictions, parameters
        From the steps before.
    folder : Path
        That `train_methods` worked in.

    Returns
    -------
    card : BundleCard
    files : dict
        Name in the bundle -> file, for `~cherenkov_pipeline.alerts.bundle.write_bundle`.

    Raises
    ------
    UserError
        If a network or detector in the folder is not the one that the predictions are of.
    """
    from cherenkov_pipeline.alerts.training import data_fingerprint, load_card
    from cherenkov_pipeline.models.card import now, software_versions
    from cherenkov_pipeline.models.export import run_onnx

    folder, pooled = Path(folder) / MEMBERS, pool_members(predictions, parameters)
    chosen = np.asarray(splits["split"]) == "train"
    training = images[chosen]
    files, members = {}, []
    for name in pooled.members:
        card, file = load_card(folder / name / "model.keras"), f"{name}.onnx"
        files[file] = folder / name / NETWORK
        members.append(Member(file=file, name=name, preparation=card.preparation, n_training=card.data.n_train))
        _check_network(files[file], members[-1], images, predictions)
    near = members[-1]
    embeddings = _in_parts(training, near, lambda inputs: run_onnx(files[near.file], inputs)[EMBEDDING])
    neighbours = folder / "neighbours.npz"
    cause = training.table["cause"] if "cause" in training.table.colnames else np.full(len(training), "")
    Neighbours(
        embeddings,
        training.snr.astype(np.float16),
        np.asarray(training.table["image_id"]).astype(str),
        np.asarray(cause).astype(str),
        np.asarray(training.table["is_real"], dtype=bool),
    ).write(neighbours)
    files["neighbours.npz"] = neighbours
    anomaly, detectors = _anomaly(pooled, parameters, folder, images, predictions)
    simulated = "mask_pattern" in images.table.colnames
    patterns = np.unique(np.asarray(training.table["mask_pattern"])) if simulated else ()
    return (
        BundleCard(
            created=now().isoformat(),
            versions={**software_versions(), "cherenkov_pipeline": __version__},
            simulated=simulated,
            mask_patterns=tuple(int(pattern) for pattern in patterns),
            data_fingerprint=data_fingerprint(training),
            label_map=parameters.is_real,
            members=tuple(members),
            temperature=pooled.temperature,
            thresholds=pooled.thresholds,
            largest_disagreement=parameters.ensemble.largest_disagreement,
            smallest_valid_fraction=parameters.ensemble.smallest_valid_fraction,
            largest_mismatch=parameters.ensemble.largest_mismatch,
            anomaly=anomaly,
            neighbours=TrainingImages(file="neighbours.npz", member=near.name),
        ),
        files | detectors,
    )


def _check_network(path: Path, member: Member, images: SubImages, predictions: QTable) -> None:
    """Refuse a network with which others are calibrated: a training that was cut off may have replaced it."""
    from cherenkov_pipeline.models.export import run_onnx

    found = _in_parts(images[:N_CHECKED], member, lambda inputs: run_onnx(path, inputs)[LOGIT])
    _check_same(path, found, predictions[f"logit_{member.name}"])


def _check_same(path: Path, found: np.ndarray, expected: Column) -> None:
    """Compare what a file says of the first images with the predictions that limits and temperature are from."""
    found = np.ravel(found)
    if not np.allclose(found, np.asarray(expected)[: len(found)], rtol=0.02, atol=0.02):
        raise UserError(
            f"{path} is not what made the predictions that are calibrated: train again, with kedro run"
            " --pipeline=grb_alerts."
        )


def _anomaly(
    pooled: Pooled, parameters: AlertParameters, folder: Path, images: SubImages, predictions: QTable
) -> tuple[Anomaly, dict[str, Path]]:
    """Detectors of the bundle, checked like the networks, and their files."""
    from cherenkov_pipeline.models.export import run_onnx

    found: dict[str, Any] = {}
    files = {}
    some = images[:N_CHECKED]
    for name, limit in pooled.limits.items():
        kind = parameters.chosen[name].method
        file = AUTOENCODER if kind == "autoencoder" else FOREST
        path = files[file] = folder / name / file
        if kind == "autoencoder":
            text = (folder / name / PREPARATION).read_text()
            preparation = PreparationParameters.model_validate_json(text)
            prepared = prepare(some, preparation)
            scores = reconstruction_error(some, prepared["image"], run_onnx(path, prepared)[RECONSTRUCTION])
            found[kind] = Autoencoder(file=file, preparation=preparation, limit=limit)
        else:
            scores = read_isolation_forest(path).score(hand_features(some))
            found[kind] = Forest(file=file, limit=limit)
        _check_same(path, scores, predictions[f"anomaly_{name}"])
    return Anomaly(**found), files


def _in_parts(images: SubImages, member: Member, function: Any, size: int = 64) -> np.ndarray:
    parts = [prepare(images[first : first + size], member.preparation) for first in range(0, len(images), size)]
    return np.concatenate([function(part) for part in parts])
