"""Weights for transfer learning where there are none from elsewhere: learnt from simulated frames of other masks.

They are no ImageNet weights, and are labelled so: a network learns to tell simulated true sources from simulated false
alerts, seen through mask patterns that no other data of this pipeline have.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cherenkov_pipeline.alerts.augmentation import AugmentationParameters
from cherenkov_pipeline.alerts.files import read_sub_images, write_sub_images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.alerts.parameters import FrameParameters, NetworkMethod
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.splits import SplitParameters, split
from cherenkov_pipeline.files import atomic_path, locked
from cherenkov_pipeline.fingerprints import code_fingerprint, fingerprint

logger = logging.getLogger(__name__)

SIMULATION = ("alerts/simulation", "alerts/images", "alerts/files")
"""Code that makes the frames."""

ROOMS = (
    *SIMULATION,
    "alerts/networks",
    "alerts/preparation",
    "alerts/features",
    "alerts/batches",
    "alerts/training",
    "alerts/augmentation",
    "alerts/splits",
    "models",
    "training",
)
"""Code that makes the weights."""


@dataclass(frozen=True)
class Pretraining:
    """Makes the weights that methods begin with, once for each network and preparation.

    Attributes
    ----------
    simulation : AlertSimulationParameters
        Of the other data: all but number, patterns, seed and wrong labels is the same.
    folder : Path
        Where frames and weights are kept, by the fingerprint of all that they depend on.
    """

    simulation: AlertSimulationParameters
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Of what the weights depend on beside the method."""
        return fingerprint(self.simulation, code_fingerprint(*ROOMS))

    def weights(self, method: NetworkMethod) -> Path | None:
        """Learn weights from simulated frames, or find those that were learnt before.

        Parameters
        ----------
        method : NetworkMethod
            Its network learns with its preparation, but without the two numbers of the signal to noise, so that the
            network's features hold what they say.

        Returns
        -------
        Path or None
            The ``.keras`` file, for `~cherenkov_pipeline.alerts.weights.find_weights`; None for a method that begins
            with others.

        Raises
        ------
        UserError
            As `~cherenkov_pipeline.alerts.training.train_network`.
        """
        if method.frames is None:
            return None
        learner, frames = _learner(method), self._simulation(method.frames)
        path = self.folder / f"{fingerprint(learner, frames, code_fingerprint(*ROOMS))}.keras"
        if path.is_file():
            logger.info("The weights learnt from simulated frames are there: %s.", path)
            return path

        from cherenkov_pipeline.alerts.training import train_network

        images = self.images(method.frames)
        splits = split(images.table, SplitParameters(train=0.8, validation=0.1, test=0.1))
        trained = train_network("pre-training", images, splits, learner, self.folder / "states", wait=True)
        tested = splits != "train"
        right = (trained.logits > 0) == np.asarray(images.table["is_real"], dtype=bool)
        logger.info(
            "Weights from simulated frames: %.1f %% of %d others right.", 100 * right[tested].mean(), tested.sum()
        )
        with atomic_path(path) as part:
            trained.network.save(part)
        return path

    def _simulation(self, frames: FrameParameters) -> AlertSimulationParameters:
        own = {name: getattr(frames, name) for name in FrameParameters.model_fields}
        return self.simulation.model_copy(update={**own, "label_noise": 0.0})

    def images(self, parameters: FrameParameters) -> SubImages:
        """Simulate frames, or read those that were simulated before."""
        frames = self._simulation(parameters)
        path = self.folder / f"frames_{fingerprint(frames, code_fingerprint(*SIMULATION))}.h5"
        with locked(self.folder, wait=True):
            if not path.is_file():
                from cherenkov_pipeline.alerts.simulation.sample import simulate_sample

                logger.info("Simulating %d frames to learn weights from.", frames.n_images)
                write_sub_images(simulate_sample(frames), path)
        return read_sub_images(path)


def _learner(method: NetworkMethod) -> NetworkMethod:
    """Parameters of the training that makes the weights."""
    own = method.pretraining
    size = min(method.preparation.size, own.largest_size)
    preparation = method.preparation.model_copy(update={"size": size, "snr_max": False, "snr_std": False})
    return NetworkMethod(
        method=method.method,
        network=method.network,
        preparation=preparation,
        augmentation=AugmentationParameters(),
        training=own.training,
    )
