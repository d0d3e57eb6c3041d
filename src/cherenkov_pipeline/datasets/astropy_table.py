"""Astropy tables with units, as ECSV or HDF5."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets._typing import TablePreview

from cherenkov_pipeline.files import atomic_path

if TYPE_CHECKING:
    from astropy.table import QTable

FORMATS = {".ecsv": "ascii.ecsv", ".h5": "hdf5"}


class AstropyTableDataset(AbstractVersionedDataset["QTable", "QTable"]):
    """A `~astropy.table.QTable` in a ``.ecsv`` (readable) or ``.h5`` (large) file, units and metadata kept.

    Parameters
    ----------
    filepath : str
    version : kedro.io.Version, optional
    metadata : dict, optional
        For plugins, ignored here.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        path = PurePosixPath(filepath)
        if path.suffix not in FORMATS:
            raise ValueError(f"A table's file ends in one of {', '.join(FORMATS)}. Received: {filepath}")
        super().__init__(path, version)
        self._format = FORMATS[path.suffix]
        self.metadata = metadata

    def load(self) -> "QTable":
        """Read the table."""
        from astropy.table import QTable

        table = QTable.read(Path(self._get_load_path()), format=self._format)
        # HDF5 holds bytes; astropy forgets its own option for this where metadata stand beside the table
        table.convert_bytestring_to_unicode()
        return table

    def save(self, table: "QTable") -> None:
        """Write the table, atomically."""
        options = {"path": "table", "serialize_meta": True} if self._format == "hdf5" else {}
        with atomic_path(Path(self._get_save_path())) as part:
            table.write(part, format=self._format, **options)

    def preview(self, nrows: int = 20) -> TablePreview:
        """First rows, for kedro-viz."""
        table = self.load()[:nrows]
        rows = [[str(value) for value in row] for row in table.iterrows()]
        return TablePreview({"index": list(range(len(rows))), "columns": list(table.colnames), "data": rows})

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}
