"""A SLURM of one node, for the tests that are marked ``slurm``."""

import math
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("one_node.sh")
PROGRAMS = ("slurmctld", "slurmd", "srun", "munged")
HURRY_EVERY = 10
"""Seconds in which a job is hurried once: each time puts its start off."""


class Slurm:
    """The SLURM of the tests."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._hurried: dict[str, float] = {}

    def do(self, action: str) -> None:
        """Have the script start or stop something."""
        # a daemon that kept the pipes of this process open would keep the tests from ending
        with (self.folder.parent / "slurm.log").open("a") as log:
            subprocess.run(["bash", str(SCRIPT), action, str(self.folder)], check=True, stdout=log, stderr=log)

    def tell(self, *command: str) -> str:
        """Run one of SLURM's commands."""
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Jobs in the queue: identifier -> name and state."""
        lines = self.tell("squeue", "--noheader", "--format=%i|%j|%T").splitlines()
        return {job: (name, state) for job, name, state in (line.strip().split("|") for line in lines)}

    def told_of(self, job: str) -> str:
        """What the controller and the node wrote of a job, to look into a test that failed."""
        logs = "".join((self.folder / "log" / name).read_text() for name in ("slurmctld", "slurmd"))
        return "\n".join(line for line in logs.splitlines() if f"JobId={job}" in line or f"JOB {job}" in line)

    def hurry(self) -> None:
        """Start soon what was put back into the queue; SLURM would wait for two minutes.

        Not at once: of a job that starts again within the second in which it was killed, SLURM takes the credential for
        the old one, and drops the job.
        """
        for job, (_, state) in self.jobs().items():
            if state == "PENDING" and time.monotonic() - self._hurried.get(job, -math.inf) > HURRY_EVERY:
                self._hurried[job] = time.monotonic()
                update = ["scontrol", "update", f"JobId={job}", "StartTime=now+3"]
                subprocess.run(update, capture_output=True, check=False)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Start it for the tests of this process."""
    missing = [program for program in PROGRAMS if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing:
        pytest.skip(f"no SLURM: {', '.join(missing)} not found (apt install slurmctld slurmd slurm-client munge)")
    if os.geteuid():
        pytest.skip("no SLURM: only root can start one")
    started = Slurm(tmp_path_factory.mktemp("slurm") / "one_node")
    started.do("start")
    os.environ["SLURM_CONF"] = str(started.folder / "slurm.conf")
    yield started
    started.do("stop")
    del os.environ["SLURM_CONF"]
