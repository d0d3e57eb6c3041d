"""What MLflow is told of a run, and that nothing is told twice."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from kedro.io import Version
from kedro_datasets.text import TextDataset
from mlflow import MlflowClient

from cherenkov_pipeline.tracking import (
    RUN_FILE,
    _description,
    _earlier_run,
    _log_history,
    _register,
    flatten_metrics,
    saved_path,
)


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


@pytest.fixture
def run(client, tmp_path) -> str:
    experiment = client.create_experiment(str(tmp_path), artifact_location=str(tmp_path))
    return client.create_run(experiment).info.run_id


def test_a_history_is_recorded_once_however_often_and_far_it_comes(client, run):
    table = Table({"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 1.5]})
    for n_epochs in (2, 2, 3):
        _log_history(client, run, "energy", table[:n_epochs])
    for name in ("loss", "val_loss"):
        recorded = client.get_metric_history(run, f"energy.{name}")
        assert [metric.step for metric in recorded] == [1, 2, 3]
        assert [metric.value for metric in recorded] == list(table[name])


def test_a_history_of_several_methods_has_a_curve_for_each(client, run):
    table = Table({"method": ["cnn", "drawing"], "epoch": [1, 1], "loss": [0.5, 2], "accuracy": [0.9, np.nan]})
    for _ in range(2):
        _log_history(client, run, "alerts", table)
    metrics = client.get_run(run).data.metrics
    assert metrics == {"alerts.cnn.loss": 0.5, "alerts.cnn.accuracy": 0.9, "alerts.drawing.loss": 2.0}
    assert len(client.get_metric_history(run, "alerts.drawing.loss")) == 1


def test_metrics_are_flat_numbers_whatever_else_is_said_of_them():
    estimate = {"value": 0.1, "low": 0.05, "high": None, "unit": "deg", "n": 7, "label": "Angular resolution"}
    unknown = {"value": None, "low": None, "high": None, "unit": "", "n": 0, "label": "R²"}
    metrics = {"angular_resolution": estimate, "r2": unknown, "inference_s": 3, "peak": np.inf, "device": "two cores"}
    flat = flatten_metrics(metrics)
    assert flat == {"angular_resolution": 0.1, "angular_resolution_low": 0.05, "inference_s": 3}


def test_a_model_becomes_one_version_of_a_registered_model(client, run, tmp_path):
    parts = {"task": "energy", "metrics": {"val_loss": 0.5}}
    card = SimpleNamespace(
        task="energy",
        name="single_tel",
        data=SimpleNamespace(fingerprint="f00d"),
        model_dump_json=lambda include, indent: json.dumps(parts, indent=indent),
    )
    for _ in range(2):
        _register(client, run, "energy_model", "energy/model", card)
    (version,) = client.search_model_versions("name='energy_model'")
    assert (version.run_id, version.source) == (run, f"{client.get_run(run).info.artifact_uri}/energy/model")
    assert version.tags == {"task": "energy", "model": "single_tel", "data_fingerprint": "f00d"}
    assert '"val_loss": 0.5' in version.description


def test_a_long_card_fits_into_a_description():
    card = SimpleNamespace(model_dump_json=lambda include, indent: "x" * 10_000)
    assert len(_description(card)) < 5000


def test_a_run_goes_on_in_the_one_that_the_file_names(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "named")
    monkeypatch.setenv(RUN_FILE, str(tmp_path / "run"))
    assert _earlier_run() == "named"
    (tmp_path / "run").write_text('"earlier"')
    assert _earlier_run() == "earlier"


def test_what_the_run_saved_is_found_beside_a_newer_version(tmp_path):
    dataset = TextDataset(filepath=str(tmp_path / "a.txt"), version=Version(None, "2026-01-01"))
    dataset.save("ours")
    newer = tmp_path / "a.txt" / "2027-01-01" / "a.txt"
    newer.parent.mkdir()
    newer.write_text("theirs")
    assert saved_path(dataset).read_text() == "ours"
    # nothing saved by this run: the newest
    assert (
        saved_path(TextDataset(filepath=str(tmp_path / "a.txt"), version=Version(None, "2028"))).read_text() == "theirs"
    )
