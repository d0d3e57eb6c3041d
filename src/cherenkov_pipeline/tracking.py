"""What MLflow is told of a run.

MLflow stays out of nodes and datasets. A catalog entry says in its ``metadata`` what is to be recorded::

    metadata:
      mlflow: {metrics: true}              # a JSON of numbers, or of estimates, see `flatten_metrics`
      mlflow: {history: true}              # a table with a row for each epoch
      mlflow: {artifact_path: figures}     # what was saved: all files of the version
      mlflow: {tag: data_fingerprint}      # the fingerprint of a file set, saved or loaded
      mlflow: {registered: true}           # a model: a version in MLflow's registry, with its card

A run goes on in the MLflow run that ``MLFLOW_RUN_ID`` names, or the file that ``CHERENKOV_RUN_FILE`` names if there is
one; otherwise a new one begins, and that file is written. A node may be run again by a job that goes on where another
was killed: nothing is recorded twice.
"""

import atexit
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import BaseModel

from cherenkov_pipeline.files import write_json
from cherenkov_pipeline.revision import git_revision

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from cherenkov_pipeline.models.card import ModelCard


RUN_FILE = "CHERENKOV_RUN_FILE"
"""Environment variable that names the file with the identifier of the MLflow run."""

ESTIMATE = {"value": "", "low": "_low", "high": "_high"}
"""Parts of an estimate, and what MLflow's names of them end in."""


class MlflowTracking:
    """One MLflow run for each pipeline run: parameters, metrics, files, data fingerprints, git revision."""

    def __init__(self):
        self._context: KedroContext | None = None
        self._run_id: str | None = None
        self._is_set_up = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read the configuration, for ``kedro mlflow ui`` as well; MLflow is set up only when a pipeline runs."""
        from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig

        self._context = context
        context.mlflow = KedroMlflowConfig.model_validate(context.config_loader["mlflow"])

    def join(self, run_id: str | None) -> None:
        """Record what a node of a run does in another process, and leave the run open."""
        self._run_id = run_id

    def _set_up(self) -> None:
        from mlflow.exceptions import MlflowException

        for talkative in ("mlflow", "alembic"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        config = self._context.mlflow
        _create_sqlite_folder(config.server.mlflow_tracking_uri)
        try:
            config.setup(self._context)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            config.setup(self._context)  # another run has just created the experiment
        self._is_set_up = True

    def _client(self) -> "MlflowClient":
        """Client of the server, which is asked only when there is something to record."""
        from mlflow import MlflowClient

        if not self._is_set_up:
            self._set_up()
        return MlflowClient()

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Start the run, or go on with an earlier one; nodes get its identifier as a dataset."""
        import mlflow

        self._set_up()
        parameters = flatten_parameters(self._context.params, parameters_of(pipeline))
        tags = {"git_revision": git_revision(self._context.project_path), "environment": self._context.env or "local"}
        names = run_params.get("pipeline_names") or ["__default__"]
        run = mlflow.start_run(
            run_id=_earlier_run(),
            experiment_id=self._context.mlflow.tracking.experiment._experiment.experiment_id,
            run_name="+".join(sorted(names)),  # Kedro makes a set of them, in another order each time
        )
        self._run_id = run.info.run_id
        if path := os.environ.get(RUN_FILE):
            write_json(path, self._run_id)
        # mlflow itself would call an interrupted run finished
        atexit.register(self._end, "KILLED")
        catalog.save("mlflow_run", self._run_id)
        mlflow.set_tags(tags)
        mlflow.log_params(parameters)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Record what the catalog entry's metadata asks for."""
        dataset = self._catalog[dataset_name]
        wanted = (getattr(dataset, "metadata", None) or {}).get("mlflow", {})
        if self._run_id is None or not wanted:
            return
        client, run, prefix = self._client(), self._run_id, dataset_name.split(".")[0]
        if wanted.get("history"):
            _log_history(client, run, prefix, data)
        if wanted.get("metrics"):
            numbers = {f"{prefix}.{name}": value for name, value in flatten_metrics(data).items()}
            _log_numbers(client, run, numbers, step=0)
        if "artifact_path" in wanted:
            # the folder of the version: a model has its card beside it
            client.log_artifacts(run, str(saved_path(dataset).parent), wanted["artifact_path"])
        if "tag" in wanted:
            client.set_tag(run, wanted["tag"], data.fingerprint)
        if wanted.get("registered"):
            _register(client, run, dataset_name, wanted["artifact_path"], data.card)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Record the fingerprint of what the run was given as well."""
        if self._run_id is None:
            return
        if dataset_name == "mlflow_run":
            self._client()  # the node records something itself
        dataset = self._catalog[dataset_name]
        tag = (getattr(dataset, "metadata", None) or {}).get("mlflow", {}).get("tag")
        if tag:
            self._client().set_tag(self._run_id, tag, dataset.resolve_load_version())

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


def _earlier_run() -> str | None:
    path = os.environ.get(RUN_FILE)
    if path and Path(path).exists():
        return json.loads(Path(path).read_text())
    return os.environ.get("MLFLOW_RUN_ID")


def _log_history(client: "MlflowClient", run: str, prefix: str, table: Any) -> None:
    """Record the epochs of a history, or of each ``method`` in it, that are not recorded yet."""
    names = [name for name in table.colnames if name not in ("epoch", "method")]
    known: dict[str, set[int]] = {}
    for row in table:
        whose, epoch = f"{prefix}.{row['method']}" if "method" in table.colnames else prefix, int(row["epoch"])
        # methods of one table need not have the same metrics
        numbers = {f"{whose}.{name}": float(row[name]) for name in names if math.isfinite(row[name])}
        if whose not in known:
            known[whose] = {metric.step for metric in client.get_metric_history(run, min(numbers))}
        if epoch not in known[whose]:
            _log_numbers(client, run, numbers, epoch)


def _log_numbers(client: "MlflowClient", run: str, numbers: Mapping[str, float], step: int) -> None:
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    client.log_batch(run, metrics=[Metric(name, float(value), now, step) for name, value in numbers.items()])


def _register(client: "MlflowClient", run: str, name: str, artifact_path: str, card: "ModelCard") -> None:
    """Make the model of a run a version of the registered model ``name``, described by its card."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if client.search_model_versions(f"name='{name}' and run_id='{run}'"):
        return
    client.create_model_version(
        name,
        source=f"{client.get_run(run).info.artifact_uri}/{artifact_path}",
        run_id=run,
        tags={"task": card.task, "model": card.name, "data_fingerprint": card.data.fingerprint},
        description=_description(card),
    )


