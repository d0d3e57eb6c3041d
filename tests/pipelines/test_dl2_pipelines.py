"""DL2 files of others from end to end, without event store or model."""

import re
import shutil

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from tests.reconstruction.ctlearn_dl2 import write_ctlearn
from tests.reconstruction.other_dl2 import write_other_dl2
from tests.store.toy_dl1 import camera, subarray
from tests.toy_events import toy_events

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.parameters import ComparisonParameters, DL2Parameters, EvaluationParameters
from cherenkov_pipeline.pipelines import comparison
from cherenkov_pipeline.pipelines.evaluation import create_dl2_pipeline

EVALUATION = EvaluationParameters(resamples=100, minimum_events=5)


def run(pipeline: Pipeline, **parameters) -> dict:
    inputs = {f"params:{name}": value for name, value in parameters.items()} | {"params:evaluation": EVALUATION}
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in inputs.items()})
    results = SequentialRunner().run(pipeline, catalog)
    return {name.partition(".")[2]: result.load() for name, result in results.items()}


def test_report_of_a_file(tmp_path):
    path = write_ctlearn(tmp_path / "both.dl2.h5", toy_events(60), subarray({1: camera()}), ("cameradirection",))
    pipeline = create_dl2_pipeline("cameradirection")
    found = run(pipeline, dl2=DL2Parameters(path=str(path), name="CTLearn, first try"))
    assert found["report"].count("<svg") == len(EVALUATIONS["cameradirection"].figure_names)
    assert found["metrics"]["angular_resolution"]["value"] > 0
    assert found["metrics"]["angular_resolution"]["unit"] == "deg"
    assert "Nothing is known about which events CTLearn, first try learnt from" in found["summary"]
    assert "CTLearnCameraReconstructor" in found["report"]
    assert "There are no pictures: no event store" in found["report"]
    assert "Worst events, 1" in found["report"]
    assert "Least certain events, 1" not in found["report"]  # CTLearn predicts no errors
    assert not re.search(r"\bnan\b", found["report"].lower())
    assert len(found["report"]) < 5_000_000
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?https?:""", found["report"])


def test_path_is_asked_for():
    with pytest.raises(UserError, match=r"evaluate_dl2_energy --params=dl2\.path"):
        run(create_dl2_pipeline("energy"), dl2=DL2Parameters())


def compared(task: str | None = "energy", **models: str) -> dict:
    pipeline = comparison.create_dl2_pipeline()
    return run(pipeline, comparison=ComparisonParameters(task=task, models=models))


@pytest.fixture
def paths(tmp_path) -> dict[str, str]:
    """Energies of two methods, the second without some of the events, and of other showers."""
    events, array = toy_events(60), subarray({1: camera()})
    events["reco_energy"] = 1.1 * events["true_energy"]
    found = {"a": write_ctlearn(tmp_path / "a.dl2.h5", events, array)}
    events["reco_energy"] *= np.random.default_rng(0).uniform(0.5, 2, 60)
    found["b"] = write_ctlearn(tmp_path / "b.dl2.h5", events[10:], array, {"energy": "Forest"})
    found["copy"] = shutil.copy(found["b"], tmp_path / "copy.dl2.h5")
    events["true_energy"] *= 2
    found["elsewhere"] = write_ctlearn(tmp_path / "elsewhere.dl2.h5", events, array)
    return {name: str(path) for name, path in found.items()}


def test_files_alone_are_compared(paths):
    found = compared(a=paths["a"], b=f"{paths['b']}::Forest")
    assert found["ranking"]["best"] == "a"
    assert found["ranking"]["n_events"] == 25  # gammas among the 50 events that both have
    assert not {"cost", "loss"} & set(found["figures"])
    assert "Nothing is known about which events a and b learnt from" in found["report"]


def test_comparison_says_what_was_thrown_for_each(tmp_path):
    paths = {
        label: write_other_dl2(tmp_path / f"{label}.dl2.h5", primary=0, obs_id=1, thrown={"n_showers": n})
        for label, n in (("a", 1000), ("b", 700))
    }
    page = compared(**{label: str(path) for label, path in paths.items()})["report"].rpartition("Provenance")[2]
    rows = [re.findall(r"<td[^>]*>([^<]*)<", row) for row in page.split("<tr>")]
    assert [[*row[:3], *row[4:6]] for row in rows if "thrown" in row] == [
        ["a", "thrown", "gamma", "2,000", "30"],
        ["b", "thrown", "gamma", "1,400", "30"],
    ]


def test_files_that_cannot_be_compared_are_refused(paths):
    for models, message in (
        ({"b": paths["b"], "copy": paths["copy"]}, "b and copy are the same model"),
        ({"b": paths["b"], "ours": "energy_model:2026"}, "ours is none: use comparison_energy"),
        ({"b": paths["b"]}, "takes two models or more, and the only model is b"),
        ({"b": paths["b"], "elsewhere": paths["elsewhere"]}, "have no event in common"),
    ):
        with pytest.raises(UserError, match=message):
            compared(**models)
    with pytest.raises(UserError, match="say which one"):
        compared(task=None, a=paths["a"], b=paths["b"])
