"""What is made to judge a model, by task: names of tables and figures, and the functions behind them.

Light, as pipelines are built from it: the functions are imported when they are called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """How the predictions of one task are judged.

    Attributes
    ----------
    table_names, figure_names : tuple of str
        Keys of what ``tables`` and ``figures`` return. There is always a table ``metrics``.
    tables : callable
        ``(predictions, EvaluationParameters) -> {name: QTable}``.
    figures : callable
        ``(tables, model's name, EvaluationParameters) -> {name: Figure}``.
    result : callable
        ``(tables, figures) -> TaskResult``, the task's part of the report.
    """

    table_names: tuple[str, ...]
    figure_names: tuple[str, ...]
    tables: Callable[..., Any]
    figures: Callable[..., Any]
    result: Callable[..., Any]


def _imported_later(module: str, name: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        return getattr(import_module(f"cherenkov_pipeline.performance.{module}"), name)(*arguments)

    return function


EVALUATIONS: dict[str, Evaluation] = {
    "energy": Evaluation(
        table_names=("metrics", "per_energy", "distribution", "migration", "pulls", "quarters"),
        figure_names=(
            "resolution",
            "bias",
            "migration",
            "distribution",
            "pulls",
            "quarters",
            "coverage",
            "pulls_per_energy",
        ),
        tables=_imported_later("energy", "energy_tables"),
        figures=_imported_later("report.energy", "energy_figures"),
        result=_imported_later("report.energy", "energy_result"),
    ),
}
