"""Jobs handed over to SLURM, or started on this machine; submitit writes and starts them."""

import logging
import math
import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.runners.commands import project_folder
from cherenkov_pipeline.runners.resources import ClusterParameters, Resources

logger = logging.getLogger(__name__)

REMOTE = "slurm"


class Submitter(Protocol):
    """Starts jobs and knows which of them have not ended."""

    name: str
    room: int
    """Jobs that may be active at the same time."""
    n_together: int
    """Jobs that may be handed over at once."""

    def submit(self, jobs: Sequence[Callable[[], None]], resources: Resources, name: str) -> list[str]:
        """Hand jobs over; return their identifiers."""

    def active(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Those of ``jobs`` that have not ended, with their states."""

    def end(self, job: str) -> str:
        """Tell how a job ended that is not active any more, such as ``TIMEOUT``; empty where that is not known."""

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs."""


def make_submitter(parameters: ClusterParameters, folder: Path) -> Submitter:
    """Choose where the jobs of a run are to run.

    Parameters
    ----------
    parameters : ClusterParameters
    folder : Path
        For scripts and logs of the jobs; of one run alone, as SLURM counts from 1 again when its state is lost.

    Raises
    ------
    UserError
        If SLURM is wanted and not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = all(shutil.which(command) for command in ("sbatch", "srun", "squeue"))
    if parameters.executor == REMOTE and not there:
        raise UserError("There is no SLURM here (sbatch, srun, squeue): go to a login node, or use executor=local.")
    remote = there if parameters.executor == "auto" else parameters.executor == REMOTE
    return SlurmJobs(parameters, folder) if remote else LocalJobs(parameters, folder)


class SlurmJobs:
    """Jobs on SLURM; several that are submitted together are an array."""

    name = "SLURM"

    def __init__(self, parameters: ClusterParameters, folder: Path):
        self.parameters, self.folder = parameters, folder
        self.room = parameters.max_jobs or 10**6
        self.n_together = parameters.max_array
        self._known: dict[str, str] = {}

    def submit(self, jobs: Sequence[Callable[[], None]], resources: Resources, name: str) -> list[str]:
        """Hand jobs over; return their identifiers."""
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError

        # times out as often as it likes: the job itself counts how often it began
        executor = SlurmExecutor(self.folder, max_num_timeout=10**6, python=_python(resources))
        executor.update_parameters(**self._options(resources, name))
        try:
            return [job.job_id for job in executor.submit_array(jobs)]
        except FailedJobError as error:
            reason = " ".join(str(error).replace("sbatch: error: ", "").split())
            raise UserError(f"SLURM does not take the job {name}: {reason} (conf/cluster/slurm.yml).") from error

    def _options(self, resources: Resources, name: str) -> dict[str, Any]:
        options = {
            "job_name": name,
            "time": max(1, math.ceil(resources.time.to_value("min"))),
            "cpus_per_task": resources.cpus,
            "mem": f"{math.ceil(resources.memory.to_value('MB'))}MB",
            "signal_delay_s": round(self.parameters.signal_ahead.to_value("s")),
            "array_parallelism": self.room,
            "wckey": None,
            "setup": list(resources.setup) or None,
            # a job whose machine fails or that is preempted without a word comes back
            "additional_parameters": {"requeue": True, **resources.sbatch},
        }
        if resources.gpus:
            options["gpus_per_node"] = resources.gpus
        for key in ("partition", "account", "qos"):
            if value := getattr(resources, key):
                options[key] = value
        return options

    def active(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Those of ``jobs`` that have not ended, with their states."""
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%N"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            # a controller that does not answer says nothing of the jobs
            logger.warning("squeue: %s", " ".join(done.stderr.split()))
            return {job: self._known.get(job, "UNKNOWN") for job in jobs}
        wanted, self._known = set(jobs), {}
        for line in done.stdout.splitlines():
            job, state, reason, node = line.strip().split("|")
            if job in wanted:
                told = (
                    f" ({reason})" if state == "PENDING" and reason not in ("None", "") else f" on {node}" * bool(node)
                )
                self._known[job] = state.lower() + told
        return self._known

    def end(self, job: str) -> str:
        """Tell how a job ended, by the accounts or, for some minutes, by the controller."""
        ways = (["sacct", "-j", job, "-X", "-n", "-P", "-o", "State"], ["scontrol", "show", "job", "-o", job])
        for command in ways:
            try:
                told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            except FileNotFoundError:
                continue
            for word in told.split():
                state = word.removeprefix("JobState=")
                if state.isupper() and ("JobState=" in word or command[0] == "sacct"):
                    return state
        return ""

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs."""
        if jobs:
            done = subprocess.run(["scancel", *jobs], capture_output=True, text=True, check=False)
            if done.returncode:
                logger.warning("scancel: %s", " ".join(done.stderr.split()))


class LocalJobs:
    """Jobs as processes of this machine, which outlive the driver."""

    name = "this machine"
    n_together = 1

    def __init__(self, parameters: ClusterParameters, folder: Path):
        self.parameters, self.folder = parameters, folder
        self.room = parameters.max_jobs or max(1, (os.cpu_count() or 1) // 2)
        self._running: dict[str, Any] = {}

    def submit(self, jobs: Sequence[Callable[[], None]], resources: Resources, name: str) -> list[str]:
        """Start jobs; return their identifiers."""
        from submitit import LocalExecutor

        executor = LocalExecutor(self.folder, max_num_timeout=10**6, python=_python(resources))
        executor.update_parameters(
            timeout_min=resources.time.to_value("min"),
            signal_delay_s=round(self.parameters.signal_ahead.to_value("s")),
            gpus_per_node=resources.gpus,
            # a job that held the driver's output open would keep a pipe behind the driver from ending; with a trap the
            # shell stays, by whose number submitit knows the job, where it would else become its last command (bash)
            setup=["exec >/dev/null 2>&1", "trap : EXIT", *resources.setup],
        )
        started = []
        for job in jobs:
            with _out_of_the_terminals_reach():
                submitted = executor.submit(job)
            self._running[submitted.job_id] = submitted
            started.append(submitted.job_id)
        return started

    def active(self, jobs: Collection[str]) -> Mapping[str, str]:
        """Those of ``jobs`` that have not ended, with their states."""
        found = {job: "running" for job in jobs if self._is_running(job)}
        self._running = {job: one for job, one in self._running.items() if job in found}
        return found

    def _is_running(self, job: str) -> bool:
        if job in self._running:
            return not self._running[job].done()
        return bool(_processes(job, self.folder))  # of an earlier driver

    def end(self, job: str) -> str:
        """Tell nothing: of the end of a process nothing is known."""
        return ""

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs."""
        for job in jobs:
            for process in _processes(job, self.folder):
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue


def _python(resources: Resources) -> str | None:
    """Command that starts Python in a job; None for the Python of the driver."""
    if resources.container is None:
        return None
    # the checkout's code, not the one that the image was built with
    code = f"PYTHONPATH={project_folder() / 'src'}"
    gpu = ["--nv"] if resources.gpus else []
    return shlex.join(["apptainer", "exec", *gpu, "--env", code, resources.container, "python"])


def _processes(job: str, folder: Path) -> list[psutil.Process]:
    """Find the processes of a local job of a folder, the one that starts the others first."""
    try:
        process = psutil.Process(int(job))
        command = " ".join(process.cmdline())  # numbers are used again, by jobs of other runs, too
        if process.status() == psutil.STATUS_ZOMBIE or "submitit" not in command or str(folder) not in command:
            return []
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


@contextmanager
def _out_of_the_terminals_reach() -> Iterator[None]:
    """Let processes that are started here live on when Ctrl-C is typed, or the terminal closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
