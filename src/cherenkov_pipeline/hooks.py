"""Kedro hooks, one purpose each: early checks, MLflow tracking, the page of all reports, a closing word.

MLflow stays out of nodes and datasets. A catalog entry says in its ``metadata`` what is to be recorded::

    metadata:
      mlflow: {metrics: true}              # a flat JSON of numbers
      mlflow: {history: true}              # a table with a row for each epoch
      mlflow: {artifact_path: figures}     # what was saved: all files of the version
      mlflow: {tag: data_fingerprint}      # the fingerprint of a file set, saved or loaded
      announce: Report                     # its path is printed when the run ends
      report: true                         # the page of all reports is made anew
"""

import atexit
import difflib
import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.keras_backend import choose_backend
from cherenkov_pipeline.revision import git_revision

BACKEND = "backend"
"""Parameter that no node takes: `KerasBackend` does."""


class CommandError(click.ClickException, UserError):
    """A user's error that any of Kedro's commands tells in one line, not only `kedro run`."""


class EnvironmentCheck:
    """Refuses an environment that does not exist; Kedro would run with empty parameters."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Look for the environment's folder."""
        conf = Path(context.config_loader.conf_source)
        environments = sorted(path.name for path in conf.iterdir() if path.is_dir() and path.name != "base")
        if context.env and context.env not in environments:
            raise CommandError(f"Unknown environment '{context.env}': use one of {', '.join(environments)}.")


class ParameterCheck:
    """Refuses parameters that no pipeline uses, before anything runs."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Compare the parameters, those of the command line included, with what the nodes take."""
        from kedro.framework.project import pipelines

        used = {BACKEND}.union(*(_parameters_of(pipeline) for pipeline in pipelines.values()))
        unknown = list(unknown_parameters(context.config_loader["parameters"], used))
        if unknown:
            near = difflib.get_close_matches(unknown[0], used, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(used))}."
            raise CommandError(f"Unknown parameter '{unknown[0]}': {hint}")


class KerasBackend:
    """Makes Keras run on the backend that the parameters name, before any node imports it."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Choose the backend, for this process and those that it starts."""
        try:
            choose_backend(context.config_loader["parameters"].get(BACKEND))
        except UserError as error:
            raise CommandError(str(error)) from error


class InputCheck:
    """Refuses a run whose inputs are not there, before anything is made of those that are."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Look for the user's files and for what other pipelines make."""
        from cherenkov_pipeline.dl1.inputs import list_paths

        for name in sorted(pipeline.inputs()):
            if name in ("params:raw_path", "params:input_path"):
                path = catalog.load(name)
                if path:
                    list_paths(path)
            elif not name.startswith("params:") and not _optional(catalog[name]) and not catalog.exists(name):
                raise CommandError(_missing(name, catalog[name]))


def _optional(dataset: Any) -> bool:
    return isinstance(dataset, MemoryDataset) or getattr(dataset, "optional", False)


def _missing(name: str, dataset: Any) -> str:
    from kedro.framework.project import pipelines

    version = getattr(dataset, "_version", None)
    if version and version.load:
        return f"There is no version {version.load} of {name}: see {saved_folder(dataset)}."
    makers = [maker for maker, pipeline in pipelines.items() if name in pipeline.all_outputs()]
    return f"There is no {name} yet: kedro run --pipeline={makers[-1]} makes it."


def unknown_parameters(parameters: Mapping[str, Any], used: set[str], prefix: str = "") -> Iterator[str]:
    """Dotted names of parameters that are neither in ``used`` nor part of one that is."""
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if name in used:
            continue
        if isinstance(value, Mapping) and any(known.startswith(f"{name}.") for known in used):
            yield from unknown_parameters(value, used, f"{name}.")
        else:
            yield name


