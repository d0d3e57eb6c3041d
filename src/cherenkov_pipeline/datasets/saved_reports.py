"""All reports that were written, none of them read."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

REPORT = "report.html"


class SavedReportsDataset(AbstractDataset[None, dict[str, Path]]):
    """Paths of the reports below a folder, by their place seen from there.

    Parameters
    ----------
    filepath : str
        Folder in which the catalog keeps the reports: ``<name>/report.html/<version>/report.html``.
    metadata : dict, optional
        For plugins, ignored here.
    """

    optional = True

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Path]:
        """Return the paths; versions without a report, of interrupted runs, are not among them."""
        paths = [*self._folder.glob(f"*/{REPORT}"), *self._folder.glob(f"*/{REPORT}/*/{REPORT}")]
        return {path.relative_to(self._folder).as_posix(): path for path in sorted(paths) if path.is_file()}

    def save(self, data: None) -> None:
        """Refuse: each pipeline saves its own."""
        raise DatasetError(f"{self._folder} is only looked through here.")

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
