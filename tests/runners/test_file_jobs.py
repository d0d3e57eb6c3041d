"""Many files of a node, made by an array of jobs."""

import json
import re

import pytest
from tests.runners.toy_project import make_toy

FILES = """
from functools import partial
from pathlib import Path
from kedro.pipeline import Pipeline, node
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileJob, FilePlan

def make(path, number):
    log = Path("log")
    with log.open("a") as stream:
        stream.write(f"{number}\\n")
    if number == 3 and not Path("mended").exists():
        raise UserError(f"raw_{number} is damaged: copy it again.")
    if number == 5 and log.read_text().split().count("5") == 1:
        raise OSError("the disk hiccups")
    path.write_text(str(number))
    return {"n_images": number}

def plan():
    jobs = [FileJob(f"{number}.txt", partial(make, number=number)) for number in range(7)]
    return FilePlan("f00d", jobs, description="numbers")

def create_pipeline():
    return Pipeline([
        node(plan, None, "numbers", name="make_numbers", tags="cpu"),
        node(lambda numbers: str(len(numbers)), "numbers", "count", name="count"),
    ])
"""
CATALOG = {
    "numbers": {
        "type": "cherenkov_pipeline.datasets.file_set.FileSetDataset",
        "filepath": "data/numbers",
        "versioned": True,
    },
    "count": {"type": "text.TextDataset", "filepath": "data/count.txt", "versioned": True},
}


@pytest.mark.slow
def test_a_failed_file_is_named_and_the_others_are_kept(tmp_path):
    slurm = {"tags": {"cpu": {"files_per_job": 4}}, "retries": 1, "max_jobs": 2}
    toy = make_toy(tmp_path, FILES, CATALOG, slurm)

    done = toy("run", "--env=cluster")
    assert done.returncode == 1
    assert done.stdout.strip().splitlines()[-1] == (
        "Error: make_numbers: 1 of 7 files could not be made in 2 tries: 3.txt (raw_3 is damaged: copy it again.). "
        "The other 6 are kept: put that right, or take it out, and start again. 1 more nodes wait for that."
    )
    made = {path.name for path in (tmp_path / "data" / "numbers" / "f00d").glob("*.txt")}
    assert made == {f"{number}.txt" for number in (0, 1, 2, 4, 5, 6)}
    # tried twice: the damaged one in vain, the one that the disk kept from being made with success
    assert sorted((tmp_path / "log").read_text().split()) == sorted("01233" + "4556")
    assert re.search(r"make_numbers: \d of 7 files, [12] jobs running", done.stdout)

    (tmp_path / "mended").touch()
    printed = toy("cluster", "attach")
    assert printed.returncode == 0, printed.stdout
    assert sorted((tmp_path / "log").read_text().split()) == sorted("012333" + "4556")
    (run,) = toy.runs
    (count,) = (tmp_path / "data" / "count.txt").glob("*/count.txt")
    assert (count.read_text(), count.parent.name) == ("7", run.name)


def test_few_files_are_made_in_the_nodes_own_job(tmp_path):
    toy = make_toy(tmp_path, FILES, CATALOG, {"tags": {"cpu": {"files_per_job": 7}}})
    (tmp_path / "mended").touch()
    (tmp_path / "log").write_text("5\n")
    toy.run()
    state = json.loads((toy.runs[0] / "nodes" / "make_numbers" / "state.json").read_text())
    assert (state["stage"], state["n_lost"]) == ("node", 0)
    assert not (toy.runs[0] / "nodes" / "make_numbers" / "plan.pkl").exists()
