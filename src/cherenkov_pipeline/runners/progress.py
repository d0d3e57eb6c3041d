"""What the terminal shows of a run: a line for each change, and a bar that counts the nodes."""

import time
from types import TracebackType
from typing import Self

import click
from tqdm.auto import tqdm


class Progress:
    """Tells of the states of nodes and files.

    Parameters
    ----------
    n_nodes : int
    """

    def __init__(self, n_nodes: int):
        # without a terminal there is no bar
        self._bar = tqdm(total=n_nodes, desc="nodes", unit="node", dynamic_ncols=True, disable=None)
        self._told: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.close()

    def tell(self, node: str, state: str) -> None:
        """Print the state of a node, if it is another than before."""
        if self._told.get(node) != state:
            self._told[node] = state
            self.say(f"{node}: {state}")

    def ended(self, node: str, state: str) -> None:
        """Print how a node ended, and count it."""
        self.tell(node, state)
        del self._told[node]
        self._bar.update()

    def say(self, text: str) -> None:
        """Print a line, with the time."""
        with tqdm.external_write_mode():
            click.echo(f"{time.strftime('%H:%M:%S')}  {text}")
