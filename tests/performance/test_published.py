import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.performance.published import random_forest_energy


@pytest.mark.parametrize("mode", ["mono_tel1", "mono_tel2", "stereo"])
def test_published_curve_has_a_source_and_equals_it(mode, test_data):
    curve = random_forest_energy(mode)
    assert "sst1mpipe 0.7.1" in curve.meta["source"]
    assert "published" in curve.meta["label"]
    source = QTable.read(test_data / "performance" / "sst1mpipe_random_forest_zenith20.csv", format="ascii.csv")
    source = source[source["mode"] == mode]
    np.testing.assert_allclose(curve["true_energy_low"].to_value("TeV"), source["energy_low_tev"])
    np.testing.assert_allclose(curve["quantile_68"], source["energy_resolution"])
    np.testing.assert_allclose(curve["bias"], source["energy_bias"])


def test_stereo_is_better_than_mono():
    mono, stereo = random_forest_energy("mono_tel1"), random_forest_energy("stereo")
    inside = (mono["true_energy_low"].to_value("TeV") > 1.5) & (mono["true_energy_high"].to_value("TeV") < 100)
    assert np.all(stereo["quantile_68"][inside] < mono["quantile_68"][inside])


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"mono_tel1.*Received: 'trio'"):
        random_forest_energy("trio")
