"""FITS files, such as instrument responses."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version

from cherenkov_pipeline.files import atomic_path

if TYPE_CHECKING:
    from astropy.io.fits import HDUList


class FitsDataset(AbstractVersionedDataset["HDUList", "HDUList"]):
    """An `~astropy.io.fits.HDUList` in a ``.fits`` or ``.fits.gz`` file, with checksums.

    Parameters
    ----------
    filepath : str
    version : kedro.io.Version, optional
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        if not filepath.endswith((".fits", ".fits.gz")):
            raise ValueError(f"A FITS file ends in .fits or .fits.gz. Received: {filepath}")
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "HDUList":
        """Read all extensions into memory."""
        from astropy.io import fits

        with fits.open(Path(self._get_load_path()), memmap=False, lazy_load_hdus=False) as extensions:
            return fits.HDUList([extension.copy() for extension in extensions])

    def save(self, extensions: "HDUList") -> None:
        """Write the file, atomically."""
        with atomic_path(Path(self._get_save_path())) as part:
            extensions.writeto(part, checksum=True)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
