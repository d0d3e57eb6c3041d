"""The kernels of the simulation and of ctapipe, compiled ahead of their use.

    python -m cherenkov_pipeline.dl1.kernels

numba compiles a function where it is first called, a minute or more for all of them, and keeps it beside the source. As
a step of the installation the first run does not wait, jobs side by side do not all compile the same, and a container,
in which nothing can be kept, has them.
"""

import tempfile
from pathlib import Path

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters


def compile_kernels() -> None:
    """Simulate and parametrise a few bright showers, and throw them away."""
    throw = {"n_files": 1, "n_showers": 20, "energy_min": "5 TeV", "energy_max": "50 TeV", "core_radius": "150 m"}
    showers = {name: Production(particle=name, **throw) for name in ("gamma", "proton")}
    plan = plan_production(SimulationParameters(training=showers, test={}, n_workers=1), DL1Parameters(), showers)
    with tempfile.TemporaryDirectory() as folder:
        run_plan(plan, Path(folder) / "showers")


if __name__ == "__main__":
    compile_kernels()
