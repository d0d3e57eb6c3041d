import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.tasks import TASKS, get_task


@pytest.fixture
def events() -> Table:
    return Table({"true_energy": np.array([0.1, 1.0, 20.0]) * u.TeV})


@pytest.mark.parametrize("name", TASKS)
def test_entry_is_complete(name):
    task = TASKS[name]
    assert task.name == name
    assert task.particles
    assert set(task.dl2_columns.values()) <= set(task.units)


def test_energy_comes_back(events):
    task = get_task("energy")
    outputs = np.hstack([task.to_target(events), np.full((3, 1), np.log(0.1))])
    columns = task.to_physical(outputs, events)
    np.testing.assert_allclose(columns["reco_energy"].to_value("TeV"), events["true_energy"])
    assert {name: values.unit for name, values in columns.items()} == task.units


def test_uncertainty_gives_the_interval_back(events):
    log_energy, scale = 0.7, 0.15
    columns = get_task("energy").to_physical(np.array([[log_energy, np.log(scale)]]), events[:1])
    energy, error = columns["reco_energy"], columns["reco_energy_uncert"]
    upper = energy * np.exp(error / energy)
    np.testing.assert_allclose(np.log10(upper.to_value("TeV")), log_energy + scale)


def test_energy_in_other_units_and_tables():
    table = QTable({"true_energy": [500, 2000] * u.GeV})
    np.testing.assert_allclose(get_task("energy").to_target(table)[:, 0], np.log10([0.5, 2]))


def test_missing_label_is_not_finite():
    table = Table({"true_energy": np.array([np.nan, 0.0]) * u.TeV})
    assert not np.isfinite(get_task("energy").to_target(table)).any()


def test_invalid_outputs_stay_invalid(events):
    columns = get_task("energy").to_physical(np.full((3, 2), np.nan), events)
    assert all(np.isnan(values).all() for values in columns.values())


def test_unknown_task_names_the_others():
    with pytest.raises(UserError, match="energy"):
        get_task("enrgy")


def test_light_rooms_do_not_import_keras():
    code = (
        "import sys, cherenkov_pipeline.tasks, cherenkov_pipeline.models, cherenkov_pipeline.training, "
        "cherenkov_pipeline.reconstruction; "
        "print([name for name in ('keras', 'tensorflow', 'ctapipe', 'matplotlib') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
