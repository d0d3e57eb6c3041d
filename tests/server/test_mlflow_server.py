"""Many users at once: ten runs on one MLflow server with PostgreSQL behind it."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from tests.runners.toy_project import Toy, make_toy

pytestmark = pytest.mark.server

N_RUNS = 10
USER = "postgres"

NODES = """
from astropy.table import Table
from kedro.pipeline import Pipeline, node

def train(number):
    return Table({"epoch": [1, 2, 3], "val_loss": [10.0 * number + epoch for epoch in (1, 2, 3)]})

def create_pipeline():
    return Pipeline([node(train, "params:number", "energy.history", name="train")])
"""
CATALOG = {
    "mlflow_run": {"type": "MemoryDataset", "data": None},
    "energy.history": {
        "type": "cherenkov_pipeline.datasets.astropy_table.AstropyTableDataset",
        "filepath": "data/history.ecsv",
        "versioned": True,
        "metadata": {"mlflow": {"history": True, "artifact_path": "training"}},
    },
}


@pytest.fixture(scope="module")
def database():
    """A PostgreSQL of the tests, on a socket of its own; gives its address."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL: /usr/lib/postgresql/*/bin/initdb not found (apt install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no psycopg: pip install cherenkov-pipeline[server]")
    if os.geteuid():
        pytest.skip("no PostgreSQL: only root can start one as its own user")
    binaries = programs[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="postgres"))  # not below pytest's, which its user may not enter
    shutil.chown(folder, USER)
    initialise = [binaries / "initdb", "-D", folder / "data", "-U", "mlflow", "-A", "trust", "--no-sync"]
    subprocess.run(initialise, user=USER, cwd=folder, check=True, capture_output=True)
    options = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", folder / "data", *options], user=USER, cwd=folder, stdout=log, stderr=log
        )
    create = ["createdb", "-h", str(folder), "-U", "mlflow", "mlflow"]
    for _ in range(100):
        if subprocess.run(create, capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.2)
    else:
        raise AssertionError((folder / "log").read_text())
    yield f"postgresql://mlflow@/mlflow?host={folder}"
    server.send_signal(signal.SIGQUIT)  # at once
    server.wait(timeout=60)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    """MLflow's server on it; gives its address."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--backend-store-uri", database, "--artifacts-destination", folder / "files", "--workers", "2"]
    command = [sys.executable, "-m", "mlflow", "server", *options, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    for _ in range(180):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).read()
            break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(1)
    yield address
    # its workers wait for connections that are kept open
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)


def projects(root: Path, server: str) -> list[Toy]:
    """A project for each user, all on the same server."""
    made = []
    for number in range(N_RUNS):
        toy = make_toy(root / str(number), NODES, CATALOG, mlflow=True)
        (toy.root / "conf" / "base" / "parameters.yml").write_text(f"number: {number}\n")
        (toy.root / "conf" / "base" / "mlflow.yml").write_text(
            f"server: {{mlflow_tracking_uri: '{server}'}}\ntracking: {{experiment: {{name: toy}}}}\n"
        )
        made.append(toy)
    return made


def test_ten_runs_at_once_are_all_there_and_not_mixed(server, tmp_path):
    started = [toy.start("run") for toy in projects(tmp_path, server)]
    for process in started:
        output, _ = process.communicate(timeout=800)
        assert process.returncode == 0, output

    from mlflow import MlflowClient

    client = MlflowClient(server)
    runs = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert sorted(int(run.data.params["number"]) for run in runs) == list(range(N_RUNS))
    for run in runs:
        number = int(run.data.params["number"])
        assert run.info.status == "FINISHED"
        history = client.get_metric_history(run.info.run_id, "energy.val_loss")
        assert {metric.step: metric.value for metric in history} == {
            epoch: 10.0 * number + epoch for epoch in (1, 2, 3)
        }
        assert len(history) == 3
        assert [path.path for path in client.list_artifacts(run.info.run_id, "training")] == ["training/history.ecsv"]
