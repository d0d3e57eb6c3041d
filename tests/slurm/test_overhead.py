"""What a node costs because it is a job of SLURM."""

import re
from datetime import datetime

import pytest
from tests.runners.toy_project import make_toy, text

pytestmark = pytest.mark.slurm

N_NODES = 3
CHAIN = f"""
from kedro.pipeline import Pipeline, node

def create_pipeline():
    return Pipeline([
        node(lambda text=None: "x", None if not number else f"t{{number}}", f"t{{number + 1}}", name=f"n{{number}}")
        for number in range({N_NODES})
    ])
"""


def test_a_node_costs_at_most_fifteen_seconds(tmp_path, slurm):
    catalog = {}
    for number in range(1, N_NODES + 1):
        catalog |= text(f"t{number}")
    # the driver looks as often as it is shipped to
    toy = make_toy(tmp_path, CHAIN, catalog, {"executor": "slurm", "poll": "5 s", "default": {"memory": "1 GB"}})
    printed = toy.run()
    times = [datetime.strptime(time, "%H:%M:%S") for time in re.findall(r"^(\d\d:\d\d:\d\d)  ", printed, re.MULTILINE)]
    seconds = (times[-1] - times[0]).seconds / N_NODES
    print(f"{seconds:.1f} s a node")
    assert seconds <= 15
