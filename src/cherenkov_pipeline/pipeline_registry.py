"""The pipelines by the names that users type."""

from kedro.pipeline import Pipeline


def register_pipelines() -> dict[str, Pipeline]:
    """Build all pipelines; light, as every command does it."""
    from cherenkov_pipeline.pipelines import (
        comparison,
        data_processing,
        evaluation,
        grb_alerts,
        instrument_response,
        reconstruction,
        report_index,
        robustness,
        search,
        simulation,
        training,
    )
    from cherenkov_pipeline.tasks import DEFAULT, JOINT, TASKS

    first = {
        "simulation": simulation.create_pipeline(),
        "data_processing": data_processing.create_pipeline(),
    }
    for_tasks = {
        f"{stage}_{task}": create(task)
        for task in TASKS
        for stage, create in (
            ("train", training.create_pipeline),
            ("evaluate", evaluation.create_pipeline),
            ("search", search.create_pipeline),
            ("comparison", comparison.create_pipeline),
            ("robustness", robustness.create_pipeline),
        )
    }
    for_dl2 = {f"evaluate_dl2_{task}": evaluation.create_dl2_pipeline(task) for task in TASKS}
    joint = {
        "train_joint": training.create_pipeline("joint", JOINT),
        "search_joint": search.create_pipeline("joint", JOINT),
        "evaluate_joint": sum((evaluation.create_pipeline(task, "joint") for task in JOINT), Pipeline([])),
    }
    last = {"reconstruction": reconstruction.create_pipeline(DEFAULT)}
    several = {
        "comparison": comparison.create_pipeline(),
        "comparison_dl2": comparison.create_dl2_pipeline(),
        "robustness": sum((for_tasks[f"robustness_{task}"] for task in DEFAULT), Pipeline([])),
    }
    of_files = {
        "instrument_response": instrument_response.create_pipeline(),
        "report_index": report_index.create_pipeline(),
    }
    alerts = {
        "grb_alerts": grb_alerts.create_pipeline(),
        "grb_alerts_validation": grb_alerts.create_validation_pipeline(),
        "grb_alerts_search": grb_alerts.create_search_pipeline(),
        "grb_alerts_ablation": grb_alerts.create_ablation_pipeline(),
        "grb_alerts_false_alarms": grb_alerts.create_false_alarm_pipeline(),
    }
    plain = [*first.values(), *(for_tasks[f"{stage}_{task}"] for task in DEFAULT for stage in ("train", "evaluate"))]
    return {
        "__default__": sum([*plain, *last.values()], Pipeline([])),
        **first,
        **for_tasks,
        **for_dl2,
        **joint,
        **several,
        **last,
        **of_files,
        **alerts,
    }
