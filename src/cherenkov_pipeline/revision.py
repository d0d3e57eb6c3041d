"""The revision of the code that makes a result."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def git_revision(folder: Path = PACKAGE) -> str:
    """Revision of the checkout that ``folder`` belongs to, ``-dirty`` if it was changed; ``unknown`` outside one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


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
