"""The pipelines as wired: what goes in, what comes out, whatever the environment."""

import pytest
from kedro.pipeline import Pipeline

from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.pipeline_registry import register_pipelines
from cherenkov_pipeline.tasks import DEFAULT, TASKS


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    return register_pipelines()


def test_every_task_is_trained_evaluated_and_compared(pipelines):
    assert set(EVALUATIONS) == set(TASKS)
    assert {f"{stage}_{task}" for stage in ("train", "evaluate", "search", "comparison") for task in TASKS} <= set(
        pipelines
    )


def test_default_needs_nothing_but_parameters_and_places(pipelines):
    free = {name for name in pipelines["__default__"].inputs() if not name.startswith("params:")}
    assert free == {"mlflow_run", "saved_models"} | {f"{task}.checkpoints" for task in DEFAULT}


def test_training_has_one_output_that_takes_long(pipelines):
    for task in TASKS:
        (node,) = pipelines[f"train_{task}"].filter(node_names=[f"{task}.train_model"]).nodes
        assert node.outputs == [f"{task}_model"]


def test_parameters_are_validated(pipelines):
    """Kedro reads the annotations; one that it cannot resolve would switch the validation off."""
    from kedro.validation.type_extractor import TypeExtractor

    typed = set(TypeExtractor(pipelines).extract_types_from_pipelines())
    used = {
        name.removeprefix("params:")
        for pipeline in pipelines.values()
        for name in pipeline.inputs()
        if name.startswith("params:")
    }
    assert used - typed == {"raw_path", "input_path"}


def test_nodes_have_names_to_be_called_by(pipelines):
    names = [node.name.split(".")[-1] for node in pipelines["__default__"].nodes]
    assert all(name.isidentifier() and "__" not in name for name in names), names


def test_alerts_need_nothing_but_parameters_and_a_place(pipelines):
    for name in ("grb_alerts", "grb_alerts_validation"):
        assert pipelines[name].inputs() == {"params:grb_alerts", "grb_alerts.checkpoints"}
    assert pipelines["grb_alerts_search"].inputs() == {"params:grb_alerts", "grb_alerts.checkpoints", "mlflow_run"}
    assert pipelines["grb_alerts_false_alarms"].inputs() == {"params:grb_alerts", "grb_alerts.ensemble"}
    assert {"grb_alerts.ensemble", "grb_alerts.report", "grb_alerts.experiments"} <= pipelines["grb_alerts"].datasets()


@pytest.mark.parametrize(
    "name", ["evaluate_energy", "evaluate_dl2_type", "robustness_energy", "instrument_response", "reconstruction"]
)
def test_reports_show_the_figures_that_are_kept(pipelines, name):
    figures = {output for output in pipelines[name].all_outputs() if output.endswith("_figure")}
    (report,) = (node for node in pipelines[name].nodes if any(output.endswith("report") for output in node.outputs))
    assert figures
    assert figures <= set(report.inputs)
