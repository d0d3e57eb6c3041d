"""A run that is taken up while jobs of the earlier driver are still at it."""

import pytest
from kedro.pipeline import Pipeline, node
from submitit.core.utils import DelayedSubmission

from cherenkov_pipeline.files import write_json
from cherenkov_pipeline.runners.cluster import _Driver
from cherenkov_pipeline.runners.progress import Progress
from cherenkov_pipeline.runners.resources import ClusterParameters
from cherenkov_pipeline.runners.run_folder import NodeFolder, Result, RunFolder

N_FILES = 10


class Terminal(KeyboardInterrupt):
    """The user's Ctrl-C."""


class Queue:
    """Jobs that run until a test makes their files."""

    name = "a queue"
    n_together = 1000

    def __init__(self, room: int):
        self.room, self.running, self.most, self.n_submitted, self.made = room, {}, 0, 0, []
        self.deadly = False

    def submit(self, jobs, resources, name):
        """Begin jobs; the node's own tells at once that it wants many files, or that it has nothing left to do."""
        numbers = []
        for job in jobs:
            self.n_submitted += 1
            numbers.append(str(self.n_submitted))
            if hasattr(job, "names") or self.deadly:
                self.running[numbers[-1]] = job
            else:
                names = [f"{number}.txt" for number in range(N_FILES)]
                files = Result("files", folder=str(job.run / "files"), files=names)
                RunFolder(job.run).node(job.node).finish(Result("done", versions={}) if self.made else files)
            job.run.joinpath("jobs").mkdir(exist_ok=True)
            DelayedSubmission(job).dump(job.run / "jobs" / f"{numbers[-1]}_submitted.pkl")
        self.most = max(self.most, len(self.running))
        if self.deadly:
            raise Terminal
        return numbers

    def active(self, jobs):
        """Those that run."""
        return {job: "running" for job in jobs if job in self.running}

    def end(self, job):
        """Nothing is known."""
        return ""

    def work(self):
        """Let the oldest job make its files."""
        if self.running:
            job = self.running.pop(next(iter(self.running)))
            job.folder.mkdir(exist_ok=True)
            for name in job.names:
                (job.folder / name).write_text("1")
                write_json(job.folder / f"{name}.json", {"size": 1})
                self.made.append(name)


@pytest.fixture
def drive(tmp_path, monkeypatch):
    """Drive a run of one node, whose terminal is closed after some looks at the jobs."""

    def drive(queue: Queue, n_looks: int | None = None, works: bool = True, **parameters) -> RunFolder:
        looks = []

        def sleep(seconds: float) -> None:
            looks.append(seconds)
            if len(looks) == n_looks:
                raise Terminal
            if works:
                queue.work()

        monkeypatch.setattr("time.sleep", sleep)
        run = RunFolder(tmp_path / "run")
        chosen = ClusterParameters(folder=tmp_path, default={"files_per_job": 1}, **parameters)
        with Progress(1) as progress:
            pipeline = Pipeline([node(lambda: None, None, "files", name="make")])
            _Driver(pipeline, run, chosen, queue, progress, {}).drive()
        return run

    return drive


def test_what_runs_is_neither_forgotten_nor_begun_twice(drive, tmp_path):
    queue = Queue(room=3)
    with pytest.raises(Terminal):
        drive(queue, n_looks=3, works=False)
    before = set(queue.running)
    assert len(before) == 3
    with pytest.raises(Terminal):
        drive(queue, n_looks=1, works=False)
    assert set(RunFolder(tmp_path / "run").node("make").read_state()["jobs"]) >= before
    drive(queue, retries=0)
    assert sorted(queue.made) == sorted(f"{number}.txt" for number in range(N_FILES))
    assert queue.most == 3


def test_a_driver_that_dies_while_it_submits_leaves_jobs_that_are_found(drive, tmp_path):
    queue = Queue(room=3)
    place = RunFolder(tmp_path / "run").node("make")
    queue.deadly = True
    for _ in range(2):  # the second driver waits for the first one's job
        with pytest.raises(Terminal):
            drive(queue, n_looks=1, works=False)
    assert queue.n_submitted == 1
    assert place.read_state()["jobs"] == ["1"]

    queue.running.clear()
    files = Result("files", folder=str(tmp_path / "files"), files=[f"{number}.txt" for number in range(N_FILES)])
    place.finish(files)
    with pytest.raises(Terminal):
        drive(queue, works=False)
    assert len(queue.running) == 3
    assert place.read_state()["jobs"] == []

    queue.deadly = False
    drive(queue, retries=0)
    assert sorted(queue.made) == sorted(files.files)
    assert queue.most == 3


@pytest.mark.parametrize("chosen", [{"retries": 0}, {"requeues": 0}, {}])
def test_tries_are_counted_anew_after_all_jobs_were_lost(drive, tmp_path, chosen):
    queue = Queue(room=3)
    with pytest.raises(Terminal):
        drive(queue, n_looks=3, works=False, **chosen)
    queue.running.clear()  # cancelled, or the machine was switched off
    drive(queue, **chosen)
    assert sorted(queue.made) == sorted(f"{number}.txt" for number in range(N_FILES))


@pytest.mark.parametrize("chosen", [{"requeues": 0}, {}])
def test_a_node_whose_job_was_lost_begins_anew(drive, tmp_path, chosen):
    queue, place = Queue(room=3), RunFolder(tmp_path / "run").node("make")
    queue.deadly = True
    for _ in range(2):
        with pytest.raises(Terminal):
            drive(queue, n_looks=1, works=False, **chosen)
    for _ in range(30):  # out of memory each time
        place.path.joinpath("begun.jsonl").open("a").write("{}\n")
    queue.running.clear()
    queue.deadly = False
    drive(queue, **chosen)
    assert len(queue.made) == N_FILES


def test_a_driver_killed_between_files_and_node_leaves_a_run_that_can_be_taken_up(drive, tmp_path, monkeypatch):
    queue = Queue(room=3)
    with monkeypatch.context() as patched:
        forget = NodeFolder.forget_result

        def killed(place):
            if queue.made:
                raise Terminal
            forget(place)

        patched.setattr(NodeFolder, "forget_result", killed)
        with pytest.raises(Terminal):
            drive(queue)
    assert len(queue.made) == N_FILES
    drive(queue)
    assert len(queue.made) == N_FILES
