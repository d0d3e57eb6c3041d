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
from cherenkov_pipeline.training.devices import distributed
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.task import train_task


def model(**options) -> ModelParameters:
    return ModelParameters(
        name="single_tel", options={"filters": [4], "pooling": "average", **options}, head={"options": {"units": [8]}}
    )


MODEL, NORMALIZED = model(), model(batch_normalization=True)


class StopHereError(Exception):
    pass


def n_devices() -> int:
    """Devices that a model built here would have a copy on."""
    if keras.backend.backend() == "tensorflow":
        return tf.distribute.get_strategy().num_replicas_in_sync
    return keras.distribution.distribution().device_mesh.devices.size


def main(folder: Path, optimizer: str) -> dict[str, object]:
    """Losses of both, of an interrupted one that goes on, of a last batch of one, and what is said of too many."""
    store = shower_store(folder / "toy.store.h5", 101)

    def train(devices, name: str, watch=None, model=MODEL, batch_size=16) -> list[float]:
        training = TrainingParameters(
            epochs=3,
            batch_size=batch_size,
            devices=devices,
            optimizer={"name": optimizer, "learning_rate": 0.02},
            weights={"classes": {"proton": 2.0}},
        )
        inputs = input_parameters(model, {"mapping": "square"})
        trained = train_task(store, "type", model, inputs, training, folder / name, watch=watch)
        return [float(value) for value in trained.history["val_loss"]]

    def stop(row) -> None:
        if row["epoch"] == 2:
            raise StopHereError

    result = {"backend": keras.backend.backend(), "one": train(1, "one"), "two": train("all", "two")}
    try:
        train(2, "resumed", stop)
    except StopHereError:
        result["resumed"] = train(2, "resumed")
    alone = len(store.indices("train")) - 1
    result["alone"] = train("all", "alone", model=NORMALIZED, batch_size=alone)
    with distributed("all"):
        result["n_devices"] = n_devices()
    try:
        train(3, "three")
    except UserError as error:
        result["three"] = str(error)
    return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
