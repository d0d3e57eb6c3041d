"""The project's pipelines on SLURM, as users type them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.table import Table
from mlflow import MlflowClient
from tests.training.toy_showers import shower_store

from cherenkov_pipeline.datasets.file_set import FileSetDataset
from cherenkov_pipeline.file_plans import FileJob, FilePlan
from cherenkov_pipeline.models.saved import load_network

pytestmark = pytest.mark.slurm

PROJECT = Path(__file__).parents[2]
N_EVENTS = 120
EPOCHS = 2
SMALL = ",".join(
    (
        "task_defaults.model.name=single_tel",
        "task_defaults.model.options.filters=[4]",
        "task_defaults.input.mapping=square",
        f"task_defaults.training.epochs={EPOCHS}",
        "task_defaults.training.batch_size=32",
        "task_defaults.training.deterministic=true",
        "energy.training.auxiliary=[]",
        "type.training.auxiliary=[]",
    )
)
TASKS = ("energy", "type", "skydirection", "cameradirection")


def write_store(path: Path) -> dict:
    store = shower_store(path, N_EVENTS)
    return {"telescope_type": store.telescope_type, "n_images": N_EVENTS}


@pytest.fixture
def clone(tmp_path) -> Path:
    """A clean clone of the project."""
    done = subprocess.run(["git", "clone", "-q", str(PROJECT), str(tmp_path / "clone")], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no clone: {done.stderr.strip()}")
    return tmp_path / "clone"


def data_folder(root: Path) -> Path:
    """A data folder with an event store in it."""
    job = FileJob("toy.store.h5", write_store, f"showers-{N_EVENTS}-1-0")
    FileSetDataset(filepath=str(root / "05_model_input" / "event_store")).save(FilePlan("toy", [job]))
    return root


def start(clone: Path, data: Path, *arguments: str) -> subprocess.Popen:
    """``kedro run`` in a clone, on SLURM with what its one node has."""
    site = data / "site.yml"
    small = {"cpus": 1, "memory": "3 GB", "gpus": 0, "time": "10 min"}
    site.write_text(yaml.safe_dump({"executor": "slurm", "poll": "1 s", "tags": {"gpu": small, "cpu": small}}))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(clone / "src"), str(clone), os.environ.get("PYTHONPATH", "")]),
        "CHERENKOV_DATA": str(data),
        "CHERENKOV_SLURM": str(site),
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "kedro", "run", "--env=cluster", f"--params={SMALL}", *arguments],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def watch(process: subprocess.Popen, slurm) -> tuple[str, set[str], int]:
    """Wait for the end; return what was printed, names of the jobs that were seen, and most trainings at once."""
    seen, most = set(), 0
    while process.poll() is None:
        jobs = slurm.jobs().values()
        seen |= {name for name, _ in jobs}
        most = max(most, sum(name.endswith("train_model") and state == "RUNNING" for name, state in jobs))
        time.sleep(1)
    printed = process.communicate()[0]
    assert process.returncode == 0, printed
    return printed, seen, most


def runs_of(data: Path) -> tuple[MlflowClient, list]:
    client = MlflowClient(f"sqlite:///{data}/mlflow/mlflow.db")
    return client, client.search_runs([client.get_experiment_by_name("cherenkov_pipeline").experiment_id])


def test_training_from_a_clean_clone_is_that_of_a_local_run(clone, tmp_path, slurm):
    remote, local = data_folder(tmp_path / "remote"), data_folder(tmp_path / "local")
    printed, seen, _ = watch(start(clone, remote, "--pipeline=train_energy"), slurm)
    assert seen == {"energy.train_model", "energy.take_history"}
    assert "energy.train_model: done" in printed
    assert "Traceback" not in printed

    client, (run,) = runs_of(remote)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "train_energy")
    steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "energy.val_loss")]
    assert steps == list(range(1, EPOCHS + 1))
    assert run.data.params["energy.training.epochs"] == str(EPOCHS)
    assert run.data.tags["data_fingerprint"] == "toy"
    saved = {path.path for path in client.list_artifacts(run.info.run_id, "energy/model")}
    assert "energy/model/model.keras" in saved
    (version,) = client.search_model_versions("name='energy_model'")
    assert version.run_id == run.info.run_id
    assert '"task": "energy"' in version.description

    alone = start(clone, local, "--pipeline=train_energy", "--runner=SequentialRunner")
    output = alone.communicate()[0]
    assert alone.returncode == 0, output
    models, histories = [], []
    for data in (remote, local):
        (path,) = data.glob("06_models/energy/model.keras/*/model.keras")
        models.append(load_network(path)[1])
        (history,) = data.glob("06_models/energy/history.ecsv/*/history.ecsv")
        histories.append(Table.read(history))
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-6)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_four_tasks_run_side_by_side(clone, tmp_path, slurm):
    data = data_folder(tmp_path / "data")
    pipelines = ",".join(f"train_{task}" for task in TASKS)
    _, seen, most = watch(start(clone, data, f"--pipelines={pipelines}"), slurm)
    assert {f"{task}.train_model" for task in TASKS} <= seen
    assert most == len(TASKS)
    _, runs = runs_of(data)
    assert len(runs) == 1
    versions = {path.parent.name for task in TASKS for path in data.glob(f"06_models/{task}/model.keras/*/model.keras")}
    assert len(versions) == 1
