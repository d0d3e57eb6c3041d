"""How every benchmark speaks: a table for people, one line of JSON for programs."""

import json
import time
from collections.abc import Mapping, Sequence

from astropy.table import Table


def report(rows: Sequence[Mapping[str, object]], figures: Mapping[str, float]) -> None:
    """Print the rows as a table and the figures as the last line."""
    print_table(rows)
    print(json.dumps(figures))


def print_table(rows: Sequence[Mapping[str, object]]) -> None:
    """Print the rows as a table."""
    table = Table(rows=list(rows))
    for name in table.colnames:
        if table[name].dtype.kind == "f":
            table[name].info.format = ".4g"
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)), flush=True)


class Clock:
    """Says what is done, and how long it took."""

    def __init__(self):
        self.last = time.monotonic()

    def say(self, what: str) -> None:
        """Print a line with the seconds since the last one."""
        now = time.monotonic()
        print(f"{now - self.last:6.0f} s  {what}", flush=True)
        self.last = now
