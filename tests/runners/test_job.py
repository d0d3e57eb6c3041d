"""What a job does by itself, without anybody who submitted it."""

import pytest
from kedro.io.core import DatasetError, Version
from kedro_datasets.text import TextDataset

from cherenkov_pipeline.errors import LONGEST, UserError
from cherenkov_pipeline.file_plans import is_finished
from cherenkov_pipeline.runners.job import NodeJob, _Job, _Saving, reason_of
from cherenkov_pipeline.runners.run_folder import RunFolder


@pytest.fixture
def job(tmp_path, monkeypatch) -> NodeJob:
    monkeypatch.setattr(_Job, "leaving", False)
    return NodeJob(tmp_path / "run", "train", {}, None, most=2)


def fail(job, place):
    raise ConnectionError("the server is gone")


def test_a_failure_is_told_with_its_reason(job, monkeypatch):
    monkeypatch.setattr(NodeJob, "_run", fail)
    with pytest.raises(ConnectionError):
        job()
    result = RunFolder(job.run).node("train").result()
    assert (result.state, result.reason) == ("failed", "ConnectionError: the server is gone")


def test_what_fails_because_the_job_has_to_go_is_no_failure(job, monkeypatch):
    monkeypatch.setattr(NodeJob, "_run", fail)
    assert job.checkpoint().function is job
    with pytest.raises(ConnectionError):
        job()
    assert RunFolder(job.run).node("train").result() is None


def test_a_job_that_cannot_reach_slurm_leaves_the_rest_to_the_driver(job, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("shutil.which", lambda command: None)
    with pytest.raises(SystemExit):
        job.checkpoint()


def test_a_node_begins_only_so_often(job, monkeypatch):
    monkeypatch.setattr(NodeJob, "_run", lambda self, place: (_ for _ in ()).throw(KeyboardInterrupt))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            job()
    with pytest.raises(UserError, match="begun 2 times and never ended"):
        job()
    assert RunFolder(job.run).node("train").result().state == "failed"


def test_reasons_that_nobody_wrote_for_users_are_short():
    assert reason_of(UserError("x " * 400)) == "x " * 400
    assert len(reason_of(OSError("x " * 400))) <= LONGEST
    assert "\n" not in reason_of(OSError("one\ntwo"))


def test_an_unfinished_file_is_missing(tmp_path):
    place = RunFolder(tmp_path).node("make")
    (tmp_path / "a.txt").write_text("half")
    assert not is_finished(tmp_path / "a.txt")
    assert place.missing(tmp_path, ["a.txt", "b.txt"]) == ["a.txt", "b.txt"]


def test_what_could_not_be_saved_whole_is_saved_again(tmp_path):
    place = RunFolder(tmp_path).node("make")
    report = TextDataset(filepath=str(tmp_path / "report.html"), version=Version(None, "one"))
    saved = tmp_path / "report.html" / "one" / "report.html"
    full = []

    class Catalog(dict):
        """Saves half of the first report."""

        def save(self, name, data):
            self[name].save(data if full else data[:4])
            if not full:
                full.append(1)
                raise DatasetError("No space left on device")

    saving = _Saving(Catalog(report=report), place, None)
    with pytest.raises(DatasetError):
        saving.save("report", "the whole report")
    assert not saved.exists()
    saving.save("report", "the whole report")
    assert saved.read_text() == "the whole report"
    saving.save("report", "another one")  # begun again
    assert saved.read_text() == "the whole report"


def test_versions_that_a_run_began_with_are_kept(tmp_path):
    run = RunFolder(tmp_path)
    assert run.given_versions == {}
    run.write({"given_versions": {"event_store": "one"}})
    assert run.given_versions == {"event_store": "one"}
