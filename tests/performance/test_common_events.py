"""Events are found again by their numbers and their truth."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable, vstack

from cherenkov_pipeline.performance.common_events import as_in
from cherenkov_pipeline.performance.comparison import match_predictions


@pytest.fixture
def reference(make_events) -> QTable:
    """Gammas and protons with the same numbers, as those of two productions have."""
    events = make_events(40)
    kinds = [events[events["production"] == name] for name in ("gamma", "proton")]
    for table in kinds:
        table["event_id"] = np.arange(20)
    found = vstack(kinds)
    found["shower"] = 7 + np.arange(40)
    return found


def test_events_have_the_names_of_the_reference(reference):
    order = np.random.default_rng(0).permutation(40)[:30]
    other = reference[order]
    other["production"] = np.full(30, "merged")
    other.remove_columns(["shower", "hillas_psi", "hillas_intensity"])
    found = as_in(other, reference)
    for name in ("production", "shower", "hillas_psi", "hillas_intensity"):
        np.testing.assert_array_equal(found[name], reference[name][order])
    matched = match_predictions({"one": reference, "other": found})
    assert len(matched.predictions["one"]) == 30
    assert matched.n_events == {"one": 40, "other": 30}
    np.testing.assert_array_equal(
        matched.predictions["one"]["true_energy"], matched.predictions["other"]["true_energy"]
    )


def test_numbers_alone_are_not_the_same_event(reference):
    other = reference.copy()
    other["true_energy"][:5] *= 1.001
    other["true_energy"] = other["true_energy"].astype(np.float32)  # others may keep it so
    found = as_in(other, reference)
    assert list(np.flatnonzero(found["shower"] == -1)) == [0, 1, 2, 3, 4]
    assert set(found["production"]) == {"gamma", "proton", "gamma (elsewhere)"}
    assert np.isnan(found["hillas_psi"][:5]).all()
    assert len(match_predictions({"one": reference, "other": found}).predictions["other"]) == 35


def test_events_without_telescopes_and_units_that_differ(reference):
    events = reference[[name for name in reference.colnames if name not in ("tel_id", "shower")]]
    other = events.copy()
    other["true_energy"] = other["true_energy"].to(u.GeV)
    found = as_in(other, events)
    assert list(found["production"]) == list(events["production"])
    assert "shower" not in found.colnames
    assert "tel_id" not in found.colnames
