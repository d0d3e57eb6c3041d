"""How much several telescopes see more than one, from nothing: models of events against models of images.

Diffuse gammas and protons in two SST-1M telescopes are simulated, cleaned, cut and packed by the package's own stages.
For each seed, ``set_network`` and ``stereo_set_network`` are trained on the same showers, each for energy, type and
direction together; with ``--recurrent`` also ``single_tel`` and ``cnn_rnn`` for the type, small ones that a CPU can
train. They are compared on the test events that at least two telescopes see: each image counts with what the model of
images says of it, and with what the model of events says of its event.

    python -m benchmarks.stereo [--scale 0.1] [--seeds 2] [--folder KEEP] [--epochs 20] [--recurrent]

Every figure is the mean over the seeds, with a paired 95 % bootstrap interval over showers. The last line is one JSON
object: ``direction_ratio``, ``energy_ratio`` (68 % errors, stereo over mono), ``auc_gain``, and the values of both;
with ``--recurrent`` also ``recurrent_auc_gain``; each also with ``_low`` and ``_high``.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable

from benchmarks._quality_figures import Function, auc_gain, measure, over_seeds, resolution_ratio
from benchmarks._quality_samples import simulate
from benchmarks._report import Clock, report
from benchmarks._training import shipped_training
from benchmarks.quality import describe, flat, rows, sizes
from cherenkov_pipeline.directions import separation, true_direction
from cherenkov_pipeline.dl1.contents import PRODUCTION_EVENT
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.performance.bootstrap import shower_labels
from cherenkov_pipeline.performance.statistics import quantile_68, roc_auc
from cherenkov_pipeline.reconstruction.predict import predict_store
from cherenkov_pipeline.reconstruction.stereo import predict_stereo_store
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.training.parameters import input_parameters
from cherenkov_pipeline.training.task import train_task

JOINT = "energy+type+skydirection"
LOSS_WEIGHTS = {"energy": 1.0, "type": 2.0, "skydirection": 1.0}

SMALL = {"filters": (8, 8, 16, 32), "dropout": 0.2}
"""A quarter of CTLearn's filters: a training takes minutes on a CPU, not days."""

MODELS = {
    "mono": ModelParameters(name="set_network"),
    "stereo": ModelParameters(name="stereo_set_network"),
    "single_tel": ModelParameters(name="single_tel", options=SMALL, head={"options": {"units": (64,), "dropout": 0.2}}),
    "cnn_rnn": ModelParameters(
        name="cnn_rnn", options={**SMALL, "units": 64}, head={"options": {"units": (64,), "dropout": 0.2}}
    ),
}

LIMITS = {
    "direction_ratio": "at most 0.65",
    "energy_ratio": "at most 0.75",
    "auc_gain": "at least 0.02",
    "recurrent_auc_gain": "above 0",
}