class MlflowTracking:
    """One MLflow run for each pipeline run: parameters, metrics, files, data fingerprints, git revision."""

    def __init__(self):
        self._context: KedroContext | None = None
        self._run_id: str | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read the configuration, for ``kedro mlflow ui`` as well; MLflow is set up only when a pipeline runs."""
        from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig

        self._context = context
        context.mlflow = KedroMlflowConfig.model_validate(context.config_loader["mlflow"])

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Start the run, or go on with the one named by ``MLFLOW_RUN_ID``; nodes get its identifier as a dataset."""
        import mlflow

        for talkative in ("mlflow", "alembic"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        config = self._context.mlflow
        _create_sqlite_folder(config.server.mlflow_tracking_uri)
        config.setup(self._context)
        parameters = flatten_parameters(self._context.params, _parameters_of(pipeline))
        tags = {"git_revision": git_revision(self._context.project_path), "environment": self._context.env or "local"}
        names = run_params.get("pipeline_names") or ["__default__"]
        run = mlflow.start_run(
            run_id=os.environ.get("MLFLOW_RUN_ID"),
            experiment_id=config.tracking.experiment._experiment.experiment_id,
            run_name="+".join(names),
        )
        self._run_id = run.info.run_id
        # mlflow itself would call an interrupted run finished
        atexit.register(self._end, "KILLED")
        catalog.save("mlflow_run", self._run_id)
        mlflow.set_tags(tags)
        mlflow.log_params(parameters)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Record what the catalog entry's metadata asks for."""
        if self._run_id is None:
            return
        import mlflow

        dataset = self._catalog[dataset_name]
        wanted = (getattr(dataset, "metadata", None) or {}).get("mlflow", {})
        prefix = dataset_name.split(".")[0]
        if wanted.get("history"):
            for epoch, numbers in history_metrics(prefix, data):
                mlflow.log_metrics(numbers, step=epoch, run_id=self._run_id)
        if wanted.get("metrics"):
            numbers = {f"{prefix}.{key}": value for key, value in data.items() if isinstance(value, int | float)}
            mlflow.log_metrics(numbers, run_id=self._run_id)
        if "artifact_path" in wanted:
            # the folder of the version: a model has its card beside it
            mlflow.log_artifacts(str(saved_path(dataset).parent), wanted["artifact_path"], run_id=self._run_id)
        if "tag" in wanted:
            mlflow.set_tag(wanted["tag"], data.fingerprint)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Record the fingerprint of what the run was given as well."""
        if self._run_id is None:
            return
        import mlflow

        dataset = self._catalog[dataset_name]
        tag = (getattr(dataset, "metadata", None) or {}).get("mlflow", {}).get("tag")
        if tag:
            mlflow.set_tag(tag, dataset.resolve_load_version())

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Keep the catalog: the metadata of its entries says what to record."""
        self._catalog = catalog

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the run."""
        self._end("FINISHED")

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        self._end("FAILED")

    def _end(self, status: str) -> None:
        atexit.unregister(self._end)
        if self._run_id is not None:
            import mlflow

            mlflow.end_run(status)
            self._run_id = None


def _parameters_of(pipeline: Pipeline) -> set[str]:
    return {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}


def history_metrics(prefix: str, history: Any) -> Iterator[tuple[int, dict[str, float]]]:
    """Epochs and their numbers, as MLflow calls them: ``<prefix>.<column>``, or ``<prefix>.<method>.<column>``."""
    for row in history:
        whose = f"{prefix}.{row['method']}" if "method" in history.colnames else prefix
        numbers = (name for name in history.colnames if name not in ("epoch", "method"))
        yield int(row["epoch"]), {f"{whose}.{name}": float(row[name]) for name in numbers if math.isfinite(row[name])}


def flatten_parameters(parameters: Mapping[str, Any], names: set[str]) -> dict[str, str]:
    """Flatten the parameters that a pipeline uses: dotted name -> text, as MLflow keeps them.

    Parameters
    ----------
    parameters : mapping
        Nested; values may be pydantic models.
    names : set of str
        Dotted names of the blocks to keep.

    Returns
    -------
    dict of str to str
    """

    def walk(value: Any, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping):
            for key, part in value.items():
                yield from walk(part, f"{name}.{key}")
        else:
            yield name, str(value)[:6000]  # MLflow's limit

    flat: dict[str, str] = {}
    for name in sorted(names):
        value: Any = parameters
        for key in name.split("."):
            value = value[key]
        flat.update(walk(value, name))
    return flat


def saved_folder(dataset: Any) -> Path:
    """Folder of all versions of a dataset."""
    return dataset.folder.parent if hasattr(dataset, "folder") else Path(dataset._filepath)


def saved_path(dataset: Any) -> Path:
    """Path of what a dataset just saved, of its newest version if it has versions."""
    if hasattr(dataset, "folder"):
        return dataset.folder
    return Path(dataset._get_load_path() if hasattr(dataset, "_get_load_path") else dataset._filepath)


def _create_sqlite_folder(uri: str | None) -> None:
    if uri and uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)


class ClosingWord:
    """Says where the things are that people want to look at next."""

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Keep the catalog for the end of the run."""
        self._catalog = catalog

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Print one line for each announced output of the pipeline."""
        for name in sorted(pipeline.all_outputs()):
            dataset = self._catalog[name]
            announced = (getattr(dataset, "metadata", None) or {}).get("announce")
            if announced:
                click.echo(f"{announced}: {saved_path(dataset)}")
        click.echo(f"MLflow store: {self._context.mlflow.server.mlflow_tracking_uri}")

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep the context, which knows where MLflow stores its runs."""
        self._context = context


class ReportIndex:
    """Makes the page of all reports anew after a run that wrote one."""

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Keep the catalog for the end of the run."""
        self._catalog = catalog

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Write the page and say where it is."""
        from cherenkov_pipeline.pipelines.report_index.nodes import write_index
        from cherenkov_pipeline.pipelines.report_index.pipeline import PAGE, SOURCE

        metadata = (getattr(self._catalog[name], "metadata", None) or {} for name in pipeline.all_outputs())
        if any(entry.get("report") for entry in metadata):
            self._catalog.save(PAGE, write_index(self._catalog.load(SOURCE)))
            page = self._catalog[PAGE]
            click.echo(f"{page.metadata['announce']}: {saved_path(page)}")


# what is done after a run is done from the last to the first
HOOKS = (
    ReportIndex(),
    EnvironmentCheck(),
    ParameterCheck(),
    KerasBackend(),
    InputCheck(),
    MlflowTracking(),
    ClosingWord(),
)
