import numpy as np
import pytest

from cherenkov_pipeline.alerts.images import FALSE_CAUSES
from cherenkov_pipeline.alerts.simulation.disturbances import NO_DISTURBANCE, draw_disturbance, strength
from cherenkov_pipeline.alerts.simulation.instrument import DETECTOR, MODULE


def _draws(kind, n=40):
    return [draw_disturbance(kind, 1.0, np.random.default_rng(seed)) for seed in range(n)]


@pytest.mark.parametrize("kind", FALSE_CAUSES)
def test_every_false_cause_disturbs(kind):
    for draw in _draws(kind, 10):
        assert draw.kind == kind
        assert draw.counts is not None or draw.bright > 0 or draw.earth is not None
        if draw.counts is not None:
            assert draw.counts.shape == (DETECTOR, DETECTOR)
            assert draw.counts.min() >= 0
            assert draw.counts.max() > 0


def test_no_kind_disturbs_nothing():
    assert draw_disturbance("", 1.0, np.random.default_rng(0)) is NO_DISTURBANCE


@pytest.mark.parametrize("kind", FALSE_CAUSES)
def test_factor_scales_the_strength(kind):
    for seed in range(5):
        whole, third = (draw_disturbance(kind, factor, np.random.default_rng(seed)) for factor in (1.0, 1 / 3))
        assert third.bright == pytest.approx(whole.bright / 3)
        assert third.unfitted == pytest.approx(whole.unfitted / 3)
        for name in ("counts", "glow"):
            if getattr(whole, name) is not None:
                np.testing.assert_allclose(getattr(third, name), getattr(whole, name) / 3)


def test_modules_flicker_as_a_whole():
    rows, columns = MODULE
    for draw in _draws("flickering_modules"):
        modules = draw.counts.reshape(DETECTOR // rows, rows, DETECTOR // columns, columns).sum(axis=(1, 3)) > 0
        pixels = draw.counts > 0
        assert 1 <= modules.sum() <= 5
        assert pixels.sum() == modules.sum() * rows * columns


def test_hot_pixels_are_few():
    numbers = [(draw.counts > 0).sum() for draw in _draws("hot_pixels")]
    assert min(numbers) >= 1
    assert max(numbers) <= 30
    assert len(set(numbers)) > 10


def test_storms_come_from_one_side():
    for draw in _draws("particle_storm"):
        y, x = np.indices(draw.counts.shape) - (DETECTOR - 1) / 2
        centroid = np.hypot(np.sum(draw.counts * y), np.sum(draw.counts * x)) / draw.counts.sum()
        assert centroid > 15


def test_strength_is_uniform_in_its_logarithm():
    rng = np.random.default_rng(1)
    draws = np.array([strength(rng, 2, 50) for _ in range(2000)])
    assert 2 <= draws.min() < draws.max() <= 50
    assert np.median(draws) == pytest.approx(10, rel=0.1)
