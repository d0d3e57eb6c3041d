import numpy as np
import pytest

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.reconstruction import measure
from cherenkov_pipeline.reconstruction.measure import peak_memory_mib, predict_and_measure, reset_peak_memory
from cherenkov_pipeline.reconstruction.predict import predict_store


def test_predictions_are_measured(trained, store):
    predictions, cost = predict_and_measure(trained, store, "test")
    np.testing.assert_array_equal(predictions["event_id"], predict_store(trained, store, "test")["event_id"])
    assert cost["n_events"] == len(predictions)
    assert cost["inference_ms_per_event"] * len(predictions) == pytest.approx(1000 * cost["inference_s"])


def test_network_is_compiled_before_the_measurement(trained, store, monkeypatch):
    traced, seen = [], []
    call = type(trained.model).call
    predict = measure.predict_store

    def count(self, *args, **options):
        traced.append(1)
        return call(self, *args, **options)

    def measured(*args):
        seen.append(len(traced))
        predictions = predict(*args)
        seen.append(len(traced))
        return predictions

    monkeypatch.setattr(type(trained.model), "call", count)
    monkeypatch.setattr(measure, "predict_store", measured)
    monkeypatch.setattr(trained.model, "predict_function", None)
    predict_and_measure(trained, store, "train")
    assert seen[0] > 0
    assert seen[1] == seen[0]


def test_peak_is_that_since_the_reset():
    held = np.ones(300 * 2**17)  # 300 MiB
    peak = peak_memory_mib()
    del held
    if not reset_peak_memory():
        pytest.skip("this system does not reset the peak memory")
    # other threads may let go of memory at any time: only what this test held is sure to be gone
    assert peak_memory_mib() < peak - 200
    held = np.ones(300 * 2**17)
    assert peak_memory_mib() > held.nbytes / 2**20


@pytest.mark.parametrize(("peak_kib", "is_reset"), [(1_000_000, True), (1_300_000, False)])
def test_reset_that_is_taken_and_not_done_is_noticed(tmp_path, monkeypatch, peak_kib, is_reset):
    (tmp_path / "status").write_text(f"Name:\tpython\nVmHWM:\t{peak_kib} kB\nVmRSS:\t 1000000 kB\n")
    monkeypatch.setattr(measure, "PROCESS", tmp_path)
    assert reset_peak_memory() is is_reset


def test_system_that_does_not_tell(trained, store, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "PROCESS", tmp_path / "missing")
    cost = predict_and_measure(trained, store, "test")[1]
    assert set(cost) == {"inference_s", "inference_ms_per_event", "n_events"}
    assert peak_memory_mib() is None


def test_no_events(trained, store, monkeypatch):
    monkeypatch.setattr(type(store), "indices", lambda *args: np.zeros(0, dtype=int))
    with pytest.raises(UserError, match="no test events"):
        predict_and_measure(trained, store, "test")
