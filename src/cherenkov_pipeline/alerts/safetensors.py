"""Weights in the safetensors format: a length, a JSON header, and the numbers; nothing in it can be run.

https://huggingface.co/docs/safetensors
"""

import json
import os
from pathlib import Path

import numpy as np

from cherenkov_pipeline.errors import UserError

LONGEST_HEADER = 100_000_000
"""Bytes, as in the format's own reader."""

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1", "U8": "<u1",
    "BOOL": "?",
}  # fmt: skip


def read_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read all tensors of a file; bfloat16 becomes float32.

    Raises
    ------
    UserError
        If it cannot be read or is not such a file.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        if len(content) < 8 or length > min(LONGEST_HEADER, len(content) - 8):
            raise ValueError("it is cut off, or of another format")
        header, numbers = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
        return {name: _tensor(entry, numbers) for name, entry in header.items() if name != "__metadata__"}
    except OSError as error:
        raise UserError(f"Cannot read {path} ({error.strerror or error}): correct the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}): fetch it again.") from error


def _tensor(entry: dict, numbers: memoryview) -> np.ndarray:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(numbers):
        raise ValueError(f"a tensor lies outside the file, at {begin} to {end}")
    part, shape = numbers[begin:end], tuple(entry["shape"])
    if entry["dtype"] == "BF16":  # the upper half of a float32
        halves = np.frombuffer(part, "<u2").astype("<u4") << 16
        return halves.view("<f4").reshape(shape)
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"numbers of the kind {entry['dtype']} are not known")
    return np.frombuffer(part, DTYPES[entry["dtype"]]).reshape(shape)
