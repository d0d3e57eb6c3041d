"""What is made to judge a model, by task: names of tables and figures, and the functions behind them.

Light, as pipelines are built from it: the functions are imported when they are called.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.tasks import Task, get_task

if TYPE_CHECKING:
    from cherenkov_pipeline.performance.regression import Quantity


@dataclass(frozen=True)
class Evaluation:
    """How the predictions of one task are judged.

    Attributes
    ----------
    table_names, figure_names : tuple of str
        Keys of what ``tables`` and ``figures`` return. There are always the tables ``metrics``,
        ``metrics_weighted`` and ``gallery``.
    gallery_names : tuple of str
        Kinds of events in the table ``gallery``: keys of what ``gallery`` returns.
    tables : callable
        ``(predictions, EvaluationParameters) -> {name: QTable}``.
    figures : callable
        ``(tables, model's name, published curve or None) -> {name: Figure}``, see
        `performance.published.published_for`.
    gallery : callable
        ``(table, stores) -> {kind: Figure}``: images of the events in the table ``gallery``.
    result : callable
        ``(tables, figures) -> TaskResult``, the task's part of the report. Figures that are not there are left out.
    """

    table_names: tuple[str, ...]
    figure_names: tuple[str, ...]
    tables: Callable[..., Any]
    gallery_names: tuple[str, ...]
    figures: Callable[..., Any]
    gallery: Callable[..., Any]
    result: Callable[..., Any]


def _imported_later(module: str, name: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        return getattr(import_module(f"cherenkov_pipeline.performance.{module}"), name)(*arguments)

    return function


def _evaluation(
    name: str, module: str, tables: tuple[str, ...], figures: tuple[str, ...], *, report: str | None = None
) -> Evaluation:
    """Name the functions ``<name>_tables``, ``<name>_figures`` and ``<report>_result`` of two modules."""
    kinds = _TYPE_KINDS if name == "type" else _ERROR_KINDS
    return Evaluation(
        table_names=("metrics", "metrics_weighted", *tables, "gallery"),
        figure_names=figures,
        gallery_names=kinds,
        tables=_imported_later(module, f"{report or name}_tables"),
        figures=_imported_later(f"report.{module}", f"{name}_figures"),
        gallery=partial(_imported_later("report.gallery", "gallery_figures"), kinds),
        result=_imported_later(f"report.{module}", f"{report or name}_result"),
    )


_ERROR_KINDS = ("best", "worst", "uncertain", "surprising")
_TYPE_KINDS = ("best", "uncertain", "missed", "false")
_DIRECTION_TABLES = ("per_energy", "within", "theta2", "field_of_view", "quarters")
_DIRECTION_FIGURES = ("resolution", "within", "theta2", "field_of_view", "bias", "right_side", "quarters", "coverage")
_REGRESSION_TABLES = ("per_energy", "distribution", "quarters")
_REGRESSION_FIGURES = ("resolution", "bias", "errors", "coverage", "quarters")

EVALUATIONS: dict[str, Evaluation] = {
    "energy": _evaluation(
        "energy",
        "energy",
        ("per_energy", "distribution", "migration", "pulls", "quarters"),
        ("resolution", "bias", "migration", "distribution", "pulls", "quarters", "coverage", "pulls_per_energy"),
    ),
    "type": _evaluation(
        "type",
        "type",
        ("per_energy", "per_intensity", "roc", "distribution", "calibration", "confusion"),
        ("roc", "gammaness", "reliability", "confusion", "auc", "intensity", "efficiency"),
    ),
    "skydirection": _evaluation("direction", "direction", _DIRECTION_TABLES, _DIRECTION_FIGURES),
    "cameradirection": _evaluation(
        "camera", "direction", _DIRECTION_TABLES, (*_DIRECTION_FIGURES, "camera"), report="direction"
    ),
    "core": _evaluation("core", "regression", _REGRESSION_TABLES, _REGRESSION_FIGURES),
    "xmax": _evaluation("xmax", "regression", _REGRESSION_TABLES, _REGRESSION_FIGURES),
}


def evaluation_of(name: str) -> Evaluation:
    """Return how a task is judged: as `EVALUATIONS` says, otherwise as any quantity with a predicted error.

    Raises
    ------
    UserError
        If it is none of both.
    """
    if name in EVALUATIONS:
        return EVALUATIONS[name]
    task = get_task(name)
    if task.likelihood != "gaussian":
        raise UserError(f"Nothing says how {name} is judged: add it to EVALUATIONS in {__name__}.")

    def tables(predictions: Any, parameters: Any) -> Any:
        return _imported_later("regression", "regression_tables")(predictions, parameters, _quantity(task))

    def figures(tables: Any, model: str, published: str | None) -> Any:
        return _imported_later("report.regression", "regression_figures")(tables, model, _quantity(task))

    def result(tables: Any, figures: Any) -> Any:
        return _imported_later("report.regression", "regression_result")(tables, figures, _quantity(task))

    return replace(EVALUATIONS["xmax"], tables=tables, figures=figures, result=result)


def _quantity(task: Task) -> "Quantity":
    from cherenkov_pipeline.performance.regression import Coordinate, Quantity

    names = [label.removeprefix("true_") for label in task.true_labels]
    return Quantity(
        task.title,
        str(task.units[f"reco_{names[0]}"] or ""),
        tuple(Coordinate(name, name.replace("_", " "), task.dl2_columns[task.errors[name]]) for name in names),
    )
