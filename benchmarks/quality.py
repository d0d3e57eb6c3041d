"""How good the set network is, measured against the random forest on the same events, from nothing.

Diffuse gammas and protons are simulated, cleaned, cut and packed by the package's own stages. For each seed, the
registered models ``set_network`` and ``random_forest`` learn energy, particle type and direction from the same training
events; both predict test events of which neither has seen the shower. All images count, also those whose source a model
puts on the wrong side.

    python -m benchmarks.quality [--scale 0.1] [--seeds 2] [--folder KEEP] [--epochs 12]

Every figure is the mean over the seeds, with a paired 95 % bootstrap interval over showers. The last line is one JSON
object: ``direction_ratio``, ``energy_ratio`` (68 % errors, ours over the forest's), ``auc_gain``, ``proton_ratio``
(protons kept at 70 % gamma efficiency), each also with ``_low`` and ``_high``, over all energies and per bin;
``minutes_per_task`` (wall clock), ``inference_events_per_s`` (one core, from packed pixels to physical columns);
coverage of the predicted errors, better against worse half, calibration of the gammaness, and the real events.
``python -m benchmarks.stereo`` compares stereo with mono.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable

from benchmarks._quality_figures import (
    Function,
    auc_gain,
    calibration_error,
    halves_ratio,
    measure,
    over_seeds,
    proton_efficiency,
    proton_ratio,
    resolution_ratio,
)
from benchmarks._quality_samples import REAL_PART, Sample, convert, simulate
from benchmarks._report import Clock, print_table, report
from benchmarks._shower_samples import REAL_CONDITIONS, REAL_EVENTS, test_data
from benchmarks._training import shipped_training
from cherenkov_pipeline.directions import separation, true_direction
from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel, load_model, save_model
from cherenkov_pipeline.performance.bootstrap import shower_labels
from cherenkov_pipeline.performance.metrics import Estimate
from cherenkov_pipeline.performance.statistics import mean, quantile_68, roc_auc
from cherenkov_pipeline.reconstruction.predict import predict_dl1, predict_store
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.training.parameters import input_parameters
from cherenkov_pipeline.training.task import train_task

TASKS = ("energy", "type", "skydirection")
NETWORK, FOREST = "set_network", "random_forest"
MODELS = {NETWORK: "", FOREST: "forest "}
"""Models that are compared -> what stands before the names of their columns."""

INFERENCE_EVENTS = 4096

LIMITS = {
    "direction_ratio": "at most 0.72",
    "energy_ratio": "at most 0.75",
    "auc_gain": "at least 0.03",
    "proton_ratio": "at most 0.75",
    "energy_coverage": "0.653 to 0.713",
    "direction_coverage": "0.653 to 0.713",
    "halves_ratio": "at most 0.6",
    "calibration_error": "at most 0.02",
}

EnergyBins = dict[str, Estimate]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the full number of events")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each task")
    parser.add_argument("--epochs", type=int, default=12, help="of each training")
    parser.add_argument("--workers", type=int, default=2, help="files simulated side by side")
    parser.add_argument("--folder", type=Path, help="keep samples and trainings here, and use those that are there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        clock = Clock()
        sample = simulate(folder, arguments.scale, {}, arguments.workers)
        clock.say(describe(sample))
        trainings = [
            train(sample.store, seed, arguments.epochs, folder / "states", clock) for seed in range(arguments.seeds)
        ]
        figures = compare([one.predictions for one in trainings], clock)
        print_table(rows(figures))  # at once: simulating the real events' telescope takes long
        times = speed(trainings, sample.store, Path(temporary), clock)
        path = test_data() / REAL_EVENTS
        real: dict[str, Any] = {}
        if path.exists():
            theirs = simulate(folder / "real", REAL_PART * arguments.scale, REAL_CONDITIONS, arguments.workers)
            clock.say(f"telescope of the real events: {describe(theirs)}")
            models = [
                train_models(theirs.store, NETWORK, seed, arguments.epochs, folder / "states", clock)[0]
                for seed in range(arguments.seeds)
            ]
            real = real_events(models, convert(path, Path(temporary)))
        else:
            print(f"no real events: {path} does not exist (set CHERENKOV_TEST_DATA)", flush=True)
    report(rows(figures), flat(figures) | sizes(sample) | times | real)


Predictions = dict[str, dict[str, QTable]]
"""What one seed's models say of the test events: model -> task -> one row an image, in the same order."""


@dataclass(frozen=True)
class Trained:
    """One seed's networks, the minutes of their epochs, and all predictions."""

    models: dict[str, TrainedModel]
    minutes: list[float]
    predictions: Predictions


