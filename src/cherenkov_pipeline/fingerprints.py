"""Fingerprints: by them what has been made is found again, and made anew when what it depends on changes."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

PACKAGE = Path(__file__).parent


def fingerprint_file(path: str | os.PathLike) -> str:
    """Fingerprint of a file's content: 16 hexadecimal digits of its BLAKE2b hash."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def fingerprint(*parts: Any) -> str:
    """Fingerprint of plain values, pydantic models and containers of them: 16 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"Cannot make a fingerprint of {type(value).__name__}.")


@cache
def code_fingerprint(*rooms: str) -> str:
    """Fingerprint of the sources of some rooms: what they make is made again when they change.

    Parameters
    ----------
    *rooms : str
        Packages or modules of this package, such as ``"simulation"`` or ``"tasks"``.

    Raises
    ------
    ValueError
        If there is no such room, or no code in it.
    """
    digest = hashlib.blake2b(digest_size=8)
    for room in sorted(rooms):
        module = PACKAGE / f"{room}.py"
        sources = [module] if module.exists() else sorted((PACKAGE / room).rglob("*.py"))
        if not sources:
            raise ValueError(f"There is no code in {room}, neither a module nor a package.")
        for source in sources:
            digest.update(source.relative_to(PACKAGE).as_posix().encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()
