import numpy as np
import pytest

from cherenkov_pipeline.alerts.simulation.background import COSMIC_SHARE, background_shape, through_mask
from cherenkov_pipeline.alerts.simulation.instrument import (
    DETECTOR,
    MASK,
    SKY,
    SKY_CENTER,
    mask_pattern,
    sampled_mask,
)


@pytest.mark.parametrize(("row", "column"), [(99, 99), (0, 10), (198, 50), (60, 150)])
def test_one_sky_pixel_casts_the_mask_shifted(row, column):
    sky = np.zeros((SKY, SKY))
    sky[row, column] = 2
    padded = np.pad(sampled_mask(mask_pattern(0)), DETECTOR)
    begin = [DETECTOR + (MASK - DETECTOR) // 2 + at - SKY_CENTER for at in (row, column)]
    expected = 2 * padded[begin[0] : begin[0] + DETECTOR, begin[1] : begin[1] + DETECTOR]
    np.testing.assert_allclose(through_mask(0, sky), expected, atol=1e-12)


def test_open_field_has_mean_one_and_is_brightest_in_the_middle():
    shape = background_shape(1)
    assert shape.mean() == pytest.approx(1)
    assert shape[30:50, 30:50].mean() > 1.02 > shape[:10, :10].mean()


def test_what_is_hidden_is_missing():
    hidden = np.zeros((SKY, SKY))
    np.testing.assert_allclose(background_shape(0, hidden), background_shape(0))
    hidden[:] = 1
    np.testing.assert_allclose(background_shape(0, hidden), 1 - COSMIC_SHARE, atol=1e-9)
    hidden[:] = 0
    hidden[:60] = 1  # seen by the detector's low rows through the mask's low rows, if at all
    part = background_shape(0, hidden)
    assert part.mean() < 1
    assert (part <= background_shape(0) + 1e-12).all()
