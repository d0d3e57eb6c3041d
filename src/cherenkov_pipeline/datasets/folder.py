"""A folder that a node works in."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError


class FolderDataset(AbstractDataset[None, Path]):
    """Path of a folder, created when it is loaded: for states that outlive a killed run.

    Parameters
    ----------
    filepath : str
    metadata : dict, optional
        For plugins, ignored here.
    """

    optional = True

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def save(self, data: None) -> None:
        """Refuse: nodes write into the folder."""
        raise DatasetError(f"{self._folder} is a place to work in, not an output.")

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
