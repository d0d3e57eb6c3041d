"""Trigger sub-images of ECLAIRs: SNR maps around the pixel that triggered, what is known of them, and their causes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from cherenkov_pipeline.errors import UserError

SIZE = 56
"""Pixels along each side of a complete sub-image."""

CENTER = SIZE // 2
"""Row and column of the pixel that triggered."""

MISSING, BACKGROUND, SOURCE, TRIGGER = range(4)
"""What a pixel is: not to be used, background, part of a known source, the one that triggered."""

REAL_CAUSES = ("grb", "known_source")
FALSE_CAUSES = ("flickering_modules", "hot_pixels", "particle_storm", "ghost", "earth_limb")
CAUSES = (*REAL_CAUSES, *FALSE_CAUSES)

COLUMNS = ("image_id", "snr_max", "snr_std")
"""What every table of sub-images has; the others are for images whose verdict or origin is known."""

LARGEST = 4096
"""Pixels along a side above which an array is no sub-image."""


@dataclass(frozen=True)
class SubImages:
    """Sub-images and what is known of them, row by row.

    Attributes
    ----------
    snr : ndarray
        (n, `SIZE`, `SIZE`) float32, signal to noise; the trigger stands at (`CENTER`, `CENTER`), NaN where there are no
        data.
    codes : ndarray
        (n, `SIZE`, `SIZE`) uint8: `MISSING`, `BACKGROUND`, `SOURCE` (of a known source other than the trigger),
        `TRIGGER`.
    table : Table
        ``image_id`` (text), ``snr_max``, ``snr_std`` (of the whole sky image where that is known). Of labelled images
        also: ``is_real`` (the label, which may be wrong), ``cause`` (of `CAUSES`), ``label_source``, ``is_unclear``,
        ``burst_id`` (images of one sequence have the same), ``source_name`` (empty: unknown). Of simulated images
        also ``true_is_real``, ``timescale`` [s], ``energy_band``, ``mask_pattern`` and others.
    """

    snr: np.ndarray
    codes: np.ndarray
    table: Table

    def __post_init__(self):
        n = len(self.table)
        for name in ("snr", "codes"):
            if (shape := getattr(self, name).shape) != (n, SIZE, SIZE):
                raise ValueError(f"{name} must be ({n}, {SIZE}, {SIZE}). Received: {shape}")
        if missing := [name for name in COLUMNS if name not in self.table.colnames]:
            raise ValueError(f"the table lacks {', '.join(missing)}. Received: {self.table.colnames}")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: np.ndarray | slice) -> "SubImages":
        return SubImages(self.snr[rows], self.codes[rows], self.table[rows])

    @property
    def valid_fraction(self) -> np.ndarray:
        """(n,), share of the pixels that may be used."""
        return (self.codes != MISSING).mean(axis=(1, 2))

    @property
    def is_complete(self) -> np.ndarray:
        """(n,) bool, every pixel may be used."""
        return (self.codes != MISSING).all(axis=(1, 2))

    @property
    def snr_mismatch(self) -> np.ndarray:
        """(n,), at least 1: factor between ``snr_max`` and the brightest pixel at the trigger; inf: none above 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.asarray(self.table["snr_max"], dtype=float) / _at_trigger(self.snr, self.codes)
            return np.where(factor > 0, np.maximum(factor, 1 / factor), np.inf)

    @property
    def quality(self) -> dict[str, np.ndarray]:
        """What may make unsure whatever the models say, each (n,)."""
        return {"valid_fraction": self.valid_fraction, "snr_mismatch": self.snr_mismatch}


