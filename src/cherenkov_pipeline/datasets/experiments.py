"""The table of experiments, which grows run by run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset


class ExperimentsDataset(AbstractDataset[Sequence[Mapping[str, Any]], list[dict[str, str]]]):
    """A CSV file to which what is saved is added; loaded, it is all that was ever saved.

    Parameters
    ----------
    filepath : str
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> list[dict[str, str]]:
        """Read all rows."""
        from cherenkov_pipeline.alerts.evaluation.experiments import read_experiments

        return read_experiments(self._filepath)

    def save(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; those that are there already are not added again."""
        from cherenkov_pipeline.alerts.evaluation.experiments import add_experiment

        for row in rows:
            add_experiment(row, self._filepath)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
