"""DL2 files as sst1mpipe 0.7 writes them, without sst1mpipe.

``sst1mpipe_dl1_dl2.py``: a copy of the DL1 file, whose parameters stand in the camera frame, and one more table for
each telescope, or one for whole events, written by PyTables from a pandas table: DL1, true values (degrees, TeV, m) and
predictions in one row, plain numbers, in the order of the keys, the configuration as an attribute that PyTables
pickles.
"""

import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import tables
from astropy import units as u
from astropy.table import QTable
from ctapipe.instrument import SubarrayDescription
from tests.reconstruction.ctlearn_dl2 import write_ctlearn

from cherenkov_pipeline.directions import Direction, plain, to_camera

GROUP = "/dl2/event/telescope/parameters"
TRUTH = ("true_energy", "true_alt", "true_az", "true_core_x", "true_core_y", "true_x_max", "true_shower_primary_id")


class Configuration:
    """What PyTables has to pickle; to be unpickled is noticed."""

    unpickled: ClassVar[list[bool]] = []

    def __setstate__(self, state):
        self.unpickled.append(True)

    def __getstate__(self):
        return {"analysis": {}}


def write_sst1mpipe(path: Path, predictions: QTable, array: SubarrayDescription, stereo: bool = False) -> Path:
    """Write predictions of images, or of events without ``tel_id``, as a DL2 file."""
    write_ctlearn(path, predictions, array, tasks=())
    with warnings.catch_warnings(), tables.open_file(path, "a") as file:
        warnings.simplefilter("ignore", tables.NaturalNameWarning)
        file.root._v_attrs["CTA ACTIVITY SOFTWARE NAME"] = "ctapipe"
        for tel_id in [None] if stereo else np.unique(predictions["tel_id"]):
            own = predictions if stereo else predictions[predictions["tel_id"] == tel_id]
            columns = _columns(own, None if stereo else array.tel[tel_id].camera.geometry)
            name = "stereo" if stereo else f"tel_{tel_id:03d}"
            records = np.rec.fromarrays(list(columns.values()), names=list(columns))
            table = file.create_table(GROUP, name, np.sort(records, order=["obs_id", "event_id"]), createparents=True)
            table.attrs["config"] = Configuration()
    return path


def _columns(images: QTable, camera) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(images[name], dtype=np.int64) for name in ("obs_id", "event_id")}
    columns |= {name: np.asarray(images[name], dtype=float) for name in TRUTH}
    columns["true_alt_tel"] = plain(images, "telescope_pointing_altitude")
    columns["true_az_tel"] = plain(images, "telescope_pointing_azimuth")
    columns |= {name: plain(images, name) for name in ("reco_energy", "gammaness", "reco_alt", "reco_az")}
    columns["reco_az"] = (columns["reco_az"] + 180) % 360 - 180
    if camera is None:
        return columns
    columns["tel_id"] = np.asarray(images["tel_id"], dtype=np.int16)
    columns["camera_frame_hillas_intensity"] = np.asarray(images["hillas_intensity"], dtype=float)
    lon, lat, psi = (plain(images, f"hillas_{name}") for name in ("fov_lon", "fov_lat", "psi"))
    x, y = to_camera(Direction(lon, lat), camera)
    step = 1e-3
    along = Direction(lon + step * np.cos(np.deg2rad(psi)), lat + step * np.sin(np.deg2rad(psi)))
    along_x, along_y = to_camera(along, camera)
    columns |= {"camera_frame_hillas_x": x, "camera_frame_hillas_y": y}
    columns["camera_frame_hillas_psi"] = np.rad2deg(np.arctan2(along_y - y, along_x - x))
    columns["reco_src_x"], columns["reco_src_y"] = (
        u.Quantity(images[f"reco_camera_{axis}"], u.m).value for axis in ("x", "y")
    )
    columns["reco_disp_dx"], columns["reco_disp_dy"] = columns["reco_src_x"] - x, columns["reco_src_y"] - y
    return columns
