"""Plans are carried out whatever interrupts them, and nothing is made twice."""

import errno
import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.file_plans import (
    MANIFEST,
    FileJob,
    FilePlan,
    is_finished,
    make_file,
    missing_files,
    read_file_set,
    run_plan,
)
from cherenkov_pipeline.files import locked
from cherenkov_pipeline.fingerprints import fingerprint, fingerprint_file


def write_text(path: Path, text: str, log: Path | None = None) -> dict:
    """Write a file; leave a line in the log for each call."""
    if log is not None:
        with log.open("a") as stream:
            stream.write(f"{text}\n")
    path.write_text(text)
    return {"length": len(text)}


def fail(path: Path) -> dict:
    path.write_text("half a file")
    raise UserError("this input is no good")


def kill_oneself(path: Path) -> dict:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def plan(*texts: str, log: Path | None = None, **settings) -> FilePlan:
    jobs = [FileJob(f"{text}.txt", functools.partial(write_text, text=text, log=log)) for text in texts]
    return FilePlan("f00d", jobs, **settings)


def job(name: str, text: str, log: Path | None = None) -> FileJob:
    """Job whose fingerprint is that of its text: the name does not count."""
    return FileJob(name, functools.partial(write_text, text=text, log=log), fingerprint("job", text))


def no_space(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".part-")]


def test_two_jobs_of_one_name_are_a_fault():
    with pytest.raises(ValueError, match=r"two jobs make a\.txt"):
        plan("a", "b", "a")


