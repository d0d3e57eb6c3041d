"""Kedro's configuration loader, which fills in what all tasks share."""

from collections.abc import Mapping
from typing import Any

from kedro.config import OmegaConfigLoader

from cherenkov_pipeline.config import merge
from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.tasks import TASKS

DEFAULTS = "task_defaults"
"""Block of the parameters that holds what all tasks share."""

JOINT = "joint"
"""Block of the network that learns several tasks."""


class TaskConfigLoader(OmegaConfigLoader):
    """Loads parameters in which each task's block holds only what differs from the block ``task_defaults``.

    The blocks of all environments and the command line are merged before: what is said of a task itself, wherever
    it is said, comes before what is said of all tasks.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Load the configuration of this kind."""
        found = super().__getitem__(key)
        return fill_in_defaults(found) if key == "parameters" else found


def fill_in_defaults(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Complete the block of each task.

    Parameters
    ----------
    parameters : mapping
        With the block `DEFAULTS`; that of a task may be absent or empty.

    Returns
    -------
    dict
        Without `DEFAULTS`; not changed where there is no such block.

    Raises
    ------
    UserError
        If one of these blocks is a single value.
    """
    if DEFAULTS not in parameters:
        return dict(parameters)
    filled = {name: value for name, value in parameters.items() if name != DEFAULTS}
    for task in (*TASKS, JOINT):
        filled[task] = merge(_block(parameters, DEFAULTS), _block(parameters, task))
    return filled


def _block(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    block = parameters.get(name) or {}
    if not isinstance(block, Mapping):
        raise UserError(
            f"The parameter {name} is a block, not {block!r}: name what is in it, such as {name}.training.epochs=3."
        )
    return block
