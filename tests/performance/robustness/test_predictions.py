import numpy as np
from astropy.table import QTable

from cherenkov_pipeline.performance.robustness.predictions import _labelled


def test_uses_of_a_shower_are_one_under_all_conditions():
    nominal = {"condition": "nominal", "setting": None, "nominal": None, "unit": ""}
    table = QTable({"obs_id": [1, 1, 1, 2], "event_id": [100, 101, 200, 100]})
    _, shower = np.unique(_labelled(table, nominal)["shower"], return_inverse=True)
    np.testing.assert_array_equal(shower, [0, 0, 1, 2])
