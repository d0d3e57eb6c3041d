"""Arrays as small PNG pictures within a page, without a plotting library."""

import base64
import struct
import zlib

import numpy as np

from cherenkov_pipeline.alerts.images import BACKGROUND, MISSING, SOURCE, TRIGGER

SEQUENTIAL = ("#0b1026", "#2a2a72", "#6a3d8f", "#b1457f", "#e8685a", "#fba85a", "#fcf3b8")
"""From low to high."""

DIVERGING = ("#c2500a", "#e89a5b", "#f5d9bd", "#f7f7f7", "#bcd7ea", "#5fa3cf", "#0b62a4")
"""From what speaks against, through nothing, to what speaks for."""

NO_DATA = "#8a8f98"

CODE_COLORS = {MISSING: NO_DATA, BACKGROUND: "#dfe4ea", SOURCE: "#e89a5b", TRIGGER: "#0b62a4"}

_N_COLORS = 255
"""Of a color scale; the one after the last is for pixels without data."""


def sequential_png(image: np.ndarray, low: float, high: float) -> str:
    """Draw values from ``low`` to ``high`` (those beyond like these; NaN in grey), as a ``data:`` address."""
    return _png(_indices(image, low, high), _palette(SEQUENTIAL))


def diverging_png(image: np.ndarray, least: float = 0.0) -> str:
    """Draw values about 0, which is in the middle of the colors, as a ``data:`` address.

    The colors reach to the largest value, and to ``least`` at least: what is weak looks pale.
    """
    largest = max(float(np.nanmax(np.abs(image), initial=0)), least) or 1.0
    return _png(_indices(image, -largest, largest), _palette(DIVERGING))


def codes_png(codes: np.ndarray) -> str:
    """Draw the codes of pixels, as a ``data:`` address."""
    return _png(codes, np.array([_rgb(CODE_COLORS[code]) for code in sorted(CODE_COLORS)]))


def _indices(image: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (np.asarray(image, dtype=float) - low) / max(high - low, 1e-9)
    known = np.clip(np.nan_to_num(share), 0, 1) * (_N_COLORS - 1)
    return np.where(np.isfinite(share), known.round(), _N_COLORS).astype(np.uint8)


def _palette(names: tuple[str, ...]) -> np.ndarray:
    anchors = np.array([_rgb(name) for name in names], dtype=float)
    places = np.linspace(0, len(names) - 1, _N_COLORS)
    scale = np.stack([np.interp(places, np.arange(len(names)), channel) for channel in anchors.T], axis=1)
    return np.vstack([scale.round(), _rgb(NO_DATA)])


def _rgb(name: str) -> tuple[int, int, int]:
    return int(name[1:3], 16), int(name[3:5], 16), int(name[5:7], 16)


def _png(indices: np.ndarray, palette: np.ndarray) -> str:
    """Write a picture with a palette: https://www.w3.org/TR/png."""
    rows, columns = indices.shape
    scanlines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), indices.astype(np.uint8)])  # filter 0: none
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    chunks = {
        b"IHDR": header,
        b"PLTE": palette.astype(np.uint8).tobytes(),
        b"IDAT": zlib.compress(scanlines.tobytes(), 9),
        b"IEND": b"",
    }
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks.items():
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return "data:image/png;base64," + base64.b64encode(content).decode()
