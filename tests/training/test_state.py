import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.training.state import (
    State,
    discard_states,
    read_origin,
    read_state,
    write_origin,
    write_state,
)


@pytest.fixture
def state() -> State:
    rng = np.random.default_rng(0)
    return State(
        epoch=1,
        finished=False,
        variables=[rng.normal(size=(3, 2)).astype(np.float32), np.array(7), np.array([1, 2], dtype=np.uint32)],
        best=[rng.normal(size=4)],
        callbacks={"early_stopping": {"wait": 2, "best": 0.1234567890123, "best_epoch": 0}},
        history=[{"epoch": 1, "loss": 0.3, "val_loss": 0.1 + 0.2}],
    )


def assert_equal(first, second):
    assert replace(first, variables=[], best=[]) == replace(second, variables=[], best=[])
    for one, other in zip([*first.variables, *first.best], [*second.variables, *second.best], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_state_comes_back_exactly(state, tmp_path):
    write_state(state, tmp_path)
    assert_equal(read_state(tmp_path), state)


def test_no_state(tmp_path):
    assert read_state(tmp_path) is None


def test_two_latest_are_kept(state, tmp_path):
    for epoch in range(1, 5):
        write_state(replace(state, epoch=epoch), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["epoch_0003", "epoch_0004"]
    assert read_state(tmp_path).epoch == 4


def test_the_latest_is_that_of_the_largest_number(state, tmp_path):
    (tmp_path / "epoch_notes").mkdir()
    for epoch in range(9998, 10_002):
        write_state(replace(state, epoch=epoch), tmp_path)
    assert read_state(tmp_path).epoch == 10_001
    assert {path.name for path in tmp_path.glob("*")} == {"epoch_10000", "epoch_10001", "epoch_notes"}


@pytest.mark.parametrize("name", ["state.json", "variables.npz", "best.npz"])
@pytest.mark.parametrize("length", [None, 0, 30])
def test_damaged_state_gives_way_to_the_one_before(state, tmp_path, name, length):
    for epoch in (1, 2):
        write_state(replace(state, epoch=epoch), tmp_path)
    damaged = tmp_path / "epoch_0002" / name
    content = damaged.read_bytes()
    damaged.unlink()
    if length is not None:
        damaged.write_bytes(content[:length])
    assert_equal(read_state(tmp_path), state)


@pytest.mark.parametrize("name", ["state.json", "variables.npz", "best.npz"])
def test_state_that_cannot_be_read_just_now_stays(state, tmp_path, name, monkeypatch):
    write_state(state, tmp_path)
    opened = Path.open

    def refuse(self, *args, **options):
        if self.name == name:
            raise OSError(errno.EIO, "Input/output error")
        return opened(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        with pytest.raises(UserError, match=r"epoch_0001 cannot be read \(Input/output error\)"):
            read_state(tmp_path)
    assert_equal(read_state(tmp_path), state)


def test_state_that_lacks_something_gives_way(state, tmp_path):
    write_state(state, tmp_path)
    (tmp_path / "epoch_0001" / "state.json").write_text("{}")
    assert read_state(tmp_path) is None


def test_origin_comes_back(tmp_path):
    assert read_origin(tmp_path) is None
    write_origin({"run": None, "versions": {"keras": "3"}}, tmp_path)
    assert read_origin(tmp_path) == {"run": None, "versions": {"keras": "3"}}
    (tmp_path / "origin.json").write_text("")
    assert read_origin(tmp_path) is None


def test_states_are_discarded(state, tmp_path):
    write_state(state, tmp_path)
    discard_states(tmp_path)
    assert read_state(tmp_path) is None
