import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from cherenkov_pipeline.models.card import Validity
from cherenkov_pipeline.reconstruction.validity import outside_zenith

ZENITH = np.array([5.0, 18.5, 19.5, 30, 40.5, 41.5, np.nan])


@pytest.mark.parametrize("unit", ["rad", "deg", None])
def test_zenith_outside_the_training_data(unit):
    altitude = (90 - ZENITH) * u.deg
    events = Table({"telescope_pointing_altitude": altitude.to(unit) if unit else altitude.to_value("rad")})
    validity = Validity(particles=("gamma",), energy=(1, 10), zenith=(20, 40))
    np.testing.assert_array_equal(outside_zenith(events, validity), [True, True, False, False, False, True, False])
    assert not outside_zenith(events, validity.model_copy(update={"zenith": None})).any()
