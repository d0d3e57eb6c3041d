"""Trains a toy on one and on two CPUs, with the backend that KERAS_BACKEND names; a script, for its own process."""

import json
import os
import sys
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from tests.training.toy_showers import shower_store

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.task import train_task

MODEL = ModelParameters(
    name="single_tel", options={"filters": [4], "pooling": "average"}, head={"options": {"units": [8]}}
)


class StopHereError(Exception):
    pass


def main(folder: Path, optimizer: str) -> dict[str, object]:
    """Losses of both, of an interrupted one that goes on, and what is said of too many."""
    store = shower_store(folder / "toy.store.h5", 101)

    def train(devices, name: str, watch=None) -> list[float]:
        training = TrainingParameters(
            epochs=3,
            batch_size=16,
            devices=devices,
            optimizer={"name": optimizer, "learning_rate": 0.02},
            weights={"classes": {"proton": 2.0}},
        )
        inputs = input_parameters(MODEL, {"mapping": "square"})
        trained = train_task(store, "type", MODEL, inputs, training, folder / name, watch=watch)
        return [float(value) for value in trained.history["val_loss"]]

    def stop(row) -> None:
        if row["epoch"] == 2:
            raise StopHereError

    result = {"backend": keras.backend.backend(), "one": train(1, "one"), "two": train("all", "two")}
    try:
        train(2, "resumed", stop)
    except StopHereError:
        result["resumed"] = train(2, "resumed")
    try:
        train(3, "three")
    except UserError as error:
        result["three"] = str(error)
    return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
