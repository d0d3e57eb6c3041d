"""What is made to judge a model, by task: the names of tables and figures, and the functions behind them.

Light, as pipelines are built from it; the functions import what they need.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure

    from cherenkov_pipeline.performance.parameters import EvaluationParameters
    from cherenkov_pipeline.performance.report.task import TaskResult


class Evaluation(Protocol):
    """How the predictions of one task are judged.

    Attributes
    ----------
    table_names, figure_names : tuple of str
        Keys of what `tables` and `figures` return.
    """

    table_names: tuple[str, ...]
    figure_names: tuple[str, ...]

    def tables(self, predictions: "QTable", parameters: "EvaluationParameters") -> "dict[str, QTable]":
        """Metrics and curves; ``metrics`` is always among them."""

    def figures(
        self, tables: "Mapping[str, QTable]", model: str, parameters: "EvaluationParameters"
    ) -> "dict[str, Figure]":
        """Drawings of the tables."""

    def result(self, tables: "Mapping[str, QTable]", figures: "Mapping[str, Figure]") -> "TaskResult":
        """The task's part of the report."""


@dataclass(frozen=True)
class EnergyEvaluation:
    """Energies of gammas."""

    table_names: tuple[str, ...] = ("metrics", "per_energy", "distribution", "migration", "pulls", "quarters")
    figure_names: tuple[str, ...] = (
        "resolution",
        "bias",
        "migration",
        "distribution",
        "pulls",
        "quarters",
        "coverage",
        "pulls_per_energy",
    )

    def tables(self, predictions: "QTable", parameters: "EvaluationParameters") -> "dict[str, QTable]":
        """See `cherenkov_pipeline.performance.energy`."""
        from cherenkov_pipeline.performance.energy import energy_tables

        return energy_tables(predictions, parameters)

    def figures(
        self, tables: "Mapping[str, QTable]", model: str, parameters: "EvaluationParameters"
    ) -> "dict[str, Figure]":
        """See `cherenkov_pipeline.performance.report.energy`."""
        from cherenkov_pipeline.performance.report.energy import energy_figures

        return energy_figures(tables, model, parameters)

    def result(self, tables: "Mapping[str, QTable]", figures: "Mapping[str, Figure]") -> "TaskResult":
        """See `cherenkov_pipeline.performance.report.energy`."""
        from cherenkov_pipeline.performance.report.energy import energy_result

        return energy_result(tables, figures)


EVALUATIONS: dict[str, Evaluation] = {"energy": EnergyEvaluation()}
