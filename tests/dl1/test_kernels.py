"""What the installation compiles is all that a simulation calls."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIMULATION = """
from pathlib import Path
from tempfile import TemporaryDirectory

from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.simulation.parameters import Production, SimulationParameters

throw = {"n_files": 1, "n_showers": 400, "energy_min": "0.6 TeV", "energy_max": "300 TeV", "core_radius": "450 m"}
showers = {name: Production(particle=name, viewcone_radius="6 deg", **throw) for name in ("gamma", "proton")}
parameters = SimulationParameters(training=showers, test={}, n_workers=1)
with TemporaryDirectory() as folder:
    made = run_plan(plan_production(parameters, DL1Parameters(), showers), Path(folder) / "showers")
assert all(record["n_images"] > 5 for record in made.records)
"""


@pytest.mark.slow
def test_nothing_is_left_to_compile(tmp_path):
    def kernels(*command: str) -> set[Path]:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        subprocess.run([sys.executable, *command], env=environment, capture_output=True, check=True)
        return set(tmp_path.rglob("*.nbc"))

    compiled = kernels("-m", "cherenkov_pipeline.dl1.kernels")
    assert len(compiled) > 30
    assert kernels("-c", SIMULATION) == compiled
