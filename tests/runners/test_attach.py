"""A run whose terminal was closed is taken up again."""

import os
import signal
import time

from tests.runners.toy_project import make_toy, text

SLOW = """
import time
from pathlib import Path
from kedro.pipeline import Pipeline, node

def wait():
    with Path("began").open("a") as stream:
        stream.write("x")
    while not Path("go").exists():
        time.sleep(0.1)
    return "waited"

def create_pipeline():
    return Pipeline([
        node(wait, None, "first", name="wait"),
        node(lambda text, word: f"{text} and {word} on", ["first", "params:word"], "second", name="go_on"),
    ])
"""


def slow_toy(root):
    toy = make_toy(root, SLOW, text("first") | text("second"))
    (root / "conf" / "base" / "parameters.yml").write_text("word: went\n")
    return toy


def test_the_job_outlives_the_terminal_and_the_run_is_taken_up(tmp_path):
    toy = slow_toy(tmp_path)
    driver = toy.start("run", "--env=cluster")
    until(lambda: (tmp_path / "began").exists(), driver)
    (tmp_path / "conf" / "base" / "parameters.yml").write_text("word: means another run and went\n")
    (run,) = toy.runs
    refused = toy("cluster", "attach")
    assert refused.returncode == 1
    assert "Another process is working" in refused.stdout.splitlines()[-1]

    os.killpg(driver.pid, signal.SIGHUP)
    driver.communicate(timeout=60)
    told = toy("cluster", "status").stdout
    assert run.name in told
    assert "wait: running" in told

    (tmp_path / "go").touch()
    done = toy("cluster", "attach", run.name)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "began").read_text() == "x"
    (second,) = (tmp_path / "data" / "second.txt").glob("*/second.txt")
    assert (second.read_text(), second.parent.name) == ("waited and went on", run.name)
    assert "go_on: done" in toy("cluster", "status").stdout


def test_jobs_are_ended_by_a_command(tmp_path):
    toy = slow_toy(tmp_path)
    driver = toy.start("run", "--env=cluster")
    until(lambda: (tmp_path / "began").exists(), driver)
    assert "drives the run" in toy("cluster", "cancel").stdout
    driver.send_signal(signal.SIGINT)
    output, _ = driver.communicate(timeout=60)
    assert driver.returncode
    assert f"kedro cluster attach {toy.runs[0].name}" in output
    assert "1 jobs of run" in toy("cluster", "cancel").stdout
    assert "wait: ended without a result" in toy("cluster", "status").stdout


def test_an_unknown_run_is_told_with_the_known_ones(tmp_path):
    toy = slow_toy(tmp_path)
    told = toy("cluster", "attach", "2001-01-01T00.00.00.000Z")
    assert told.returncode == 1
    assert "There is no run 2001-01-01T00.00.00.000Z" in told.stdout.splitlines()[-1]


def until(condition, process) -> None:
    """Wait for something that a process does."""
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    raise AssertionError("waited in vain")