class TestRunPlan:
    def test_files_and_records(self, tmp_path):
        file_set = run_plan(plan("b", "a"), tmp_path)

        assert file_set.paths == [tmp_path / "b.txt", tmp_path / "a.txt"]
        assert [path.read_text() for path in file_set.paths] == ["b", "a"]
        assert file_set.records[0] == {
            "path": str(tmp_path / "b.txt"),
            "fingerprint": fingerprint(plan().fingerprint, "b.txt"),
            "size": 1,
            "digest": fingerprint_file(tmp_path / "b.txt"),
            "length": 1,
        }
        assert read_file_set(tmp_path) == file_set
        assert not leftovers(tmp_path)

    def test_finished_files_are_kept(self, tmp_path):
        log = tmp_path / "log"
        run_plan(plan("a", "b", log=log), tmp_path / "out")
        run_plan(plan("a", "b", "c", log=log), tmp_path / "out")

        assert log.read_text().split() == ["a", "b", "c"]
        assert len(read_file_set(tmp_path / "out")) == 3

    @pytest.mark.parametrize("damage", ["file gone", "record gone", "file cut", "record cut", "record empty"])
    def test_what_is_damaged_is_made_again(self, tmp_path, damage):
        log, out = tmp_path / "log", tmp_path / "out"
        whole = run_plan(plan("aaa", "b", log=log), out)
        target = out / ("aaa.txt" if damage.startswith("file") else "aaa.txt.json")
        if damage.endswith("gone"):
            target.unlink()
        else:
            target.write_text({"file cut": "a", "record cut": '{"size": 3, "len', "record empty": "{}"}[damage])

        assert run_plan(plan("aaa", "b", log=log), out) == whole
        assert log.read_text().split() == ["aaa", "b", "aaa"]

    def test_failure_keeps_what_is_finished(self, tmp_path):
        good, bad = plan("a").jobs[0], FileJob("bad.txt", fail)
        with pytest.raises(UserError, match="no good"):
            run_plan(FilePlan("f00d", [good, bad]), tmp_path)

        assert (tmp_path / "a.txt").read_text() == "a"
        assert not (tmp_path / "bad.txt").exists()
        assert not leftovers(tmp_path)
        with pytest.raises(UserError, match="no finished set"):
            read_file_set(tmp_path)

    def test_full_disk_keeps_what_is_finished(self, tmp_path, monkeypatch):
        run_plan(plan("a"), tmp_path)
        with monkeypatch.context() as context:
            context.setattr(Path, "write_text", no_space)
            with pytest.raises(UserError, match="No space left"):
                run_plan(plan("a", "b"), tmp_path)
        assert (tmp_path / "a.txt").read_text() == "a"
        assert len(read_file_set(tmp_path)) == 1
        assert not leftovers(tmp_path)

        assert len(run_plan(plan("a", "b"), tmp_path)) == 2

    def test_no_space_for_the_record(self, tmp_path, monkeypatch):
        jobs = [job("a.txt", "a")]
        monkeypatch.setattr("cherenkov_pipeline.files.json.dumps", no_space)
        with pytest.raises(UserError, match="No space left"):
            run_plan(FilePlan("f00d", jobs), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]

    def test_workers_make_the_same(self, tmp_path):
        texts = [f"text{number}" for number in range(6)]
        one, two = (run_plan(plan(*texts, n_workers=n), tmp_path / str(n)) for n in (1, 2))

        assert [path.name for path in one.paths] == [path.name for path in two.paths]
        assert [path.read_text() for path in one.paths] == [path.read_text() for path in two.paths]
        assert [record["fingerprint"] for record in one.records] == [record["fingerprint"] for record in two.records]

    def test_worker_killed_by_the_system_is_told(self, tmp_path):
        jobs = [*plan("a").jobs, FileJob("killed.txt", kill_oneself)]
        with pytest.raises(UserError, match="fewer n_workers"):
            run_plan(FilePlan("f00d", jobs, n_workers=2), tmp_path)

    def test_error_of_a_worker_reaches_the_user(self, tmp_path):
        with pytest.raises(UserError, match="no good"):
            run_plan(FilePlan("f00d", [*plan("a", "b").jobs, FileJob("bad.txt", fail)], n_workers=2), tmp_path)
        assert not leftovers(tmp_path)

    def test_data_folder_can_be_moved(self, tmp_path):
        run_plan(plan("a"), tmp_path / "old" / "set")
        (tmp_path / "old").rename(tmp_path / "new")

        assert read_file_set(tmp_path / "new" / "set").paths == [tmp_path / "new" / "set" / "a.txt"]

    def test_kept_files_stay_where_they_are(self, tmp_path, monkeypatch):
        (tmp_path / "mine.txt").write_text("mine")
        monkeypatch.chdir(tmp_path)
        run_plan(plan("a", kept=[{"path": "mine.txt", "size": 4}]), tmp_path / "out")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        assert read_file_set(tmp_path / "out").paths == [tmp_path / "out" / "a.txt", tmp_path / "mine.txt"]

    def test_kept_file_that_moved_is_found_again(self, tmp_path):
        for place in ("old.txt", "new.txt"):
            run_plan(plan("a", kept=[{"path": str(tmp_path / place)}]), tmp_path / "out")
        (tmp_path / "new.txt").write_text("mine")
        assert read_file_set(tmp_path / "out").paths[1] == tmp_path / "new.txt"

    def test_only_one_process_at_a_time(self, tmp_path):
        with locked(tmp_path), pytest.raises(TemporaryError, match="Another process is working"):
            run_plan(plan("a"), tmp_path)
        run_plan(plan("a"), tmp_path)

    def test_missing_file_is_told(self, tmp_path):
        run_plan(plan("a", "b"), tmp_path)
        (tmp_path / "b.txt").unlink()
        with pytest.raises(UserError, match=r"b\.txt is gone"):
            read_file_set(tmp_path)

    def test_parts_of_killed_runs_are_removed(self, tmp_path):
        stale = tmp_path / ".part-999999-a.txt"
        stale.write_text("half a file of a run that was killed")

        assert [path.name for path in run_plan(plan("a"), tmp_path).paths] == ["a.txt"]
        assert not leftovers(tmp_path)


