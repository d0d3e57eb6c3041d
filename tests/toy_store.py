"""Small event stores whose images tell the energy, for the tests of training and reconstruction."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from ctapipe.coordinates import CameraFrame
from ctapipe.instrument import CameraGeometry

from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import InputParameters, SplitParameters
from cherenkov_pipeline.store.writer import StoreWriter

INPUTS = InputParameters(channels=("cleaned_image", "cleaned_relative_peak_time"), mapping="square")


def toy_camera(n_side: int = 16, name: str = "ToyCam") -> CameraGeometry:
    """Square pixels without the four corners: dl1-data-handler wants a camera that does not fill its square."""
    camera = CameraGeometry.make_rectangular(n_side, n_side, (-0.4, 0.4), (-0.4, 0.4))
    camera = camera[np.hypot(camera.pix_x.value, camera.pix_y.value) < 0.56]
    camera.name = name
    camera.frame = CameraFrame(focal_length=5.6 * u.m, rotation=camera.cam_rotation)
    return camera


def toy_events(n_events: int, n_pixels: int, seed: int = 0) -> tuple[Table, np.ndarray, np.ndarray, np.ndarray]:
    """Table, charges, times and masks of events whose charge is proportional to the energy."""
    rng = np.random.default_rng(seed)
    energy = 10 ** rng.uniform(0, 2, n_events)
    mask = rng.random((n_events, n_pixels)) < 0.1
    mask[:, 0] = True
    image = np.where(mask, rng.gamma(4, 0.25, mask.shape) * energy[:, None], rng.normal(0, 1, mask.shape))
    number = np.arange(n_events)
    table = Table(
        {
            "obs_id": np.full(n_events, 1),
            "event_id": number,
            "tel_id": np.full(n_events, 1),
            "true_energy": energy * u.TeV,
            "true_shower_primary_id": np.where(number % 8 == 7, 101, 0),
            "hillas_intensity": (image * mask).sum(axis=1),
            "telescope_pointing_altitude": np.full(n_events, np.deg2rad(70)) * u.rad,
            "telescope_pointing_azimuth": np.zeros(n_events) * u.rad,
            "production": number % 2,
            "shower": number,
            "split": np.choose(number % 10, [0] * 7 + [1, 2, 2]),
        }
    )
    return table, image.astype(np.float32), rng.normal(20, 2, image.shape).astype(np.float32), mask


def toy_store(path: Path, n_events: int = 96, seed: int = 0, camera: CameraGeometry | None = None) -> EventStore:
    """Write a store and open it."""
    camera = camera or toy_camera()
    table, *pixels = toy_events(n_events, camera.n_pixels, seed)
    with StoreWriter(path) as writer:
        writer.append(table, pack(*pixels))
        provenance = {"split": SplitParameters().model_dump(mode="json")}
        writer.finish(f"toy-{n_events}-{seed}", f"TOY_{camera.name}", camera, ["first", "second"], provenance)
    return EventStore(path)
