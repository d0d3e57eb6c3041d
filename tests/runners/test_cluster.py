"""Runs whose nodes are jobs of this machine: the same code that SLURM's jobs run through."""

import json
import re

import pytest
from tests.runners.toy_project import make_toy, text

DIAMOND = """
import os, time
from pathlib import Path
from kedro.pipeline import Pipeline, node

def first():
    return "seed"

def branch(name):
    def work(text):
        began = time.time()
        # both are at work at the same time, or this never ends
        Path(f"at_work_{name}").touch()
        while not all(Path(f"at_work_{other}").exists() for other in ("left", "right")):
            assert time.time() - began < 120
            time.sleep(0.1)
        return f"{text} {name} {os.getpid()}"
    return work

def last(left, right):
    return f"{left} | {right}"

def create_pipeline():
    return Pipeline([
        node(first, None, "seed", name="first"),
        node(branch("left"), "seed", "left", name="left_branch"),
        node(branch("right"), "seed", "right", name="right_branch"),
        node(last, ["left", "right"], "both", name="last"),
    ])
"""


def test_nodes_are_jobs_side_by_side_of_one_version(tmp_path):
    catalog = text("seed") | text("left") | text("right") | text("both")
    toy = make_toy(tmp_path, DIAMOND, catalog, {"max_jobs": 2})
    printed = toy.run()

    (run,) = toy.runs
    for name in catalog:
        versions = [path.parent.name for path in (tmp_path / "data" / f"{name}.txt").glob(f"*/{name}.txt")]
        assert versions == [run.name]
    both = (tmp_path / "data" / "both.txt" / run.name / "both.txt").read_text()
    left, right = re.fullmatch(r"seed left (\d+) \| seed right (\d+)", both).groups()
    assert left != right
    for node in ("first", "left_branch", "right_branch", "last"):
        assert f"{node}: done" in printed
    assert re.search(r"first: job \d+ running", printed)
    assert run.name in printed


LOADS_OWN = """
from pathlib import Path
from kedro.pipeline import Pipeline, node

def write():
    return "ours"

def read(text):
    return f"read {text}"

def other():
    # another run saves a newer version before ours is read
    path = Path("data/one.txt/2999-01-01T00.00.00.000Z/one.txt")
    path.parent.mkdir(parents=True)
    path.write_text("theirs")
    return "x"

def create_pipeline():
    return Pipeline([
        node(write, None, "one", name="write"),
        node(lambda one: other(), "one", "two", name="other"),
        node(lambda one, two: read(one), ["one", "two"], "three", name="read"),
    ])
"""


def test_a_run_loads_what_it_saved_whatever_others_save(tmp_path):
    toy = make_toy(tmp_path, LOADS_OWN, text("one") | text("two") | text("three"))
    toy.run()
    (three,) = (tmp_path / "data" / "three.txt").glob("*/three.txt")
    assert three.read_text() == "read ours"


FAILS = """
from kedro.pipeline import Pipeline, node
from cherenkov_pipeline.errors import UserError

def fail():
    raise UserError("The telescope is closed: open it.")

def create_pipeline():
    return Pipeline([
        node(fail, None, "bad", name="bad"),
        node(lambda: "fine", None, "good", name="good"),
        node(lambda one: one, "bad", "never", name="never"),
    ])
"""


def test_a_node_that_fails_stops_only_those_that_need_it(tmp_path):
    toy = make_toy(tmp_path, FAILS, text("bad") | text("good") | text("never"))
    done = toy("run", "--env=cluster")
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1] == (
        "Error: bad: The telescope is closed: open it. 1 more nodes wait for that."
    )
    assert "Traceback" not in done.stdout
    assert list((tmp_path / "data" / "good.txt").glob("*/good.txt"))


DIES = """
import os, signal
from pathlib import Path
from kedro.pipeline import Pipeline, node

def work(times):
    tries = Path("tries")
    tries.write_text((tries.read_text() if tries.exists() else "") + "x")
    if len(tries.read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return tries.read_text()

def create_pipeline():
    return Pipeline([node(lambda: work(TIMES), None, "made", name="work")])
"""


@pytest.mark.slow
def test_a_job_that_is_killed_is_begun_again(tmp_path):
    toy = make_toy(tmp_path, DIES.replace("TIMES", "2"), text("made"))
    toy.run()
    (made,) = (tmp_path / "data" / "made.txt").glob("*/made.txt")
    assert made.read_text() == "xxx"


@pytest.mark.slow
def test_a_job_that_is_always_killed_comes_to_an_end(tmp_path):
    toy = make_toy(tmp_path, DIES.replace("TIMES", "99"), text("made"), {"requeues": 1})
    done = toy("run", "--env=cluster")
    assert done.returncode == 1
    assert "its job ended 2 times without a result" in done.stdout.strip().splitlines()[-1]
    assert (tmp_path / "tries").read_text() == "xx"


LIVES = """
import time
from pathlib import Path
from kedro.pipeline import Pipeline, node

def work():
    with Path("lives").open("a") as lives:
        lives.write("x")
    if len(Path("lives").read_text()) < 3:
        time.sleep(600)
    return "at last"

def create_pipeline():
    return Pipeline([node(work, None, "made", name="work")])
"""


@pytest.mark.slow
def test_a_job_whose_time_is_over_begins_again(tmp_path):
    toy = make_toy(tmp_path, LIVES, text("made"), {"default": {"time": "0.4 min"}, "signal_ahead": "4 s"})
    toy.run()
    (made,) = (tmp_path / "data" / "made.txt").glob("*/made.txt")
    assert made.read_text() == "at last"
    assert (tmp_path / "lives").read_text() == "xxx"


INTERRUPTED = """
import os, signal
from pathlib import Path
from kedro.pipeline import Pipeline, node

def work():
    return "one", "two"

class Kill:
    pass

def create_pipeline():
    return Pipeline([node(work, None, ["one", "two"], name="work")])
"""


def test_a_job_killed_between_two_saves_goes_on_after_the_first(tmp_path):
    # the second dataset kills the process the first time that it is saved
    dataset = """
import os, signal
from pathlib import Path
from kedro_datasets.text import TextDataset

class Deadly(TextDataset):
    def save(self, data):
        if not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().save(data)
"""
    catalog = text("one") | {"two": text("two")["two"] | {"type": "toy.deadly.Deadly"}}
    toy = make_toy(tmp_path, INTERRUPTED, catalog)
    (tmp_path / "src" / "toy" / "deadly.py").write_text(dataset)
    toy.run()
    for name in catalog:
        (path,) = (tmp_path / "data" / f"{name}.txt").glob(f"*/{name}.txt")
        assert path.read_text() == name
    begun = (toy.runs[0] / "nodes" / "work" / "begun.jsonl").read_text().splitlines()
    assert len(begun) == 2
    assert all("at" in json.loads(line) for line in begun)


def test_what_stays_in_memory_is_refused_before_anything_runs(tmp_path):
    toy = make_toy(tmp_path, DIES.replace("TIMES", "0"), {})
    done = toy("run", "--env=cluster")
    assert done.returncode == 1
    assert "made stays in memory" in done.stdout.strip().splitlines()[-1]
    assert not (tmp_path / "tries").exists()
