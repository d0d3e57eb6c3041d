import numpy as np
import pytest

from cherenkov_pipeline.alerts.simulation.earth import hidden_share
from cherenkov_pipeline.alerts.simulation.events import NOISE, draw_event
from cherenkov_pipeline.alerts.simulation.instrument import coding_fraction
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters

PARAMETERS = AlertSimulationParameters()


def _events(cause, n=150, **changes):
    parameters = PARAMETERS.model_copy(update=changes)
    return [draw_event(cause, parameters, np.random.default_rng((7, number))) for number in range(n)]


def test_signal_to_noise_follows_its_power_law():
    drawn = np.array([event.source.snr for event in _events("grb", 600)])
    assert 7.6 <= drawn.min() < drawn.max() <= 60
    settings = PARAMETERS.sources
    floor = (settings.brightest / settings.faintest) ** -1.6
    for level in (10, 20):
        expected = ((level / 7.6) ** -1.6 - floor) / (1 - floor)
        assert (drawn > level).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 600))


def test_bursts_have_no_name_and_known_sources_do():
    assert {event.name for event in _events("grb", 20)} == {""}
    names = {event.name for event in _events("known_source")}
    assert len(names) > 15
    assert "" not in names
    assert all(event.name and event.source for event in _events("ghost", 20))


def test_real_alerts_are_disturbed_as_often_and_as_weakly_as_asked():
    kinds = [event.disturbance.kind for event in _events("grb", 400)]
    assert np.mean([bool(kind) for kind in kinds]) == pytest.approx(0.45, abs=0.1)
    assert len(set(kinds)) == 6
    strong = [event.disturbance.bright for event in _events("ghost")]
    weak = [event.disturbance.bright for event in _events("grb", 600) if event.disturbance.kind == "ghost"]
    assert np.median(weak) / np.median(strong) == pytest.approx(0.35, rel=0.25)


def test_known_sources_keep_away_and_are_told():
    for event in _events("known_source"):
        assert event.known == list(event.others)
        for other in event.others:
            if other.crab:
                assert np.hypot(other.row - event.source.row, other.column - event.source.column) > 8
    for event in _events("ghost", 20):
        assert event.source in event.known


def test_nothing_shines_through_the_earth():
    n_limbs = 0
    for event in _events("known_source", 400):
        if event.disturbance.kind != "earth_limb":
            continue
        n_limbs += 1
        hidden = hidden_share(event.disturbance.earth, 20.48)
        for source in (event.source, *event.others):
            assert hidden[tuple(np.clip(np.round([source.row, source.column]).astype(int), 0, 198))] == 0
    assert n_limbs > 10


def test_sources_lie_where_the_detector_sees_them():
    for event in _events("grb"):
        row, column = np.round([event.source.row, event.source.column]).astype(int)
        assert coding_fraction()[row, column] > 0.04


def test_noise_has_no_source():
    events = _events(NOISE)
    assert all(event.source is None and not event.others for event in events)
    kinds = {event.disturbance.kind for event in events}
    assert "ghost" not in kinds
    assert len(kinds) == 5
