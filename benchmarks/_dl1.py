"""Large DL1 files at little cost: a few simulated events, many times over, under new event numbers."""

import shutil
from pathlib import Path

import numpy as np
import tables

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.simulated import write_run
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters

SHOWERS = Production(
    particle="gamma",
    n_files=1,
    n_showers=30_000,
    energy_min="0.2 TeV",
    energy_max="300 TeV",
    core_radius="880 m",
    viewcone_radius="5 deg",
)
"""About 850 images of diffuse gammas."""

STRIDE = 10_000_000
"""Greater than the event numbers of the simulated run."""


def make_files(folder: Path, n_images: int, images_per_file: int) -> FileSet:
    """Write DL1 files with at least ``n_images`` images: one file, and hard links to it under other names.

    Each name has a fingerprint of its own, so that they count as different files.
    """
    path, record = repeat_events(folder, min(n_images, images_per_file))
    paths = [path]
    while len(paths) * record["n_images"] < n_images:
        paths.append(folder / f"gamma_{len(paths):04d}.dl1.h5")
        paths[-1].hardlink_to(path)
    return FileSet("benchmark", [{**record, "path": str(path), "fingerprint": path.name} for path in paths])


def repeat_events(folder: Path, n_images: int) -> tuple[Path, dict]:
    """Simulate a run and repeat its events until a file has about ``n_images``; the file and its record."""
    simulation = SimulationParameters(training={"gamma": SHOWERS}, test={})
    run, path = folder / "run.dl1.h5", folder / "gamma_0000.dl1.h5"
    seed = np.random.SeedSequence(1)
    record = write_run(run, "gamma", 1, seed, simulation, SHOWERS, DL1Parameters())
    times = max(1, round(n_images / record["n_images"]))
    shutil.copyfile(run, path)
    with tables.open_file(str(path), "a") as file:
        for table in file.walk_nodes("/", "Table"):
            if "event_id" in table.colnames:
                rows = table.read()
                for _ in range(times - 1):
                    rows["event_id"] += STRIDE
                    table.append(rows)
    run.unlink()
    types = {name: {**one, "n_images": times * one["n_images"]} for name, one in record["telescope_types"].items()}
    return path, {**record, "n_images": times * record["n_images"], "telescope_types": types}
