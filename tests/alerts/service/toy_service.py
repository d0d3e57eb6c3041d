"""An inbox for tests, and what is dropped into it."""

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
from tests.alerts.service.test_notices import DTD, notice
from tests.alerts.toy_bundle import single_file
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.alerts.service.confirmation import verify
from cherenkov_pipeline.alerts.service.inbox import InboxParameters, Look, open_inbox
from cherenkov_pipeline.alerts.single import LARGEST_FILE

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


def zoo(service):
    """Everything that is not a valid sub-image; name -> code of the rejection."""
    good = single_file(toy_images(3), 2)
    entries = {
        "empty.npz": b"",
        "nan.npy": npy(np.full((56, 56), np.nan)),
        "shape.npy": npy(np.zeros((3, 56, 56))),
        "wide.npy": npy(np.zeros((2, 5000))),
        "truncated.npz": good[: len(good) // 2],
        "text.txt": b"a true source, I am sure",
        "text.npz": b"a false alert, I am sure",
        "dataset_2.pkl": pickle.dumps({"image": np.zeros((56, 56))}),
        "pickle.npy": npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
        "entities.xml": notice().replace("<voe", f"{DTD}<voe", 1).encode(),
        "page.xml": b"<html/>",
    }
    for name, content in entries.items():
        service.drop(name, content)
    codes = dict.fromkeys(entries, "unreadable")
    with (service.folder / "huge.h5").open("wb") as stream:
        stream.truncate(LARGEST_FILE + 1)
    outside = service.folder.parent / "outside.npz"
    outside.write_bytes(good)
    (service.folder / "link.npz").symlink_to(outside)
    (service.folder / "dangling.npz").symlink_to(service.folder.parent / "nothing")
    os.mkfifo(service.folder / "pipe.npz")
    (service.folder / "folder.npz").mkdir()
    return codes | {
        "huge.h5": "too_large",
        "link.npz": "symbolic_link",
        "dangling.npz": "symbolic_link",
        "pipe.npz": "not_a_file",
        "folder.npz": "not_a_file",
    }
