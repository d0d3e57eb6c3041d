"""Which backend Keras runs on: chosen once in a process, before Keras is imported."""

import importlib.util
import os
import sys

from cherenkov_pipeline.errors import UserError

BACKENDS = ("tensorflow", "jax", "torch")
VARIABLE = "KERAS_BACKEND"


def choose_backend(name: str | None = None) -> str | None:
    """Make Keras run on a backend, in this process and those that it starts.

    Parameters
    ----------
    name : {"tensorflow", "jax", "torch"}, optional
        Default: what the environment's ``KERAS_BACKEND`` says, or else Keras' own default.

    Returns
    -------
    str or None
        The backend; None where it is left to Keras.

    Raises
    ------
    UserError
        If there is no such backend, it is not installed, or Keras runs on another one already.
    """
    name = name or os.environ.get(VARIABLE) or None
    if name is None:
        return None
    if name not in BACKENDS:
        raise UserError(f"Keras has no backend {name!r}: choose one of {', '.join(BACKENDS)}.")
    if "keras" in sys.modules:
        running = sys.modules["keras"].config.backend()
        if running != name:
            raise UserError(
                f"Keras runs on {running} in this process already, not on {name}: set {VARIABLE}={name} before it "
                "starts, or start another one."
            )
    elif importlib.util.find_spec(name) is None:
        raise UserError(f"The backend {name} is not installed: pip install {name}, or choose another.")
    os.environ[VARIABLE] = name
    return name
