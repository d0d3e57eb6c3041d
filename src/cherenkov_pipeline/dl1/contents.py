"""What a DL1 file holds: its record, read from the file itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.dl1.cameras import camera_fingerprint
from cherenkov_pipeline.dl1.settings import read_settings
from cherenkov_pipeline.dl1.telescopes import telescopes_by_type
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.fingerprints import fingerprint

if TYPE_CHECKING:
    from cherenkov_pipeline.hdf5 import tables

EVENT = ("obs_id", "event_id")
"""Columns that number the events of a file."""

IMAGE = (*EVENT, "tel_id")
"""Columns that number the images of a file."""

PRODUCTION_EVENT = ("production", *EVENT)
"""What makes an event: gammas and protons of two files may well have the same ``obs_id`` and ``event_id``."""

PRIMARY = "true_shower_primary_id"

PARTICLES = {"gamma": 0, "electron": 1, "proton": 101, "helium": 402, "nitrogen": 1407, "silicon": 2814, "iron": 5626}
"""Names of primary particles and sim_telarray's numbers of them, as in `PRIMARY`."""

_NAMES = {number: name for name, number in PARTICLES.items()}


def particle_name(primary_id: int) -> str:
    """Name of a primary particle; ``particle <id>`` for one without."""
    return _NAMES.get(primary_id, f"particle {primary_id}")


def describe(path: str | Path) -> dict[str, Any]:
    """Describe a DL1 file in ctapipe's data model.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        Plain values: ``n_events``, ``n_images``, ``obs_ids``, ``particles`` (number of events of each, by name),
        ``n_thrown`` (simulated showers including those that triggered nothing; None if the file does not tell),
        ``telescope_types`` (for each: ``camera``, ``tel_ids``, ``n_images``, ``n_pixels``, ``geometry``, the
        fingerprint of its pixel positions), ``array`` (fingerprint of telescopes and cameras), ``levels``,
        those of ``images``, ``image_masks``, ``parameters``, ``waveforms``, ``true_images``, ``true_parameters`` that
        are there; ``dl1_settings``, how it was made (see `cherenkov_pipeline.dl1.settings`), None if it does not tell.
    """
    from cherenkov_pipeline.hdf5 import read_subarray, tables

    with tables.open_file(str(path)) as file:
        subarray = read_subarray(file)
        levels = _levels(file)
        n_images = _images_by_telescope(file, levels)
        types = {}
        for name, tel_ids in telescopes_by_type(subarray).items():
            camera = subarray.tel[tel_ids[0]].camera
            types[name] = {
                "camera": camera.name,
                "tel_ids": tel_ids,
                "n_images": sum(n_images.get(tel_id, 0) for tel_id in tel_ids),
                "n_pixels": int(camera.geometry.n_pixels),
                "geometry": camera_fingerprint(camera.geometry),
            }
        positions = {int(tel_id): position.to_value("m").tolist() for tel_id, position in subarray.positions.items()}
        return {
            "n_events": _n_rows(file, "/dl1/event/subarray/trigger"),
            "n_images": sum(n_images.values()),
            "obs_ids": _obs_ids(file),
            "particles": _particles(file),
            "n_thrown": _n_thrown(file),
            "telescope_types": types,
            "array": fingerprint([types[name]["geometry"] for name in types], sorted(positions.items())),
            "levels": levels,
            "dl1_settings": read_settings(file),
        }


def with_events(file_set: FileSet) -> FileSet:
    """Leave out the DL1 files without an image.

    Raises
    ------
    UserError
        If none is left.
    """
    records = tuple(record for record in file_set.records if record["n_images"])
    if not records:
        names = ", ".join(name for record in file_set.records for name in input_names(record)) or "nothing"
        raise UserError(f"No event with an image in {names}: give files with triggered events.")
    return FileSet(file_set.fingerprint, records)


def production_of(path: Path) -> str:
    """Name of what is in a DL1 or DL2 file: the same in event stores, predictions and DL2."""
    return path.name.removesuffix(".h5").removesuffix(".dl1").removesuffix(".dl2")


def input_names(record: Mapping[str, Any]) -> list[str]:
    """Names of the files that a DL1 file was made from; its own name if it was made from none."""
    return [Path(item["path"]).name for item in record.get("inputs", ())] or [Path(record["path"]).name]


def _levels(file: "tables.File") -> list[str]:
    nodes = {
        "images": "/dl1/event/telescope/images",
        "parameters": "/dl1/event/telescope/parameters",
        "waveforms": "/r1/event/telescope",
        "true_parameters": "/simulation/event/telescope/parameters",
    }
    levels = [name for name, node in nodes.items() if node in file.root]
    if "/r0/event/telescope" in file.root and "waveforms" not in levels:
        levels.append("waveforms")
    columns = {
        "image_masks": ("/dl1/event/telescope/images", "image_mask"),
        "true_images": ("/simulation/event/telescope/images", "true_image"),
    }
    levels += [name for name, (group, column) in columns.items() if _has_column(file, group, column)]
    return sorted(levels)


def _tables(file: "tables.File", group: str) -> Sequence[Any]:
    return file.root[group]._f_list_nodes("Table") if group in file.root else ()


def _has_column(file: "tables.File", group: str, column: str) -> bool:
    return any(column in table.colnames for table in _tables(file, group))


def _images_by_telescope(file: "tables.File", levels: Sequence[str]) -> dict[int, int]:
    group = f"/dl1/event/telescope/{'images' if 'images' in levels else 'parameters'}"
    return {int(table._v_name.removeprefix("tel_")): int(table.nrows) for table in _tables(file, group)}


def _n_rows(file: "tables.File", node: str) -> int:
    return int(file.root[node].nrows) if node in file.root else 0


def _obs_ids(file: "tables.File") -> list[int]:
    for node in ("/configuration/observation/observation_block", "/dl1/event/subarray/trigger"):
        if node in file.root:
            return sorted({int(obs_id) for obs_id in file.root[node].col("obs_id")})
    return []


def _particles(file: "tables.File") -> dict[str, int]:
    node = "/simulation/event/subarray/shower"
    if node not in file.root:
        return {}
    counts = Counter(int(primary) for primary in file.root[node].col(PRIMARY))
    return {particle_name(primary): n for primary, n in sorted(counts.items())}


def _n_thrown(file: "tables.File") -> int | None:
    node = "/simulation/service/shower_distribution"
    return int(file.root[node].col("n_entries").sum()) if node in file.root else None
