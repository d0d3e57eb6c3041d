"""The revision of the code that makes a result."""

import subprocess
from pathlib import Path

PACKAGE = Path(__file__).parent


def git_revision(folder: Path = PACKAGE) -> str:
    """Revision of the checkout that ``folder`` belongs to, ``-dirty`` if it was changed; ``unknown`` outside one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
