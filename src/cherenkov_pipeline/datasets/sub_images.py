"""Labelled sub-images of ECLAIRs."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

if TYPE_CHECKING:
    from cherenkov_pipeline.alerts.images import SubImages


class SubImagesDataset(AbstractVersionedDataset["SubImages", "SubImages"]):
    """Sub-images in one HDF5 or ``.npz`` file, see `cherenkov_pipeline.alerts.files`.

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

    def load(self) -> "SubImages":
        """Read them."""
        from cherenkov_pipeline.alerts.files import read_sub_images

        return read_sub_images(Path(self._get_load_path()))

    def save(self, images: "SubImages") -> None:
        """Write them, atomically."""
        from cherenkov_pipeline.alerts.files import write_sub_images

        path = Path(self._get_save_path())
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sub_images(images, path)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
