"""Simulated showers to DL1 files: simulated images go the way that calibrated ones go.

The files look like those that ``ctapipe-process`` makes of a sim_telarray file: the same tables, columns and units.
Events are numbered as CORSIKA and sim_telarray number them: event_id = 100 * shower number + use of the shower, the
showers of a run counting from 1.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.time import Time
from ctapipe.containers import (
    ArrayEventContainer,
    CoordinateFrameType,
    DL1CameraContainer,
    EventType,
    ObservationBlockContainer,
    ObservationBlockState,
    ObservingMode,
    PointingMode,
    SchedulingBlockContainer,
    SchedulingBlockType,
    SimulatedCameraContainer,
    SimulatedEventContainer,
    SimulatedShowerContainer,
    SimulatedShowerDistribution,
    SimulationConfigContainer,
    TelescopeImpactParameterContainer,
    TelescopePointingContainer,
    TelescopeTriggerContainer,
)
from ctapipe.coordinates import altaz_to_righthanded_cartesian, impact_distance
from ctapipe.instrument import SubarrayDescription

from cherenkov_pipeline.dl1.bulk import BulkDataWriter
from cherenkov_pipeline.dl1.contents import PARTICLES, describe
from cherenkov_pipeline.dl1.image_processing import image_processor
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.settings import context_metadata, make_settings
from cherenkov_pipeline.dl1.written import start_activity, written_completely
from cherenkov_pipeline.simulation.array import sst1m_array
from cherenkov_pipeline.simulation.parameters import MAX_USES, Production, SimulationParameters
from cherenkov_pipeline.simulation.showers import ShowerEvent, prepare, simulate
from cherenkov_pipeline.simulation.throwing import Throws, throw

START = Time("2024-01-01T00:00:00", scale="tai")
EVENT_INTERVAL = 0.01 * u.s
CORE_BINS = 30
ENERGY_BINS_PER_DECADE = 20
GRAMMAGE = u.g / u.cm**2
TIMES = 1024  # computed at a time: one by one, astropy takes longer than an image


@dataclass(frozen=True)
class SimulatedRun:
    """A run as ctapipe's `~ctapipe.io.DataWriter` wants an event source."""

    subarray: SubarrayDescription
    obs_id: int
    production: Production
    pointing: tuple[u.Quantity, u.Quantity]
    is_simulation: bool = True
    atmosphere_density_profile: None = None

    @cached_property
    def positions(self) -> np.ndarray:
        """Positions of the telescopes on the ground, (n_telescopes, 3) [m]."""
        return self.subarray.tel_coords.cartesian.xyz.to_value(u.m).T

    @property
    def obs_ids(self) -> list[int]:
        """The one run."""
        return [self.obs_id]

    @property
    def scheduling_blocks(self) -> dict[int, SchedulingBlockContainer]:
        """One block, as for sim_telarray files."""
        return {
            self.obs_id: SchedulingBlockContainer(
                sb_id=np.uint64(self.obs_id),
                sb_type=SchedulingBlockType.OBSERVATION,
                producer_id="simulation",
                observing_mode=ObservingMode.UNKNOWN,
                pointing_mode=PointingMode.DRIFT,
            )
        }

    @property
    def observation_blocks(self) -> dict[int, ObservationBlockContainer]:
        """One block with the pointing."""
        altitude, azimuth = self.pointing
        return {
            self.obs_id: ObservationBlockContainer(
                obs_id=np.uint64(self.obs_id),
                sb_id=np.uint64(self.obs_id),
                producer_id="simulation",
                state=ObservationBlockState.COMPLETED_SUCCEDED,
                subarray_pointing_lat=altitude.to(u.rad),
                subarray_pointing_lon=azimuth.to(u.rad),
                subarray_pointing_frame=CoordinateFrameType.ALTAZ,
                actual_start_time=START,
                scheduled_start_time=START,
            )
        }

    @property
    def simulation_config(self) -> dict[int, SimulationConfigContainer]:
        """What was thrown: exact, for effective areas and weights."""
        thrown = self.production
        altitude, azimuth = self.pointing
        return {
            self.obs_id: SimulationConfigContainer(
                run_number=np.int32(self.obs_id),
                energy_range_min=thrown.energy_min,
                energy_range_max=thrown.energy_max,
                prod_site_alt=self.subarray.reference_location.height.to(u.m),
                spectral_index=thrown.spectral_index,
                n_showers=thrown.n_showers,
                shower_reuse=thrown.uses_per_shower,
                max_alt=altitude.to(u.rad),
                min_alt=altitude.to(u.rad),
                max_az=azimuth.to(u.rad),
                min_az=azimuth.to(u.rad),
                diffuse=bool(thrown.viewcone_radius > 0),
                max_viewcone_radius=thrown.viewcone_radius,
                min_viewcone_radius=0 * u.deg,
                max_scatter_range=thrown.core_radius,
                min_scatter_range=0 * u.m,
                core_pos_mode=0,
                atmosphere=1,  # CORSIKA's number of the US standard atmosphere after Linsley
                corsika_wlen_min=300 * u.nm,
                corsika_wlen_max=550 * u.nm,
            )
        }