class TestTakingOver:
    """Finished files of other plans that were made from the same."""

    @pytest.fixture
    def log(self, tmp_path) -> Path:
        return tmp_path / "log"

    @pytest.fixture
    def old(self, tmp_path, log) -> Path:
        folder = tmp_path / "old"
        run_plan(FilePlan("old", [job("a.txt", "aaa", log), job("b.txt", "bbb", log)]), folder)
        log.unlink()
        return folder

    def grown(self, folder: Path, log: Path, siblings) -> list[Path]:
        jobs = [job("new.txt", "new", log), job("a.txt", "aaa", log), job("other.txt", "bbb", log)]
        file_set = run_plan(FilePlan("grown", jobs), folder, siblings)
        assert [path.read_text() for path in file_set.paths] == ["new", "aaa", "bbb"]
        assert [record["length"] for record in file_set.records] == [3, 3, 3]
        assert read_file_set(folder) == file_set
        assert not leftovers(folder)
        return file_set.paths

    def test_whatever_their_name(self, tmp_path, old, log):
        paths = self.grown(tmp_path / "grown", log, [old])
        assert log.read_text().split() == ["new"]
        assert paths[1].samefile(old / "a.txt")
        assert paths[2].samefile(old / "b.txt")

    def test_equal_to_a_start_from_nothing(self, tmp_path, old, log):
        self.grown(tmp_path / "grown", log, [old])
        self.grown(tmp_path / "scratch", log, [])
        assert (tmp_path / "grown" / MANIFEST).read_text() == (tmp_path / "scratch" / MANIFEST).read_text()

    def test_copied_where_links_fail(self, tmp_path, old, log, monkeypatch):
        def refuse(*args):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

        monkeypatch.setattr(os, "link", refuse)
        paths = self.grown(tmp_path / "grown", log, [old])
        assert log.read_text().split() == ["new"]
        assert not paths[1].samefile(old / "a.txt")

    @pytest.mark.parametrize("damage", ["cut off", "changed", "gone", "no record", "record cut off", "other record"])
    def test_only_what_is_whole(self, tmp_path, old, log, damage):
        file, record = old / "a.txt", old / "a.txt.json"
        {
            "cut off": lambda: file.write_text("a"),
            "changed": lambda: file.write_text("axa"),
            "gone": lambda: file.unlink(),
            "no record": lambda: record.unlink(),
            "record cut off": lambda: record.write_text(record.read_text()[:20]),
            "other record": lambda: record.write_text((old / "b.txt.json").read_text()),
        }[damage]()
        self.grown(tmp_path / "grown", log, [old])
        assert sorted(log.read_text().split()) == ["aaa", "new"]

    def test_also_of_a_plan_that_was_interrupted(self, tmp_path, old, log):
        (old / MANIFEST).unlink()
        self.grown(tmp_path / "grown", log, [tmp_path / "absent", old])
        assert log.read_text().split() == ["new"]

    def test_a_damaged_one_leaves_the_choice_to_another(self, tmp_path, old, log):
        self.grown(tmp_path / "second", log, [])
        (old / "a.txt").write_text("axa")
        log.unlink()
        self.grown(tmp_path / "grown", log, [old, tmp_path / "second"])
        assert not log.exists()

    def test_jobs_without_a_fingerprint_are_of_their_plan_alone(self, tmp_path, log):
        run_plan(plan("a", log=log), tmp_path / "old")
        run_plan(FilePlan("other", plan("a", log=log).jobs), tmp_path / "new", [tmp_path / "old"])
        assert log.read_text().split() == ["a", "a"]


class TestCheck:
    def test_refusal_leaves_the_files_but_no_set(self, tmp_path):
        def refuse(records):
            raise UserError(f"{sum(record['length'] for record in records)} letters are too few")

        with pytest.raises(UserError, match="3 letters"):
            run_plan(plan("a", "bb", check=refuse), tmp_path)
        assert (tmp_path / "bb.txt").exists()
        with pytest.raises(UserError, match="no finished set"):
            read_file_set(tmp_path)
        assert len(run_plan(plan("a", "bb"), tmp_path)) == 2


