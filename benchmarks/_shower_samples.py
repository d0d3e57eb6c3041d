"""What the benchmark of the showers simulates: files through the package's own pipeline, special cases in memory."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from pyirf.simulations import SimulatedEventsInfo

from cherenkov_pipeline.dl1.convert import process_file
from cherenkov_pipeline.dl1.image_processing import image_processor
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.dl1.simulated import SimulatedRun, array_event
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.simulation import Production, SimulationParameters
from cherenkov_pipeline.simulation.array import sst1m_array
from cherenkov_pipeline.simulation.electronics import extract, read_out
from cherenkov_pipeline.simulation.hadronic import DEPTH, DX, DZ, ENERGY, N_COLUMNS, WEIGHT, X, Z, gamma_shower
from cherenkov_pipeline.simulation.imaging import collect, estimate
from cherenkov_pipeline.simulation.observation import room_for_images
from cherenkov_pipeline.simulation.showers import Setup, prepare, simulate, start
from cherenkov_pipeline.simulation.throwing import Throws
from cherenkov_pipeline.store.chunks import EventChunk, cameras, iter_chunks

N_TELESCOPES = 2
N_FILES = 4
AREA_ENERGIES = {1: 24_000, 10: 6_000, 100: 2_400}
"""Energies [TeV] at which areas are measured, and the showers thrown for each."""

REAL_EVENTS = "simtel/sst1m_digicam_gamma_9ev.simtel.gz"
REAL_CONDITIONS = {
    "site_altitude": "2150 m",
    "zenith": "0 deg",
    "atmosphere": {"aerosol_optical_depth": 0.11},
    "optics": {"throughput": 0.42},
    "electronics": {"night_sky_rate": "0.034 / ns"},
}
DARK_SKY = {"night_sky_rate": "0.034 / ns", "trigger_threshold": 28}


def productions(scale: float) -> dict[str, Production]:
    """Say what is thrown, by name: the official energies, radii and view cones."""

    def production(n_showers: int, low: float, high: float, radius: str, **options) -> Production:
        return Production(
            n_files=N_FILES,
            n_showers=max(20, round(scale * n_showers / N_FILES)),
            energy_min=f"{low} TeV",
            energy_max=f"{high} TeV",
            core_radius=radius,
            **options,
        )

    return {
        **{
            f"gamma_{energy}tev": production(n, 0.97 * energy, 1.03 * energy, "880 m", particle="gamma")
            for energy, n in AREA_ENERGIES.items()
        },
        "gamma_diffuse": production(1_200_000, 0.2, 300, "880 m", particle="gamma", viewcone_radius="5 deg"),
        # far fewer than the collaboration's 7e5 gammas train the forests here: flat spectra add bright images
        "gamma_flat": production(
            180_000, 0.2, 300, "880 m", particle="gamma", viewcone_radius="5 deg", spectral_index=-1.0
        ),
        "proton_flat": production(
            20_000, 6, 500, "1000 m", particle="proton", viewcone_radius="8 deg", uses_per_shower=5, spectral_index=-1.0
        ),
        "gamma_point": production(400_000, 0.2, 300, "880 m", particle="gamma", source_offset="0.5 deg"),
        "proton_diffuse": production(
            1_200_000, 0.1, 500, "1000 m", particle="proton", viewcone_radius="8 deg", uses_per_shower=5
        ),
    }


@dataclass(frozen=True)
class Sample:
    """Triggered images of a production, and what was thrown."""

    table: Table
    production: Production
    paths: list[Path]

    @property
    def n_showers(self) -> int:
        """Showers thrown, over all files."""
        return self.production.n_files * self.production.n_showers

    @property
    def n_trials(self) -> int:
        """Images that a shower could have given."""
        return N_TELESCOPES * self.production.uses_per_shower

    @property
    def thrown(self) -> SimulatedEventsInfo:
        """What was thrown, as pyirf describes it."""
        production = self.production
        return SimulatedEventsInfo(
            n_showers=self.n_showers * production.uses_per_shower,
            energy_min=production.energy_min,
            energy_max=production.energy_max,
            max_impact=production.core_radius,
            spectral_index=production.spectral_index,
            viewcone_min=0 * u.deg,
            viewcone_max=production.viewcone_radius,
        )

    def chunk(self) -> EventChunk:
        """Images of the first file."""
        (telescope_type,) = cameras(self.paths[0])
        return next(iter_chunks(self.paths[0], telescope_type))


def simulate_samples(folder: Path, scale: float, n_workers: int) -> dict[str, Sample]:
    """Make the DL1 files of all productions in ``folder`` and read their tables."""
    thrown = productions(scale)
    parameters = SimulationParameters(training=thrown, test={}, n_workers=n_workers)
    plan = plan_production(parameters, DL1Parameters(), thrown)
    records = run_plan(plan, folder / plan.fingerprint).records
    paths = {
        name: [Path(record["path"]) for record in records if record["production"] == name and record["n_images"]]
        for name in thrown
    }
    return {name: Sample(vstack_images(paths[name], name), thrown[name], paths[name]) for name in thrown}


def vstack_images(paths: list[Path], production: str) -> Table:
    """Tables of DL1 files, one row an image, with ``production`` and ``shower`` (a number for each shower)."""
    tables = [chunk.table for path in paths for name in cameras(path) for chunk in iter_chunks(path, name)]
    table = vstack(tables, metadata_conflicts="silent")
    table["production"] = production
    table["shower"] = table["obs_id"].astype(np.int64) * 10**8 + table["event_id"].astype(np.int64) // 100
    return table


def light_pool(distances: Sequence[float], n_showers: int, rng: np.random.Generator) -> np.ndarray:
    """Photons per m2 of vertical gammas of 1 TeV at some distances [m] from the core: means and standard errors.

    Returns
    -------
    ndarray, shape (n_distances, 2)
    """
    setup = prepare(SimulationParameters(training={}, test={}, zenith="0 deg"))
    atmosphere, table, telescopes, *_ = setup.observatory
    # a camera of one endless pixel: all light that reaches the mirror is counted
    pitch = 1000.0
    bucket = telescopes._replace(
        pixel_table=np.zeros((3, 3), dtype=telescopes.pixel_table.dtype),
        pixel_origin=np.array([-pitch * np.sqrt(3) / 2, -1.5 * pitch]),
        pixel_pitch=pitch,
        field_radius=10.0,
        n_pixels=1,
    )
    found = np.zeros((n_showers, len(distances)))
    for shower in range(n_showers):
        primary = start(np.array([1.0]), np.array([np.pi / 2]), np.array([0.0]), atmosphere)
        photons, muons, _ = gamma_shower(primary[0], atmosphere, rng)
        for column, distance in enumerate(distances):
            position = np.array([distance, 0.0, 0.0])
            light, _ = estimate(photons, muons, position, bucket, atmosphere, table)
            found[shower, column] = len(collect(photons, muons, light, position, bucket, atmosphere, table, rng))
    found /= bucket.mirror_area * bucket.efficiency
    return np.column_stack([found.mean(axis=0), found.std(axis=0) / np.sqrt(n_showers)])


def muon_image(energy: float, distance: float, rng: np.random.Generator) -> np.ndarray:
    """Image of a single muon [GeV] from 5 km above a vertical telescope, at a distance [m] from the mirror's centre.

    The sky is dark, so that the threshold may be low: at the default one only the brightest rings trigger.
    """
    setup = prepare(SimulationParameters(training={}, test={}, zenith="0 deg", electronics=DARK_SKY))
    atmosphere, table, telescopes, electronics, *_ = setup.observatory
    muons = np.zeros((1, N_COLUMNS))
    muons[0, [ENERGY, DX, DZ]] = energy, *np.array([np.sin(0.01), -np.cos(0.01)])
    muons[0, Z], muons[0, WEIGHT] = 5000.0, 1.0
    muons[0, X] = -muons[0, Z] * np.tan(0.01)
    muons[0, DEPTH] = np.interp(muons[0, Z], atmosphere.z[::-1], atmosphere.depth[::-1])
    images, position = room_for_images(1, setup.observatory), np.array([0.0, distance, 0.0])
    counts, waveforms = images.true_image[0, 0], images.waveforms[0, 0]
    for _ in range(100):
        arrivals = collect(muons[:0], muons, np.zeros(0), position, telescopes, atmosphere, table, rng)
        if read_out(arrivals, electronics, counts, waveforms, rng):
            break
    return extract(waveforms, electronics)[0]


def test_data() -> Path:
    """Folder of the real files."""
    return Path(os.environ.get("CHERENKOV_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real_events(path: Path, folder: Path) -> Table:
    """Convert the real events as the package converts every simtel file."""
    (item,) = find_inputs(path)
    converted = folder / "real.dl1.h5"
    process_file(converted, item=item, parameters=DL1Parameters())
    return vstack_images([converted], "real")


def populations(events: Table, n_showers: int, rng: np.random.Generator) -> list[Table]:
    """For each event, images of gammas of its energy and distance, from its direction, under its conditions."""
    parameters = SimulationParameters(training={}, test={}, **REAL_CONDITIONS)
    setup = prepare(parameters)
    telescope = setup.observatory.telescopes.position[0]
    found = []
    for event in events:
        azimuth = rng.uniform(0, 2 * np.pi, (n_showers, 1))
        throws = Throws(
            energy=np.full(n_showers, event["true_energy"]),
            alt=np.full(n_showers, np.deg2rad(event["true_alt"])),
            az=np.full(n_showers, np.deg2rad(event["true_az"])),
            core_x=telescope[0] + event["true_impact_distance"] * np.cos(azimuth),
            core_y=telescope[1] + event["true_impact_distance"] * np.sin(azimuth),
        )
        found.append(observe(throws, setup, rng))
    return found


def observe(throws: Throws, setup: Setup, rng: np.random.Generator) -> QTable:
    """Images of given gammas in the first telescope, with their parameters; those that triggered and were cleaned."""
    production = Production(
        particle="gamma",
        n_files=1,
        n_showers=len(throws.energy),
        energy_min="0.01 TeV",
        energy_max="1000 TeV",
        core_radius="1000 m",
    )
    subarray = sst1m_array(DL1Parameters().focal_length_choice)
    run = SimulatedRun(subarray, 1, production, setup.pointing)
    process = image_processor(subarray, DL1Parameters())
    rows = []
    for shower in simulate(production, throws, setup, rng):
        event = array_event(shower, 0, run)
        process(event)
        if 1 in event.dl1.tel and np.isfinite(event.dl1.tel[1].parameters.hillas.intensity):
            parameters = event.dl1.tel[1].parameters
            rows.append(
                {
                    "true_alt": shower.alt << u.rad,
                    "true_az": shower.az << u.rad,
                    "telescope_pointing_altitude": setup.pointing[0],
                    "telescope_pointing_azimuth": setup.pointing[1],
                    **parameters.hillas.as_dict(add_prefix=True),
                    **parameters.timing.as_dict(add_prefix=True),
                }
            )
    return QTable(rows=rows)
