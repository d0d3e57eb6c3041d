import astropy.units as u
import numpy as np
import pytest
from pyirf.spectral import CRAB_HEGRA
from tests.performance.response.conftest import EFFICIENCY, OFFSET, RADIUS, SIGMA

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.performance.response.events import (
    check_models,
    check_particles,
    check_source,
    predicted_telescopes,
    simulated,
    weighted_events,
)
from cherenkov_pipeline.performance.response.tables import make_sample


def test_weights_give_the_rate_of_the_crab(sample):
    energy = np.geomspace(1, 100, 2001) * u.TeV
    flux = np.trapezoid(CRAB_HEGRA(energy), energy)
    expected = (flux * EFFICIENCY * np.pi * (RADIUS * u.m) ** 2).to_value("1/s")
    error = np.sqrt(np.sum(sample.gammas["weight"].value ** 2))
    assert abs(sample.gammas["weight"].value.sum() - expected) < 4 * error
    assert error < 0.02 * expected


def test_angles_are_those_to_source_and_pointing(sample):
    np.testing.assert_allclose(sample.gammas["true_source_fov_offset"].to_value("deg"), OFFSET)
    assert np.quantile(sample.gammas["theta"].to_value("deg"), 0.6827) == pytest.approx(1.515 * SIGMA, rel=0.03)


def test_a_shower_seen_by_two_telescopes_could_have_been_seen_twice(events):
    _, thrown = events
    twice = thrown.copy()
    twice["n_telescopes"] = 2
    assert simulated(twice, "gamma").n_showers == 2 * simulated(thrown, "gamma").n_showers


def test_uses_of_a_shower_keep_the_label_that_they_were_read_with(events):
    """Event numbers do not tell: makers of files number as they like."""
    table = events[0][:50]
    table["event_id"], table["shower"] = np.arange(50), np.arange(50) // 5
    np.testing.assert_array_equal(weighted_events(table, events[1], "gamma")["shower"], table["shower"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda thrown: thrown[:1], "hold no protons"),
        (lambda thrown: thrown[1:], "hold no gammas"),
        (lambda thrown: with_column(thrown, "viewcone_max", [5, 8] * u.deg), "gammas were thrown from a cone"),
        (lambda thrown: with_column(thrown, "viewcone_max", [0, 0] * u.deg), "protons were thrown from one point"),
        (lambda thrown: with_column(thrown, "spectral_index", [-1.0, -2.0]), "index -1"),
        (lambda thrown: with_column(thrown, "altitude_max", [70, 50] * u.deg), "at different zeniths"),
    ],
)
def test_unusable_productions_are_refused(events, change, message):
    with pytest.raises(UserError, match=message) as error:
        check_particles(change(events[1].copy()))
    assert "\n" not in str(error.value)


def test_files_of_different_models_are_refused():
    ours = {"energy": "set_network_energy", "type": "set_network_type"}
    check_models({"a.h5": ours, "b.h5": dict(ours)})
    with pytest.raises(UserError, match=r"a.h5 has the type of set_network_type, b.h5 that of CTLearn"):
        check_models({"a.h5": ours, "b.h5": {**ours, "type": "CTLearn"}})


def test_telescopes_without_a_prediction_could_see_nothing(events):
    table = events[0][:4]
    table["tel_id"], table["is_valid"] = [1, 1, 2, 2], [True, False, False, False]
    assert predicted_telescopes({"a.h5": table, "empty.h5": table[:0]}) == [1]
    other = table.copy()
    other["is_valid"] = True
    assert predicted_telescopes({"a.h5": other}) == [1, 2]
    with pytest.raises(UserError, match=r"a.h5 has predictions of the telescopes \[1\], b.h5 of \[1, 2\]"):
        predicted_telescopes({"a.h5": table, "b.h5": other})


def test_altitudes_that_are_not_known_are_not_compared(events):
    for name in ("altitude_min", "altitude_max"):
        check_particles(with_column(events[1].copy(), name, [70, np.nan] * u.deg))


def test_gammas_of_several_sources_are_refused(events):
    """Neither of the sources would have the response that comes out."""
    table = events[0]
    check_source(table)
    check_source(table[table["true_shower_primary_id"] != 0])
    moved = table.copy()
    gammas = np.flatnonzero(table["true_shower_primary_id"] == 0)
    moved["true_alt"][gammas[::2]] += 0.4 * u.deg  # the source is above the pointing
    with pytest.raises(UserError, match=r"from 0\.50 to 0\.90 deg beside the pointing") as error:
        check_source(moved)
    assert "\n" not in str(error.value)


def with_column(table, name, values):
    table[name] = values
    return table


@pytest.mark.parametrize("name", ["gammaness", "shower"])
def test_missing_column_is_named(events, name):
    table = events[0].copy()
    table.remove_column(name)
    with pytest.raises(UserError, match=name):
        make_sample(table, events[1])


def test_nothing_valid_is_said(events):
    table = events[0].copy()
    table["is_valid"] = np.asarray(table["true_shower_primary_id"]) == 0
    with pytest.raises(UserError, match="No proton has a valid energy"):
        make_sample(table, events[1])
