"""The driver alone: five hundred jobs cost it no more memory than fifty."""

import tracemalloc

from kedro.pipeline import Pipeline, node

from cherenkov_pipeline.runners.cluster import _Driver
from cherenkov_pipeline.runners.progress import Progress
from cherenkov_pipeline.runners.resources import ClusterParameters
from cherenkov_pipeline.runners.run_folder import Result, RunFolder


class DoneAtOnce:
    """Jobs that have ended as soon as they are submitted."""

    name = "nothing"
    room = 10
    n_together = 1

    def __init__(self):
        self.n_submitted, self.memory = 0, []

    def submit(self, jobs, resources, name):
        for job in jobs:
            self.n_submitted += 1
            RunFolder(job.run).node(job.node).finish(Result("done", versions={job.node: "v"}))
            self.memory.append(tracemalloc.get_traced_memory()[0])
        return [str(self.n_submitted)]

    def active(self, jobs):
        return {}

    def end(self, job):
        return ""

    def cancel(self, jobs):
        pass


def test_memory_does_not_grow_with_the_jobs_that_are_done(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    n_nodes = 500
    chain = Pipeline(
        [
            node(lambda text: text, f"text_{number}", f"text_{number + 1}", name=f"n{number}")
            for number in range(n_nodes)
        ]
    )
    parameters = ClusterParameters(folder=tmp_path)
    submitter, run = DoneAtOnce(), RunFolder(tmp_path / "run")
    tracemalloc.start()
    try:
        with Progress(n_nodes) as progress:
            _Driver(chain, run, parameters, submitter, progress, {}).drive()
    finally:
        tracemalloc.stop()
    assert submitter.n_submitted == n_nodes
    # names and versions of what was saved are all that stays
    grown = (submitter.memory[-1] - submitter.memory[49]) / (n_nodes - 50)
    assert grown < 1000, f"{grown:.0f} bytes a job"
