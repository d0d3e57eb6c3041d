"""A training on SLURM that is interrupted in every way ends with each epoch once, in one MLflow run."""

import subprocess
import time
from pathlib import Path

import pytest
from astropy.table import Table
from tests.runners.toy_project import Toy, make_toy
from tests.training.toy_showers import shower_store

pytestmark = pytest.mark.slurm

TRAINING = """
import time
from pathlib import Path
from kedro.pipeline import Pipeline, node

def train(folder, mlflow_run):
    from cherenkov_pipeline.models.parameters import ModelParameters
    from cherenkov_pipeline.store import EventStore
    from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
    from cherenkov_pipeline.training.task import train_task

    store = EventStore([str(Path("toy.store.h5").absolute())])
    model = ModelParameters(name="single_tel", options={"filters": [2], "pooling": "average"},
                            head={"options": {"units": [4]}})
    seen = Path("seen")

    def note(row):
        # of a training that is resumed, what it has behind it comes first
        known = seen.read_text().split() if seen.exists() else []
        if str(row["epoch"]) not in known and not Path("in_haste").exists():
            time.sleep(SECONDS)
        seen.write_text(" ".join([*known, str(row["epoch"])]))

    training = TrainingParameters(epochs=EPOCHS, batch_size=16, early_stopping_patience=None)
    inputs = input_parameters(model, {"mapping": "square"})
    return train_task(store, "energy", model, inputs, training, folder, run=mlflow_run, watch=note).history

def create_pipeline():
    return Pipeline([node(train, ["states", "mlflow_run"], "energy.history", name="train", tags="gpu")])
"""
CATALOG = {
    "states": {"type": "cherenkov_pipeline.datasets.folder.FolderDataset", "filepath": "data/states"},
    "mlflow_run": {"type": "MemoryDataset", "data": None},
    "energy.history": {
        "type": "cherenkov_pipeline.datasets.astropy_table.AstropyTableDataset",
        "filepath": "data/history.ecsv",
        "versioned": True,
        "metadata": {"mlflow": {"history": True}},
    },
}


def training(root: Path, seconds: float, epochs: int = 10, **slurm) -> Toy:
    """Make a project whose training takes so long after each epoch."""
    nodes = TRAINING.replace("EPOCHS", str(epochs)).replace("SECONDS", str(seconds))
    shower_store(root / "toy.store.h5", 60)
    settings = {"executor": "slurm", "poll": "1 s", "default": {"memory": "2 GB", "time": "10 min"}}
    return make_toy(root, nodes, CATALOG, settings | slurm, mlflow=True)


def epochs_on_disk(toy: Toy) -> int:
    """Epochs whose state is written."""
    return max((int(path.name.removeprefix("epoch_")) for path in toy.root.glob("data/states/*/epoch_*")), default=0)


def wait_for(condition, driver: subprocess.Popen, slurm, seconds: float = 400) -> None:
    """Wait for something in a run; what waits in the queue is started."""
    end = time.time() + seconds
    while not condition():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.time() < end, "waited in vain"
        slurm.hurry()
        time.sleep(1)


def finish(driver: subprocess.Popen, slurm, seconds: float = 800) -> str:
    """Wait for the end of a run; returns what was printed."""
    end = time.time() + seconds
    while driver.poll() is None:
        assert time.time() < end, "waited in vain"
        slurm.hurry()
        time.sleep(1)
    return driver.communicate()[0]


def assert_whole(toy: Toy, driver: subprocess.Popen, slurm, n_lives: int, epochs: int = 10) -> None:
    """After so many beginnings, the run ends with every epoch once, in one MLflow run."""
    wait_for(lambda: lives(toy) >= n_lives, driver, slurm)
    (toy.root / "in_haste").touch()
    printed = finish(driver, slurm)
    assert driver.returncode == 0, printed
    assert_history(toy, epochs)
    assert lives(toy) == n_lives


def assert_history(toy: Toy, epochs: int = 10) -> None:
    """Every epoch is there once, on disk and in the one MLflow run."""
    (history,) = toy.root.glob("data/history.ecsv/*/history.ecsv")
    assert list(Table.read(history)["epoch"]) == list(range(1, epochs + 1))

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{toy.root}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert run.info.status == "FINISHED"
    recorded = [metric.step for metric in client.get_metric_history(run.info.run_id, "energy.val_loss")]
    assert sorted(recorded) == list(range(1, epochs + 1))


def lives(toy: Toy) -> int:
    """How often a job began on the training."""
    return len((toy.runs[0] / "nodes" / "train" / "begun.jsonl").read_text().splitlines())


