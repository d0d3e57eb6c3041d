"""A Kedro project of a few seconds, whose nodes do what a test wants; started as users start theirs."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

SETTINGS = """
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "base",
    "config_patterns": {"mlflow": ["mlflow*"], "slurm": ["slurm*"]},
}
"""

TRACKED = """
from cherenkov_pipeline.tracking import MlflowTracking
HOOKS = (MlflowTracking(),)
"""

# the project's own `kedro run` chooses the runner
CLI = "from cherenkov_pipeline.cli import cli, run, cluster  # noqa: F401\n"


@dataclass(frozen=True)
class Toy:
    """A project at ``root``."""

    root: Path

    def kedro(self, *arguments: str) -> list[str]:
        """Command line of a Kedro command."""
        return [sys.executable, "-m", "kedro", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of commands."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "COLUMNS": "200", "KEDRO_DISABLE_TELEMETRY": "1"}

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a command and return at once."""
        return subprocess.Popen(
            self.kedro(*arguments),
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_hear_signals,
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a command to its end."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=500)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def run(self, *arguments: str) -> str:
        """Run a pipeline in the environment ``cluster``, which has to end well; return what was printed."""
        done = self("run", "--env=cluster", *arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    @property
    def runs(self) -> list[Path]:
        """Folders of the runs."""
        return sorted((self.root / "runs").glob("*"))


def _hear_signals() -> None:
    """Undo what a process inherits that was started in the background of a shell, or by nohup."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def make_toy(root: Path, nodes: str, catalog: dict, slurm: dict | None = None, mlflow: bool = False) -> Toy:
    """Make a project.

    Parameters
    ----------
    root : pathlib.Path
    nodes : str
        Python that defines ``create_pipeline``.
    catalog, slurm : dict
        Content of ``catalog.yml`` and ``slurm.yml``.
    mlflow : bool
        Whether runs are recorded, in ``root/mlflow.db``.
    """
    package = root / "src" / "toy"
    package.mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[tool.kedro]\npackage_name = "toy"\nproject_name = "Toy"\nkedro_init_version = "1.7.0"\nsource_dir = "src"\n'
    )
    (package / "__init__.py").touch()
    (package / "settings.py").write_text(SETTINGS + (TRACKED if mlflow else ""))
    (package / "cli.py").write_text(CLI)
    (package / "nodes.py").write_text(nodes)
    (package / "pipeline_registry.py").write_text(
        "from toy.nodes import create_pipeline\n\n\ndef register_pipelines():\n"
        "    return {'__default__': create_pipeline()}\n"
    )
    tracking = {
        "server": {"mlflow_tracking_uri": f"sqlite:///{root}/mlflow.db"},
        "tracking": {
            "experiment": {"name": "toy", "create_experiment_kwargs": {"artifact_location": f"{root}/artifacts"}}
        },
    }
    for name, kind, content in (
        ("base", "mlflow", tracking),
        ("base", "catalog", catalog),
        ("base", "parameters", {}),
        ("cluster", "slurm", {"executor": "local", "folder": str(root / "runs"), "poll": "0.2 s", **(slurm or {})}),
    ):
        (root / "conf" / name).mkdir(parents=True, exist_ok=True)
        (root / "conf" / name / f"{kind}.yml").write_text(yaml.safe_dump(content))
    return Toy(root)


def text(name: str) -> dict:
    """Catalog entry of a text with versions."""
    return {name: {"type": "text.TextDataset", "filepath": f"data/{name}.txt", "versioned": True}}
