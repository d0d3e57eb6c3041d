"""All trained models that were saved, none of them loaded."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

MODEL = "model.keras"


class SavedModelsDataset(AbstractDataset[None, dict[str, Path]]):
    """Paths of the models below a folder, by the names that ``--load-versions`` takes: ``energy_model:<version>``.

    Parameters
    ----------
    filepath : str
        Folder in which the catalog keeps each task's models: ``<task>/model.keras/<version>/model.keras``.
    metadata : dict, optional
        For plugins, ignored here.
    """

    optional = True

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Path]:
        """Return the paths, those of each task from the oldest to the newest."""
        paths = sorted(self._folder.glob(f"*/{MODEL}/*/{MODEL}"))
        return {f"{path.parents[2].name}_model:{path.parent.name}": path for path in paths}

    def save(self, data: None) -> None:
        """Refuse: trainings save models."""
        raise DatasetError(f"{self._folder} is only looked through here.")

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
