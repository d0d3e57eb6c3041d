"""One page that is made anew each time."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from cherenkov_pipeline.files import atomic_path


class PageDataset(AbstractDataset[str, str]):
    """A text file that is replaced in one step: whoever reads it meanwhile sees the old one or the new one.

    Parameters
    ----------
    filepath : str
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> str:
        """Read the text."""
        return self._filepath.read_text(encoding="utf-8")

    def save(self, text: str) -> None:
        """Replace the file."""
        with atomic_path(self._filepath) as part:
            part.write_text(text, encoding="utf-8")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
