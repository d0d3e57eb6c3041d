"""What driver and jobs of a run tell each other, as files.

::

    run.json                  how the run was started: for the jobs, and to take it up again
    conf/                     the configuration as it was then, but for what is asked of the cluster
    .lock                     held by the driver
    jobs/                     submitit's own: scripts, logs
    nodes/<node>/state.json   the driver's: jobs that were submitted, how often
    nodes/<node>/begun.jsonl  a line for each time that a job began on the node
    nodes/<node>/result.json  how it ended; absent where a job was killed
    nodes/<node>/plan.pkl     the files that an array of jobs is to make
    nodes/<node>/failed/      reason of each file that could not be made, and of the node's last try
"""

import json
import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import is_finished
from cherenkov_pipeline.files import atomic_path, write_json

RUN = "run.json"
SECRETS = "credentials*"
LIVE = ("slurm*", SECRETS)
"""Files of the configuration that are read anew each time: more memory may be given to a run that lacks it."""

SUBMITTED = "_submitted.pkl"
"""What submitit's file of a job has after the job's identifier."""


@dataclass(frozen=True)
class Result:
    """How the job of a node ended.

    Attributes
    ----------
    state : {"done", "failed", "files"}
        ``files``: the node wants files that an array of jobs is to make first.
    reason : str
        Of a failure, one line.
    versions : dict
        Versions of what the node saved.
    folder : str
        Of the files that are to be made.
    files : list of str
        Their names.
    """

    state: Literal["done", "failed", "files"]
    reason: str = ""
    versions: Mapping[str, str] | None = None
    folder: str = ""
    files: Sequence[str] = ()


class NodeFolder:
    """Files of one node of a run."""

    def __init__(self, path: Path):
        self.path = path

    @property
    def plan(self) -> Path:
        """File of the plan that an array of jobs carries out."""
        return self.path / "plan.pkl"

    def begin(self, most: int) -> None:
        """Note that a job begins.

        Raises
        ------
        UserError
            If that happened ``most`` times before: whatever ends the jobs would end this one.
        """
        path = self.path / "begun.jsonl"
        begun = path.read_text().splitlines() if path.exists() else []
        if len(begun) >= most:
            raise UserError(
                f"{self.path.name} was begun {len(begun)} times and never ended: give its jobs more time or memory "
                f"(slurm.yml), or allow more requeues; {self.path.parents[1] / 'jobs'} holds their logs."
            )
        line = {
            "at": datetime.now(UTC).isoformat(),
            "host": socket.gethostname(),
            "job": os.environ.get("SLURM_JOB_ID"),
        }
        self.path.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    @property
    def n_begun(self) -> int:
        """How often a job began on the node."""
        path = self.path / "begun.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def finish(self, result: Result) -> None:
        """Write how the node's job ended."""
        write_json(self.path / "result.json", result.__dict__ | {"files": list(result.files)})

    def result(self) -> Result | None:
        """Read how the node's job ended; None if it did not say."""
        try:
            return Result(**json.loads((self.path / "result.json").read_text()))
        except FileNotFoundError:
            return None

    def forget_result(self) -> None:
        """Make room for the result of the next job."""
        (self.path / "result.json").unlink(missing_ok=True)

    def forget_beginnings(self) -> None:
        """Count anew how often a job begins."""
        (self.path / "begun.jsonl").unlink(missing_ok=True)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Keep what the driver knows."""
        write_json(self.path / "state.json", dict(state))

    def read_state(self) -> dict[str, Any] | None:
        """Read what a driver knew; None if none submitted the node."""
        try:
            return json.loads((self.path / "state.json").read_text())
        except FileNotFoundError:
            return None

    @property
    def state_time(self) -> float:
        """When a driver last kept what it knew."""
        return (self.path / "state.json").stat().st_mtime

    def note_failure(self, file: str, reason: str) -> None:
        """Keep why a file could not be made."""
        write_json(self.path / "failed" / f"{file}.json", {"reason": reason})

    def forget_failure(self, file: str) -> None:
        """Begin anew."""
        (self.path / "failed" / f"{file}.json").unlink(missing_ok=True)

    def failure(self, file: str) -> str | None:
        """Why a file could not be made; None if nobody said."""
        try:
            return json.loads((self.path / "failed" / f"{file}.json").read_text())["reason"]
        except FileNotFoundError:
            return None

    @staticmethod
    def missing(folder: str | os.PathLike, names: Sequence[str]) -> list[str]:
        """Those of some files that are still to be made."""
        return [name for name in names if not is_finished(Path(folder) / name)]


class RunFolder:
    """Files of one run.

    Parameters
    ----------
    path : path-like
        Its name is the version that the run saves.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    @property
    def version(self) -> str:
        """Version that everything of the run is saved as."""
        return self.path.name

    @property
    def jobs(self) -> Path:
        """Folder of the jobs' scripts and logs."""
        return self.path / "jobs"

    @property
    def conf(self) -> Path:
        """Configuration that the run began with."""
        return self.path / "conf"

    def keep_conf(self, source: Path) -> None:
        """Copy the configuration once: who edits it later means other runs. Secrets stay where they are."""
        if self.conf.exists():
            return
        with atomic_path(self.conf) as part:
            shutil.copytree(source, part, ignore=shutil.ignore_patterns(*LIVE))
            for path in source.rglob(SECRETS):
                (part / path.relative_to(source)).symlink_to(path.resolve())

    def node(self, name: str) -> NodeFolder:
        """Files of one node."""
        return NodeFolder(self.path / "nodes" / re.sub(r"[^\w.\-]+", "_", name))

    def handed_over(self, since: float) -> dict[str, Any]:
        """Jobs that were handed over after a time, by their identifiers."""
        from submitit.core.utils import DelayedSubmission

        paths = [path for path in self.jobs.glob(f"*{SUBMITTED}") if path.stat().st_mtime >= since]
        return {path.name.removesuffix(SUBMITTED): DelayedSubmission.load(path).function for path in paths}

    def submitted(self) -> list[NodeFolder]:
        """Nodes that were submitted, the first ones first."""
        states = sorted(self.path.glob("nodes/*/state.json"), key=lambda path: path.stat().st_mtime)
        return [NodeFolder(path.parent) for path in states]

    def write(self, record: Mapping[str, Any]) -> None:
        """Keep how the run was started."""
        write_json(self.path / RUN, dict(record))

    @property
    def given_versions(self) -> dict[str, str]:
        """Versions of what the run began with; none if it has not begun."""
        return self.read().get("given_versions", {}) if (self.path / RUN).is_file() else {}

    def read(self) -> dict[str, Any]:
        """Read how the run was started.

        Raises
        ------
        UserError
            If there is no such run.
        """
        try:
            return json.loads((self.path / RUN).read_text())
        except FileNotFoundError:
            known = sorted(path.parent.name for path in self.path.parent.glob(f"*/{RUN}"))
            hint = f"the latest are {', '.join(known[-3:])}" if known else "none was started with this data folder"
            raise UserError(f"There is no run {self.path.name} in {self.path.parent}: {hint}.") from None


def latest_run(folder: Path) -> RunFolder:
    """Take the run that was started last.

    Raises
    ------
    UserError
        If there is none.
    """
    runs = sorted(path.parent for path in folder.glob(f"*/{RUN}"))
    if not runs:
        raise UserError(f"There is no run in {folder}: kedro run --env=cluster starts one.")
    return RunFolder(runs[-1])
