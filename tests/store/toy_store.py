"""Stores of toy DL1 files."""

from collections.abc import Sequence
from pathlib import Path

from ctapipe.instrument import SubarrayDescription
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.fingerprints import fingerprint_file
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.parameters import StoreParameters

ALL = SelectionParameters(quality={})
TOY = "SST_TOY_ToyCam"


def file_set(*paths: Path) -> FileSet:
    return FileSet("toys", [{"path": str(path), "fingerprint": fingerprint_file(path)} for path in paths])


def build(folder: Path, *paths: Path, selection=ALL, **parameters) -> list[EventStore]:
    """Build the stores of some DL1 files, one a telescope type."""
    plan = plan_store(file_set(*paths), selection, StoreParameters(n_workers=1, **parameters))
    parts: dict[str, list[Path]] = {}
    for record in run_plan(plan, folder).records:
        parts.setdefault(record["telescope_type"], []).append(record["path"])
    return [EventStore(found) for found in parts.values()]


SMALL = {"rings": 8, "pitch": 0.03, "name": "OtherCam"}
"""A camera of fewer, larger pixels."""

EVENTS = [
    ToyEvent(400 - 3 * number, number, tel_ids=((1, 2, 3, 4), (1, 3), (2, 4, 1), (1,), (4,), (3, 4))[number % 6])
    for number in range(60)
]
"""Telescopes 1 and 3 have the camera ToyCam, 2 and 4 `SMALL`."""


def mixed_array(**options) -> SubarrayDescription:
    """Four telescopes of two types in turn."""
    return subarray({tel_id: camera() if tel_id % 2 else camera(**SMALL) for tel_id in (1, 2, 3, 4)}, **options)


def two_types(folder: Path, events: Sequence[ToyEvent] = EVENTS, **parameters) -> dict[str, EventStore]:
    """Stores of one DL1 file, ``gamma.dl1.h5`` in the folder, by telescope type."""
    path = write_dl1(folder / "gamma.dl1.h5", mixed_array(), events)
    return {store.telescope_type: store for store in build(folder / "store", path, **parameters)}
