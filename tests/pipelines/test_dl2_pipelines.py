"""DL2 files of others from end to end, without event store or model."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from tests.reconstruction.ctlearn_dl2 import write_ctlearn
from tests.store.toy_dl1 import camera, subarray
from tests.toy_events import toy_events

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import DL2Parameters, EvaluationParameters
from cherenkov_pipeline.pipelines.evaluation import create_dl2_pipeline


def run(task: str, **dl2) -> dict:
    inputs = {
        "params:dl2": DL2Parameters(**dl2),
        "params:evaluation": EvaluationParameters(resamples=100, minimum_events=5),
    }
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in inputs.items()})
    results = SequentialRunner().run(create_dl2_pipeline(task), catalog)
    return {name.partition(".")[2]: result.load() for name, result in results.items()}


@pytest.mark.parametrize(("task", "name"), [("type", None), ("cameradirection", "CTLearn, first try")])
def test_report_of_a_file(task, name, tmp_path):
    path = write_ctlearn(tmp_path / "both.dl2.h5", toy_events(80), subarray({1: camera()}), (task,))
    found = run(task, path=str(path), name=name)
    evaluation = EVALUATIONS[task]
    assert {f"{table}_table" for table in evaluation.table_names if table != "metrics"} <= set(found)
    assert {f"{figure}_figure" for figure in evaluation.figure_names} <= set(found)
    assert found["metrics"]["auc" if task == "type" else "angular_resolution"] > 0
    shown = name or "CTLearnClassifier"
    assert f"Nothing is known about which events {shown} was trained on" in found["summary"]
    assert shown in found["report"]
    assert "nan" not in found["report"].lower()
    assert len(found["report"]) < 5_000_000
    assert "https://" not in found["report"]


def test_path_is_asked_for():
    with pytest.raises(UserError, match=r"evaluate_dl2_energy --params=dl2\.path"):
        run("energy")
