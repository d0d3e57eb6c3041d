"""How users reach the cluster: ``kedro run`` where an environment has a ``slurm.yml``, and ``kedro cluster``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.utils import find_kedro_project

from cherenkov_pipeline.mistakes import told_in_one_line

if TYPE_CHECKING:
    from cherenkov_pipeline.runners.run_folder import RunFolder

RUNNER = "cherenkov_pipeline.runners.cluster.ClusterRunner"

FILTERS = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")
"""Options of ``kedro run`` that choose nodes."""

CONFIGURATION = ("env", "conf_source", "params", "load_versions", "pipelines")
"""Options of ``kedro run`` that make configuration, catalog and pipeline."""


def choose_runner(options: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the runner of ``kedro run``: jobs, where the environment says how they are submitted.

    Parameters
    ----------
    options : mapping
        As ``kedro run`` takes them; a runner that is named there is kept.

    Returns
    -------
    dict
        The same, with the runner and what it is to know.
    """
    env = options.get("env") or os.environ.get("KEDRO_ENV")
    if options.get("runner") not in (None, RUNNER) or not env:
        return dict(options)
    conf = Path(options.get("conf_source") or project_folder() / "conf")
    if not any((conf / env).glob("slurm*.yml")):
        return dict(options)
    known = {name: options.get(name) for name in (*CONFIGURATION, *FILTERS)} | {"env": env}
    overrides = options.get("runner_params") or {}
    return {**options, "runner": RUNNER, "runner_params": {"options": known, "overrides": overrides}}


def project_folder() -> Path:
    """Folder of the Kedro project that this process works in."""
    return find_kedro_project(Path.cwd()) or Path.cwd()


@click.group()
def cluster() -> None:
    """See to runs whose nodes are jobs of a cluster."""


environment = click.option(
    "--env", default="cluster", show_default=True, help="Environment that the run was started in."
)


@cluster.command()
@click.argument("run", required=False)
@environment
def attach(run: str | None, env: str) -> None:
    """Take up a run whose terminal was closed: the latest one, or RUN."""
    with told_in_one_line():
        _attach(_find(run, env))


@cluster.command()
@click.argument("run", required=False)
@environment
def status(run: str | None, env: str) -> None:
    """Tell how the nodes of a run stand: of the latest one, or of RUN."""
    with told_in_one_line():
        folder = _find(run, env)
        submitter = _submitter(folder)
        click.echo(f"Run {folder.version}, MLflow run {folder.read()['mlflow_run']}")
        for place in folder.submitted():
            jobs = place.read_state()["jobs"]
            result, active = place.result(), submitter.active(jobs)
            told = ", ".join(sorted(set(active.values()))) or (result.state if result else "ended without a result")
            begun = f" (begun {place.n_begun} times)" if place.n_begun > 1 else ""
            click.echo(f"{place.path.name}: {told} {result.reason if result else ''}".rstrip() + begun)


@cluster.command()
@click.argument("run", required=False)
@environment
def cancel(run: str | None, env: str) -> None:
    """End the jobs of a run: of the latest one, or of RUN. What they finished is kept."""
    from cherenkov_pipeline.errors import TemporaryError, UserError
    from cherenkov_pipeline.files import locked

    with told_in_one_line():
        folder = _find(run, env)
        submitter = _submitter(folder)
        try:
            with locked(folder.path):
                active = submitter.active([job for place in folder.submitted() for job in place.read_state()["jobs"]])
                submitter.cancel(list(active))
        except TemporaryError:
            raise UserError(
                f"A process drives the run {folder.version} and would submit the jobs again: end it first (Ctrl-C)."
            ) from None
        click.echo(f"{len(active)} jobs of run {folder.version} were ended.")


def _find(run: str | None, env: str) -> "RunFolder":
    from cherenkov_pipeline.runners.cluster import cluster_parameters
    from cherenkov_pipeline.runners.run_folder import RunFolder, latest_run

    folder = cluster_parameters({"env": env}, {}).folder
    found = RunFolder(folder / run) if run else latest_run(folder)
    found.read()
    return found


def _submitter(folder: "RunFolder") -> Any:
    from cherenkov_pipeline.runners.cluster import cluster_parameters
    from cherenkov_pipeline.runners.submission import make_submitter

    record = folder.read()
    return make_submitter(cluster_parameters(record["options"], record["overrides"]), folder.jobs)


def _attach(folder: "RunFolder") -> None:
    """Run the pipeline of a run once more as the same run: what is done of it is not done again."""
    from kedro.framework.session import KedroSession

    from cherenkov_pipeline.runners.cluster import REMEMBERED, ClusterRunner

    record = folder.read()
    options = record["options"]
    for name in REMEMBERED:
        os.environ.pop(name, None)
    os.environ |= record["environment"]
    if record["mlflow_run"]:
        os.environ["MLFLOW_RUN_ID"] = record["mlflow_run"]
    with KedroSession.create(
        env=options["env"], runtime_params=options["params"], conf_source=str(folder.conf)
    ) as session:
        # Kedro has no door for it: everything is saved as the version that the run began with
        session._store["session_id"] = record["version"]
        session.run(
            pipeline_names=options["pipelines"] or None,
            load_versions=options["load_versions"],
            runner=ClusterRunner(options, record["overrides"]),
            **{name: options[name] for name in FILTERS},
        )