#: name -> function, columns of each seed, columns common to all
FIGURES: dict[str, tuple[Function, tuple[str, ...], tuple[str, ...]]] = {
    "direction_ratio": (resolution_ratio, ("stereo direction", "mono direction"), ()),
    "energy_ratio": (resolution_ratio, ("stereo energy", "mono energy"), ()),
    "auc_gain": (auc_gain, ("stereo gammaness", "mono gammaness"), ("is_gamma",)),
    "stereo_direction_68": (lambda error: quantile_68(error), ("stereo direction",), ()),
    "mono_direction_68": (lambda error: quantile_68(error), ("mono direction",), ()),
    "stereo_energy_68": (lambda error: quantile_68(error), ("stereo energy",), ()),
    "mono_energy_68": (lambda error: quantile_68(error), ("mono energy",), ()),
    "stereo_auc": (lambda is_gamma, score: roc_auc(is_gamma, score), ("stereo gammaness",), ("is_gamma",)),
    "mono_auc": (lambda is_gamma, score: roc_auc(is_gamma, score), ("mono gammaness",), ("is_gamma",)),
}
RECURRENT: dict[str, tuple[Function, tuple[str, ...], tuple[str, ...]]] = {
    "recurrent_auc_gain": (auc_gain, ("cnn_rnn gammaness", "single_tel gammaness"), ("is_gamma",)),
    "cnn_rnn_auc": (lambda is_gamma, score: roc_auc(is_gamma, score), ("cnn_rnn gammaness",), ("is_gamma",)),
    "single_tel_auc": (lambda is_gamma, score: roc_auc(is_gamma, score), ("single_tel gammaness",), ("is_gamma",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of events")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each model")
    parser.add_argument("--epochs", type=int, default=20, help="of each training")
    parser.add_argument("--workers", type=int, default=2, help="files simulated side by side")
    parser.add_argument("--folder", type=Path, help="keep samples and trainings here, and use those that are there")
    parser.add_argument("--recurrent", action="store_true", help="compare cnn_rnn with single_tel as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        clock = Clock()
        sample = simulate(folder, arguments.scale, {}, arguments.workers)
        clock.say(describe(sample))
        wanted = {"mono": JOINT, "stereo": JOINT} | (
            {"single_tel": "type", "cnn_rnn": "type"} if arguments.recurrent else {}
        )
        predictions = [
            {name: predicted(sample.store, name, task, seed, arguments.epochs, folder / "states", clock)
             for name, task in wanted.items()}
            for seed in range(arguments.seeds)
        ]  # fmt: skip
        figures = compare(predictions, FIGURES | (RECURRENT if arguments.recurrent else {}))
        clock.say("figures")
    report([{**row, "wanted": LIMITS.get(row["figure"], "")} for row in rows(figures)], flat(figures) | sizes(sample))


def predicted(store: EventStore, name: str, task: str, seed: int, epochs: int, states: Path, clock: Clock) -> QTable:
    """Train a model and predict the test images, or events."""
    model = MODELS[name]
    inputs = input_parameters(model)
    joint = {"loss_weights": LOSS_WEIGHTS} if task == JOINT else {}
    training = shipped_training("joint" if task == JOINT else task, seed, epochs, **joint)
    trained = train_task(store, task, model, inputs, training, states)
    clock.say(f"{name}, seed {seed}: best epoch {trained.card.training['best_epoch']}")
    return (predict_stereo_store if inputs.mode == "stereo" else predict_store)(trained, store)


def compare(predictions: list[Mapping[str, QTable]], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Figures over the images of events that at least two telescopes see."""
    images = predictions[0]["mono"]
    event = event_rows(images, predictions[0]["stereo"])
    used = np.bincount(event)[event] > 1
    for one in predictions:
        for table in one.values():
            used &= np.asarray(table["is_valid"])[event if len(table) != len(images) else slice(None)]
    is_gamma = np.asarray(images["true_shower_primary_id"]) == 0
    energy, showers, truth = images["true_energy"].to_value("TeV"), shower_labels(images), true_direction(images)
    columns: dict[str, np.ndarray] = {"is_gamma": is_gamma.astype(float)}
    for seed, one in enumerate(predictions):
        for name, table in one.items():
            found = table if len(table) == len(images) else table[event]
            columns[f"{name} gammaness {seed}"] = np.asarray(found["gammaness"])
            if "reco_energy" in found.colnames:
                lon, lat = (found[axis].to_value("deg") for axis in ("reco_fov_lon", "reco_fov_lat"))
                columns[f"{name} direction {seed}"] = separation(lon, lat, truth.lon, truth.lat)
                columns[f"{name} energy {seed}"] = found["reco_energy"].to_value("TeV") / energy - 1
    rng, figures = np.random.default_rng(20240611), {}
    for figure, (function, kinds, fixed) in wanted.items():
        chosen = used if fixed else used & is_gamma
        names = [*fixed, *(f"{kind} {seed}" for seed in range(len(predictions)) for kind in kinds)]
        values = {name: columns[name][chosen] for name in names}
        figures[figure] = measure(over_seeds(function, len(fixed)), values, names, energy[chosen], showers[chosen], rng)
    return figures


def event_rows(images: QTable, events: QTable) -> np.ndarray:
    """Row of the event of each image."""
    numbers = {
        key: number
        for number, key in enumerate(zip(*(events[name].tolist() for name in PRODUCTION_EVENT), strict=True))
    }
    return np.array([numbers[key] for key in zip(*(images[name].tolist() for name in PRODUCTION_EVENT), strict=True)])


if __name__ == "__main__":
    main()
