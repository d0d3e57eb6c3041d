"""Every registered model on a toy sample: trains two epochs, predicts, saves. Also a script, for another backend."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
from tests.store.toy_dl1 import geometry
from tests.training.toy_forest import forest_store

from cherenkov_pipeline.models.backend import jit_compile, keras
from cherenkov_pipeline.models.build import build_model, measure_scales, task_likelihood
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.registry import REGISTRY, complete_input
from cherenkov_pipeline.store.inputs import input_maker
from cherenkov_pipeline.tasks import TASKS
from cherenkov_pipeline.training.forest import train_forest
from cherenkov_pipeline.training.parameters import TrainingParameters

N_EVENTS, N_TELESCOPES = 24, 3
TINY = {"filters": [3, 4], "dropout": 0.1}
SMALL = {
    "single_tel": {"options": TINY},
    "resnet": {"options": {"filters": [2, 3], "blocks": [1, 1], "attention_ratio": 2}},
    "hex_resnet": {"options": {"filters": [2, 3], "blocks": [1, 1], "attention_ratio": 2}},
    "cnn_rnn": {"options": {**TINY, "units": 6}},
    "set_network": {"options": {"width": 8, "exchanges": 1, "heads": 2, "units": [6], "odd_units": 2}},
    "variable_input": {"options": {**TINY, "array_filters": [4]}},
    "stereo_set_network": {
        "options": {"encoder": {"width": 8, "exchanges": 1, "heads": 2, "units": [6]}, "units": [5, 4]}
    },
    "random_forest": {"options": {"n_trees_regression": 5, "n_trees_classification": 5, "n_jobs": 1}},
}
"""Parameters with which the models are small; heads are made small as well."""


def small(name: str) -> ModelParameters:
    """Parameters of a small model of this name."""
    return ModelParameters(name=name, head={"options": {"units": [5]}}, **SMALL.get(name, {}))


@cache
def pixels() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Charges, times, cleaning masks and log-energies of images whose charge grows with the energy."""
    rng = np.random.default_rng(0)
    log_energy = rng.normal(0.5, 0.4, N_EVENTS).astype(np.float32)
    mask = rng.random((N_EVENTS * N_TELESCOPES, 331)) < 0.1
    mask[:, 0] = True
    image = rng.gamma(2, 5, mask.shape) * mask * np.repeat(10**log_energy, N_TELESCOPES)[:, np.newaxis]
    return image.astype(np.float32), rng.normal(20, 2, mask.shape).astype(np.float32), mask, log_energy


def sample(name: str, task: str = "energy"):
    """Inputs, targets and mapping for the registered model ``name``."""
    wanted = complete_input(name, {"shower_frame": task == "skydirection"})
    if wanted.mapping == "bilinear":
        wanted = wanted.model_copy(update={"size": 20})
    camera, stereo = geometry(), REGISTRY[name].mode == "stereo"
    image, time, mask, log_energy = pixels()
    n_images = len(image) if stereo else N_EVENTS
    maker = input_maker(camera, wanted)
    inputs = maker.from_images(*(values[:n_images] for values in (image, time, mask)))
    rng = np.random.default_rng(1)
    if wanted.parameters:
        inputs["parameters"] = rng.normal(1, 0.2, (n_images, len(wanted.parameters))).astype(np.float32)
    if stereo:
        inputs = {key: x.reshape(N_EVENTS, N_TELESCOPES, *x.shape[1:]) for key, x in inputs.items()}
        telescopes = rng.random((N_EVENTS, N_TELESCOPES)) < 0.7
        telescopes[:, 1] = True
        for values in inputs.values():
            values[~telescopes] = 0
        inputs["telescopes"] = telescopes.astype(np.float32)
        inputs["positions"] = np.tile(rng.normal(0, 100, (N_TELESCOPES, 3)), (N_EVENTS, 1, 1)).astype(np.float32)
    targets = log_energy[:, np.newaxis]
    if task == "type":
        targets = (targets > 0.5).astype(np.float32)
    if task == "skydirection":
        targets = rng.normal(0, 1, (N_EVENTS, 2)).astype(np.float32)
    return inputs, targets, maker.mapping


def built(name: str, task: str = "energy") -> tuple[keras.Model, dict[str, np.ndarray], np.ndarray]:
    """Build a small model; the inputs and targets that it is for."""
    inputs, targets, mapping = sample(name, task)
    keras.utils.set_random_seed(3)
    shapes = {key: values.shape[1:] for key, values in inputs.items()}
    return build_model(small(name), TASKS[task], shapes, measure_scales(inputs, targets), mapping), inputs, targets


def trained(
    name: str, task: str = "energy", n_steps: int = 0
) -> tuple[keras.Model, list[float], dict[str, np.ndarray]]:
    """Train a small model, compiled for so many steps; its losses, and the inputs."""
    model, inputs, targets = built(name, task)
    likelihood = task_likelihood(TASKS[task], REGISTRY[name].mode == "stereo")
    model.compile("adam", likelihood.loss(), metrics=likelihood.metrics, jit_compile=jit_compile(model, n_steps))
    losses = model.fit(inputs, targets, epochs=2, batch_size=N_EVENTS // 2, verbose=0).history["loss"]
    return model, losses, inputs


def predicted(model: keras.Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Outputs as a numpy array."""
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def grown(name: str, folder: Path) -> tuple[keras.Model, list[float], dict[str, np.ndarray]]:
    """Grow a small forest; its loss, and made-up inputs."""
    store = forest_store(folder / "toy.store.h5", 400)
    model, history = train_forest(store, TASKS["energy"], small(name), complete_input(name), TrainingParameters(seed=1))
    return model, [float(history["loss"][0])], sample(name)[0]


def main(folder: Path, *names: str) -> dict[str, list[float]]:
    """Train, save and predict some models; losses of each."""
    losses = {}
    for name in names:
        model, losses[name], inputs = trained(name) if REGISTRY[name].trainer == "gradient" else grown(name, folder)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", outputs=predicted(model, inputs))
    return losses


if __name__ == "__main__":
    print(json.dumps({"backend": keras.backend.backend(), "losses": main(Path(sys.argv[1]), *sys.argv[2:])}))
