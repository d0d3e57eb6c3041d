"""Weights for transfer learning where there are none from elsewhere: learnt from simulated frames of other masks.

They are no ImageNet weights, and are labelled so: a ResNet18 learns to tell simulated true sources from simulated false
alerts, seen through mask patterns that no other data of this pipeline have.
"""

import logging
from pathlib import Path

import numpy as np
from pydantic import Field, PositiveInt

from cherenkov_pipeline.alerts.augmentation import AugmentationParameters
from cherenkov_pipeline.alerts.networks.registry import NetworkParameters
from cherenkov_pipeline.alerts.parameters import LearningParameters, NetworkMethod
from cherenkov_pipeline.alerts.preparation import PreparationParameters
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.splits import SplitParameters, split
from cherenkov_pipeline.config import Parameters
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path, fingerprint
from cherenkov_pipeline.revision import code_fingerprint
from cherenkov_pipeline.training.parameters import CosineSchedule, OptimizerParameters

logger = logging.getLogger(__name__)

ROOMS = ("alerts/simulation", "alerts/networks", "alerts/preparation", "alerts/batches", "alerts/training", "models")
"""Code that makes the weights."""


class PretrainingParameters(Parameters):
    """How the weights ``simulated`` are learnt."""

    n_images: int = Field(1024, ge=40, le=1_000_000, description="Simulated sub-images, one in five not for training.")
    mask_patterns: tuple[PositiveInt, ...] = Field(
        (1001, 1002, 1003, 1004), min_length=1, description="Mask patterns, none of which other data have."
    )
    size: int = Field(112, ge=32, le=512, description="Pixels along each side; best that of the transfer.")
    training: LearningParameters = LearningParameters(
        epochs=4,
        batch_size=32,
        optimizer=OptimizerParameters(name="adamw", learning_rate=1e-3),
        schedule=CosineSchedule(warmup_epochs=0.5),
    )
    seed: int = Field(1, ge=0, lt=2**32, description="Of the simulation.")


def pretrain(parameters: PretrainingParameters, simulation: AlertSimulationParameters, folder: Path) -> Path:
    """Learn weights from simulated frames, or find those that were learnt before.

    Parameters
    ----------
    parameters : PretrainingParameters
    simulation : AlertSimulationParameters
        Of the other data: all but number, patterns, seed and wrong labels is the same.
    folder : Path
        Where they are kept, by the fingerprint of all that they depend on.

    Returns
    -------
    Path
        The ``.keras`` file, for `~cherenkov_pipeline.alerts.weights.find_weights`.

    Raises
    ------
    UserError
        If a mask pattern is also that of other data; otherwise as `~cherenkov_pipeline.alerts.training.train_network`.
    """
    if shared := {*parameters.mask_patterns} & {*simulation.mask_patterns, simulation.held_back_pattern}:
        raise UserError(
            f"The mask patterns {sorted(shared)} are also those of the simulated images: take others for the"
            " pre-training, whose weights must not know them."
        )
    frames = simulation.model_copy(
        update={
            "n_images": parameters.n_images,
            "mask_patterns": parameters.mask_patterns,
            "seed": parameters.seed,
            "label_noise": 0.0,
        }
    )
    mark = fingerprint(parameters.model_dump(mode="json"), frames.model_dump(mode="json"), code_fingerprint(*ROOMS))
    path = Path(folder) / f"{mark}.keras"
    if path.is_file():
        logger.info("The weights learnt from simulated frames are there: %s.", path)
        return path

    from cherenkov_pipeline.alerts.simulation.sample import simulate_sample
    from cherenkov_pipeline.alerts.training import train_network

    logger.info("Simulating %d frames to learn weights from.", parameters.n_images)
    images = simulate_sample(frames)
    splits = split(images.table, SplitParameters(train=0.8, validation=0.1, test=0.1))
    method = NetworkMethod(
        method="resnet18_transfer",
        network=NetworkParameters(name="resnet18"),
        # the features are to hold all that there is to see
        preparation=PreparationParameters(size=parameters.size, snr_max=False, snr_std=False),
        augmentation=AugmentationParameters(),
        training=parameters.training,
    )
    trained = train_network("pre-training", images, splits, method, Path(folder) / "states")
    tested = splits != "train"
    right = (trained.logits > 0) == np.asarray(images.table["is_real"], dtype=bool)
    logger.info("Weights from simulated frames: %.1f %% of %d others right.", 100 * right[tested].mean(), tested.sum())
    with atomic_path(path) as part:
        trained.network.save(part)
    return path
