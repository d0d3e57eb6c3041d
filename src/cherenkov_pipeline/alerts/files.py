"""Data sets of sub-images: one HDF5 or ``.npz`` file of many, a folder of single files, or a CSV table that lists them.

What is written and read is the same in HDF5 (datasets) and ``.npz`` (arrays):

============  ========================  ===============================================================================
name          shape                     content
============  ========================  ===============================================================================
pixels        (all pixels,)             signal to noise of all images, row by row, one image after the other; NaN: none
shapes        (n, 2)                    rows and columns of each image
trigger       (n, 2)                    row and column of the pixel that triggered
codes         (all pixels,), optional   what each pixel is, as of `SubImages`
any other     (n,)                      a column of the table, such as ``snr_max``, ``snr_std``, ``is_real``, ``cause``
============  ========================  ===============================================================================

Instead of ``pixels`` and ``shapes`` a file may have ``image`` (n, rows, columns), and then ``codes`` or ``usable`` of
the same shape. `columns.from_columns` says what is optional and which other names are understood.

In a folder each sub-image is a file of its own, as `single.read_single` takes them; what else is known of them, above
all ``is_real``, stands in ``labels.csv`` there: a column ``path`` (within the folder, or absolute) and any others. Such
a table may also be given itself; that of ``kedro alerts labels`` is one. Rows without a label are left out.

Nothing is unpickled: `pickled.convert_pickle` makes an HDF5 file of a pickle that is trusted.
"""

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from astropy.table import Table, vstack

from cherenkov_pipeline.alerts.columns import from_columns
from cherenkov_pipeline.alerts.images import CENTER, MISSING, SubImages
from cherenkov_pipeline.alerts.single import READERS, read_single
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.files import atomic_path

LABELS = "labels.csv"
_HDF5, _ZIP, _PICKLE = b"\x89HDF\r\n\x1a\n", b"PK", b"\x80"

_log = logging.getLogger(__name__)


def write_sub_images(images: SubImages, path: str | os.PathLike) -> None:
    """Write sub-images, each as small as the pixels that it has.

    Parameters
    ----------
    images : SubImages
    path : path-like
        ``.h5``, ``.hdf5`` or ``.npz``; an existing file is replaced in one step.

    Raises
    ------
    UserError
        If the suffix is another.
    """
    path = Path(path)
    arrays = _arrays(images)
    if path.suffix not in (".h5", ".hdf5", ".npz"):
        raise UserError(f"Sub-images are written as .h5, .hdf5 or .npz. Received: {path.name}")
    with atomic_path(path) as part:
        if path.suffix == ".npz":
            with part.open("wb") as stream:
                np.savez_compressed(stream, **arrays)
            return
        with h5py.File(part, "w") as file:
            file.attrs["content"] = "sub-images of SVOM/ECLAIRs"
            for name, values in arrays.items():
                text = values.dtype.kind == "U"
                file.create_dataset(name, data=values.astype(object) if text else values,
                                    dtype=h5py.string_dtype() if text else None)  # fmt: skip


def read_sub_images(path: str | os.PathLike) -> SubImages:
    """Read a data set of sub-images.

    Parameters
    ----------
    path : path-like
        HDF5 or ``.npz`` file, folder, or CSV table; files are known by their content.

    Returns
    -------
    SubImages

    Raises
    ------
    UserError
        If it is not there, of another kind, cut off, holds no images, or what it holds makes no sense.
    """
    path = Path(path)
    if path.is_dir():
        return _read_listed(path / LABELS) if (path / LABELS).exists() else _read_folder(path)
    if path.suffix == ".csv":
        return _read_listed(path)
    try:
        with path.open("rb") as stream:
            begin = stream.read(len(_HDF5))
    except FileNotFoundError:
        raise UserError(f"There is no {path}.") from None
    if begin.startswith(_PICKLE):
        raise UserError(
            f"{path} is a pickle, which can run any program. If you trust who made it: kedro alerts convert."
        )
    if begin != _HDF5 and not begin.startswith(_ZIP):
        raise UserError(f"{path} is neither HDF5 nor .npz, no folder and no .csv table of files.")
    arrays = _read_hdf5(path) if begin == _HDF5 else _read_npz(path)
    images, left_out = from_columns(_divided(arrays, path), path.stem)
    for name, why in left_out.items():
        _log.warning("%s: %s is left out: %s.", path, name, why)
    return images


def _arrays(images: SubImages) -> dict[str, np.ndarray]:
    """Give what a file holds, by name."""
    pixels, codes, shapes, triggers = [], [], [], []
    for snr, code in zip(images.snr, images.codes, strict=True):
        rows, columns = (_extent((code != MISSING).any(axis=axis)) for axis in (1, 0))
        pixels.append(snr[rows, columns].ravel())
        codes.append(code[rows, columns].ravel())
        shapes.append(code[rows, columns].shape)
        triggers.append((CENTER - rows.start, CENTER - columns.start))
    table = {name: np.asarray(images.table[name]) for name in images.table.colnames}
    table = {name: values.astype(str) if values.dtype.kind in "OS" else values for name, values in table.items()}
    return {
        "pixels": np.concatenate(pixels) if pixels else np.empty(0, dtype=np.float32),
        "shapes": np.array(shapes, dtype=np.int32).reshape(-1, 2),
        "trigger": np.array(triggers, dtype=np.int32).reshape(-1, 2),
        "codes": np.concatenate(codes) if codes else np.empty(0, dtype=np.uint8),
        **table,
    }


