"""The ensemble that judges sub-images, as it is deployed."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

if TYPE_CHECKING:
    from cherenkov_pipeline.alerts.bundle import Bundle, BundleCard

    Parts = tuple[BundleCard, dict[str, Path]]


class AlertBundleDataset(AbstractVersionedDataset["Parts", "Bundle"]):
    """A folder with networks, thresholds and detectors, see `cherenkov_pipeline.alerts.bundle`.

    Parameters
    ----------
    filepath : str
    version : kedro.io.Version, optional
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "Bundle":
        """Read the folder, and check all of its files."""
        from cherenkov_pipeline.alerts.bundle import read_bundle

        return read_bundle(Path(self._get_load_path()))

    def save(self, parts: "Parts") -> None:
        """Write the folder, atomically."""
        from cherenkov_pipeline.alerts.bundle import write_bundle

        write_bundle(*parts, Path(self._get_save_path()))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
