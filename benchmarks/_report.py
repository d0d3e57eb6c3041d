"""How every benchmark speaks: a table for people, one line of JSON for programs."""

import json
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
