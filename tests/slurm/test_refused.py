"""What SLURM refuses is told in one line."""

import pytest
from tests.runners.toy_project import make_toy, text

pytestmark = pytest.mark.slurm

NODES = """
from kedro.pipeline import Pipeline, node

def create_pipeline():
    return Pipeline([node(lambda: "x", None, "made", name="work")])
"""


def test_an_unknown_partition(tmp_path, slurm):
    toy = make_toy(tmp_path, NODES, text("made"), {"executor": "slurm"})
    done = toy("run", "--env=cluster", "--runner-params=default.partition=nowhere")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("Error: SLURM does not take the job work: ")
    assert "invalid partition" in last
