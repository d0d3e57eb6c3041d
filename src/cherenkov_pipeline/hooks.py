"""Kedro hooks, one purpose each: early checks, MLflow tracking, the page of all reports, a closing word.

A catalog entry says in its ``metadata`` what is to be done with it::

    metadata:
      mlflow: ...                          # see `cherenkov_pipeline.tracking`
      announce: Report                     # its path is printed when the run ends
      report: true                         # the page of all reports is made anew
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline

from cherenkov_pipeline.errors import UserError, which_instead
from cherenkov_pipeline.keras_backend import choose_backend
from cherenkov_pipeline.tracking import MlflowTracking, parameters_of, saved_folder, saved_path

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

        used = {BACKEND}.union(*(parameters_of(pipeline) for pipeline in pipelines.values()))
        unknown = list(unknown_parameters(context.config_loader["parameters"], used))
        if unknown:
            raise CommandError(f"Unknown parameter '{unknown[0]}': {which_instead(unknown[0], used)}")


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