def train_models(
    store: EventStore, name: str, seed: int, epochs: int, states: Path, clock: Clock
) -> dict[str, TrainedModel]:
    """Train a registered model for all tasks."""
    model = ModelParameters(name=name)
    models = {}
    for task in TASKS:
        training = shipped_training(task, seed, epochs)
        models[task] = train_task(store, task, model, input_parameters(model), training, states)
        clock.say(f"{name} for {task}, seed {seed}: best epoch {models[task].card.training['best_epoch']}")
    return models


def train(store: EventStore, seed: int, epochs: int, states: Path, clock: Clock) -> Trained:
    """Train both models and predict the test events."""
    trained = {name: train_models(store, name, seed, epochs, states, clock) for name in MODELS}
    predictions = {
        name: {task: predict_store(model, store) for task, model in models.items()} for name, models in trained.items()
    }
    clock.say(f"predictions, seed {seed}")
    minutes = [model.card.training["seconds"] / 60 for model in trained[NETWORK].values()]
    return Trained(trained[NETWORK], minutes, predictions)


def compare(predictions: list[Predictions], clock: Clock) -> dict[str, EnergyBins]:
    """Figures of merit, over all energies and in bins."""
    first = predictions[0][NETWORK]["skydirection"]
    valid = np.logical_and.reduce(
        [np.asarray(table["is_valid"]) for one in predictions for tables in one.values() for table in tables.values()]
    )
    is_gamma = np.asarray(first["true_shower_primary_id"]) == 0
    energy, showers, truth = first["true_energy"].to_value("TeV"), shower_labels(first), true_direction(first)
    columns: dict[str, np.ndarray] = {"is_gamma": is_gamma.astype(float)}
    for seed, one in enumerate(predictions):
        for name, prefix in MODELS.items():
            found = one[name]["skydirection"]
            lon, lat, radius = (
                found[column].to_value("deg") for column in ("reco_fov_lon", "reco_fov_lat", "reco_ang_distance_uncert")
            )
            away = separation(lon, lat, truth.lon, truth.lat)
            reco, uncert = (
                one[name]["energy"][column].to_value("TeV") for column in ("reco_energy", "reco_energy_uncert")
            )
            columns |= {
                f"{prefix}direction {seed}": away,
                f"{prefix}radius {seed}": radius,
                f"{prefix}direction held {seed}": (away <= radius).astype(float),
                f"{prefix}energy {seed}": reco / energy - 1,
                f"{prefix}energy held {seed}": (np.abs(np.log(reco / energy)) <= uncert / reco).astype(float),
                f"{prefix}gammaness {seed}": np.asarray(one[name]["type"]["gammaness"]),
            }
    rng = np.random.default_rng(20240611)
    figures = {}
    for name, (function, kinds, fixed) in FIGURES.items():
        used = valid if fixed else valid & is_gamma
        names = [*fixed, *(f"{kind} {seed}" for seed in range(len(predictions)) for kind in kinds)]
        chosen = {column: columns[column][used] for column in names}
        averaged = over_seeds(function, len(fixed))
        figures[name] = measure(averaged, chosen, names, energy[used], showers[used], rng)
    clock.say(f"figures of {np.count_nonzero(valid)} test images")
    return figures


#: name -> function, columns of each seed, columns common to all (then protons count too)
FIGURES: dict[str, tuple[Function, tuple[str, ...], tuple[str, ...]]] = {
    "direction_ratio": (resolution_ratio, ("direction", "forest direction"), ()),
    "energy_ratio": (resolution_ratio, ("energy", "forest energy"), ()),
    "auc_gain": (auc_gain, ("gammaness", "forest gammaness"), ("is_gamma",)),
    "proton_ratio": (proton_ratio, ("gammaness", "forest gammaness"), ("is_gamma",)),
    "direction_68": (lambda error: quantile_68(error), ("direction",), ()),
    "forest_direction_68": (lambda error: quantile_68(error), ("forest direction",), ()),
    "energy_68": (lambda error: quantile_68(error), ("energy",), ()),
    "forest_energy_68": (lambda error: quantile_68(error), ("forest energy",), ()),
    "auc": (lambda is_gamma, score: roc_auc(is_gamma, score), ("gammaness",), ("is_gamma",)),
    "forest_auc": (lambda is_gamma, score: roc_auc(is_gamma, score), ("forest gammaness",), ("is_gamma",)),
    "proton_efficiency": (proton_efficiency, ("gammaness",), ("is_gamma",)),
    "forest_proton_efficiency": (proton_efficiency, ("forest gammaness",), ("is_gamma",)),
    "energy_coverage": (lambda held: mean(held), ("energy held",), ()),
    "direction_coverage": (lambda held: mean(held), ("direction held",), ()),
    "halves_ratio": (halves_ratio, ("direction", "radius"), ()),
    "calibration_error": (calibration_error, ("gammaness",), ("is_gamma",)),
}


