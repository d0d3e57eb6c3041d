import numpy as np
import pytest

from cherenkov_pipeline.alerts.simulation.instrument import (
    ACTIVE,
    DETECTOR,
    ELEMENTS,
    HEIGHT,
    MASK,
    OPEN_FRACTION,
    SKY,
    SKY_CENTER,
    coding_fraction,
    cosine,
    cosines,
    mask_pattern,
    overlaps,
    sampled_mask,
    shadow,
)


def test_published_geometry():
    degrees = np.rad2deg(np.arctan((SKY_CENTER - np.arange(SKY)) / HEIGHT))
    assert SKY == 199
    assert (degrees[SKY_CENTER - 1] - degrees[SKY_CENTER]) * 60 == pytest.approx(33.6, abs=0.1)
    assert degrees[0] - degrees[-1] == pytest.approx(89, abs=1)
    fully_coded = coding_fraction()[SKY_CENTER] == 1
    assert np.ptp(degrees[fully_coded]) == pytest.approx(22, abs=0.5)


def test_patterns_are_open_as_published_and_differ():
    patterns = [mask_pattern(number) for number in range(3)]
    for pattern in patterns:
        assert pattern.shape == (ELEMENTS, ELEMENTS)
        assert pattern.mean() == pytest.approx(OPEN_FRACTION, abs=1 / ELEMENTS**2)
    assert (patterns[0] != patterns[1]).mean() == pytest.approx(2 * OPEN_FRACTION * (1 - OPEN_FRACTION), abs=0.05)
    np.testing.assert_array_equal(mask_pattern(1), patterns[1])


def test_overlaps_are_shares_of_the_interval():
    share = overlaps(np.array([-0.5, 0.25, 2.0, 10.0]), 1.0, 1.5, 2)
    np.testing.assert_allclose(share, [[0.5, 0], [1, 0], [0, 1], [0, 0]])


def test_shadow_is_the_mask_seen_through_fine_rays():
    pattern, (row, column) = mask_pattern(0), (61.3, 150.8)
    n = 40
    rays = (np.arange(n) + 0.5) / n
    inside = 0.5 * (1 - ACTIVE) + ACTIVE * rays

    def element(at):
        cells = (np.arange(DETECTOR)[:, None] + inside + at - SKY_CENTER + (MASK - DETECTOR) / 2) * ELEMENTS / MASK
        return np.floor(cells).astype(int)

    rows, columns = element(row).ravel(), element(column).ravel()
    known = (rows >= 0) & (rows < ELEMENTS), (columns >= 0) & (columns < ELEMENTS)
    seen = np.where(known[0][:, None] & known[1], pattern[np.ix_(rows % ELEMENTS, columns % ELEMENTS)], 0)
    expected = seen.reshape(DETECTOR, n, DETECTOR, n).mean(axis=(1, 3))
    np.testing.assert_allclose(shadow(pattern, row, column), expected, atol=0.06)
    assert shadow(pattern, row, column).mean() == pytest.approx(expected.mean(), abs=1e-3)


def test_shadow_moves_with_the_source_and_dims_with_the_coding_fraction():
    pattern = mask_pattern(2)
    straight, moved = shadow(pattern, 99, 99), shadow(pattern, 102, 94)
    np.testing.assert_allclose(moved[:-3, 5:], straight[3:, :-5], atol=1e-12)
    for row, column in [(99, 99), (30, 120), (10, 15)]:
        light = shadow(np.ones_like(pattern), row, column)
        assert light.mean() == pytest.approx(coding_fraction()[row, column], abs=0.01)


def test_sampled_mask_keeps_the_open_share():
    pattern = mask_pattern(0)
    assert sampled_mask(pattern).shape == (MASK, MASK)
    assert sampled_mask(pattern).mean() == pytest.approx(pattern.mean())


def test_cosine_of_a_place_is_that_of_its_pixel():
    assert cosine(SKY_CENTER, SKY_CENTER) == 1
    assert cosine(10, 170) == pytest.approx(cosines()[10, 170])
    assert np.rad2deg(np.arccos(cosine(0, SKY_CENTER))) == pytest.approx(44.1, abs=0.1)
