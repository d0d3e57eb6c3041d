"""What is deployed, put together from trained methods: exported networks, calibration, thresholds, detectors."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table

from cherenkov_pipeline import __version__
from cherenkov_pipeline.alerts.bundle import (
    EMBEDDING,
    Anomaly,
    Autoencoder,
    BundleCard,
    Forest,
    Member,
    Neighbours,
    TrainingImages,
)
from cherenkov_pipeline.alerts.ensemble import Pooled
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.project import AlertParameters
from cherenkov_pipeline.alerts.workflow import AUTOENCODER, FOREST, MEMBERS, NETWORK, pool_members


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
            anomaly=_anomaly(pooled, parameters, folder, files),
            neighbours=TrainingImages(file="neighbours.npz", member=near.name),
        ),
        files,
    )


def _anomaly(pooled: Pooled, parameters: AlertParameters, folder: Path, files: dict[str, Path]) -> Anomaly:
    """Detectors of the bundle; their files are added."""
    from cherenkov_pipeline.alerts.preparation import PreparationParameters

    found: dict[str, Any] = {}
    for name, limit in pooled.limits.items():
        kind = parameters.chosen[name].method
        file = AUTOENCODER if kind == "autoencoder" else FOREST
        files[file] = folder / name / file
        if kind == "autoencoder":
            text = (folder / name / "preparation.json").read_text()
            preparation = PreparationParameters.model_validate_json(text)
            found[kind] = Autoencoder(file=file, preparation=preparation, limit=limit)
        else:
            found[kind] = Forest(file=file, limit=limit)
    return Anomaly(**found)


def _in_parts(images: SubImages, member: Member, function: Any, size: int = 64) -> np.ndarray:
    from cherenkov_pipeline.alerts.preparation import prepare

    parts = [prepare(images[first : first + size], member.preparation) for first in range(0, len(images), size)]
    return np.concatenate([function(part) for part in parts])
