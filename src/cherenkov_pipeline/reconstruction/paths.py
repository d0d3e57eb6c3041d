"""Where DL2 files of any maker lie."""

from pathlib import Path

from cherenkov_pipeline.dl1.inputs import list_paths
from cherenkov_pipeline.errors import UserError

SUFFIXES = (".h5", ".hdf5")


def list_dl2(reference: str, name: str) -> list[Path]:
    """List the DL2 files that ``reference`` stands for, without looking into them.

    Parameters
    ----------
    reference : str
        A file of any name, or a folder or a pattern, of which files with other suffixes are passed over.
    name : str
        Parameter that it comes from, for the messages.

    Raises
    ------
    UserError
        If there is none.
    """
    paths = list_paths(reference, name, "DL2")
    if len(paths) > 1:
        paths = [path for path in paths if path.suffix in SUFFIXES]
    if not paths:
        raise UserError(f"{reference} holds no HDF5 file: set {name} to a DL2 file, a folder or a pattern.")
    return paths
