"""Kedro commands as a user types them, in a data folder of their own."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Kedro:
    """Runs commands on the data below ``root``."""

    root: Path
    env: str = "test"

    @property
    def data(self) -> Path:
        """Where the environment keeps its data."""
        return self.root / self.env

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of the commands, as after activating the virtual environment."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "CHERENKOV_DATA": str(self.root), "COLUMNS": "200"}

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a command and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # whoever runs the tests in the background of a shell has it ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a command to its end, whatever that is."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def run(self, *options: str) -> str:
        """``kedro run`` that has to end well; returns what it printed."""
        done = self("run", f"--env={self.env}", *options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def refused(self, *options: str) -> str:
        """``kedro run`` that has to end with one line for the user; returns that line."""
        done = self("run", *options)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout.strip().splitlines()[-1].removeprefix("Error: ")

    def latest(self, folder: str) -> Path:
        """Newest version of a versioned file, such as ``08_reporting/energy/report.html``."""
        versions = sorted((self.data / folder).glob(f"*/{Path(folder).name}"))
        assert versions, f"{folder} was not written"
        return versions[-1]
