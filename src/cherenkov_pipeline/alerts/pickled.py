"""Pickles of sub-images, such as the talk's ``dataset_2.pkl``: converted once to HDF5, if who made them is trusted.

A pickle is a program. It is opened only where `trust_pickle` says so, and even then nothing is called but what builds
plain containers, NumPy arrays and pandas tables.
"""

import importlib
import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cherenkov_pipeline.alerts.columns import from_columns
from cherenkov_pipeline.alerts.files import write_sub_images
from cherenkov_pipeline.alerts.images import SubImages
from cherenkov_pipeline.errors import UserError

_ALLOWED = {
    "builtins": {"list", "dict", "tuple", "set", "frozenset", "slice", "bytearray", "complex", "int", "float", "bool",
                 "str", "bytes", "object"},
    "collections": {"OrderedDict", "defaultdict"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "timedelta", "timezone"},
    "_codecs": {"encode"},
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "pandas": {"DataFrame", "Series", "Index", "RangeIndex", "MultiIndex", "StringDtype", "CategoricalDtype",
               "Categorical", "DatetimeIndex"},
    "pandas._libs.internals": {"_unpickle_block"},
    "pandas._libs.arrays": {"__pyx_unpickle_NDArrayBacked"},
    "pandas.core.internals.managers": {"BlockManager", "SingleBlockManager"},
    "pandas.core.indexes.base": {"_new_Index", "Index"},
    "pandas.core.indexes.range": {"RangeIndex"},
    "pandas.core.indexes.multi": {"MultiIndex"},
    "pandas.core.indexes.datetimes": {"DatetimeIndex", "_new_DatetimeIndex"},
    "pandas.arrays": {"ArrowStringArray", "StringArray"},
    "pyarrow.lib": {"_restore_array", "py_buffer", "type_for_alias"},
    "pandas.core.frame": {"DataFrame"},
    "pandas.core.series": {"Series"},
    "pandas.core.arrays.string_": {"StringDtype", "StringArray"},
    "pandas.core.arrays.categorical": {"Categorical"},
    "pandas.core.arrays.datetimes": {"DatetimeArray"},
    "pandas.core.arrays.numpy_": {"NumpyExtensionArray"},
    "pandas.core.dtypes.dtypes": {"CategoricalDtype"},
}  # fmt: skip
"""What a pickle may name; none of it calls what it is given, opens files or runs programs."""

_MOVED = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}
"""Where modules of older versions are now."""

_log = logging.getLogger(__name__)


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows nothing but `_ALLOWED`."""

    def find_class(self, module: str, name: str) -> Any:
        module = _MOVED.get(module, module)
        if name not in _ALLOWED.get(module, ()):
            raise UserError(
                f"it wants {module}.{name}, which is not taken: save lists, dicts, NumPy arrays or a pandas table"
            )
        return getattr(importlib.import_module(module), name)


def convert_pickle(path: str | os.PathLike, output: str | os.PathLike, *, trust_pickle: bool = False) -> SubImages:
    """Convert a pickle of sub-images to HDF5 or ``.npz``.

    Parameters
    ----------
    path : path-like
        Taken are: a pandas table, a dict of columns, a dict or list of records (dicts), a list of (image, label), a
        tuple or list (images, labels). `columns.NAMES` says which names of columns are understood.
    output : path-like
        File to write.
    trust_pickle : bool
        That you trust who made it.

    Returns
    -------
    SubImages
        What was written.

    Raises
    ------
    UserError
        If the pickle is not trusted, cannot be read, or is not understood; it says how far it was.
    """
    path = Path(path)
    if not trust_pickle:
        raise UserError(
            f"{path} is not opened: a pickle can run any program. If you trust who made it, say so: --trust-pickle."
        )
    try:
        with path.open("rb") as stream:
            content = _Unpickler(stream).load()
    except FileNotFoundError:
        raise UserError(f"There is no {path}.") from None
    except UserError as error:
        raise UserError(f"{path}: {error}.") from None
    except Exception as error:  # a broken pickle can raise anything
        raise UserError(f"{path} cannot be read as a pickle: {type(error).__name__}: {error}") from error
    images, left_out = from_columns(_columns(content, path), path.stem)
    for name, why in left_out.items():
        _log.warning("%s: %s is left out: %s.", path, name, why)
    if "is_real" not in images.table.colnames:
        _log.warning("%s has no labels that are understood: name them is_real or label.", path)
    write_sub_images(images, output)
    return images


def _columns(content: Any, path: Path) -> dict[str, Sequence]:
    """Columns of whatever a pickle holds."""
    if hasattr(content, "to_dict") and hasattr(content, "columns"):  # a pandas table
        return {str(name): list(content[name]) for name in content.columns}
    if isinstance(content, Mapping) and content:
        if all(isinstance(value, Mapping) for value in content.values()):
            return {"image_id": list(content)} | _of_records(list(content.values()), path)
        return {str(name): list(value) for name, value in _sized(content, path).items()}
    if isinstance(content, (list, tuple)) and content:
        if all(isinstance(entry, Mapping) for entry in content):
            return _of_records(content, path)
        if len(content) == 2 and _are_images(content[0]) and np.ndim(content[1]) == 1:
            return {"image": list(content[0]), "label": list(content[1])}
        if all(isinstance(entry, (list, tuple)) and len(entry) == 2 and _are_images(entry[:1]) for entry in content):
            return {"image": [image for image, _ in content], "label": [label for _, label in content]}
        if _are_images(content):
            return {"image": list(content)}
    if isinstance(content, np.ndarray) and content.ndim == 3:
        return {"image": list(content)}
    raise UserError(
        f"{path} holds {_described(content)}, which is not understood: make it a pandas table or a dict of columns, "
        "one of them image."
    )


def _sized(content: Mapping, path: Path) -> Mapping:
    """Check that all entries of a dict are columns."""
    if single := [
        str(name)
        for name, value in content.items()
        if not isinstance(value, (list, tuple, np.ndarray)) and not hasattr(value, "to_numpy")
    ]:
        raise UserError(f"{path}: {', '.join(single[:10])} of the dict are no columns, one entry an image.")
    return content


def _are_images(values: Any) -> bool:
    return isinstance(values, (list, tuple, np.ndarray)) and all(
        isinstance(value, np.ndarray) and value.ndim in (2, 3) for value in values
    )


def _of_records(records: Sequence[Mapping], path: Path) -> dict[str, Sequence]:
    names = list(dict.fromkeys(str(name) for record in records for name in record))
    for at, record in enumerate(records):
        if missing := set(names) - {str(name) for name in record}:
            raise UserError(f"{path}: entry {at} lacks {', '.join(sorted(missing))}, which others have.")
    plain = [{str(name): value for name, value in record.items()} for record in records]
    return {name: [record[name] for record in plain] for name in names}


def _described(content: Any) -> str:
    """Tell what something is, in a few words."""
    kind = type(content).__name__
    if isinstance(content, np.ndarray):
        return f"an array of shape {content.shape}"
    if isinstance(content, (list, tuple)) and content:
        inner = content[0]
        parts = (
            f" of {', '.join(type(part).__name__ for part in inner[:6])}" if isinstance(inner, (list, tuple)) else ""
        )
        return f"a {kind} of {len(content)}, the first a {type(inner).__name__}{parts}"
    return f"a {kind}" + (" that is empty" if hasattr(content, "__len__") and not len(content) else "")
