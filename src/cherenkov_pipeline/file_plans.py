"""Files that are made from other files: plans that can be interrupted, and the sets that they leave.

A node describes the files that it wants as a `FilePlan`; `run_plan` makes those that do not exist yet, in
parallel, and returns a `FileSet`. Each file is written beside its place and renamed, with its record (counts,
inputs) next to it, so that a run may be killed at any moment and started again. A file that an earlier version of the
set holds already, made from the same, is taken over.
"""

import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path, locked, write_json
from cherenkov_pipeline.fingerprints import fingerprint, fingerprint_file

MANIFEST = "manifest.json"
RECORD = ".json"
"""What the name of a file's record has after the file's."""


@dataclass(frozen=True)
class FileJob:
    """One file to make.

    Attributes
    ----------
    name : str
        File name inside the plan's folder.
    function : callable
        Picklable; called with the path to write, returns the file's record (plain values: inputs, counts).
    fingerprint : str, optional
        Of everything that this one file's content depends on, the name left out: a file with the same fingerprint can
        take its place. Default: of the plan and the name, so that it belongs to this plan alone.
    """

    name: str
    function: Callable[[Path], dict[str, Any]]
    fingerprint: str | None = None


@dataclass(frozen=True)
class FilePlan:
    """Files to make from known inputs and parameters.

    Attributes
    ----------
    fingerprint : str
        Of everything that the content depends on: inputs, parameters, code version.
    jobs : sequence of FileJob
    kept : sequence of dict
        Records of files that exist elsewhere and are part of the result as they are (each with ``path``).
    description : str
        Short text for the progress bar.
    n_workers : int
        Processes working side by side.
    check : callable, optional
        Called with the records of all files when they are made; raises `UserError` if they are of no use together.
    """

    fingerprint: str
    jobs: Sequence[FileJob]
    kept: Sequence[Mapping[str, Any]] = ()
    description: str = "files"
    n_workers: int = 1
    check: Callable[[Sequence[Mapping[str, Any]]], None] | None = None

    def __post_init__(self) -> None:
        repeated = [name for name, n in Counter(job.name for job in self.jobs).items() if n > 1]
        if repeated:
            raise ValueError(f"{self.description}: two jobs make {repeated[0]}")


@dataclass(frozen=True)
class FileSet:
    """Files that belong together, each with its record.

    Attributes
    ----------
    fingerprint : str
        Of everything that the content depends on.
    records : sequence of dict
        One a file: ``path``, ``fingerprint`` (of what it was made from: the same wherever and whenever it is made),
        ``size`` in bytes, ``digest`` of the content, and what its job recorded (counts, inputs).
    """

    fingerprint: str
    records: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def paths(self) -> list[Path]:
        """The files, in the order of the plan."""
        return [Path(record["path"]) for record in self.records]

    def __len__(self) -> int:
        return len(self.records)


def run_plan(plan: FilePlan, folder: str | os.PathLike, siblings: Sequence[Path] = ()) -> FileSet:
    """Make the files of a plan that do not exist yet.

    Parameters
    ----------
    plan : FilePlan
    folder : path-like
        Folder of this plan alone. Files finished by an earlier, interrupted run are kept.
    siblings : sequence of pathlib.Path
        Folders of other plans of the same kind. Finished files of theirs that have a job's fingerprint, and are still
        what was written, are taken over: linked, or copied where that is not possible.

    Returns
    -------
    FileSet

    Raises
    ------
    UserError
        From a job, for the first file that failed; the files finished before it stay. From the plan's ``check``.
    """
    folder = Path(folder)
    jobs = _identified(plan)
    with locked(folder):
        missing = _missing(jobs, folder, siblings, plan.n_workers)
        if missing:
            _run_jobs(missing, folder, plan)
        records = [_finished_record(folder / job.name) for job in jobs]
        if plan.check:
            plan.check([*records, *plan.kept])
        manifest = {"fingerprint": plan.fingerprint, "records": [*records, *plan.kept]}
        # each time: files that are kept where they are may have moved
        write_json(folder / MANIFEST, _relative(manifest, folder))
    return FileSet(plan.fingerprint, tuple(manifest["records"]))


def missing_files(plan: FilePlan, folder: str | os.PathLike, siblings: Sequence[Path] = ()) -> list[FileJob]:
    """Jobs of a plan whose files do not exist yet, after taking over what is there; see `run_plan`."""
    folder = Path(folder)
    with locked(folder):
        return _missing(_identified(plan), folder, siblings, plan.n_workers)


def make_file(job: FileJob, folder: str | os.PathLike) -> None:
    """Make one of the `missing_files` of a plan, beside other processes that make others.

    Raises
    ------
    TemporaryError
        If `run_plan` works in ``folder``.
    """
    folder = Path(folder)
    with locked(folder, shared=True):
        if not is_finished(folder / job.name):
            _run_job(job, folder)


def is_finished(path: Path) -> bool:
    """Whether a file of a plan is there, whole and with its record."""
    return _finished_record(path) is not None


