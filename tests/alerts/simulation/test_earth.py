import math

import numpy as np
import pytest

from cherenkov_pipeline.alerts.simulation.earth import PERIOD, RADIUS, Earth, draw_earth, draw_glow, hidden_share
from cherenkov_pipeline.alerts.simulation.instrument import HEIGHT, SKY, SKY_CENTER


def _earth(distance, pole=(0.0, 1.0, 0.0)):
    return Earth(np.array([math.sin(distance), 0, math.cos(distance)]), np.array(pole))


def test_limb_is_a_radius_from_the_centre():
    share = hidden_share(_earth(RADIUS + math.radians(20)), 0.1)
    hidden = np.flatnonzero(share[SKY_CENTER])
    angle = math.degrees(math.atan((hidden[0] - SKY_CENTER) / HEIGHT))
    assert angle == pytest.approx(20, abs=0.6)
    assert hidden[-1] == SKY - 1  # from there to the border, on the side of the centre
    assert set(np.unique(share)) == {0, 1}


def test_earth_moves_in_long_windows():
    share = hidden_share(_earth(RADIUS), 20.48 * 64)
    assert ((share > 0) & (share < 1)).any()
    turned = 360 * 20.48 * 64 / PERIOD
    along = share[SKY_CENTER]
    reached = np.rad2deg(np.arctan((np.flatnonzero(along > 0) - SKY_CENTER) / HEIGHT))
    assert reached[0] == pytest.approx(-min(turned / 2, 44), abs=2)


def test_glow_lies_on_the_limb():
    rng = np.random.default_rng(5)
    n_glows = 0
    for _ in range(30):
        earth = draw_earth(rng)
        np.testing.assert_allclose([np.linalg.norm(earth.centre), np.linalg.norm(earth.pole)], 1)
        assert abs(earth.centre @ earth.pole) < 1e-12
        glow = draw_glow(earth, rng)
        if glow is None:
            continue
        n_glows += 1
        assert glow.sum() == pytest.approx(1)
        row, column = np.unravel_index(np.argmax(glow), glow.shape)
        direction = np.array([column - SKY_CENTER, row - SKY_CENTER, HEIGHT])
        distance = math.acos(direction @ earth.centre / np.linalg.norm(direction))
        assert math.degrees(abs(distance - RADIUS)) < 2
    assert n_glows > 10


def test_glow_stretches_along_the_limb():
    rng = np.random.default_rng(6)
    earth = _earth(RADIUS + math.radians(5))  # its limb runs along the rows
    ratios = []
    for _ in range(20):
        glow = draw_glow(earth, rng)
        rows, columns = np.indices(glow.shape)
        spread = [np.sqrt(np.sum(glow * (at - np.sum(glow * at)) ** 2)) for at in (rows, columns)]
        ratios.append(spread[0] / spread[1])
    assert np.median(ratios) > 1.5
