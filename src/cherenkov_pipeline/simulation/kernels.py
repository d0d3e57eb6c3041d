"""Keep numba's cache of compiled kernels honest.

Numba recompiles a cached function when its own source file changes, but not when a function or constant that it takes
from another file does. The kernels of this room call each other across files, so all are dropped when any changes.
"""

from pathlib import Path

from cherenkov_pipeline.files import fingerprint, fingerprint_file

STAMP = "kernels.stamp"


def drop_stale_kernels(folder: Path) -> bool:
    """Remove numba's compiled files of a source folder if one of its sources has changed.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of Python files; numba's files lie in its ``__pycache__``.

    Returns
    -------
    bool
        Whether the sources had changed. A folder that cannot be written to is left alone: numba does not cache there.
    """
    stamp = folder / "__pycache__" / STAMP
    current = fingerprint([fingerprint_file(path) for path in sorted(folder.glob("*.py"))])
    try:
        if stamp.exists() and stamp.read_text() == current:
            return False
        for pattern in ("*.nbi", "*.nbc"):
            for compiled in stamp.parent.glob(pattern):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(current)
    except OSError:
        return False
    return True
