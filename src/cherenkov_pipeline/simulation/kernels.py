"""Keep numba's cache of compiled kernels honest.

Numba recompiles a cached function when its own source file changes, but not when a function or constant that it takes
from another file does. The kernels of this room call each other across files, so all are dropped when any changes.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

from cherenkov_pipeline.fingerprints import fingerprint, fingerprint_file

STAMP = "kernels.stamp"


def drop_stale_kernels(kernel: Callable[..., Any]) -> bool:
    """Remove what numba compiled of a source folder if one of its sources has changed.

    Parameters
    ----------
    kernel : callable
        Any function of the folder. Numba says where it keeps it: in ``__pycache__``, in the folder that
        ``NUMBA_CACHE_DIR`` names or in one of the user's; with it lie all others of the folder, and no more.

    Returns
    -------
    bool
        Whether the sources had changed. Files that cannot be written to are left alone.
    """
    function = inspect.unwrap(kernel)
    sources = sorted(Path(inspect.getfile(function)).parent.glob("*.py"))
    stamp = Path(FunctionCache(function).cache_path) / STAMP
    current = fingerprint([fingerprint_file(path) for path in sources])
    try:
        if stamp.exists() and stamp.read_text() == current:
            return False
        for pattern in ("*.nbi", "*.nbc"):
            for compiled in stamp.parent.glob(pattern):
                compiled.unlink(missing_ok=True)
        stamp.write_text(current)
    except OSError:
        return False
    return True
