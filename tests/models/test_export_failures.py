"""Why an export fails: the network, or what no other network would change."""

import errno
import os

import pytest

from cherenkov_pipeline.errors import TemporaryError, UserError
from cherenkov_pipeline.models import export
from cherenkov_pipeline.models.backend import keras


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1)])


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), TemporaryError, "No space left"),
        (MemoryError(), MemoryError, "^$"),
        (ValueError("no such\noperation"), UserError, "ValueError: no such operation.*use layers"),
        (ValueError(), UserError, r"cannot be written as ONNX \(ValueError\)"),
    ],
)
def test_a_full_disk_is_no_fault_of_the_layers(network, error, kind, message, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(export, "_teach_converter", lambda: None)
    monkeypatch.setattr(export, "random_events", lambda model, n: keras.ops.zeros((n, 1)))
    monkeypatch.setattr(keras.Model, "export", fail)
    with pytest.raises(kind, match=message):
        export.export_onnx(network, tmp_path / "model.onnx")
