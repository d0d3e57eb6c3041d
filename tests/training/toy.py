"""A toy problem for the trainer: the targets are in the images. Runs as a script, to be killed."""

import logging
import sys
import time
from pathlib import Path

import numpy as np

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import build_model, measure_scales
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.tasks import TASKS
from cherenkov_pipeline.training.parameters import TrainingParameters
from cherenkov_pipeline.training.trainer import TrainingResult, train

MODEL = {
    "options": {"filters": [4, 8], "pooling": "average", "batch_normalization": True},
    "head": {"options": {"units": [8], "dropout": 0.2}},
}
PARAMETERS = {
    "epochs": 6,
    "batch_size": 16,
    "deterministic": True,
    "schedule": {"name": "plateau", "patience": 1, "min_delta": 0.5},
}


class ToyBatches(keras.utils.PyDataset):
    """Images whose charge is the energy; the order depends on seed and epoch."""

    def __init__(self, n_events: int, seed: int, batch_size: int = 16, shuffle: bool = True, delay: float = 0.0):
        super().__init__()
        rng = np.random.default_rng(seed)
        self.targets = rng.normal(0.5, 0.4, (n_events, 1))
        images = rng.exponential(1.0, (n_events, 16, 16, 2)) * 10 ** self.targets[:, :, None, None]
        self.images = images.astype(np.float32)
        self.batch_size, self.shuffle, self.delay = batch_size, shuffle, delay
        self.epoch = 0
        self.seen: list[tuple[int, np.ndarray]] = []

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        time.sleep(self.delay)
        order = np.arange(len(self.images))
        if self.shuffle:
            order = np.random.default_rng([1, self.epoch]).permutation(order)
        rows = order[index * self.batch_size : (index + 1) * self.batch_size]
        self.seen.append((self.epoch, rows))
        return {"image": self.images[rows]}, self.targets[rows]


def train_toy(folder: Path, delay: float = 0.0, broken: bool = False, run: str = "first", **changes) -> TrainingResult:
    """Train on 72 toy events, validate on 10: both leave a partial batch. One target is NaN where it is broken."""
    training = ToyBatches(72, seed=1, delay=delay)
    scales = measure_scales({"image": training.images}, training.targets)
    if broken:
        training.targets[5] = np.nan

    def build() -> keras.Model:
        return build_model(ModelParameters(**MODEL), TASKS["energy"], {"image": (16, 16, 2)}, scales)

    return train(
        build,
        LIKELIHOODS["gaussian"],
        training,
        ToyBatches(10, seed=2, shuffle=False),
        TrainingParameters(**PARAMETERS | changes),
        folder,
        n_events=72,
        origin={"run": run},
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    train_toy(Path(sys.argv[1]), delay=float(sys.argv[2]))
