"""What the benchmark of the quality is measured on: event stores of simulated telescopes, and the real events."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cherenkov_pipeline.dl1.convert import process_file
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.simulation import Production, SimulationParameters
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.parameters import StoreParameters

N_FILES = 8
"""Files of each production at full scale: together some 300,000 triggered images of gammas and 50,000 of protons."""

GAMMA_SHOWERS, GAMMA_HARD, PROTON_SHOWERS, PROTON_HARD = 2_000_000, 1_200_000, 700_000, 10_000
"""Showers thrown at full scale."""

REAL_PART = 0.2
"""Size of the sample for the telescope of the real events, as a fraction of the other's: nine events tell no finer
difference. A model knows the telescope that it was trained on, and theirs stands on a higher site, under a darker and
clearer sky."""


def productions(scale: float) -> dict[str, Production]:
    """Say what is thrown: diffuse gammas and protons, by name.

    Energies E^-2 have few bright images to learn from: those of harder spectra are added.
    """

    def production(particle: str, n_showers: int, low: float, high: float, **options: Any) -> Production:
        n_files = max(2, round(scale * N_FILES))
        return Production(
            particle=particle,
            n_files=n_files,
            n_showers=max(20, round(scale * n_showers / n_files)),
            energy_min=f"{low} TeV",
            energy_max=f"{high} TeV",
            **options,
        )

    gamma = {"core_radius": "880 m", "viewcone_radius": "5 deg"}
    proton = {"core_radius": "1000 m", "viewcone_radius": "8 deg", "uses_per_shower": 5}
    return {
        "gamma_diffuse": production("gamma", GAMMA_SHOWERS, 0.2, 300, **gamma),
        "gamma_hard": production("gamma", GAMMA_HARD, 1, 300, spectral_index=-1.5, **gamma),
        "proton_diffuse": production("proton", PROTON_SHOWERS, 0.4, 500, **proton),
        "proton_hard": production("proton", PROTON_HARD, 6, 500, spectral_index=-1.0, **proton),
    }


@dataclass(frozen=True)
class Sample:
    """Event store of a simulation, and how many images triggered."""

    store: EventStore
    n_triggered: dict[str, int]


def simulate(folder: Path, scale: float, conditions: Mapping[str, Any], n_workers: int) -> Sample:
    """Simulate the productions and pack what passes the pipeline's cuts; what is there already is kept."""
    thrown = productions(scale)
    parameters = SimulationParameters(training=thrown, test={}, n_workers=n_workers, **conditions)
    plan = plan_production(parameters, DL1Parameters(), thrown)
    files = run_plan(plan, folder / "dl1" / plan.fingerprint)
    packed = plan_store(files, SelectionParameters(), StoreParameters(n_workers=n_workers))
    parts = run_plan(packed, folder / "store" / packed.fingerprint)
    triggered: dict[str, int] = {}
    for record in files.records:
        triggered[record["particle"]] = triggered.get(record["particle"], 0) + record["n_images"]
    return Sample(EventStore(parts.paths), triggered)


def convert(path: Path, folder: Path) -> Path:
    """Convert the real events as the package converts every simtel file."""
    (item,) = find_inputs(path)
    converted = folder / "real.dl1.h5"
    process_file(converted, item=item, parameters=DL1Parameters())
    return converted
