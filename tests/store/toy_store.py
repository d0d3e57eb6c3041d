"""Stores of toy DL1 files."""

from pathlib import Path

from cherenkov_pipeline.dl1.parameters import SelectionParameters
from cherenkov_pipeline.files import FileSet, fingerprint_file, run_plan
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
