import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.alerts.evaluation.experiments import (
    COLUMNS,
    add_experiment,
    experiment_row,
    read_experiments,
)
from cherenkov_pipeline.alerts.methods import TrainedMethod
from cherenkov_pipeline.alerts.parameters import preset
from cherenkov_pipeline.errors import UserError


def _talk():
    """The first row of the talk's table: 162 test images, 100 true sources, 4 false alerts taken for true."""
    is_real = np.array([True] * 100 + [False] * 62 + [True] * 38)
    logits = np.where(is_real, 3.0, -3.0)
    logits[100:104] = 2.0
    logits[162:] = -1.0  # not test images
    history = QTable({"epoch": np.arange(1, 31)})
    trained = TrainedMethod("x", preset("talk_1"), logits, 232.911536, history, None, lambda images: None)
    return experiment_row("resnet18_with_SNRmax", trained, is_real, np.arange(200) < 162)


def test_row_of_the_talk_is_reproduced():
    row = _talk()
    assert tuple(row) == COLUMNS
    assert row["accuracy"] == pytest.approx(97.530864, abs=1e-6)
    assert row["precision"] == pytest.approx(0.961538, abs=1e-6)
    assert row["recall"] == 1
    assert row["f1"] == pytest.approx(0.980392, abs=1e-6)
    assert (row["batch_size"], row["lr"], row["epochs"]) == (16, 1e-4, 30)
    assert row["train_time_sec"] == 232.911536


def test_table_has_exactly_the_talks_columns():
    talk = "experiment model_name accuracy precision recall f1 train_time_sec batch_size lr epochs"
    assert " ".join(COLUMNS) == talk


def test_table_grows_run_by_run(tmp_path):
    path = tmp_path / "experiments.csv"
    assert read_experiments(path) == []
    row = _talk()
    assert len(add_experiment(row, path)) == 1
    assert len(add_experiment(row, path)) == 1  # the same run again
    rows = add_experiment({**row, "epochs": None, "train_time_sec": 12.5}, path)
    assert len(rows) == 2
    assert read_experiments(path) == rows
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert rows[0]["accuracy"] == "97.530864"
    assert rows[1]["epochs"] == ""
    assert rows[0]["lr"] == "0.0001"


def test_another_table_is_left_alone(tmp_path):
    path = tmp_path / "experiments.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no table of experiments"):
        add_experiment(_talk(), path)
    assert path.read_text() == "a,b\n1,2\n"
