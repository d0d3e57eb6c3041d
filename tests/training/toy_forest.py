"""Toy images for the random forest, and a store of them."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from tests.toy_store import toy_camera

from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.layout import TELESCOPE_DTYPE
from cherenkov_pipeline.store.packing import pack
from cherenkov_pipeline.store.parameters import SplitParameters
from cherenkov_pipeline.store.writer import StoreWriter

ALTITUDE = 70.0


def toy_images(n: int, seed: int = 1, protons: float = 0.5) -> Table:
    """Images whose shape tells energy, particle, distance and side of the source."""
    rng = np.random.default_rng(seed)
    is_proton = rng.random(n) < protons
    log_energy = rng.uniform(-0.5, 1.5, n)
    disp = rng.uniform(0.2, 1.5, n) * rng.choice([-1, 1], n)
    psi = rng.uniform(-90, 90, n)
    centroid = rng.uniform(-1, 1, (2, n))
    lon = centroid[0] + disp * np.cos(np.deg2rad(psi))
    lat = centroid[1] + disp * np.sin(np.deg2rad(psi))
    alt, az = sky(lon, lat)
    width = np.where(is_proton, 0.18, 0.1) * rng.lognormal(0, 0.1, n)
    return Table(
        {
            "obs_id": np.ones(n, dtype=int),
            "event_id": np.arange(n),
            "tel_id": np.ones(n, dtype=int),
            "hillas_intensity": 10 ** (2 + log_energy) * rng.lognormal(0, 0.1, n),
            "hillas_width": width * u.deg,
            "hillas_length": 0.3 * np.abs(disp) * rng.lognormal(0, 0.05, n) * u.deg,
            "hillas_skewness": np.sign(disp) * rng.normal(0.5, 0.2, n),
            "hillas_kurtosis": rng.normal(3, 0.3, n),
            "hillas_psi": psi * u.deg,
            "hillas_fov_lon": centroid[0] * u.deg,
            "hillas_fov_lat": centroid[1] * u.deg,
            "timing_slope": rng.normal(0, 1, n) / u.deg,
            "leakage_intensity_width_2": np.zeros(n),
            "telescope_pointing_altitude": np.full(n, np.deg2rad(ALTITUDE)) * u.rad,
            "telescope_pointing_azimuth": np.zeros(n) * u.rad,
            "true_energy": 10**log_energy * u.TeV,
            "true_alt": alt * u.deg,
            "true_az": az * u.deg,
            "true_shower_primary_id": np.where(is_proton, 101, 0),
        }
    )


def sky(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Altitude and azimuth of directions in the telescope frame."""
    from astropy.coordinates import AltAz, SkyCoord
    from ctapipe.coordinates import TelescopeFrame

    frame = TelescopeFrame(telescope_pointing=AltAz(alt=ALTITUDE * u.deg, az=0 * u.deg))
    found = SkyCoord(fov_lon=lon * u.deg, fov_lat=lat * u.deg, frame=frame).transform_to(AltAz())
    return found.alt.deg, found.az.deg


def forest_store(path: Path, n_events: int = 2400, first_missing: int = 0) -> EventStore:
    """Write a store whose image parameters tell energy, particle and direction; every fiftieth image has none."""
    camera, table = toy_camera(), toy_images(n_events)
    table["shower"] = np.arange(n_events)
    table["split"] = np.choose(np.arange(n_events) % 10, [0] * 6 + [1, 1, 2, 2])
    for name in ("hillas_width", "hillas_length", "hillas_skewness"):
        table[name][first_missing::50] = np.nan  # images without parameters
    pixels = np.ones((n_events, camera.n_pixels), dtype=np.float32)
    with StoreWriter(path) as writer:
        writer.append_events(table)
        writer.append_pixels(pack(pixels, pixels, pixels > 0))
        counts = {"n_read": n_events, "n_cut": 0, "n_selected": n_events}
        provenance = {
            "n_images": n_events,
            "inputs": [{"path": "toy.dl1.h5", "production": "toy", "fingerprint": "toy", **counts}],
            "cuts": [{"cut": "read", "condition": "", "n_in": n_events, "n_cut": 0, "n_out": n_events}],
            "samples": [],
            "dl1_settings": None,
            "versions": {},
            "split": SplitParameters().model_dump(mode="json"),
        }
        telescopes = np.array([(1, 0.0, 0.0, 0.0)], dtype=TELESCOPE_DTYPE)
        writer.finish("toy", f"TOY_{camera.name}", camera, telescopes, provenance)
    return EventStore(path)
