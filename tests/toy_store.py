"""Small event stores whose images tell the energy, for the tests of training and reconstruction."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from ctapipe.coordinates import CameraFrame
from ctapipe.instrument import CameraGeometry

from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
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
            "shower": number,
            "split": np.choose(number % 10, [0] * 7 + [1, 2, 2]),
        }
    )
    return table, image.astype(np.float32), rng.normal(20, 2, image.shape).astype(np.float32), mask


def toy_store(path: Path, n_events: int = 96, seed: int = 0, camera: CameraGeometry | None = None) -> EventStore:
    """Write a store of two parts, each with half of the events, and open it."""
    camera = camera or toy_camera()
    table, *pixels = toy_events(n_events, camera.n_pixels, seed)
    paths = [path.with_name(f"{number}-{path.name}") for number in range(2)]
    for number, part in enumerate(paths):
        rows = slice(number * n_events // 2, (number + 1) * n_events // 2)
        _write_part(part, f"toy-{n_events}-{seed}-{number}", camera, table[rows], [values[rows] for values in pixels])
    return EventStore(paths)


def _write_part(path: Path, name: str, camera: CameraGeometry, table: Table, pixels: list[np.ndarray]) -> None:
    n = len(table)
    with StoreWriter(path) as writer:
        writer.append_events(table)
        writer.append_pixels(pack(*pixels))
        provenance = {
            "n_images": n,
            "inputs": [
                {"path": f"{name}.dl1.h5", "production": name, "fingerprint": name}
                | {"n_read": n, "n_cut": 0, "n_selected": n}
            ],
            "cuts": [{"cut": "read", "condition": "", "n_in": n, "n_cut": 0, "n_out": n}],
            "samples": [],
            "dl1_settings": None,
            "versions": {},
            "split": SplitParameters().model_dump(mode="json"),
        }
        telescopes = np.array([(1, 0.0, 0.0, 0.0)], dtype=TELESCOPE_DTYPE)
        writer.finish(name, f"TOY_{camera.name}", camera, telescopes, provenance)
