"""The file of one alert: one sub-image and what is known of it, as ``.npy``, ``.npz``, ``.fits`` or HDF5.

What others hand in is read from its bytes, with bounds on all sizes; nothing is unpickled, and no other file is opened.

===========  ==================================================  ==============================================
kind         the image                                           what is known of it
===========  ==================================================  ==============================================
``.npy``     the array
``.npz``     array ``image``                                     arrays named as in `KNOWN`
``.h5``      dataset ``image``                                   attributes of the dataset, or of the file
``.fits``    first image, of the primary or another HDU          keywords ``BURST_ID``, ``SNR_MAX``, ``SNR_STD``,
                                                                 ``TRIG_ROW``, ``TRIG_COL``
===========  ==================================================  ==============================================

The image is of any shape up to `~cherenkov_pipeline.alerts.images.LARGEST` a side: rows, columns, signal to noise,
NaN where there are no data.
"""

import io
import math
import warnings
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.alerts.images import LARGEST, SubImages, own_numbers, place
from cherenkov_pipeline.errors import UserError

LARGEST_FILE = 150_000_000
"""Bytes: an image of 4096 x 4096 numbers in double precision, and a little more."""

MOST_SOURCES = 100
"""Other known sources: each costs time, and no field has as many."""

KNOWN = ("burst_id", "snr_max", "snr_std", "trigger", "sources", "usable")
"""What may be known of an image: `images.SubImages` and `images.place` say what it is. Without ``snr_max`` and
``snr_std`` they are `images.own_numbers`."""


class NotOneImageError(UserError):
    """A file that has no image, or several: it may be a data set."""


def read_single(content: bytes, name: str) -> SubImages:
    """Read the file of one alert.

    Parameters
    ----------
    content : bytes
        Of the file.
    name : str
        Of the file: its suffix tells the kind, the rest is the image's ``image_id``.

    Returns
    -------
    SubImages
        One image; the table has ``burst_id``, empty where it is not known.

    Raises
    ------
    UserError
        If it is of another kind, empty, too large, cut off or broken, holds no image or a senseless one.
    """
    stem, _, suffix = name.rpartition(".")
    reader = READERS.get(suffix.lower())
    if reader is None or not stem:
        raise UserError(f"A sub-image is a file with one of {', '.join('.' + known for known in READERS)}.")
    if not content:
        raise UserError("The file is empty.")
    if len(content) > LARGEST_FILE:
        raise UserError(f"A sub-image's file has at most {LARGEST_FILE:,} bytes. Received: {len(content):,}")
    try:
        image, known = reader(content)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # whatever the libraries raise on broken files
        raise UserError(f"The file is broken or cut off: no .{suffix.lower()} file can be read from it.") from error
    return _placed(stem, image, known)


def _placed(image_id: str, image: np.ndarray, known: Mapping[str, Any]) -> SubImages:
    options = {}
    if "trigger" in known:
        options["trigger"] = tuple(_whole(value, "trigger") for value in _array(known, "trigger", (2,)))
    if "sources" in known:
        sources = _array(known, "sources", (None, 2))
        if len(sources) > MOST_SOURCES:
            raise UserError(f"A sub-image has at most {MOST_SOURCES} sources. Received: {len(sources):,}")
        options["sources"] = [tuple(_whole(value, "sources") for value in source) for source in sources]
    if "usable" in known:
        options["usable"] = _array(known, "usable", image.shape) != 0
    snr, codes = place(image, **options)
    numbers = dict(zip(("snr_max", "snr_std"), own_numbers(snr, codes), strict=True))
    for name in numbers.keys() & known.keys():
        numbers[name] = float(_array(known, name, ())[()])
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{name} is {value:g}: the models need a positive number.")
    burst_id = _one(known.get("burst_id", ""))
    table = Table({"image_id": [image_id], **{name: [value] for name, value in numbers.items()}})
    table["burst_id"] = ["".join(sign for sign in str(burst_id) if sign.isprintable()).strip()[:100]]
    return SubImages(snr[np.newaxis], codes[np.newaxis], table)