def write_run(
    path: Path,
    name: str,
    obs_id: int,
    seed: np.random.SeedSequence,
    parameters: SimulationParameters,
    production: Production,
    dl1_parameters: DL1Parameters,
) -> dict[str, Any]:
    """Simulate a run and write its triggered events as DL1.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    name : str
        Name of the production.
    obs_id : int
        Number of the run.
    seed : numpy.random.SeedSequence
        Of this run alone.
    parameters : SimulationParameters
        Site, telescopes and sky.
    production : Production
        What is thrown.
    dl1_parameters : DL1Parameters
        How images are cleaned and parametrised.

    Returns
    -------
    dict
        Record of the file: that of `cherenkov_pipeline.dl1.contents.describe`, and ``production``, ``particle``,
        ``obs_id``, ``n_thrown``, ``n_triggered``.
    """
    setup = prepare(parameters)
    rng = np.random.default_rng(seed)
    throws = throw(production, setup.pointing, rng)
    # as a reader with this choice sees the camera: light is placed with the effective focal length, but real SST-1M
    # files carry only the equivalent one, and image parameters of both must agree
    subarray = sst1m_array(dl1_parameters.focal_length_choice, parameters.site_altitude)
    altitude, azimuth = setup.pointing
    run = SimulatedRun(subarray, obs_id, production, (altitude.to(u.rad), azimuth.to(u.rad)))
    process = image_processor(subarray, dl1_parameters)
    n_triggered = 0
    start_activity()
    with (
        written_completely(path),
        BulkDataWriter(
            run,
            output_path=path,
            write_dl1_images=True,
            write_dl1_parameters=True,
            context_metadata=context_metadata(make_settings(dl1_parameters, calibrated=False)),
        ) as write,
    ):
        for shower_event in simulate(production, throws, setup, rng):
            event = array_event(shower_event, n_triggered, run)
            process(event)
            write(event)
            n_triggered += 1
        write.write_simulated_shower_distributions({obs_id: shower_distribution(throws, production, obs_id)})
    return {
        **describe(path),
        "production": name,
        "particle": production.particle,
        "obs_id": obs_id,
        "n_triggered": n_triggered,
    }


def array_event(shower: ShowerEvent, number: int, run: SimulatedRun) -> ArrayEventContainer:
    """Put a simulated shower into ctapipe's containers.

    Parameters
    ----------
    shower : ShowerEvent
    number : int
        Running number of the triggered event: sets its time.
    run : SimulatedRun

    Returns
    -------
    ctapipe.containers.ArrayEventContainer
        With images and truth, not yet cleaned and parametrised.
    """
    truth = SimulatedShowerContainer(
        energy=shower.energy * u.TeV,
        alt=np.rad2deg(shower.alt) * u.deg,
        az=np.rad2deg(shower.az) * u.deg,
        core_x=shower.core_x * u.m,
        core_y=shower.core_y * u.m,
        h_first_int=shower.h_first_int * u.m,
        x_max=u.Quantity(shower.x_max, GRAMMAGE),
        starting_grammage=u.Quantity(0, GRAMMAGE),
        shower_primary_id=np.int16(PARTICLES[run.production.particle]),
    )
    impact = impact_distance(
        point=np.array([shower.core_x, shower.core_y, 0]),
        direction=altaz_to_righthanded_cartesian(alt=shower.alt, az=shower.az),
        test_points=run.positions,
    )
    altitude, azimuth = run.pointing
    time = event_time(number)
    event = ArrayEventContainer(simulation=SimulatedEventContainer(shower=truth))
    event.index.obs_id = np.uint64(run.obs_id)
    event.index.event_id = np.uint64(MAX_USES * (shower.shower + 1) + shower.use)
    event.trigger.time = time
    event.trigger.event_type = EventType.SUBARRAY
    event.trigger.tels_with_trigger = np.array(list(shower.images), dtype=np.int16)
    for tel_id, image in shower.images.items():
        event.trigger.tel[tel_id] = TelescopeTriggerContainer(time=time, event_type=EventType.SUBARRAY)
        event.monitoring.tel[tel_id].pointing = TelescopePointingContainer(altitude=altitude, azimuth=azimuth)
        event.dl1.tel[tel_id] = DL1CameraContainer(image=image.image, peak_time=image.peak_time, is_valid=True)
        event.simulation.tel[tel_id] = SimulatedCameraContainer(
            true_image_sum=np.int32(image.true_image.sum()),
            true_image=image.true_image,
            impact=TelescopeImpactParameterContainer(
                distance=impact[run.subarray.tel_index_array[tel_id]] * u.m,
                distance_uncert=0 * u.m,
                prefix="true_impact",
            ),
        )
    return event


@lru_cache(maxsize=2)
def _times(first: int) -> Time:
    return START + np.arange(first, first + TIMES) * EVENT_INTERVAL


def event_time(number: int) -> Time:
    """Time of the triggered event of this running number: the events follow each other in equal intervals."""
    return _times(number - number % TIMES)[number % TIMES]


def shower_distribution(throws: Throws, production: Production, obs_id: int) -> SimulatedShowerDistribution:
    """Count everything that was thrown, in energy and core distance.

    Parameters
    ----------
    throws : Throws
    production : Production
    obs_id : int

    Returns
    -------
    ctapipe.containers.SimulatedShowerDistribution
    """
    low, high = production.energy_min.to_value(u.TeV), production.energy_max.to_value(u.TeV)
    n_bins = max(1, round(ENERGY_BINS_PER_DECADE * np.log10(high / low)))
    core_edges = np.linspace(0, production.core_radius.to_value(u.m), CORE_BINS + 1)
    energy_edges = np.geomspace(low, high, n_bins + 1)
    distance = np.hypot(throws.core_x, throws.core_y)
    energy = np.broadcast_to(throws.energy[:, None], distance.shape)
    histogram, _, _ = np.histogram2d(
        np.clip(distance.ravel(), 0, core_edges[-1]),
        np.clip(energy.ravel(), energy_edges[0], energy_edges[-1]),
        bins=(core_edges, energy_edges),
    )
    return SimulatedShowerDistribution(
        obs_id=np.uint64(obs_id),
        hist_id=6,  # sim_telarray's number for this histogram
        n_entries=int(distance.size),
        bins_core_dist=core_edges * u.m,
        bins_energy=energy_edges * u.TeV,
        histogram=histogram,
    )