def test_time_limit(tmp_path, slurm):
    toy = training(tmp_path, 12, epochs=16, signal_ahead="60 s")
    driver = toy.start("run", "--env=cluster")
    for life in (1, 2):
        # however long the start took on this machine: the job gets a minute or two more after two epochs
        before = epochs_on_disk(toy)
        wait_for(lambda before=before: epochs_on_disk(toy) >= before + 2, driver, slurm)
        (job,) = slurm.jobs()
        elapsed = slurm.tell("squeue", "--noheader", "--format=%M", f"--jobs={job}").strip()
        minutes = int(elapsed.split(":")[-2]) + 2
        slurm.tell("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
        wait_for(lambda: "RUNNING" not in str(slurm.jobs()), driver, slurm)
        slurm.tell("scontrol", "update", f"JobId={job}", "TimeLimit=10")
        wait_for(lambda life=life: lives(toy) > life, driver, slurm)
    assert_whole(toy, driver, slurm, n_lives=3, epochs=16)


def test_time_limit_that_no_epoch_fits_in_comes_to_an_end(tmp_path, slurm):
    toy = training(tmp_path, 0, default={"memory": "2 GB", "time": "1 min"}, signal_ahead="55 s", requeues=1)
    nodes = toy.root / "src" / "toy" / "nodes.py"
    nodes.write_text(nodes.read_text().replace("def note(row):", "time.sleep(300)\n    def note(row):"))
    driver = toy.start("run", "--env=cluster")
    printed = finish(driver, slurm)
    assert driver.returncode == 1, printed
    assert "give" in printed.strip().splitlines()[-1]
    assert "time" in printed.strip().splitlines()[-1]


def test_killed_step(tmp_path, slurm):
    toy = training(tmp_path, 3)
    driver = toy.start("run", "--env=cluster")
    wait_for(lambda: epochs_on_disk(toy) >= 2, driver, slurm)
    (job,) = slurm.jobs()
    slurm.tell("scancel", "--signal=KILL", job)
    assert_whole(toy, driver, slurm, n_lives=2)


def test_preemption_by_an_urgent_job(tmp_path, slurm):
    toy = training(tmp_path, 3)
    driver = toy.start("run", "--env=cluster")
    wait_for(lambda: epochs_on_disk(toy) >= 2, driver, slurm)
    slurm.tell("sbatch", "--partition=urgent", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 5")
    assert_whole(toy, driver, slurm, n_lives=2)


def test_slurmd_killed_and_started_again(tmp_path, slurm):
    toy = training(tmp_path, 3)
    driver = toy.start("run", "--env=cluster")
    wait_for(lambda: epochs_on_disk(toy) >= 2, driver, slurm)
    pid = int((slurm.folder / "slurmd.pid").read_text())
    slurm.tell("kill", "-KILL", str(pid))
    time.sleep(5)
    slurm.do("slurmd")
    before = epochs_on_disk(toy)
    wait_for(lambda: epochs_on_disk(toy) >= before + 2, driver, slurm)
    assert_whole(toy, driver, slurm, n_lives=1)


SCRIPT = Path(__file__).parents[2] / "conf" / "cluster" / "train.sbatch"


def test_plain_script(tmp_path, slurm, monkeypatch):
    toy = training(tmp_path, 3)
    monkeypatch.setenv("CHERENKOV_DATA", str(tmp_path / "data"))
    # what the script asks for is more than the node of the tests has
    options = ["--time=10", "--cpus-per-task=1", "--mem=2G", "--gpus-per-node=0"]
    places = [f"--output={tmp_path}/log", f"--chdir={tmp_path}"]
    submit = ["sbatch", "--parsable", *options, *places, str(SCRIPT)]
    job = subprocess.run(submit, env=toy.environment, capture_output=True, text=True, check=True).stdout.strip()

    for _ in range(2):
        before = epochs_on_disk(toy)
        wait_until(lambda before=before: epochs_on_disk(toy) > before, slurm, tmp_path / "log")
        slurm.tell("scancel", "--batch", "--signal=USR2", job)
        wait_until(lambda: "RUNNING" not in str(slurm.jobs()), slurm, tmp_path / "log")
    (tmp_path / "in_haste").touch()
    wait_until(lambda: not slurm.jobs(), slurm, tmp_path / "log")
    log = (tmp_path / "log").read_text()
    assert log.count("is put back into the queue") == 2, log
    assert "completed successfully" in log, f"{log}\n{slurm.told_of(job)}"
    assert_history(toy)


def wait_until(condition, slurm, log: Path, seconds: float = 400) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"waited in vain: {slurm.tell('squeue')} {log.read_text() if log.exists() else ''}"
        slurm.hurry()
        time.sleep(0.5)
