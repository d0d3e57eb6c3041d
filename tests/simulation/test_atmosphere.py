import numpy as np

from cherenkov_pipeline.simulation.atmosphere import density, depth, height


def test_height_and_depth_are_inverse():
    heights = np.linspace(0, 60_000, 200)
    np.testing.assert_allclose(height(depth(heights)), heights, atol=1e-3)


def test_density_is_the_slope_of_depth():
    heights = np.array([500.0, 5_000, 15_000, 45_000])
    slope = (depth(heights - 1) - depth(heights + 1)) / 200  # per cm
    np.testing.assert_allclose(slope, density(heights), rtol=1e-3)


def test_slices_fill_the_atmosphere_down_to_the_ground(atmosphere):
    np.testing.assert_allclose(atmosphere.step * atmosphere.depth.size, depth(510.0))
    np.testing.assert_allclose(atmosphere.thickness.sum(), 100_000 - 510, rtol=1e-6)
    assert np.all(np.diff(atmosphere.z) < 0)
    assert np.all(np.diff(atmosphere.optical_depth) < 0)


def test_delay_is_the_integral_of_the_refractivity(atmosphere):
    below = slice(20, None)  # where slices are thin
    steps = atmosphere.refractivity * atmosphere.thickness
    integral = np.cumsum(steps[::-1])[::-1] - steps / 2
    np.testing.assert_allclose(atmosphere.delay[below], integral[below], rtol=0.02)
