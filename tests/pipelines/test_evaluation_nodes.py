"""Nodes of the evaluation."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import QTable
from pandas import read_csv
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1
from tests.store.toy_store import build
from tests.toy_events import toy_events

from cherenkov_pipeline.dl1.provenance import provenance_table
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.pipelines.evaluation.nodes import draw_dl2_with, draw_with, provenance_of, summarize


@pytest.mark.parametrize("read", [False, True], ids=["made", "read"])
def test_summary_has_units_and_is_valid_json(read, tmp_path):
    rows = [("mae", "MAE of E", 0.1, 0.0, 0.2, "TeV", 9), ("r2", "R² of E", np.nan, np.nan, np.nan, "", 0)]
    names = ("metric", "label", "value", "low", "high", "unit", "n")
    metrics, weighted = QTable(rows=rows, names=names), QTable(rows=rows[:1], names=names)
    if read:
        metrics.write(tmp_path / "metrics.ecsv")
        metrics = QTable.read(tmp_path / "metrics.ecsv")  # an empty unit comes back masked
    summary = summarize(metrics, weighted)
    assert summary.pop("weighted_mae") == summary["mae"]
    assert summary == {
        "mae": {"value": 0.1, "low": 0.0, "high": 0.2, "unit": "TeV", "n": 9, "label": "MAE of E"},
        "r2": {"value": None, "low": None, "high": None, "unit": "", "n": 0, "label": "R² of E"},
    }
    json.dumps(summary, allow_nan=False)


def test_provenance_of_other_events_is_left_out(tmp_path):
    array = subarray({1: camera(), 2: camera()})
    paths = [write_dl1(tmp_path / f"{n}.dl1.h5", array, [ToyEvent(i, i) for i in range(n)]) for n in (4, 5)]
    stores, others = ({"toy": build(tmp_path / path.stem, path)[0]} for path in paths)
    none = FileSet("")
    provenance = provenance_table([], none, none, stores)
    assert provenance_of(stores, provenance) is provenance
    assert provenance_of(others, provenance) is None
    provenance.to_csv(tmp_path / "provenance.csv", index=False)  # as the catalog keeps it
    assert provenance_of(stores, read_csv(tmp_path / "provenance.csv")) is not None


@pytest.mark.parametrize(("level", "mode"), [("telescope", "mono"), ("subarray", "stereo")])
def test_published_curve_is_of_images_or_of_whole_events(level, mode):
    events, parameters = toy_events(60), EvaluationParameters(resamples=100)
    events["reco_energy"], events["reco_energy_uncert"] = 1.1 * events["true_energy"], 0.2 * events["true_energy"]
    evaluation = EVALUATIONS["energy"]
    tables = evaluation.tables(events, parameters).values()
    method = {"task": "energy", "level": level, "prefix": "toy", "paths": (), "file_fingerprints": ()}
    model = SimpleNamespace(card=SimpleNamespace(name="toy", mode=mode))
    for resolution, *_ in (
        draw_with(evaluation)(model, parameters, *tables),
        draw_dl2_with(evaluation)({"name": "toy", "method": method}, parameters, *tables),
    ):
        (label,) = (text for line in resolution.axes[0].lines if "published" in (text := str(line.get_label())))
        assert ("stereo" in label) == (mode == "stereo")
