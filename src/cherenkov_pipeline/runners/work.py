"""One node on its way through the jobs of a run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cherenkov_pipeline.runners.job import FilesJob, NodeJob
from cherenkov_pipeline.runners.resources import ClusterParameters, Resources
from cherenkov_pipeline.runners.run_folder import NodeFolder, Result, RunFolder
from cherenkov_pipeline.runners.submission import Submitter

NODE, FILES = "node", "files"
SHOWN = 5
"""Failed files that are named in a message."""
GRACE = 3
"""Looks at a job that has ended before it counts as killed: its result may take a while through a shared disk."""


@dataclass
class Work:
    """A node that was submitted, or is to be.

    A node is one job. If that finds that the node wants many files, an array of jobs makes them, the failed ones again
    in further rounds; then the node's job, which has nothing left to make, is submitted once more.

    Attributes
    ----------
    node : str
    run : RunFolder
    resources : Resources
    parameters : ClusterParameters
    """

    node: str
    run: RunFolder
    resources: Resources
    parameters: ClusterParameters
    stage: str = NODE
    jobs: list[str] = field(default_factory=list)
    waiting: list[NodeJob | FilesJob] = field(default_factory=list)
    round: int = 0
    n_lost: int = 0
    ended: Result | None = None
    versions: dict[str, str] = field(default_factory=dict)
    _looks: int = 0
    _plan: Result | None = None
    _missing: list[str] = field(default_factory=list)

    @property
    def place(self) -> NodeFolder:
        """Files of the node."""
        return self.run.node(self.node)

    def start(self, load_versions: Mapping[str, str], submitter: Submitter) -> None:
        """Make the node's job ready, or take up what an earlier driver did."""
        self.versions = dict(load_versions)
        known = self.place.read_state()
        if known is None:
            self._node_job()
            return
        # whoever takes a run up again has put right what kept it from going on: tries are counted anew
        unknown = self._unknown(known["jobs"], submitter)
        self.stage, self.jobs = known["stage"], [*known["jobs"], *unknown]
        result = self.place.result()
        is_lost = result is None and not submitter.active(self.jobs)
        if self.stage == NODE and (is_lost or (result and result.state == "failed")):
            self.place.forget_beginnings()
            self._node_job()
        elif self.stage == FILES and not submitter.active(self.jobs):
            self._files_jobs()
        elif self.stage == FILES and known["unsubmitted"]:
            self._files_jobs(known.get("next"), {name for job in unknown.values() for name in job.names})
        else:
            self._keep()

    def _unknown(self, known: Collection[str], submitter: Submitter) -> dict[str, NodeJob | FilesJob]:
        """Active jobs of the node that the earlier driver handed over, and was ended before it could keep them."""
        found = self.run.handed_over(self.place.state_time)
        own = {name: job for name, job in found.items() if job.node == self.node and name not in known}
        active = submitter.active(own) if own else {}
        return {name: own[name] for name in active}

    def submit(self, submitter: Submitter, room: int) -> int:
        """Hand over as many jobs as there is room for; return their number."""
        if not self.waiting or room < 1:
            return 0
        n_jobs = min(room, submitter.n_together)
        now, self.waiting = self.waiting[:n_jobs], self.waiting[n_jobs:]
        self.jobs += submitter.submit(now, self.resources, self.node)
        self._keep()
        return len(now)

    def look(self, active: Collection[str], submitter: Submitter) -> None:
        """See what became of the jobs, and make ready what follows from it."""
        if self.stage == NODE and not self.waiting and self.place.result() is not None:
            self._after_node(submitter)  # a process may take seconds to go after its work is done
        elif self.waiting or any(job in active for job in self.jobs):
            self._looks = 0
        elif self.stage == NODE:
            self._after_node(submitter)
        else:
            self._after_files(submitter)

    def state(self, active: Mapping[str, str]) -> str:
        """Tell how it stands, for the terminal."""
        states = [active[job] for job in self.jobs if job in active]
        if self.stage == NODE:
            job = f"job {self.jobs[-1]} " if self.jobs else ""
            return f"{job}{states[0] if states else 'waits for room' if self.waiting else 'ends'}"
        missing, n_files = len(self._still_missing()), len(self._plan.files)
        running = sum(state.startswith("running") for state in states)
        again = f", try {self.round + 1}" if self.round else ""
        return f"{n_files - missing} of {n_files} files, {running} jobs running{again}"

    def _after_node(self, submitter: Submitter) -> None:
        result = self.place.result()
        if result is None:
            self._after_loss(submitter)
        elif result.state == "files":
            self.stage, self.round, self._plan, self.jobs = FILES, 0, None, []
            self._files_jobs()
        else:
            self.ended = result

    def _after_loss(self, submitter: Submitter) -> None:
        self._looks += 1
        if self._looks < GRACE:
            return
        self._looks = 0
        self.n_lost += 1
        if self.n_lost <= self.parameters.requeues:
            self._node_job()
            return
        if reason := self.place.failure(self.node):
            self.ended = Result("failed", f"it was tried {self.n_lost} times: {reason}")
            return
        how = submitter.end(self.jobs[-1])
        self.ended = Result(
            "failed",
            f"its job ended {self.n_lost} times without a result{f', the last time as {how}' if how else ''}: "
            f"give it more time or memory (slurm.yml); the logs are in {self.run.jobs}.",
        )

    def _after_files(self, submitter: Submitter) -> None:
        missing = self._still_missing()
        self._looks += 1
        if missing and self._looks < GRACE:
            return
        self._looks = 0
        if not missing:
            self.stage = NODE
            self._node_job()
        elif self.round < self.parameters.retries:
            self.round, self.jobs = self.round + 1, []
            self._files_jobs()
        else:
            self.ended = Result("failed", self._lament(missing, submitter.end(self.jobs[-1])))

    def _lament(self, missing: Collection[str], how: str) -> str:
        n_files = len(self._plan.files)
        killed = f"its job was killed{f' ({how})' if how else ''}"
        reasons = [f"{name} ({self.place.failure(name) or killed})" for name in sorted(missing)[:SHOWN]]
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        return (
            f"{len(missing)} of {n_files} files could not be made in {self.round + 1} tries: "
            f"{'; '.join(reasons)}{more}. The other {n_files - len(missing)} are kept: put that right, or take it out, "
            "and start again."
        )

    def _node_job(self) -> None:
        most = 2 + self.parameters.requeues  # once more for what follows an array
        per_job = self.resources.files_per_job
        self.jobs, self.waiting = [], [NodeJob(self.run.path, self.node, self.versions, per_job, most)]
        self._keep()
        self.place.forget_result()  # last: a driver that is killed before it finds the plan of the files still

    def _files_jobs(self, first: str | None = None, taken: Collection[str] = ()) -> None:
        """Slice what is missing into jobs, from the file ``first`` on: earlier ones and those taken have jobs."""
        missing = set(self._still_missing()).difference(taken)
        names = list(self._plan.files)
        names = [name for name in names[names.index(first) if first else 0 :] if name in missing]
        folder, size = Path(self._plan.folder), self.resources.files_per_job or len(names) or 1
        slices = [tuple(names[start : start + size]) for start in range(0, len(names), size)]
        self.waiting = [FilesJob(self.run.path, self.node, folder, part) for part in slices]
        self._keep()

    def _still_missing(self) -> list[str]:
        """Files that are still to be made; of those that were there before nobody asks again."""
        if self._plan is None:
            self._plan = self.place.result()
            self._missing = list(self._plan.files)
        self._missing = self.place.missing(self._plan.folder, self._missing)
        return self._missing

    def _keep(self) -> None:
        state = {"stage": self.stage, "jobs": self.jobs, "round": self.round, "n_lost": self.n_lost}
        # the slices keep the order of the plan: all files from this one on are in jobs that wait
        first = self.waiting[0].names[0] if self.waiting and self.stage == FILES else None
        self.place.write_state(state | {"unsubmitted": len(self.waiting), "next": first})
