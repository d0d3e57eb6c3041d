import numpy as np
import pytest
from astropy.table import Table

from cherenkov_pipeline.store import EventChunk
from cherenkov_pipeline.store.quantities import given_quantities, image_quantities


def chunk(light: float = 0, level: float = 2.0, noise: float = 1.5) -> EventChunk:
    rng = np.random.default_rng(0)
    image = rng.normal(level, noise, (50, 1296)).astype(np.float32)
    image[:, :20] += light
    table = Table({"hillas_intensity": np.full(50, 100.0), "timing_slope": np.linspace(-5, 5, 50)})
    return EventChunk(table, image, np.zeros_like(image), image > 50)


@pytest.mark.parametrize("light", [0.0, 1000.0])
def test_dark_pixels_have_their_level_and_noise_whatever_the_shower(light):
    found = image_quantities(chunk(light))
    assert np.mean(found["pixel_level"]) == pytest.approx(2, abs=0.05)
    assert np.mean(found["pixel_spread"]) == pytest.approx(1.5, rel=0.03)


def test_a_shower_is_known_by_its_light_and_gradient_whichever_way_it_runs():
    given = given_quantities(chunk().table)
    np.testing.assert_allclose(given[:, 0], 2)
    np.testing.assert_allclose(given[:, 1], given[::-1, 1])
    assert given[-1, 1] == pytest.approx(np.log(6))
