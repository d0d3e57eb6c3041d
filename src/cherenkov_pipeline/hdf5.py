"""HDF5 files of ctapipe's data model, read and written without running what a file says.

ctapipe reads its files by PyTables, which unpickles attributes and objects as it reads them: a file that is made for it
could run any program. So all modules that open such files take PyTables and ctapipe's readers from here, where
nothing is made of pickles but plain values, ctapipe's enumerations (by which its files say what their numbers mean) and
numpy's arrays. An attribute that wants more stays the bytes that it is.
"""

import io
import pickle
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tables
from ctapipe.instrument import SubarrayDescription
from ctapipe.io import HDF5EventSource, HDF5Merger, TableLoader, read_table
from ctapipe.io.metadata import read_hdf5_metadata
from tables import atom, attributeset

__all__ = [
    "HDF5EventSource",
    "HDF5Merger",
    "TableLoader",
    "read_hdf5_metadata",
    "read_subarray",
    "read_table",
    "tables",
]

_ARRAYS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}
"""What PyTables' own pickles of arrays are made by."""


class _Values(pickle.Unpickler):
    """Makes values, not whatever can be imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        if module.split(".")[0] == "ctapipe":
            found = super().find_class(module, name)
            if isinstance(found, type) and issubclass(found, Enum):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not made for a file")


def _loads(pickled: bytes, **options: Any) -> Any:
    return _Values(io.BytesIO(pickled), **options).load()


attributeset.pickle = atom.pickle = SimpleNamespace(
    loads=_loads, dumps=pickle.dumps, HIGHEST_PROTOCOL=pickle.HIGHEST_PROTOCOL
)


def read_subarray(file: "str | Path | tables.File") -> SubarrayDescription:
    """Read the telescopes of a file of ctapipe's data model, by its path or open.

    Focal lengths are the equivalent ones.
    """
    return SubarrayDescription.from_hdf(file, focal_length_choice="EQUIVALENT")
