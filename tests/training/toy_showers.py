"""Event stores of toy showers: their images tell energy, particle and direction."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from tests.toy_store import toy_camera

from cherenkov_pipeline.directions import Direction, to_sky
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.brightest import pixel_places
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import SplitParameters
from cherenkov_pipeline.store.writer import StoreWriter

ALTITUDE = 70.0
"""Of the pointing, deg."""


def shower_images(n_images: int, seed: int = 0) -> tuple[Table, np.ndarray, np.ndarray, np.ndarray]:
    """Table, charges, times and masks of ellipses whose axis leads to the source.

    The light grows with the energy, protons (a third) are broad, the image is longer on the side of the source.
    """
    rng = np.random.default_rng(seed)
    places = pixel_places(toy_camera())
    is_proton = np.arange(n_images) % 3 == 2
    energy = 10 ** rng.uniform(0, 2, n_images)
    angle = rng.uniform(-np.pi, np.pi, n_images)
    centre = rng.uniform(-1, 1, (n_images, 2))
    axis = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    source = centre + 0.8 * axis
    offset = np.stack([places.lon, places.lat], axis=-1) - centre[:, np.newaxis]
    along = np.einsum("npi,ni->np", offset, axis)
    across = np.einsum("npi,ni->np", offset, axis[:, ::-1] * [-1, 1])
    length = np.where(along > 0, 1.4, 0.5)
    width = np.where(is_proton, 0.6, 0.35)[:, np.newaxis]
    shape = np.exp(-0.5 * (along / length) ** 2 - 0.5 * (across / width) ** 2)
    image = 30 * energy[:, np.newaxis] ** 0.5 * shape
    number = np.arange(n_images)
    altitude, azimuth = to_sky(Direction(*source.T), (np.full(n_images, ALTITUDE), np.zeros(n_images)))
    table = Table(
        {
            "obs_id": np.full(n_images, 1),
            "event_id": number,
            "tel_id": np.full(n_images, 1),
            "true_energy": energy * u.TeV,
            "true_alt": altitude * u.deg,
            "true_az": azimuth * u.deg,
            "true_core_x": rng.normal(0, 100, n_images) * u.m,
            "true_core_y": rng.normal(0, 100, n_images) * u.m,
            "pos_x": np.zeros(n_images) * u.m,
            "pos_y": np.zeros(n_images) * u.m,
            "pos_z": np.zeros(n_images) * u.m,
            "true_shower_primary_id": np.where(is_proton, 101, 0),
            "hillas_intensity": image.sum(axis=1),
            "hillas_fov_lon": centre[:, 0] * u.deg,
            "hillas_fov_lat": centre[:, 1] * u.deg,
            "hillas_psi": np.rad2deg(np.arctan(np.tan(angle))) * u.deg,
            "hillas_skewness": np.where(np.cos(angle) > 0, 1.0, -1.0),
            "hillas_kurtosis": rng.normal(3, 0.1, n_images),
            "hillas_length": np.full(n_images, 0.8) * u.deg,
            "hillas_width": width[:, 0] * u.deg,
            "timing_slope": np.where(np.cos(angle) > 0, 1.0, -1.0) / u.deg,
            "leakage_intensity_width_2": np.zeros(n_images),
            "telescope_pointing_altitude": np.full(n_images, np.deg2rad(ALTITUDE)) * u.rad,
            "telescope_pointing_azimuth": np.zeros(n_images) * u.rad,
            "shower": number,
            "split": np.choose(number % 10, [0] * 7 + [1, 1, 2]),
        }
    )
    return table, image.astype(np.float32), 20 + along.astype(np.float32), image > 5


def shower_store(path: Path, n_events: int, n_telescopes: int = 1, seed: int = 0) -> EventStore:
    """Write a store of one part and open it; every telescope sees the same image of an event."""
    table, *pixels = shower_images(n_events, seed)
    rows = np.repeat(np.arange(n_events), n_telescopes)
    table, pixels = table[rows], [values[rows] for values in pixels]
    table["tel_id"] = np.tile(np.arange(1, n_telescopes + 1), n_events)
    table["pos_x"] = (table["tel_id"] - 1) * 100.0 * u.m
    path.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(path) as writer:
        writer.append_events(table)
        writer.append_pixels(pack(*pixels))
        n = len(table)
        provenance = {
            "n_images": n,
            "inputs": [
                {"path": str(path.with_suffix(".dl1.h5")), "production": "toy", "fingerprint": "toy"}
                | {"n_read": n, "n_cut": 0, "n_selected": n}
            ],
            "cuts": [{"cut": "read", "condition": "", "n_in": n, "n_cut": 0, "n_out": n}],
            "samples": [],
            "dl1_settings": None,
            "versions": {},
            "split": SplitParameters().model_dump(mode="json"),
        }
        telescopes = np.array(
            [(number + 1, 100.0 * number, 0.0, 0.0) for number in range(n_telescopes)], dtype=TELESCOPE_DTYPE
        )
        writer.finish(f"showers-{n_events}-{n_telescopes}-{seed}", "TOY_ToyCam", toy_camera(), telescopes, provenance)
    return EventStore([path])