def place(
    image: np.ndarray,
    trigger: tuple[int, int] | None = None,
    usable: np.ndarray | None = None,
    sources: Sequence[tuple[int, int]] = (),
    source_radius: float = 3.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Put an image of any shape where the models expect it: its trigger in the middle.

    Parameters
    ----------
    image : ndarray
        (rows, columns), signal to noise; values that are not finite are missing.
    trigger : (int, int), optional
        Row and column of the pixel that triggered. Default: from `find_trigger`.
    usable : ndarray of bool, optional
        Same shape; False at the edge of the field, where too little of the mask is seen.
    sources : sequence of (int, int)
        Rows and columns of other known sources.
    source_radius : float
        Pixels around them that are theirs.

    Returns
    -------
    snr : ndarray
        (`SIZE`, `SIZE`) float32.
    codes : ndarray
        (`SIZE`, `SIZE`) uint8.

    Raises
    ------
    UserError
        If it is no image, is empty or far too large, has no finite value, or the trigger lies outside.
    """
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype.kind not in "fiu":
        raise UserError(f"A sub-image is a table of numbers, (rows, columns). Received: {image.shape} {image.dtype}")
    if not image.size or max(image.shape) > LARGEST:
        raise UserError(f"A sub-image has 1 to {LARGEST} pixels a side. Received: {image.shape}")
    known = np.isfinite(image) if usable is None else np.isfinite(image) & np.asarray(usable, dtype=bool)
    if not known.any():
        raise UserError("A sub-image has at least one pixel with a finite value.")
    row, column = (int(value) for value in (find_trigger(image, known) if trigger is None else trigger))
    if not (0 <= row < image.shape[0] and 0 <= column < image.shape[1]):
        raise UserError(f"The trigger lies within its image of {image.shape} pixels. Received: {(row, column)}")
    snr = np.full((SIZE, SIZE), np.nan, dtype=np.float32)
    codes = np.full((SIZE, SIZE), MISSING, dtype=np.uint8)
    here, there = zip(*(_overlap(at, size) for at, size in zip((row, column), image.shape, strict=True)), strict=True)
    snr[here] = np.where(known, image, np.nan)[there]
    codes[here] = np.where(known, BACKGROUND, MISSING)[there]
    rows, columns = np.indices(codes.shape) - CENTER
    for source in sources:
        distance = np.hypot(rows - (source[0] - row), columns - (source[1] - column))
        codes[(distance <= source_radius) & (codes == BACKGROUND)] = SOURCE
    codes[CENTER, CENTER] = TRIGGER if np.isfinite(snr[CENTER, CENTER]) else MISSING
    return snr, codes


def find_trigger(image: np.ndarray, usable: np.ndarray) -> tuple[int, int]:
    """Find the trigger's pixel: the middle of a complete image, where it is usable; else the brightest usable one."""
    if image.shape == (SIZE, SIZE) and usable[CENTER, CENTER]:
        return CENTER, CENTER
    row, column = np.unravel_index(np.argmax(np.where(usable, image, -np.inf)), image.shape)
    return int(row), int(column)


def own_numbers(snr: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """Measure what stands for ``snr_max`` and ``snr_std`` where those of the whole sky image are not known.

    Parameters
    ----------
    snr, codes : ndarray
        Of one image, from `place`.

    Returns
    -------
    snr_max, snr_std : float
        Highest value at the trigger, and standard deviation of the usable pixels; NaN where there are none.
    """
    usable = snr[codes != MISSING].astype(float)
    return (float(_at_trigger(snr, codes)), float(usable.std())) if usable.size else (np.nan, np.nan)


def _at_trigger(snr: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Highest usable value within a pixel of the trigger, where its place may be rounded; else of all: (...)."""
    pixels = np.where((codes != MISSING) & np.isfinite(snr), snr, -np.inf)
    around = slice(CENTER - 1, CENTER + 2)
    near = pixels[..., around, around].max(axis=(-2, -1))
    return np.where(np.isfinite(near), near, pixels.max(axis=(-2, -1))).astype(float)


def _overlap(trigger: int, size: int) -> tuple[slice, slice]:
    """Where along a side an image lies in the placed one, and the part of it that does."""
    begin, end = max(0, CENTER - trigger), min(SIZE, CENTER - trigger + size)
    shift = trigger - CENTER
    return slice(begin, end), slice(begin + shift, end + shift)