def _identified(plan: FilePlan) -> list[FileJob]:
    return [replace(job, fingerprint=job.fingerprint or fingerprint(plan.fingerprint, job.name)) for job in plan.jobs]


def _missing(jobs: Sequence[FileJob], folder: Path, siblings: Sequence[Path], n_workers: int) -> list[FileJob]:
    missing = [job for job in jobs if _finished_record(folder / job.name) is None]
    return _take_over(missing, folder, siblings, n_workers) if missing else []


def read_file_set(folder: str | os.PathLike) -> FileSet:
    """Read what an earlier `run_plan` left in ``folder``.

    Raises
    ------
    UserError
        If the manifest is missing or a file that it names is gone.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise UserError(f"{folder} holds no finished set of files: run the step that makes it again.") from None
    records = [{**record, "path": str(folder / record["path"])} for record in manifest["records"]]
    for record in records:
        if not Path(record["path"]).exists():
            raise UserError(f"{record['path']} is gone: run the step that makes it again.")
    return FileSet(manifest["fingerprint"], tuple(records))


def _run_jobs(jobs: Sequence[FileJob], folder: Path, plan: FilePlan) -> None:
    from tqdm.auto import tqdm

    with tqdm(total=len(jobs), desc=plan.description, unit="file", dynamic_ncols=True) as bar:
        if plan.n_workers == 1 or len(jobs) == 1:
            for job in jobs:
                _run_job(job, folder)
                bar.update()
            return
        # spawn: the parent may hold TensorFlow or open HDF5 files, which do not survive a fork
        n_workers = min(plan.n_workers, len(jobs))
        with ProcessPoolExecutor(n_workers, get_context("spawn"), _die_with_parent, (os.getpid(),)) as pool:
            futures = [pool.submit(_run_job, job, folder) for job in jobs]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.update()
            except BrokenProcessPool as error:
                raise UserError(
                    f"A process that made {plan.description} was killed, perhaps for want of memory: "
                    "start again, with fewer n_workers; what was finished is kept."
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _die_with_parent(parent: int) -> None:
    """End this worker when its parent is gone: a parent that is killed cannot tell it to stop."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run_job(job: FileJob, folder: Path) -> None:
    path = folder / job.name
    with atomic_path(path) as part:
        record = job.function(part)
        # the fingerprint is not of the content: HDF5 files carry the time and identifiers of their making
        origin = {"fingerprint": job.fingerprint, "size": part.stat().st_size, "digest": fingerprint_file(part)}
        # the record first: a file without one counts as unfinished, a record without its file as well
        write_json(_record_path(path), {**record, **origin})


def _take_over(jobs: Sequence[FileJob], folder: Path, siblings: Sequence[Path], n_workers: int) -> list[FileJob]:
    """Take files of other plans; return the jobs for which there is none."""
    there: dict[str, list[dict[str, Any]]] = {}
    for sibling in siblings:
        for path in sibling.glob(f"*{RECORD}"):
            record = _finished_record(path.with_name(path.name.removesuffix(RECORD)))
            if record is not None and record.keys() >= {"digest", "fingerprint"}:
                there.setdefault(record["fingerprint"], []).append(record)

    def take(job: FileJob) -> bool:
        return any(_take(record, folder / job.name) for record in there.get(job.fingerprint, ()))

    with ThreadPoolExecutor(n_workers) as pool:  # reading and hashing leave other threads a core
        taken = list(pool.map(take, jobs))
    return [job for job, found in zip(jobs, taken, strict=True) if not found]


def _take(record: Mapping[str, Any], path: Path) -> bool:
    """Link or copy the file of a record to ``path``, if it is still what was written."""
    try:
        if fingerprint_file(record["path"]) != record["digest"]:
            return False
    except OSError:  # removed in the meantime, or out of reach
        return False
    with atomic_path(path) as part:
        try:
            os.link(record["path"], part)
        except OSError:  # another disk, or one without links
            shutil.copyfile(record["path"], part)
        write_json(_record_path(path), {name: value for name, value in record.items() if name != "path"})
    return True


def _finished_record(path: Path) -> dict[str, Any] | None:
    """Record of a finished file; None if the file or its record is missing or cut off."""
    try:
        record = json.loads(_record_path(path).read_text())
        if path.stat().st_size != record["size"]:
            return None
    except (OSError, ValueError, KeyError, TypeError):  # missing, cut off, or a file of somebody else
        return None
    return {**record, "path": str(path)}


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}{RECORD}")


def _relative(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths inside ``folder`` relative to it, so that a data folder can be moved; others absolute."""
    return {
        **manifest,
        "records": [{**record, "path": _place(record["path"], folder)} for record in manifest["records"]],
    }


def _place(path: str, folder: Path) -> str:
    if Path(path).resolve().is_relative_to(folder.resolve()):
        return os.path.relpath(path, folder)
    return str(Path(path).absolute())