def _description(card: "ModelCard") -> str:
    """Tell the parts of a card that people choose a model by; the whole stands among the run's files."""
    parts = card.model_dump_json(include={"task", "model", "data", "validity", "metrics", "created"}, indent=1)
    return f"```json\n{parts[:4900]}\n```"  # MLflow takes 5000 characters


def parameters_of(pipeline: Pipeline) -> set[str]:
    """Dotted names of the parameters that a pipeline takes."""
    return {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}


def flatten_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Flatten what was measured: name -> finite number, as MLflow keeps them.

    Parameters
    ----------
    metrics : mapping
        Numbers by name, and estimates: their ``value``, ``low`` and ``high`` become ``name``, ``name_low`` and
        ``name_high``, the rest is left out.

    Returns
    -------
    dict of str to float
    """
    flat = {}
    for name, found in metrics.items():
        estimate = found if isinstance(found, Mapping) else {"value": found}
        flat |= {name + suffix: estimate.get(part) for part, suffix in ESTIMATE.items()}
    return {name: value for name, value in flat.items() if isinstance(value, int | float) and math.isfinite(value)}


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


def version_path(dataset: Any) -> Path | None:
    """Path that a dataset with versions by time saves to; None for others."""
    if not isinstance(dataset, AbstractVersionedDataset) or dataset.resolve_save_version() is None:
        return None
    return Path(dataset._get_versioned_path(dataset.resolve_save_version()))


def saved_path(dataset: Any) -> Path:
    """Path of what this run saved, or else of the newest version if there are versions."""
    if hasattr(dataset, "folder"):
        return dataset.folder
    own = version_path(dataset)
    if own and own.exists():  # another run may have saved a newer one
        return own
    return Path(dataset._get_load_path() if hasattr(dataset, "_get_load_path") else dataset._filepath)


def _create_sqlite_folder(uri: str | None) -> None:
    if uri and uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