def _extent(known: np.ndarray) -> slice:
    """From the first to the last row or column that has pixels, that of the trigger among them."""
    at = np.flatnonzero(known)
    return slice(min([CENTER, *at[:1]]), max([CENTER, *at[-1:]]) + 1)


def _divided(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray | list[np.ndarray]]:
    """Columns of a file: flat pixels as one table for each image."""
    columns: dict[str, np.ndarray | list[np.ndarray]] = dict(arrays)
    if "pixels" not in arrays:
        return columns
    shapes = columns.pop("shapes", None)
    if (
        shapes is None
        or shapes.ndim != 2
        or shapes.shape[1] != 2
        or shapes.dtype.kind not in "iu"
        or (shapes < 1).any()
    ):
        raise UserError(f"{path}: beside pixels there are shapes, rows and columns of each image.")
    sizes = shapes.astype(np.int64).prod(axis=1)
    for name in {"pixels", "codes", "usable"} & columns.keys():
        flat = columns[name]
        if flat.shape != (sizes.sum(),):
            raise UserError(f"{path}: the shapes add up to {sizes.sum()} pixels, but {name} has {flat.shape}.")
        ends = np.cumsum(sizes)
        columns[name] = [
            flat[end - size : end].reshape(shape) for end, size, shape in zip(ends, sizes, shapes, strict=True)
        ]
    columns["image"] = columns.pop("pixels")
    return columns


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    try:
        with h5py.File(path, "r") as file:
            # links to other files are not followed
            hard = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
            datasets = {name: file[name] for name in hard if isinstance(file[name], h5py.Dataset)}
            return {
                name: dataset.asstr()[()].astype(str) if h5py.check_string_dtype(dataset.dtype) else dataset[()]
                for name, dataset in datasets.items()
                if not dataset.external and not dataset.is_virtual
            }
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is broken or cut off: it cannot be read as HDF5.") from error


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        # numpy leaves a file open that it has opened and that is no archive
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except ValueError as error:  # numpy's word for arrays of Python objects
        raise UserError(
            f"{path} holds pickled objects, which are not read: save arrays of numbers and texts."
        ) from error
    except Exception as error:  # zipfile, zlib and numpy fail in many ways on damaged bytes
        raise UserError(f"{path} is broken or cut off: it cannot be read as .npz.") from error


def _read_folder(path: Path) -> SubImages:
    files = sorted(file for file in path.iterdir() if file.suffix.removeprefix(".").lower() in READERS)
    if not files:
        raise UserError(f"{path} has no {LABELS} and no sub-image: files with one of {', '.join(READERS)}.")
    return _joined([_read_one(file) for file in files], Table({"path": [file.name for file in files]}), path)


def _read_listed(path: Path) -> SubImages:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise UserError(f"There is no {path}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table of comma-separated texts.") from error
    if not rows or "path" not in rows[0]:
        raise UserError(f"{path} lists no files: it needs a column path, and a row a sub-image.")
    if any(None in row or None in row.values() for row in rows):
        raise UserError(f"{path}: some rows have more or fewer entries than the first line has names.")
    labelled = [row for row in rows if row.get("is_real", "?").strip()]
    if len(labelled) < len(rows):
        _log.warning("%s: %d rows without a label are left out.", path, len(rows) - len(labelled))
    if not labelled:
        raise UserError(f"{path}: no row has a label, is_real.")
    return _joined([_read_one(path.parent / row["path"]) for row in labelled], Table(rows=labelled), path)


def _read_one(path: Path) -> SubImages:
    try:
        return read_single(path.read_bytes(), path.name)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _values(texts: Sequence[str]) -> np.ndarray:
    """Numbers, NaN in empty cells, or true and false, where all of a column's texts are such; else the texts."""
    texts = np.array([text.strip() for text in texts])
    if set(words := np.char.lower(texts)) <= {"true", "false"}:
        return words == "true"
    try:
        return np.where(texts == "", "nan", texts).astype(float)
    except ValueError:
        return texts


def _joined(images: list[SubImages], listed: Table, path: Path) -> SubImages:
    """Put single images together with what a table says of them, which counts for more than what their files say.

    A cell that is empty says nothing.
    """
    own = vstack([image.table for image in images], metadata_conflicts="silent")
    columns: dict[str, Sequence] = {name: list(own[name]) for name in own.colnames}
    for name in listed.colnames:
        if name in columns:
            columns[name] = [said or known for said, known in zip(listed[name], columns[name], strict=True)]
        elif name != "path" and any(listed[name]):
            columns[name] = _values(listed[name])
    columns["burst_id"] = [
        burst or image_id for burst, image_id in zip(columns["burst_id"], columns["image_id"], strict=True)
    ]
    pixels = {
        "image": [image.snr[0] for image in images],
        "codes": [image.codes[0] for image in images],
        "trigger": [(CENTER, CENTER)] * len(images),
    }
    joined, left_out = from_columns(pixels | columns, path.stem)
    for name, why in left_out.items():
        _log.warning("%s: %s is left out: %s.", path, name, why)
    return joined