def test_workers_end_with_their_parent(tmp_path):
    """SIGKILL of the parent alone, as the system does when memory runs out."""
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent("""
        import functools, os, pathlib, sys, time
        from cherenkov_pipeline.file_plans import FileJob, FilePlan, run_plan

        def sleep(path, folder):
            (pathlib.Path(folder) / f"pid-{os.getpid()}").touch()
            time.sleep(120)
            return {}

        if __name__ == "__main__":
            jobs = [FileJob(name, functools.partial(sleep, folder=sys.argv[1])) for name in "ab"]
            run_plan(FilePlan("f00d", jobs, n_workers=2), pathlib.Path(sys.argv[1]) / "out")
        """)
    )
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(tmp_path.glob("pid-*"))) == 2)
    parent.kill()
    parent.wait()
    workers = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    wait_until(lambda: not any(is_running(worker) for worker in workers))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_run_goes_on(tmp_path):
    """SIGKILL while a file is half written; started again, the result is that of an undisturbed run."""
    script = tmp_path / "slow.py"
    script.write_text(
        textwrap.dedent("""
        import functools, sys, time
        from cherenkov_pipeline.file_plans import FileJob, FilePlan, run_plan

        def write(path, text, seconds):
            path.write_text(text[:2])
            time.sleep(seconds)
            path.write_text(text)
            return {"length": len(text)}

        seconds = {"one": 0, "two": float(sys.argv[2]), "three": 0}
        jobs = [FileJob(f"{text}.txt", functools.partial(write, text=text, seconds=s)) for text, s in seconds.items()]
        run_plan(FilePlan("f00d", jobs), sys.argv[1])
        """)
    )
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    process = subprocess.Popen([sys.executable, script, out, "60"], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not leftovers(out) or not (out / "one.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "two.txt").exists()
    assert not (out / MANIFEST).exists()
    before = (out / "one.txt").stat().st_mtime_ns

    for folder in (out, undisturbed):
        subprocess.run([sys.executable, script, folder, "0"], check=True, capture_output=True)
    assert (out / MANIFEST).read_text() == (undisturbed / MANIFEST).read_text()
    assert [path.read_text() for path in read_file_set(out).paths] == ["one", "two", "three"]
    assert (out / "one.txt").stat().st_mtime_ns == before


class TestSideBySide:
    """The files of a plan, made one by one by several processes."""

    def test_what_is_missing_is_made_alone_and_the_plan_takes_it(self, tmp_path):
        log, folder = tmp_path / "log", tmp_path / "set"
        planned = plan("a", "b", "c", log=log)
        missing = missing_files(planned, folder)
        assert [job.name for job in missing] == ["a.txt", "b.txt", "c.txt"]
        make_file(missing[1], folder)
        make_file(missing[1], folder)
        assert log.read_text().split() == ["b"]
        assert is_finished(folder / "b.txt")
        assert not is_finished(folder / "a.txt")
        assert [job.name for job in missing_files(planned, folder)] == ["a.txt", "c.txt"]
        assert len(run_plan(planned, folder)) == 3
        assert sorted(log.read_text().split()) == ["a", "b", "c"]

    def test_two_may_work_at_the_same_time_and_nothing_of_them_is_removed(self, tmp_path):
        folder = tmp_path / "set"
        missing = missing_files(plan("a", "b"), folder)
        other = folder / ".part-1-b.txt"
        with locked(folder, shared=True):
            other.write_text("half")
            make_file(missing[0], folder)
            assert other.exists()
            with pytest.raises(TemporaryError, match="Another process"):
                run_plan(plan("a", "b"), folder)
            assert other.exists()

    def test_nothing_is_made_beside_a_process_that_wants_the_folder_alone(self, tmp_path):
        folder = tmp_path / "set"
        missing = missing_files(plan("a"), folder)
        with locked(folder), pytest.raises(TemporaryError, match="Another process"):
            make_file(missing[0], folder)