def speed(trainings: list[Trained], store: EventStore, folder: Path, clock: Clock) -> dict[str, float]:
    """Minutes of a training, and events per second on one core."""
    rates = []
    for number, (task, model) in enumerate(trainings[0].models.items()):
        path = save_model(model, folder / f"{number}.keras") and folder / f"{number}.keras"
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rates.append(pool.apply(inference_rate, (path, store)))
        clock.say(f"{task}: {rates[-1]:.0f} events/s on one core")
    minutes = [value for one in trainings for value in one.minutes]
    return {
        "minutes_per_task": float(np.mean(minutes)),
        "minutes_per_task_low": min(minutes),
        "minutes_per_task_high": max(minutes),
        "inference_events_per_s": float(np.mean(rates)),
        "inference_events_per_s_low": min(rates),
        "inference_events_per_s_high": max(rates),
    }


def inference_rate(path: Path, store: EventStore) -> float:
    """Events per second of CPU time of this process, which keeps to one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from cherenkov_pipeline.reconstruction.predict import make_predictor

    predictor = make_predictor(load_model(path), store.camera)
    rows = store.indices("test")[:INFERENCE_EVENTS]
    everything = np.ones(len(rows), dtype=bool)
    predictor.predict(store.read(rows), everything)  # compiles
    start = time.process_time()
    predictor.predict(store.read(rows), everything)
    return len(rows) / (time.process_time() - start)


def real_events(models: list[dict[str, TrainedModel]], path: Path) -> dict[str, Any]:
    """Predict the real events by models that were trained on their telescope; every event counts."""
    uncut = SelectionParameters(quality={})
    found: dict[str, list[np.ndarray]] = {"away": [], "relative": [], "gammaness": []}
    for number, of_seed in enumerate(models):
        tables = predict_dl1(list(of_seed.values()), path, uncut)
        truth = true_direction(tables["skydirection"])
        direction = tables["skydirection"]
        away = separation(
            direction["reco_fov_lon"].to_value("deg"), direction["reco_fov_lat"].to_value("deg"), truth.lon, truth.lat
        )
        energy = tables["energy"]
        found["away"].append(away)
        found["relative"].append((energy["reco_energy"] / energy["true_energy"]).to_value("") - 1)
        found["gammaness"].append(np.asarray(tables["type"]["gammaness"]))
        table = QTable(
            {
                "true_energy": energy["true_energy"],
                "reco_energy": energy["reco_energy"],
                "reco_energy_uncert": energy["reco_energy_uncert"],
                "separation": away,
                "radius": direction["reco_ang_distance_uncert"],
                "gammaness": tables["type"]["gammaness"],
                "intensity": energy["hillas_intensity"],
            }
        )
        print(f"real events, seed {number}; trained on a simulation of their own telescope:")
        for name in table.colnames:
            table[name].info.format = ".3g"
        table.pprint(max_lines=-1, max_width=-1)
    angular, relative = ([float(np.median(np.abs(values))) for values in found[name]] for name in ("away", "relative"))
    return {
        "real_n": len(found["away"][0]),
        "real_direction_median": float(np.mean(angular)),
        "real_direction_median_high": max(angular),
        "real_energy_median": float(np.mean(relative)),
        "real_energy_median_high": max(relative),
        "real_gammaness": [[round(float(value), 3) for value in values] for values in found["gammaness"]],
    }


def describe(sample: Sample) -> str:
    """One line about a sample."""
    return ", ".join(f"{key}: {value}" for key, value in sizes(sample).items())


def sizes(sample: Sample) -> dict[str, int]:
    """Numbers of events."""
    found = {f"n_triggered_{particle}": n for particle, n in sample.n_triggered.items()}
    for split in ("train", "test"):
        for particle in sample.n_triggered:
            found[f"n_{split}_{particle}"] = len(sample.store.indices(split, (particle,)))
    return found


def rows(figures: dict[str, EnergyBins]) -> list[dict[str, object]]:
    """Rows of the table that people read: one a figure and bin."""
    return [
        {
            "figure": name,
            "energy": bin_name,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "n": found.n,
            "wanted": LIMITS.get(name, ""),
        }
        for name, bins in figures.items()
        for bin_name, found in bins.items()
    ]


def flat(figures: dict[str, EnergyBins]) -> dict[str, Any]:
    """Figures by key: all energies by the bare name, and lists over the bins."""
    result: dict[str, Any] = {}
    for name, bins in figures.items():
        every = bins["all"]
        result |= {name: every.value, f"{name}_low": every.low, f"{name}_high": every.high}
        result[f"{name}_bins"] = [round(found.value, 4) for key, found in bins.items() if key != "all"]
    return result


if __name__ == "__main__":
    main()
