"""Triggered showers per second of CPU time on one core: the simulation alone, and with DL1 processing and writing."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._report import report
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.simulated import write_run
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters
from cherenkov_pipeline.simulation.showers import prepare, simulate
from cherenkov_pipeline.simulation.throwing import throw

# the ranges of the default sample
PRODUCTIONS = {
    "gamma": Production(
        particle="gamma",
        n_files=1,
        n_showers=50_000,
        energy_min="0.2 TeV",
        energy_max="300 TeV",
        core_radius="880 m",
        viewcone_radius="5 deg",
    ),
    "proton": Production(
        particle="proton",
        n_files=1,
        n_showers=6_000,
        uses_per_shower=5,
        energy_min="0.4 TeV",
        energy_max="500 TeV",
        core_radius="1000 m",
        viewcone_radius="8 deg",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the default number of showers")
    scale = parser.parse_args().scale
    parameters = SimulationParameters(training=PRODUCTIONS, test={})
    rows, figures = [], {}
    for name, full in PRODUCTIONS.items():
        production = full.model_copy(update={"n_showers": max(1, round(scale * full.n_showers))})
        n_triggered, seconds = simulated(parameters, production)
        n_written, with_dl1 = written(parameters, production)
        figures[f"{name}s_per_s"] = n_triggered / seconds
        figures[f"{name}s_per_s_with_dl1"] = n_written / with_dl1
        rows.append(
            {
                "particle": name,
                "thrown": production.n_showers * production.uses_per_shower,
                "triggered": n_triggered,
                "triggered/s": n_triggered / seconds,
                "triggered/s with DL1": n_written / with_dl1,
            }
        )
    report(rows, figures)


def simulated(parameters: SimulationParameters, production: Production) -> tuple[int, float]:
    """Triggered events and CPU seconds of the simulation alone, after compilation."""
    setup = prepare(parameters)
    few = production.model_copy(update={"n_showers": 200})
    sum(1 for _ in simulate(few, throw(few, setup.pointing, rng(0)), setup, rng(0)))
    start = time.process_time()
    n_triggered = sum(1 for _ in simulate(production, throw(production, setup.pointing, rng(1)), setup, rng(2)))
    return n_triggered, time.process_time() - start


def written(parameters: SimulationParameters, production: Production) -> tuple[int, float]:
    """Triggered events and CPU seconds of simulation, image processing and writing."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        record = write_run(
            Path(folder) / "run.dl1.h5",
            name="benchmark",
            obs_id=1,
            seed=np.random.SeedSequence(1),
            parameters=parameters,
            production=production,
            dl1_parameters=DL1Parameters(),
        )
        return record["n_triggered"], time.process_time() - start


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


if __name__ == "__main__":
    main()
