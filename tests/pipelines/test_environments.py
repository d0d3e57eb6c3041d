"""Every pipeline resolves in every environment, and the command line stays light."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# a process of its own: Kedro's resolvers are process-wide, two environments in one process would mix
RESOLVE = """
import json, sys
from pathlib import Path
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import MemoryDataset

project = Path(sys.argv[1])
bootstrap_project(project)
with KedroSession.create(project_path=project, env=sys.argv[2]) as session:
    catalog = session.load_context().catalog
    result = {}
    for name, pipeline in pipelines.items():
        datasets = {dataset: catalog.get(dataset) for dataset in pipeline.datasets()}
        result[name] = sorted(
            dataset for dataset, entry in datasets.items()
            if entry is None or (isinstance(entry, MemoryDataset) and not dataset.startswith(("params:", "mlflow_run")))
        )
    heavy = sorted({"tensorflow", "keras", "ctapipe", "numba"} & set(sys.modules))
print(json.dumps({"unresolved": result, "heavy": heavy}))
"""


@pytest.fixture(scope="module", params=["local", "cluster", "test"])
def resolved(request, tmp_path_factory) -> dict:
    environment = {**os.environ, "CHERENKOV_DATA": str(tmp_path_factory.mktemp("data"))}
    command = [sys.executable, "-c", RESOLVE, str(PROJECT), request.param]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=PROJECT, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_every_dataset_is_in_the_catalog(resolved):
    assert resolved["unresolved"]["__default__"] == []
    assert {name: missing for name, missing in resolved["unresolved"].items() if missing} == {}


def test_building_all_catalog_entries_imports_nothing_heavy(resolved):
    assert resolved["heavy"] == []


def test_registry_list_needs_no_tensorflow_and_little_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", "-m", "kedro", "registry", "list"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert "train_energy" in run.stdout
    imported = {line.split("|")[-1].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}
    assert not {"tensorflow", "keras", "ctapipe", "numba"} & imported
    # 4 s on an idle machine; the suite runs on both cores at once, and counting imports costs as well
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
