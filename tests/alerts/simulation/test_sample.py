import numpy as np
import pytest

from cherenkov_pipeline.alerts.images import CAUSES, CENTER, MISSING, REAL_CAUSES, SOURCE, TRIGGER, SubImages
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_noise, simulate_sample
from cherenkov_pipeline.errors import UserError

PARAMETERS = AlertSimulationParameters(n_images=60)


@pytest.fixture(scope="module")
def sample() -> SubImages:
    return simulate_sample(PARAMETERS)


def _same(one: SubImages, other: SubImages) -> None:
    np.testing.assert_array_equal(one.snr, other.snr)
    np.testing.assert_array_equal(one.codes, other.codes)
    assert one.table.pformat(max_lines=-1, max_width=-1) == other.table.pformat(max_lines=-1, max_width=-1)


def test_make_up_is_that_of_the_talk(sample):
    table = sample.table
    assert len(sample) == 60
    assert set(table["cause"]) == set(CAUSES)
    assert np.mean(table["true_is_real"]) == pytest.approx(0.617, abs=0.03)
    bursts = np.sum(table["cause"] == "grb") / np.sum(table["true_is_real"])
    assert bursts == pytest.approx(72 / 451, abs=0.05)
    np.testing.assert_array_equal(table["true_is_real"], np.isin(table["cause"], REAL_CAUSES))


def test_every_image_would_have_triggered(sample):
    table, center = sample.table, sample.snr[:, CENTER, CENTER]
    np.testing.assert_allclose(center, table["snr_max"], rtol=1e-6)
    assert (table["snr_max"] > 6.5).all()
    assert (table["snr_max"] > 5 * table["snr_std"]).all()
    assert (sample.codes[:, CENTER, CENTER] == TRIGGER).all()
    unclear = (table["snr_max"] < 7.5) & (table["snr_std"] > 1.3)
    np.testing.assert_array_equal(table["is_unclear"], unclear)


def test_missing_pixels_have_no_value_and_others_do(sample):
    np.testing.assert_array_equal(np.isnan(sample.snr), sample.codes == MISSING)
    assert (sample.codes == SOURCE).any()
    false = ~np.asarray(sample.table["true_is_real"])
    assert (~sample.is_complete[false]).mean() > 0.5
    assert 0.1 < (~sample.is_complete[~false]).mean() < 0.5


def test_alerts_of_a_burst_belong_together(sample):
    table = sample.table
    for burst in set(table["burst_id"]):
        alerts = table[table["burst_id"] == burst]
        for name in ("cause", "source_name", "is_real", "mask_pattern", "disturbed_by"):
            assert len(set(alerts[name])) == 1, name
        windows = list(zip(alerts["timescale"], alerts["energy_band"], strict=True))
        assert len(set(windows)) == len(windows)
        if alerts["cause"][0] in REAL_CAUSES:
            assert np.ptp(alerts["trigger_row"]) <= 5
    assert len(set(table["burst_id"])) < len(table)
    assert len(set(table["image_id"])) == len(table)


def test_fewer_images_are_the_first_of_more_and_the_seed_decides(sample):
    _same(simulate_sample(PARAMETERS.model_copy(update={"n_images": 17})), sample[:17])
    other = simulate_sample(PARAMETERS.model_copy(update={"n_images": 5, "seed": 1}))
    assert not np.array_equal(other.snr, sample.snr[:5], equal_nan=True)


def test_label_noise_is_a_share_of_the_events():
    parameters = PARAMETERS.model_copy(update={"n_images": 100, "causes": {"grb": 1.0}, "label_noise": 0.3})
    table = simulate_sample(parameters).table
    wrong = table["is_real"] != table["true_is_real"]
    assert 0.12 < np.mean(wrong) < 0.5
    assert table["true_is_real"].all()
    assert not np.any(
        simulate_sample(parameters.model_copy(update={"n_images": 20, "label_noise": 0.0})).table["is_real"] == 0
    )


def test_held_back_pattern_is_another_with_other_events(sample):
    held_back = simulate_sample(PARAMETERS.with_held_back_pattern(n_images=8))
    assert set(held_back.table["mask_pattern"]) == {PARAMETERS.held_back_pattern}
    assert PARAMETERS.held_back_pattern not in set(sample.table["mask_pattern"])
    assert not set(held_back.table["image_id"]) & set(sample.table["image_id"])


def test_what_never_triggers_is_told(monkeypatch):
    monkeypatch.setattr("cherenkov_pipeline.alerts.simulation.sample._MOST_TRIES", 10)
    parameters = AlertSimulationParameters(n_images=1, causes={"grb": 1}, trigger={"threshold": 99}, sequences=(1,))
    with pytest.raises(UserError, match="grb none gave 1 alerts"):
        simulate_sample(parameters)


def test_frames_without_a_source():
    chunks = list(simulate_noise(PARAMETERS, 40, chunk=25))
    assert [len(chunk) for chunk in chunks] == [25, 15]
    table = chunks[0].table
    quiet = table["disturbed_by"] == ""
    assert 0 < quiet.sum() < len(table)
    assert (table["snr_max"][quiet] < 6.5).all()
    assert not table["triggers"][quiet].any()
    assert not table["is_real"].any()
    _same(next(simulate_noise(PARAMETERS, 10)), chunks[0][:10])
