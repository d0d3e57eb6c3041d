"""The driver of a run whose nodes are jobs."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.framework.project import settings
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import AbstractRunner
from pluggy import PluginManager

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import locked
from cherenkov_pipeline.runners.commands import project_folder
from cherenkov_pipeline.runners.progress import Progress
from cherenkov_pipeline.runners.resources import KIND, SITE, ClusterParameters, read_parameters
from cherenkov_pipeline.runners.run_folder import RunFolder
from cherenkov_pipeline.runners.submission import Submitter, make_submitter
from cherenkov_pipeline.runners.work import Work

REMEMBERED = ("CHERENKOV_DATA", "MLFLOW_TRACKING_URI", "KERAS_BACKEND", SITE)
"""Environment variables that a run is taken up again with."""


class ClusterRunner(AbstractRunner):
    """Runs each node as a job of its own, those that do not wait for each other side by side.

    Each job builds the catalog anew: what flows between nodes must be saved. All jobs save the version of the run, load
    what the run itself saved, and record in its one MLflow run.

    Parameters
    ----------
    options : dict, optional
        Options of ``kedro run`` that make configuration and pipeline, for the jobs: ``env``, ``params``,
        ``conf_source``, ``load_versions``, ``pipelines`` and the filters.
    overrides : dict, optional
        Settings that come before ``slurm.yml``: ``--runner-params=tags.gpu.time=24h``.
    is_async : bool
        Kedro's; without meaning here.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
        is_async: bool = False,
    ):
        super().__init__(is_async=is_async)
        self.options, self.overrides = dict(options or {}), dict(overrides or {})

    def _get_executor(self, max_workers: int) -> None:
        return None

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        parameters = cluster_parameters(self.options, self.overrides)
        _check_saved(pipeline, catalog)
        run = RunFolder(parameters.folder / run_id)
        with locked(run.path):
            run.keep_conf(Path(self.options.get("conf_source") or project_folder() / settings.CONF_SOURCE))
            versions = _given_versions(pipeline, catalog) | run.given_versions
            run.write(self._record(run, catalog) | {"given_versions": versions})
            submitter = make_submitter(parameters, run.jobs)
            with Progress(len(pipeline.nodes)) as progress:
                progress.say(f"Run {run.version} on {submitter.name}; {run.path} holds its logs.")
                _Driver(pipeline, run, parameters, submitter, progress, versions).drive()

    def _record(self, run: RunFolder, catalog: CatalogProtocol) -> dict[str, Any]:
        return {
            "version": run.version,
            "mlflow_run": catalog.load("mlflow_run") if "mlflow_run" in catalog else None,
            "project": str(project_folder()),
            "pipelines": list(self.options.get("pipelines") or ["__default__"]),
            "options": self.options,
            "overrides": self.overrides,
            "environment": {name: os.environ[name] for name in REMEMBERED if name in os.environ},
        }


def cluster_parameters(options: Mapping[str, Any], overrides: Mapping[str, Any]) -> ClusterParameters:
    """Read the configuration of an environment.

    Parameters
    ----------
    options : mapping
        With ``env`` and ``conf_source``, as ``kedro run`` takes them.
    overrides : mapping
        See `~cherenkov_pipeline.runners.resources.read_parameters`.

    Raises
    ------
    UserError
        If there is none, or it is wrong.
    """
    from kedro.config import MissingConfigException

    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=options.get("conf_source") or str(project_folder() / settings.CONF_SOURCE),
        env=options.get("env"),
        runtime_params=options.get("params"),
        **settings.CONFIG_LOADER_ARGS,
    )
    try:
        configured = loader[KIND]
    except MissingConfigException:
        raise UserError("There is no slurm.yml in this environment: use --env=cluster, or copy its file.") from None
    return read_parameters(configured, overrides)


def _check_saved(pipeline: Pipeline, catalog: CatalogProtocol) -> None:
    kept = [name for name in sorted(pipeline.all_outputs()) if isinstance(catalog[name], MemoryDataset)]
    if kept:
        raise UserError(f"{kept[0]} stays in memory, which jobs do not share: give it an entry in the catalog.")


def _given_versions(pipeline: Pipeline, catalog: CatalogProtocol) -> dict[str, str]:
    """Versions of what the run starts from: all jobs load the same, whatever other runs save meanwhile."""
    versions = {}
    for name in pipeline.inputs():
        dataset = catalog[name]
        resolve = getattr(dataset, "resolve_load_version", None)
        if resolve and catalog.exists(name) and (version := resolve()):
            versions[name] = version
    return versions


class _Driver:
    """Submits what is ready, until nothing is left."""

    def __init__(
        self,
        pipeline: Pipeline,
        run: RunFolder,
        parameters: ClusterParameters,
        submitter: Submitter,
        progress: Progress,
        versions: dict[str, str],
    ):
        self.pipeline, self.run, self.parameters = pipeline, run, parameters
        self.submitter, self.progress, self.versions = submitter, progress, versions
        self.waits = {node: set(before) for node, before in pipeline.node_dependencies.items()}
        self.works: dict[Node, Work] = {}
        self.failed: dict[str, str] = {}

    def drive(self) -> None:
        """Run all nodes; one that fails stops only those that need it.

        Raises
        ------
        UserError
            If nodes failed.
        """
        try:
            self._start_ready()  # jobs of an earlier driver count from the first look on
            while self.works or self._ready():
                active = self._look()
                self._start_ready()
                if self.works:
                    self._submit(active)
                    time.sleep(self.parameters.poll.to_value("s"))
        except KeyboardInterrupt:
            self.progress.say(f"The jobs go on. To see them again: kedro cluster attach {self.run.version}")
            self.progress.say(f"To end them: kedro cluster cancel {self.run.version}")
            raise
        if self.failed:
            left = f" {len(self.waits)} more nodes wait for that." if self.waits else ""
            reasons = " ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            raise UserError(f"{reasons}{left}")

    def _ready(self) -> list[Node]:
        return [node for node, before in self.waits.items() if not before]

    def _start_ready(self) -> None:
        for node in self._ready():
            del self.waits[node]
            work = Work(node.name, self.run, self.parameters.resources_for(node.tags), self.parameters)
            versions = {name: version for name, version in self.versions.items() if name in node.inputs}
            work.start(versions, self.submitter)
            self.works[node] = work

    def _look(self) -> Mapping[str, str]:
        """See what became of the jobs."""
        jobs = [job for work in self.works.values() for job in work.jobs]
        active = self.submitter.active(jobs) if jobs else {}
        for node, work in list(self.works.items()):
            work.look(active, self.submitter)
            if work.ended is None:
                self.progress.tell(node.name, work.state(active))
                continue
            del self.works[node]
            if work.ended.state == "done":
                self.versions |= work.ended.versions
                self.progress.ended(node.name, "done")
                for before in self.waits.values():
                    before.discard(node)
            else:
                self.failed[node.name] = work.ended.reason
                self.progress.ended(node.name, f"failed: {work.ended.reason}")
        return active

    def _submit(self, active: Mapping[str, str]) -> None:
        room = self.submitter.room - len(active)
        for work in self.works.values():
            room -= work.submit(self.submitter, room)
