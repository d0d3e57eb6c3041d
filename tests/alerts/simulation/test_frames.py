from dataclasses import replace

import numpy as np
import pytest

from cherenkov_pipeline.alerts.simulation.disturbances import draw_disturbance
from cherenkov_pipeline.alerts.simulation.earth import hidden_share
from cherenkov_pipeline.alerts.simulation.events import Event, Source, draw_event
from cherenkov_pipeline.alerts.simulation.frames import Window, find_peak, sky_image
from cherenkov_pipeline.alerts.simulation.instrument import SKY, coding_fraction
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters, TriggerParameters

PARAMETERS = AlertSimulationParameters()
SHORT = Window(20.48, "8-50 keV")
EVENT = Event(cause="grb", pattern=0, duration=1e4, colours=dict.fromkeys(PARAMETERS.bands, 1.0))
USABLE = coding_fraction() > 0.09


def _images(event, window=SHORT, first=SHORT, n=12):
    return np.stack([sky_image(event, window, first, PARAMETERS, np.random.default_rng(seed)) for seed in range(n)])


@pytest.mark.parametrize(("row", "column"), [(99, 99), (50, 140), (20, 60)])
@pytest.mark.parametrize("snr", [8.0, 40.0])
def test_source_has_the_signal_to_noise_that_was_drawn(row, column, snr):
    images = _images(replace(EVENT, source=Source(row, column, snr=snr)))
    assert images[:, row, column].mean() == pytest.approx(snr, abs=4 * 0.95 / np.sqrt(len(images)))
    mean = np.where(USABLE, images.mean(axis=0), 0)
    assert np.unravel_index(np.argmax(mean), mean.shape) == (row, column)


def test_crab_has_the_published_counts():
    event = replace(EVENT, others=(Source(99, 99, crab=1.0),))
    short, long = (_images(event, Window(time, "8-50 keV"), n=6)[:, 99, 99].mean() for time in (20.48, 81.92))
    assert long / short == pytest.approx(2, abs=0.1)
    band = PARAMETERS.bands["8-50 keV"]
    counts, background = band.crab.value * 20.48, band.background.value * 20.48
    ideal = counts / np.sqrt(counts + background) * np.sqrt(0.6 / 0.4)
    # n sqrt((1 - f) / f) / sqrt(n + b) for elements that fill whole pixels; those open in part lose some of it
    assert 0.75 * ideal < short < ideal


def test_counts_grow_until_the_event_is_over():
    event = replace(EVENT, source=Source(99, 99, snr=10), duration=40.96)
    snr = [_images(event, Window(20.48 * 2**n, "8-50 keV"), n=6)[:, 99, 99].mean() for n in range(4)]
    assert snr[1] / snr[0] == pytest.approx(np.sqrt(2), abs=0.12)
    assert snr[3] / snr[1] == pytest.approx(0.5, abs=0.08)


def test_cleaned_sources_all_but_vanish():
    bright = Source(80, 80, crab=1.0)
    left, there = (
        _images(replace(EVENT, others=(replace(bright, cleaned=cleaned),)), n=4)[:, 80, 80].mean()
        for cleaned in (True, False)
    )
    assert there > 20
    assert left < 6


def test_empty_frames_are_noise_in_every_window():
    for window in (SHORT, Window(1310.72, "5-20 keV")):
        images = _images(EVENT, window, window, n=6)
        assert images[:, USABLE].std() == pytest.approx(0.93, abs=0.04)
        assert images[:, USABLE].max() < 6.5


def test_earth_that_is_not_fitted_bends_the_sky():
    long = Window(1310.72, "8-50 keV")
    rng = np.random.default_rng(3)
    limb = draw_disturbance("earth_limb", 1.0, rng)
    fitted, bent = (
        _images(replace(EVENT, disturbance=replace(limb, unfitted=share, glow=None)), long, long, n=3)[:, USABLE].std()
        for share in (0.0, 1.0)
    )
    assert bent > 1.3 * fitted


def test_sources_do_not_shine_through_the_earth():
    """In a long window the Earth moves across a field of which a short one sees all."""
    long = Window(1310.72, "8-50 keV")
    limb = replace(draw_disturbance("earth_limb", 1.0, np.random.default_rng(3)), unfitted=0.0, glow=None)
    hidden = hidden_share(limb.earth, long.timescale)
    candidates = coding_fraction() > 0.5
    row, column = np.unravel_index(np.argmax(np.where(candidates & (hidden < 1), hidden, -1)), hidden.shape)
    assert hidden[row, column] > 0.5
    event = replace(EVENT, others=(Source(float(row), float(column), crab=0.2),))
    free, behind = (
        _images(replace(event, disturbance=disturbance), long, long, n=6)[:, row, column].mean()
        for disturbance in (EVENT.disturbance, limb)
    )
    assert behind == pytest.approx((1 - hidden[row, column]) * free, rel=0.35, abs=1.0)
    assert behind < 0.7 * free


def test_peak_is_searched_where_the_mask_is_seen_and_no_source_is_known():
    snr = np.random.default_rng(0).normal(0, 0.9, (SKY, SKY)).astype(np.float32)
    snr[0, 0], snr[60, 60], snr[64, 62], snr[100, 120] = 50, 30, 20, 9
    settings = TriggerParameters()
    assert (find_peak(snr, [], settings).row, find_peak(snr, [], settings).column) == (60, 60)
    peak = find_peak(snr, [Source(60.4, 60)], settings)
    assert (peak.row, peak.column, peak.snr, peak.triggers) == (100, 120, 9, True)
    assert peak.spread == pytest.approx(snr[coding_fraction() >= 0.09].std())
    at_border = find_peak(snr, [Source(-2.0, 197.5), Source(60, 60), Source(64, 62)], settings)
    assert at_border.row == 100


@pytest.mark.parametrize(
    ("highest", "spread_factor", "triggers"), [(6.4, 5, False), (6.6, 5, True), (6.6, 10, False), (20, 10, True)]
)
def test_trigger_takes_both_thresholds(highest, spread_factor, triggers):
    snr = np.random.default_rng(0).normal(0, 0.9, (SKY, SKY))
    snr[99, 99] = highest
    assert find_peak(snr, [], TriggerParameters(spread_factor=spread_factor)).triggers is triggers


def test_every_cause_can_be_drawn_and_observed():
    for number, cause in enumerate([*PARAMETERS.causes, "noise"]):
        rng = np.random.default_rng(number)
        event = draw_event(cause, PARAMETERS, rng)
        image = sky_image(event, SHORT, SHORT, PARAMETERS, rng)
        assert image.shape == (SKY, SKY)
        assert np.isfinite(image).all()
