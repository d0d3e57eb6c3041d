"""Trains a small network on a store with the backend that KERAS_BACKEND names; a script, for a process of its own."""

import json
import sys

import numpy as np

from cherenkov_pipeline.models.backend import keras
from cherenkov_pipeline.models.build import Scales, build_model
from cherenkov_pipeline.models.likelihoods import LIKELIHOODS
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.batches import Batches
from cherenkov_pipeline.store.parameters import InputParameters
from cherenkov_pipeline.tasks import get_task

INPUTS = InputParameters(mapping="axial", map_in="network")
ALL_INPUTS = INPUTS.model_copy(update={"brightest": 16, "parameters": ("hillas_width",)})
MODEL = ModelParameters(
    options={"filters": [4, 8], "convolution": "hexagonal", "pooling": "average"}, head={"options": {"units": [8]}}
)


def main(paths: list[str]) -> dict[str, object]:
    """Sums of all batches, predictions of given weights, and the loss after an epoch."""
    task = get_task("energy")
    store = EventStore(paths)
    batches, complete = (
        Batches(store, store.indices(particles=("gamma",)), inputs, task.to_target, batch_size=16, seed=1)
        for inputs in (INPUTS, ALL_INPUTS)
    )
    sums = [
        {name: float(values.sum()) for name, values in complete[number][0].items()} for number in range(len(complete))
    ]
    model = build_model(MODEL, task, batches.shapes, Scales([1.0], [0.5]), batches.maker.mapping)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.1, value.shape) for value in model.get_weights()])
    predictions = keras.ops.convert_to_numpy(model(batches[0][0])).tolist()
    model.compile("adam", LIKELIHOODS[task.likelihood].loss())
    history = model.fit(batches, epochs=1, shuffle=False, verbose=0)
    return {
        "backend": keras.backend.backend(),
        "sums": sums,
        "predictions": predictions,
        "loss": history.history["loss"][0],
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