def _array(known: Mapping[str, Any], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Take what is known under a name, if it is numbers of this shape."""
    values = np.asarray(known[name])
    fits = values.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, values.shape, strict=True))
    if not fits or values.dtype.kind not in "biuf":
        raise UserError(f"{name} is not as it should be: numbers of shape {shape}. Received: {values.shape}")
    return values


def _one(value: Any) -> Any:
    """Text, or number, of an array of one; nothing for NaN."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if isinstance(value, float) and math.isnan(value) else value


def _whole(value: float, name: str) -> int:
    if not (-LARGEST <= value <= LARGEST and float(value).is_integer()):
        raise UserError(f"{name} holds numbers of rows and columns, at most {LARGEST}. Received: {value}")
    return int(value)


def _check_shape(shape: tuple[int, ...], itemsize: int) -> None:
    if len(shape) != 2:
        raise NotOneImageError(f"A sub-image is a table of numbers, (rows, columns). Received: {shape}")
    if max(shape) > LARGEST or itemsize > 16:
        raise UserError(f"A sub-image has 1 to {LARGEST} pixels a side. Received: {shape}")


def _read_npy(content: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    return _numpy_array(content, is_image=True), {}


def _numpy_array(content: bytes, is_image: bool = False) -> np.ndarray:
    """Array of a ``.npy`` file that holds what its header says."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise UserError("The file holds pickled objects, which are not read: save arrays of numbers.")
    if is_image:
        _check_shape(shape, dtype.itemsize)
    if math.prod(shape) * dtype.itemsize > len(content):
        raise UserError("The file is cut off: it holds less than its header says.")
    return np.load(io.BytesIO(content), allow_pickle=False)


def _read_npz(content: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
        wanted = [name for name in ("image", *KNOWN) if name in sizes]
        if "image" not in sizes:
            raise NotOneImageError(f"The file has no array named image. Received: {', '.join(list(sizes)[:10])}")
        if sum(sizes[name] for name in wanted) > LARGEST_FILE:
            raise NotOneImageError(f"The file's arrays have more than {LARGEST_FILE:,} bytes.")
        arrays = {name: _numpy_array(archive.read(f"{name}.npy"), is_image=name == "image") for name in wanted}
    return arrays.pop("image"), {name: _plain(array) for name, array in arrays.items()}


def _read_hdf5(content: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        link = file.get("image", getlink=True)
        if link is None:
            raise NotOneImageError(f"The file has no dataset named image. Received: {', '.join(list(file)[:10])}")
        image = file["image"] if isinstance(link, h5py.HardLink) else None
        if not isinstance(image, h5py.Dataset) or image.external or image.is_virtual:
            raise UserError("The dataset named image must stand in the file itself, not in another one.")
        _check_shape(image.shape, image.dtype.itemsize)
        known = {name: holder[name] for holder in (file.attrs, image.attrs) for name in KNOWN if name in holder}
        return image[()], known


def _read_fits(content: bytes) -> tuple[np.ndarray, dict[str, Any]]:
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # of headers that are not quite as the standard wants them
        warnings.filterwarnings("error", ".*truncated", AstropyWarning)
        with fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=True) as file:
            known = _of_header(file[0].header)  # of what stands in an extension, too
            for hdu in file:
                # compressed ones may hold far more than their file
                if type(hdu) in (fits.PrimaryHDU, fits.ImageHDU) and hdu.header["NAXIS"]:
                    _check_shape(hdu.shape, abs(hdu.header["BITPIX"]) // 8)
                    return np.asarray(hdu.data).astype(hdu.data.dtype.newbyteorder("=")), known | _of_header(hdu.header)
    raise UserError("The file has no image in its primary or another image HDU.")


def _of_header(header: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: header[name.upper()] for name in ("burst_id", "snr_max", "snr_std") if name.upper() in header}
    if "TRIG_ROW" in header and "TRIG_COL" in header:
        known["trigger"] = (header["TRIG_ROW"], header["TRIG_COL"])
    return known


def _plain(array: np.ndarray) -> Any:
    """Text of an array of one text, anything else as it is."""
    return array.item() if array.dtype.kind in "US" and array.size == 1 else array


READERS: Mapping[str, Callable[[bytes], tuple[np.ndarray, dict[str, Any]]]] = {
    "npy": _read_npy,
    "npz": _read_npz,
    "h5": _read_hdf5,
    "hdf5": _read_hdf5,
    "fits": _read_fits,
}
"""Suffix -> what reads the image and what is known of it."""
