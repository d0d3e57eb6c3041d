"""Telescope types and pixel orders: which cameras a set of DL1 files holds, and whether they may be mixed.

Two files can hold the same camera with its pixels numbered differently (DigiCam exists in two orders, mirrored
in y). Images of both are equal only after mapping by position, never by pixel index.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import fingerprint

if TYPE_CHECKING:
    from astropy.table import Table
    from ctapipe.instrument import CameraGeometry, SubarrayDescription

# two geometries agree where their pixels lie closer than this part of the pixel pitch
POSITION_TOLERANCE = 0.2


def geometry_fingerprint(geometry: "CameraGeometry") -> str:
    """Fingerprint of the pixel positions in their order, in single precision."""
    positions = np.array([geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m")], dtype=np.float32)
    return fingerprint(geometry.n_pixels, positions.tolist())


def telescopes_by_type(subarray: "SubarrayDescription") -> dict[str, list[int]]:
    """Telescope ids of each telescope type of a subarray, sorted by type."""
    types: dict[str, list[int]] = {}
    for tel_id, telescope in subarray.tel.items():
        types.setdefault(str(telescope), []).append(int(tel_id))
    return dict(sorted(types.items()))


def wanted_telescopes(
    subarray: "SubarrayDescription",
    telescope_types: Sequence[str] | None,
    telescope_ids: Sequence[int] | None,
    where: str,
) -> list[int]:
    """Choose telescopes of a subarray.

    Parameters
    ----------
    subarray : ctapipe.instrument.SubarrayDescription
    telescope_types : sequence of str, optional
        Telescope types (``SST_1M_DigiCam``) or camera names (``DigiCam``); None takes all.
    telescope_ids : sequence of int, optional
        None takes all.
    where : str
        File that the subarray comes from, for the message.

    Returns
    -------
    list of int
        Sorted telescope ids.

    Raises
    ------
    UserError
        If none is left.
    """
    chosen = [
        int(tel_id)
        for tel_id, telescope in subarray.tel.items()
        if (telescope_types is None or {str(telescope), telescope.camera.name} & set(telescope_types))
        and (telescope_ids is None or tel_id in telescope_ids)
    ]
    if not chosen:
        present = ", ".join(f"{name} ({_ids(ids)})" for name, ids in telescopes_by_type(subarray).items())
        wanted = [f"type {' or '.join(telescope_types)}"] if telescope_types else []
        wanted += [f"id {' or '.join(map(str, telescope_ids))}"] if telescope_ids else []
        raise UserError(f"{where} has no telescope of {' and '.join(wanted)}. It has: {present}.")
    return sorted(chosen)


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids)) if len(ids) <= 6 else f"{len(ids)} telescopes"


def require_one_type(records: Iterable[Mapping[str, Any]]) -> str:
    """Give the telescope type of DL1 files that hold images of one type.

    Parameters
    ----------
    records : iterable of dict
        Records of DL1 files, see `cherenkov_pipeline.dl1.contents.describe`.

    Raises
    ------
    UserError
        If images of several types, or none, are there.
    """
    names = sorted({name for record in records for name, one in record["telescope_types"].items() if one["n_images"]})
    if not names:
        raise UserError("The DL1 files hold no image.")
    if len(names) > 1:
        raise UserError(f"Images of one telescope type are needed, found {', '.join(names)}: set dl1.telescope_types.")
    return names[0]


def camera_orders(records: Iterable[Mapping[str, Any]]) -> "Table":
    """List the cameras of DL1 files, and where one camera comes in several pixel orders.

    Parameters
    ----------
    records : iterable of dict
        Records of DL1 files, see `cherenkov_pipeline.dl1.contents.describe`. A file of each different geometry is
        opened.

    Returns
    -------
    astropy.table.Table
        One row for each camera and order: ``camera``, ``order`` (0 for the first), ``n_pixels``, ``n_files``,
        ``example`` (a file), ``relation`` to the first of that camera (see `compare_geometries`) and ``scale``, the
        size of its layout in units of the first.
    """
    from astropy.table import Table

    rows: list[dict[str, Any]] = []
    for camera, files_with in _files_by_geometry(records).items():
        known: list[tuple[CameraGeometry, dict[str, Any]]] = []
        for files in files_with.values():
            geometry = read_geometry(files[0], camera)
            same = [row for other, row in known if compare_geometries(other, geometry) == "same order"]
            if same:
                same[0]["n_files"] += len(files)
                continue
            first = known[0][0] if known else geometry
            row = {"camera": camera, "order": len(known), "n_pixels": geometry.n_pixels, "n_files": len(files)}
            relation = {"relation": compare_geometries(first, geometry), "scale": _radius(geometry) / _radius(first)}
            known.append((geometry, {**row, "example": files[0], **relation}))
        rows += [row for _, row in known]
    return Table(rows=rows, names=("camera", "order", "n_pixels", "n_files", "example", "relation", "scale"))


def report_orders(orders: "Table") -> list[str]:
    """Say in one line each what a user should know about cameras that come in several pixel orders.

    Parameters
    ----------
    orders : astropy.table.Table
        From `camera_orders`.
    """
    return [
        f"{row['camera']}: the pixels of {Path(str(row['example'])).name} ({row['n_files']} files) are numbered "
        f"differently ({row['relation']}, layout {row['scale']:.3f} times as large): map by position, never by index."
        for row in orders
        if row["order"]
    ]


def compare_geometries(first: "CameraGeometry", second: "CameraGeometry") -> str:
    """Say how the pixels of two cameras relate, whatever the size of their layouts.

    Returns
    -------
    str
        ``"same order"``; ``"mirrored in y"``, ``"mirrored in x"`` (same positions, numbered as a mirror image);
        ``"other order"`` (same positions, numbered otherwise) or ``"other positions"``.
    """
    from scipy.spatial import KDTree

    if first.n_pixels != second.n_pixels:
        return "other positions"
    # DigiCam's two orders differ in pixel pitch as well (23.6 and 24.3 mm)
    a, b = _positions(first) / _radius(first), _positions(second) / _radius(second)
    tolerance = POSITION_TOLERANCE * (first.pixel_width[0].to_value("m") / _radius(first))
    for mirror, relation in (((1, 1), "same order"), ((1, -1), "mirrored in y"), ((-1, 1), "mirrored in x")):
        if np.all(np.hypot(*(a * mirror - b).T) < tolerance):
            return relation
    distance, index = KDTree(a).query(b)
    is_permutation = np.all(distance < tolerance) and len(np.unique(index)) == len(a)
    return "other order" if is_permutation else "other positions"


def read_geometry(path: str | Path, camera: str) -> "CameraGeometry":
    """Read the geometry of the camera of that name from a DL1 file."""
    from ctapipe.instrument import SubarrayDescription

    subarray = SubarrayDescription.from_hdf(path, focal_length_choice="EQUIVALENT")
    return next(tel.camera.geometry for tel in subarray.tel.values() if tel.camera.name == camera)


def _files_by_geometry(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    files: dict[str, dict[str, list[str]]] = {}
    for record in records:
        for one in record["telescope_types"].values():
            files.setdefault(one["camera"], {}).setdefault(one["geometry"], []).append(str(record["path"]))
    return dict(sorted(files.items()))


def _positions(geometry: "CameraGeometry") -> np.ndarray:
    return np.column_stack([geometry.pix_x.to_value("m"), geometry.pix_y.to_value("m")])


def _radius(geometry: "CameraGeometry") -> float:
    """Root mean square distance of the pixels from the camera's centre, in m."""
    return float(np.sqrt(np.mean(np.sum(_positions(geometry) ** 2, axis=1))))
