"""The two SST-1M telescopes as ctapipe describes them.

Positions, optics and camera of the SST-1M array at Ondrejov (arXiv 2506.01733). The camera, DigiCam, has 1296
hexagonal pixels in a hexagon; the order of the pixels is that of the SST-1M software: column by column from large x
to small x, in each column from large y to small y.
"""

from typing import Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import EarthLocation
from ctapipe.coordinates import CameraFrame
from ctapipe.instrument import (
    CameraDescription,
    CameraGeometry,
    CameraReadout,
    OpticsDescription,
    PixelShape,
    ReflectorShape,
    SizeType,
    SubarrayDescription,
    TelescopeDescription,
)

from cherenkov_pipeline.simulation.parameters import ONDREJOV_ALTITUDE

LONGITUDE, LATITUDE = 14.7825014 * u.deg, 49.9124417 * u.deg
POSITIONS = {1: [-71.38, -30.43, -1.43] * u.m, 2: [71.38, 30.43, 1.42] * u.m}
MIRROR_AREA = 9.41809273 * u.m**2
EQUIVALENT_FOCAL_LENGTH = 5.6 * u.m
EFFECTIVE_FOCAL_LENGTH = 5.69705 * u.m

PIXEL_PITCH = 24.3 * u.mm
PIXEL_FLAT_TO_FLAT = 23.3 * u.mm
#: the pixels fill a hexagon: along each of three directions 120 deg apart they lie between these multiples of the pitch
PIXEL_RANGE = (-18.0, 17.5)

SAMPLING_RATE = 0.25 * u.GHz
N_SAMPLES = 50
PULSE_RISE = 5.5  # ns, standard deviation of the pulse before its peak
PULSE_FALL = 7.5  # ns, and after it: together a full width of 15.3 ns at half maximum


def sst1m_array(
    focal_length_choice: Literal["EQUIVALENT", "EFFECTIVE"] = "EQUIVALENT", altitude: u.Quantity = ONDREJOV_ALTITUDE
) -> SubarrayDescription:
    """Describe the two SST-1M telescopes, ids 1 and 2.

    Parameters
    ----------
    focal_length_choice : str
        Focal length that turns metres in the camera into degrees, as ctapipe's readers call it.
    altitude : astropy.units.Quantity
        Of the array above sea level: to simulate the telescopes at another site.

    Returns
    -------
    ctapipe.instrument.SubarrayDescription
    """
    focal_lengths = {"EQUIVALENT": EQUIVALENT_FOCAL_LENGTH, "EFFECTIVE": EFFECTIVE_FOCAL_LENGTH}
    geometry = digicam_geometry(focal_lengths[focal_length_choice])
    telescope = TelescopeDescription(
        name="SST_1M",
        optics=OpticsDescription(
            name="1M",
            size_type=SizeType.SST,
            n_mirrors=1,
            n_mirror_tiles=18,
            mirror_area=MIRROR_AREA,
            equivalent_focal_length=EQUIVALENT_FOCAL_LENGTH,
            effective_focal_length=EFFECTIVE_FOCAL_LENGTH,
            reflector_shape=ReflectorShape.DAVIES_COTTON,
        ),
        camera=CameraDescription(name="DigiCam", geometry=geometry, readout=digicam_readout()),
    )
    return SubarrayDescription(
        name="SST1M",
        tel_positions=POSITIONS,
        tel_descriptions=dict.fromkeys(POSITIONS, telescope),
        reference_location=EarthLocation.from_geodetic(lon=LONGITUDE, lat=LATITUDE, height=altitude),
    )


def digicam_geometry(focal_length: u.Quantity = EQUIVALENT_FOCAL_LENGTH) -> CameraGeometry:
    """Generate the pixels of DigiCam.

    Parameters
    ----------
    focal_length : astropy.units.Quantity
        Of the camera frame: turns metres into degrees.

    Returns
    -------
    ctapipe.instrument.CameraGeometry
        1296 pixels.
    """
    low, high = PIXEL_RANGE
    n_columns = 48
    column, half_step = np.meshgrid(np.arange(n_columns), np.arange(36, -37, -1), indexing="ij")
    # in units of the pitch: columns are sqrt(3)/2 apart, the middle of the camera lies between three pixels
    x = (23 + 2 / 3 - column) * np.sqrt(3) / 2
    y = half_step / 2
    on_lattice = (column + half_step) % 2 == 1
    along = [x * np.cos(angle) + y * np.sin(angle) for angle in np.deg2rad([30, 150, 270])]
    tolerance = 1e-6
    inside = on_lattice & np.all([(low - tolerance < a) & (a < high + tolerance) for a in along], axis=0)
    n_pixels = int(inside.sum())
    area = (np.sqrt(3) / 2 * PIXEL_FLAT_TO_FLAT**2).to(u.m**2)
    return CameraGeometry(
        name="DigiCam",
        pix_id=np.arange(n_pixels),
        pix_x=(x[inside] * PIXEL_PITCH).to(u.m),
        pix_y=(y[inside] * PIXEL_PITCH).to(u.m),
        pix_area=np.full(n_pixels, area.value) * area.unit,
        pix_type=PixelShape.HEXAGON,
        pix_rotation=30 * u.deg,
        cam_rotation=0 * u.deg,
        frame=CameraFrame(focal_length=focal_length),
    )


def digicam_readout() -> CameraReadout:
    """Describe DigiCam's readout, with a pulse of plausible shape: two halves of Gaussians."""
    width = 0.1
    time = np.arange(0, 100, width) - 28.0
    sigma = np.where(time < 0, PULSE_RISE, PULSE_FALL)
    pulse = np.exp(-(time**2) / (2 * sigma**2))
    return CameraReadout(
        name="DigiCam",
        sampling_rate=SAMPLING_RATE,
        reference_pulse_shape=pulse[np.newaxis],
        reference_pulse_sample_width=width * u.ns,
        n_channels=1,
        n_pixels=1296,
        n_samples=N_SAMPLES,
    )
