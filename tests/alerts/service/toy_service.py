"""An inbox for tests, and what is dropped into it."""

import io
import json
from pathlib import Path

import numpy as np
from tests.alerts.toy_bundle import single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.service.confirmation import verify
from cherenkov_pipeline.alerts.service.inbox import InboxParameters, Look, open_inbox

AT_ONCE = InboxParameters(settle=0, patience=0)


class Killed(BaseException):
    """Stands for SIGKILL: nothing is written after it."""


class Service:
    """An inbox with its folders."""

    def __init__(self, root: Path, bundle):
        self.folder, self.output, self.bundle = root / "inbox", root / "output", bundle
        self.folder.mkdir()
        self.said = []

    def drop(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def look(self, parameters=AT_ONCE) -> Look:
        with open_inbox(self.folder, self.output, self.bundle, parameters, self.said.append) as inbox:
            return inbox.look()

    def lines(self, *events):
        content = (self.output / "audit" / "audit.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, content) if not events or line["event"] in events]

    def files(self, folder):
        return sorted(path.name for path in (self.output / folder).iterdir())

    def left(self):
        return sorted(path.name for path in self.folder.iterdir())

    def check(self):
        found, changed = verify(self.output)
        assert (found.broken_line, changed) == (None, [])


def alerts(n, seed=0):
    images = toy_images(n, seed=seed)
    return {f"alert-{row}.npz": single_file(images, row) for row in range(n)}


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()
