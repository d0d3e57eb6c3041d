"""What runs in a job: one node of a run, or some of the files that a node wants.

A job takes nothing over from the driver but names and versions: it loads the project's configuration anew, so that
catalog, parameters and hooks are those of the run. It may be ended and begun again at any moment.
"""

import logging
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner.task import Task

from cherenkov_pipeline.datasets.file_set import FileSetDataset
from cherenkov_pipeline.errors import TemporaryError, UserError, reason
from cherenkov_pipeline.file_plans import FilePlan, make_file
from cherenkov_pipeline.files import atomic_path, remove
from cherenkov_pipeline.mistakes import one_line
from cherenkov_pipeline.runners.run_folder import NodeFolder, Result, RunFolder
from cherenkov_pipeline.tracking import MlflowTracking, version_path

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

logger = logging.getLogger(__name__)


class _Job:
    """What submitit does with a job whose time is over, or that has to make room."""

    leaving: ClassVar[bool] = False
    """Whether this process was told to end: what fails from then on is no failure of the work."""

    def checkpoint(self) -> "DelayedSubmission":
        """Put the job in the queue again, as it is: what it did so far stands in files.

        Raises
        ------
        SystemExit
            Where SLURM cannot be told so (in a container): the driver submits the job again.
        """
        from submitit.helpers import DelayedSubmission

        _Job.leaving = True
        if "SLURM_JOB_ID" in os.environ and not shutil.which("scontrol"):
            raise SystemExit("There is no scontrol here to put this job back into the queue: the driver does it.")
        return DelayedSubmission(self)


@dataclass(frozen=True)
class NodeJob(_Job):
    """One node.

    Attributes
    ----------
    run : Path
        Folder of the run.
    node : str
    load_versions : dict
        Versions of what other nodes of the run saved, and of what there was before it.
    files_per_job : int or None
        If the node wants more files than this, an array of jobs is to make them first.
    most : int
        How often the node may begin.
    """

    run: Path
    node: str
    load_versions: Mapping[str, str]
    files_per_job: int | None
    most: int

    def __call__(self) -> None:
        """Run the node, and write how that ended."""
        place = RunFolder(self.run).node(self.node)
        try:
            place.begin(self.most)
            place.forget_failure(self.node)
            place.finish(self._run(place))
        except TemporaryError as error:
            logger.error("%s It is tried again.", error)
            with suppress(OSError, TemporaryError):
                place.note_failure(self.node, str(error))
            raise
        except Exception as error:
            if not self.leaving:
                place.finish(Result("failed", reason_of(error)))
            raise

    def _run(self, place: NodeFolder) -> Result:
        run = RunFolder(self.run)
        record = run.read()
        with _project(record, run.conf, self.load_versions) as (catalog, hooks):
            node = _node(record["pipelines"], self.node)
            saving = _Saving(catalog, place, self.files_per_job)
            try:
                Task(node, saving, is_async=False, hook_manager=hooks, run_id=record["version"]).execute()
            except _FilesWanted as wanted:
                return wanted.result
            return Result("done", versions=_saved_versions(node, catalog))


@dataclass(frozen=True)
class FilesJob(_Job):
    """Some of the files that a node wants.

    Attributes
    ----------
    run : Path
        Folder of the run.
    node : str
    folder : Path
        Of the files.
    names : sequence of str
    """

    run: Path
    node: str
    folder: Path
    names: Sequence[str]

    def __call__(self) -> None:
        """Make the files; one that fails does not keep the others from being made.

        Raises
        ------
        UserError
            If some failed.
        """
        record = RunFolder(self.run).read()
        bootstrap_project(Path(record["project"]))
        place = RunFolder(self.run).node(self.node)
        with place.plan.open("rb") as stream:
            jobs = {job.name: job for job in pickle.load(stream)}
        failed = []
        for name in self.names:
            try:
                make_file(jobs[name], self.folder)
            except Exception as error:
                if self.leaving:
                    raise
                logger.exception("%s could not be made.", name)
                place.note_failure(name, reason_of(error))
                failed.append(name)
        if failed:
            raise UserError(f"{len(failed)} of {len(self.names)} files failed: {', '.join(failed)}.")


def reason_of(error: Exception) -> str:
    """Reason of a failure in one line; the whole stands in the job's log."""
    return one_line(error) or reason(error)


class _FilesWanted(Exception):  # noqa: N818
    """A node wants files that an array of jobs is to make."""

    def __init__(self, result: Result):
        super().__init__(result)
        self.result = result


class _Saving:
    """The catalog of a job, which saves nothing twice and leaves many files to other jobs."""

    def __init__(self, catalog: CatalogProtocol, place: NodeFolder, files_per_job: int | None):
        self._catalog, self._place, self._files_per_job = catalog, place, files_per_job

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def save(self, name: str, data: Any) -> None:
        """Save, unless an earlier job was killed after it had done so."""
        dataset = self._catalog[name]
        if isinstance(dataset, FileSetDataset) and self._files_per_job:
            self._leave_to_others(dataset, data)
        path = version_path(dataset)
        if path and path.exists():
            logger.info("%s was saved before.", name)
            return
        try:
            self._catalog.save(name, data)
        except BaseException:
            if path:  # Kedro's own datasets leave half a file on a full disk
                remove(path)
            raise

    def _leave_to_others(self, dataset: FileSetDataset, plan: FilePlan) -> None:
        import cloudpickle

        missing = dataset.missing(plan)
        if len(missing) <= self._files_per_job:
            return
        with atomic_path(self._place.plan) as part:
            part.write_bytes(cloudpickle.dumps(missing))
        names = [job.name for job in missing]
        raise _FilesWanted(Result("files", folder=str(dataset.folder_of(plan).absolute()), files=names))


@contextmanager
def _project(
    record: Mapping[str, Any], conf: Path, load_versions: Mapping[str, str]
) -> Iterator[tuple[CatalogProtocol, Any]]:
    """Catalog and hooks of the run, in this process."""
    project = Path(record["project"])
    bootstrap_project(project)
    options, names = record["options"], record["pipelines"]
    pipelines.set_requested(names)
    with KedroSession.create(
        project_path=project,
        save_on_close=False,
        env=options.get("env"),
        runtime_params=options.get("params"),
        conf_source=str(conf),
    ) as session:
        context = session.load_context()
        if "__default__" not in names:  # as Kedro's own run does: the parameters of these alone are validated
            context._pipelines_to_validate = list(names)
        catalog = context._get_catalog(save_version=record["version"], load_versions=dict(load_versions))
        if record["mlflow_run"]:
            catalog.save("mlflow_run", record["mlflow_run"])
        for hook in settings.HOOKS:
            if isinstance(hook, MlflowTracking):
                hook.join(record["mlflow_run"])
        yield catalog, session._hook_manager


def _node(names: Sequence[str], name: str) -> Node:
    pipeline = sum((pipelines[one] for one in names), Pipeline([]))
    return next(node for node in pipeline.nodes if node.name == name)


def _saved_versions(node: Node, catalog: CatalogProtocol) -> dict[str, str]:
    versions = {}
    for name in node.outputs:
        dataset = catalog[name]
        if isinstance(dataset, FileSetDataset):
            versions[name] = dataset.resolve_load_version()
        elif version_path(dataset):
            versions[name] = dataset.resolve_save_version()
    return versions
