"""Sub-images from columns, however they are named: images of any shapes, labels, and what else is known of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.alerts.images import (
    CAUSES,
    MISSING,
    REAL_CAUSES,
    SOURCE,
    TRIGGER,
    SubImages,
    find_trigger,
    own_numbers,
    place,
)
from cherenkov_pipeline.errors import UserError

IMAGE, CODES, USABLE, TRIGGER_PIXEL = "image", "codes", "usable", "trigger"

NAMES = {
    IMAGE: ("image", "images", "img", "imgs", "subimage", "subimages", "snrmap", "snrimage", "data"),
    CODES: ("codes", "mask", "masks"),
    USABLE: ("usable",),
    TRIGGER_PIXEL: ("trigger", "triggers", "triggerpixel"),
    "snr_max": ("snrmax", "maxsnr"),
    "snr_std": ("snrstd", "stdsnr"),
    "is_real": ("isreal", "label", "labels", "target", "targets", "y", "class", "verdict"),
    "cause": ("cause", "causes"),
    "image_id": ("imageid", "id", "name", "filename", "alertid"),
    "burst_id": ("burstid", "burst"),
    "source_name": ("sourcename", "source"),
}
"""What a column means and the names that it may have, without capitals and signs."""

OF_FILES = ("pixels", "shapes")
"""Columns that a file of sub-images has of its own."""

_TRUE = {"1", "1.0", "true", "real", "grb", "known_source", "known source", "yes", "vrai"}
_FALSE = {"0", "0.0", "false", "false_alert", "false alert", "fake", "no", "faux"}


def from_columns(columns: Mapping[Any, Sequence], origin: str) -> tuple[SubImages, dict[str, str]]:
    """Make sub-images of columns.

    Parameters
    ----------
    columns : mapping of str to sequence
        One entry an image. Of those in `NAMES`, only the images must be there: tables of numbers (rows, columns), NaN
        where there are no data. Without ``trigger`` (row, column) it is that of `images.find_trigger`; without
        ``snr_max`` and ``snr_std`` they are `images.own_numbers`. ``codes`` are as of `SubImages`, ``usable`` is true
        or false by pixel. Columns of other names are kept if they hold texts or numbers.
    origin : str
        Where they come from, for messages.

    Returns
    -------
    SubImages
    left_out : dict of str to str
        Columns that were not taken over, and why.

    Raises
    ------
    UserError
        If there are no images, columns differ in length, or an image or value makes no sense.
    """
    known, others = _understood(columns, origin)
    if IMAGE not in known:
        raise UserError(f"{origin} has no column of images: name it image. Received: {_few(columns) or 'nothing'}.")
    n = len(known[IMAGE])
    for name, values in (known | others).items():
        if len(values) != n:
            raise UserError(f"{origin}: there are {n} images, but {len(values)} entries of {name}.")
    if not n:
        raise UserError(f"{origin} holds no image.")
    pixels = {name: known.pop(name) for name in (IMAGE, CODES, USABLE, TRIGGER_PIXEL) if name in known}
    placed = []
    for row in range(n):
        try:
            placed.append(_place({name: values[row] for name, values in pixels.items()}))
        except UserError as error:
            raise UserError(f"{origin}, image {row}: {error}") from None
    snr, codes = (np.stack(parts) for parts in zip(*placed, strict=True))
    table, left_out = _table(known, others, snr, codes, origin)
    return SubImages(snr, codes, table), left_out


def _understood(columns: Mapping[Any, Sequence], origin: str) -> tuple[dict[str, Sequence], dict[str, Sequence]]:
    """Divide columns into those whose meaning is known, under their proper names, and others."""
    meaning = {name: proper for proper, names in NAMES.items() for name in names}
    known: dict[str, Sequence] = {}
    others: dict[str, Sequence] = {}
    for name, values in columns.items():
        proper = meaning.get("".join(sign for sign in str(name).lower() if sign.isalnum()))
        if proper is None:
            others[str(name)] = values
        elif proper in known:
            raise UserError(f"{origin} has two columns that may be {proper}: remove one. Received: {_few(columns)}.")
        else:
            known[proper] = values
    return known, others


def _place(pixels: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    image = _numbers(pixels[IMAGE], "A sub-image")
    trigger = None
    if TRIGGER_PIXEL in pixels:
        place_of = _numbers(pixels[TRIGGER_PIXEL], "The trigger").ravel()
        trigger = tuple(place_of.astype(int))
        if len(trigger) != 2 or (place_of != trigger).any():
            raise UserError(f"The trigger is a row and a column, whole numbers. Received: {tuple(place_of.tolist())}")
    usable = None
    for name in (USABLE, CODES):
        if name in pixels:
            values = _numbers(pixels[name], f"The {name}")
            if values.shape != image.shape:
                raise UserError(f"The {name} have the image's shape, {image.shape}. Received: {values.shape}")
            usable = values != 0 if usable is None else usable & (values != 0)
            at = np.argwhere(values == TRIGGER) if name == CODES and trigger is None else ()
            if len(at) == 1:
                trigger = tuple(at[0].tolist())
    snr, codes = place(image, trigger, usable)
    if CODES in pixels:
        values = _numbers(pixels[CODES], "The codes")
        if not np.isin(values, (MISSING, *range(1, TRIGGER + 1))).all():
            raise UserError(f"The codes are {MISSING} to {TRIGGER}. Received: {np.unique(values)[:8].tolist()}")
        if trigger is None:
            trigger = find_trigger(image, usable & np.isfinite(image))
        # any finite image can be placed: here that of the codes
        there, _ = place(values.astype(float), trigger, usable & np.isfinite(image))
        codes[(there == SOURCE) & (codes != TRIGGER)] = SOURCE
    return snr, codes


def _numbers(values: Any, what: str) -> np.ndarray:
    """Numbers as an array; a single channel counts as none."""
    try:
        array = np.asarray(values)
        array = array.astype(float) if array.dtype.kind in "Ob" else array
    except (TypeError, ValueError):
        raise UserError(f"{what} is a table of numbers. Received: {type(values).__name__}") from None
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[-1]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.dtype.kind not in "fiu":
        raise UserError(f"{what} is a table of numbers. Received: {array.dtype}")
    return array


def _table(
    known: Mapping[str, Sequence], others: Mapping[str, Sequence], snr: np.ndarray, codes: np.ndarray, origin: str
) -> tuple[Table, dict[str, str]]:
    n = len(snr)
    table = Table()
    table["image_id"] = _texts(known.get("image_id", [f"{origin}-{row:06d}" for row in range(n)]), "image_id", origin)
    if len(set(table["image_id"])) < n:
        raise UserError(f"{origin}: every image has an image_id of its own; there are {len(set(table['image_id']))}.")
    for name, own in zip(("snr_max", "snr_std"), zip(*map(own_numbers, snr, codes), strict=True), strict=True):
        table[name] = _positive(known.get(name, own), name, origin)
    if "cause" in known:
        table["cause"] = _texts(known["cause"], "cause", origin)
    if "is_real" in known:
        table["is_real"] = _labels(known["is_real"], origin)
    elif "cause" in known and set(table["cause"]) <= set(CAUSES):
        table["is_real"] = np.isin(table["cause"], REAL_CAUSES)
    table["burst_id"] = _texts(known.get("burst_id", table["image_id"]), "burst_id", origin)
    table["source_name"] = _texts(known.get("source_name", [""] * n), "source_name", origin)
    left_out = {}
    for name, values in others.items():
        if name in OF_FILES:
            left_out[name] = "files of sub-images have another column of this name"
            continue
        array = np.asarray(values) if len({np.shape(value) for value in values}) == 1 else np.empty((n, 0))
        if array.dtype.kind == "O" and all(isinstance(value, str) for value in values):
            array = _texts(values, name, origin)
        if array.ndim == 1 and array.dtype.kind in "biufUS":
            table[name] = array
        else:
            left_out[name] = "neither texts nor numbers, one an image"
    return table, left_out


def _texts(values: Sequence, name: str, origin: str) -> np.ndarray:
    """Texts of cells; empty ones where there is no value."""
    from pandas import isna

    if any(np.ndim(value) for value in values):
        raise UserError(f"{origin}: {name} is one text or number an image.")
    texts = [value.decode() if isinstance(value, bytes) else value for value in values]
    return np.array(["" if isna(text) else str(text) for text in texts])


def _positive(values: Sequence, name: str, origin: str) -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=float).reshape(len(values))
    except (TypeError, ValueError):
        raise UserError(f"{origin}: {name} is one number an image.") from None
    if not (valid := np.isfinite(numbers) & (numbers > 0)).all():
        row = int(np.argmin(valid))
        raise UserError(f"{origin}, image {row}: {name} must be positive. Received: {numbers[row]}")
    return numbers


def _labels(values: Sequence, origin: str) -> np.ndarray:
    labels = np.empty(len(values), dtype=bool)
    for row, value in enumerate(values):
        text = (value.decode() if isinstance(value, bytes) else str(value)).strip().lower()
        if text not in _TRUE | _FALSE:
            raise UserError(f"{origin}, image {row}: a label is true or false, 1 or 0. Received: {value!r}")
        labels[row] = text in _TRUE
    return labels


def _few(names: Iterable) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} others" if len(names) > 10 else "")
