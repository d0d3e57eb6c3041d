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
    plan = plan_store(file_set(*paths), selection, StoreParameters(n_workers=1, **parameters))
    return [EventStore(path) for path in run_plan(plan, folder).paths]
