"""Toy cameras and toy showers, as ctapipe's DataWriter takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, EarthLocation
from astropy.time import Time
from ctapipe.containers import (
    ArrayEventContainer,
    ObservationBlockContainer,
    SchedulingBlockContainer,
    SimulatedEventContainer,
    SimulatedShowerContainer,
    SimulationConfigContainer,
    TelescopePointingContainer,
)
from ctapipe.coordinates import CameraFrame
from ctapipe.instrument import (
    CameraDescription,
    CameraGeometry,
    CameraReadout,
    OpticsDescription,
    SubarrayDescription,
    TelescopeDescription,
)
from ctapipe.io import DataWriter

from cherenkov_pipeline.dl1.image_processing import image_processor
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.written import start_activity

FOCAL_LENGTH = 5.6 * u.m
POINTING = (70 * u.deg, 180 * u.deg)


@dataclass(frozen=True)
class ToyEvent:
    event_id: int
    seed: int
    primary: int = 0
    tel_ids: tuple[int, ...] = (1, 2)
    core_x: float = 0.0
    direction: tuple[float, float] | None = None
    """Altitude and azimuth [deg]; None: anywhere near the pointing."""


def geometry(
    rings: int = 10,
    pitch: float = 0.0243,
    order: np.ndarray | None = None,
    name: str = "ToyCam",
    focal_length: u.Quantity = FOCAL_LENGTH,
    rotation: float = 0.0,
) -> CameraGeometry:
    """Hexagon of hexagonal pixels, in rows along x (turned by ``rotation`` degrees); pixel i is number order[i]."""
    q, r = np.meshgrid(np.arange(-rings, rings + 1), np.arange(-rings, rings + 1))
    inside = np.abs(q + r) <= rings
    q, r = q[inside], r[inside]
    x, y = pitch * (q + r / 2), pitch * np.sqrt(3) / 2 * r
    if order is not None:
        x, y = x[order], y[order]
    angle = np.deg2rad(rotation)
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return CameraGeometry(
        name=name,
        pix_id=np.arange(len(x)),
        pix_x=x * u.m,
        pix_y=y * u.m,
        pix_area=np.full(len(x), np.sqrt(3) / 2 * pitch**2) * u.m**2,
        pix_type="hexagon",
        pix_rotation=Angle(-rotation, u.deg),
        frame=CameraFrame(focal_length=focal_length),
    )


def camera(**options) -> CameraDescription:
    found = geometry(**options)
    readout = CameraReadout(
        name=found.name,
        sampling_rate=0.25 * u.GHz,
        reference_pulse_shape=np.ones((1, 3)),
        reference_pulse_sample_width=1 * u.ns,
        n_channels=1,
        n_pixels=found.n_pixels,
        n_samples=50,
    )
    return CameraDescription(found.name, found, readout)


def subarray(cameras: Mapping[int, CameraDescription], distance: float = 70.0) -> SubarrayDescription:
    """Telescopes in a row along x, ``distance`` metres apart."""

    def telescope(description: CameraDescription) -> TelescopeDescription:
        focal_length = description.geometry.frame.focal_length
        optics = OpticsDescription("TOY", "SST", 1, focal_length, focal_length, 10 * u.m**2, 18, "DAVIES_COTTON")
        return TelescopeDescription("TOY", optics, description)

    return SubarrayDescription(
        "Toys",
        tel_positions={tel_id: [distance * tel_id, 0, 0] * u.m for tel_id in cameras},
        tel_descriptions={tel_id: telescope(description) for tel_id, description in cameras.items()},
        reference_location=EarthLocation.from_geodetic(14.8 * u.deg, 49.9 * u.deg, 510 * u.m),
    )


def toy_image(found: CameraGeometry, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Charge and time at the pixels' places, whatever their order: an ellipse with a time gradient, and ripples."""
    rng = np.random.default_rng(seed)
    x, y = (np.stack([found.pix_x.to_value("m"), found.pix_y.to_value("m")])) / 0.0243
    angle, cx, cy, size = rng.uniform(0, np.pi), *rng.uniform(-4, 4, 2), rng.uniform(30, 300)
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    across = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    image = size * np.exp(-((along / 3) ** 2 + (across / 1.2) ** 2) / 2) + np.sin(7 * x + 5 * y)
    return image.astype(np.float32), (20 + along + np.cos(3 * x - 2 * y)).astype(np.float32)


def write_dl1(
    path: Path,
    array: SubarrayDescription,
    events: Sequence[ToyEvent],
    obs_id: int = 1,
    simulated: bool = True,
    **options,
) -> Path:
    """Write events; ``options`` are DataWriter's."""
    process = image_processor(array, DL1Parameters())
    source = SimpleNamespace(
        subarray=array,
        obs_ids=[obs_id],
        is_simulation=simulated,
        scheduling_blocks={obs_id: SchedulingBlockContainer(sb_id=np.uint64(obs_id), producer_id="toy")},
        observation_blocks={obs_id: ObservationBlockContainer(obs_id=np.uint64(obs_id), producer_id="toy")},
        simulation_config={obs_id: SimulationConfigContainer()},
        atmosphere_density_profile=None,
    )
    options = {"write_dl1_images": True, "write_dl1_parameters": True} | options
    start_activity()
    with DataWriter(source, output_path=path, **options) as write:
        for number, event in enumerate(events):
            container = _container(event, array, obs_id, simulated)
            container.trigger.time = Time(1.7e9 + number, format="unix_tai")
            for tel_id in event.tel_ids:
                container.trigger.tel[tel_id].time = container.trigger.time
            process(container)
            write(container)
    return path


def _container(event: ToyEvent, array: SubarrayDescription, obs_id: int, simulated: bool) -> ArrayEventContainer:
    container = ArrayEventContainer()
    container.index.obs_id, container.index.event_id = obs_id, event.event_id
    container.trigger.tels_with_trigger = list(event.tel_ids)
    if simulated:
        container.simulation = SimulatedEventContainer(shower=_shower(event))
    for tel_id in event.tel_ids:
        image, peak_time = toy_image(array.tel[tel_id].camera.geometry, event.seed + 7 * tel_id)
        container.dl1.tel[tel_id].image, container.dl1.tel[tel_id].peak_time = image, peak_time
        container.dl1.tel[tel_id].is_valid = True
        altitude, azimuth = POINTING
        container.monitoring.tel[tel_id].pointing = TelescopePointingContainer(altitude=altitude, azimuth=azimuth)
    return container


def _shower(event: ToyEvent) -> SimulatedShowerContainer:
    rng = np.random.default_rng(event.seed)
    energy = 10 ** rng.uniform(0, 2) * u.TeV
    anywhere = rng.uniform(69, 71), rng.uniform(179, 181)
    alt, az = event.direction or anywhere
    return SimulatedShowerContainer(
        energy=energy,
        alt=alt * u.deg,
        az=az * u.deg,
        core_x=event.core_x * u.m,
        core_y=0 * u.m,
        h_first_int=rng.uniform(1e4, 3e4) * u.m,
        x_max=rng.uniform(200, 500) * u.g / u.cm**2,
        shower_primary_id=event.primary,
    )
