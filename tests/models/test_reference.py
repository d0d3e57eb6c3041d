"""Shifted quantities are found, another sample of the same population is not, whatever its spectrum."""

import numpy as np
import pytest

from cherenkov_pipeline.models.card import Reference
from cherenkov_pipeline.models.reference import N_BINS, count_images, make_reference

NAMES = ("width", "noise")


def images(n: int, index: float = -1.0, seed: int = 0, *, shift: float = 0, noise: float = 1) -> tuple:
    """Images whose width grows with intensity and time gradient, and whose gradient depends on the intensity."""
    rng = np.random.default_rng(seed)
    low, high = 50**index, 5000**index
    intensity = (low + rng.random(n) * (high - low)) ** (1 / index)
    gradient = rng.exponential(1 + 0.3 * np.log10(intensity), n)
    spread = 0.01 * np.log10(intensity)
    width = 0.05 * np.log10(intensity) + 0.01 * gradient + spread * rng.normal(shift, 1, n)
    given = np.stack([np.log10(intensity), np.log1p(gradient)], axis=1)
    return given, {"width": width, "noise": rng.normal(1.4 * noise, 0.05, n)}


def distance(reference: Reference, given: np.ndarray, quantities: dict) -> dict[str, float]:
    counts = count_images(reference, given, quantities)
    return {
        name: float(np.abs(np.cumsum(found / found.sum()) - np.cumsum(reference.shares[name])).max())
        for name, found in counts.items()
    }


@pytest.fixture(scope="module")
def reference() -> Reference:
    return make_reference("TOY", "gamma", *images(8000))


def test_same_population_is_the_same_whatever_its_spectrum(reference):
    for index in (-1.0, -0.3, -1.8):
        assert max(distance(reference, *images(4000, index, seed=1)).values()) < 0.06
    # what a comparison without intensity and gradient would see
    (_, training), (_, flat) = images(8000), images(4000, -0.3, seed=1)
    edges = np.quantile(training["width"], np.arange(1, N_BINS) / N_BINS)
    shares = np.bincount((flat["width"][:, None] > edges).sum(axis=1), minlength=N_BINS) / 4000
    assert np.abs(np.cumsum(shares) - np.arange(1, N_BINS + 1) / N_BINS).max() > 0.15


@pytest.mark.parametrize("index", [-1.0, -0.3])
def test_what_was_changed_is_found(reference, index):
    shifted = distance(reference, *images(2000, index, seed=2, shift=1))
    # of two normal distributions one standard deviation apart: 2 Phi(1/2) - 1
    assert shifted["width"] == pytest.approx(0.383, abs=0.06)
    assert shifted["noise"] < 0.06
    noisy = distance(reference, *images(2000, index, seed=2, noise=1.2))
    assert noisy["noise"] > 0.8
    assert noisy["width"] < 0.06


def test_images_without_value_or_beyond_the_training_are_not_counted(reference):
    given, quantities = images(1000, seed=3)
    quantities["width"][:100] = np.nan
    given[500:600, 0], given[600:700] = 7, np.nan
    counts = count_images(reference, given, quantities)
    assert 690 < counts["width"].sum() <= 700
    assert 790 < counts["noise"].sum() <= 800
    assert list(count_images(reference, given, {"noise": quantities["noise"]})) == ["noise"]


def test_reference_is_compact_and_survives_the_card(reference):
    text = reference.model_dump_json(indent=1)
    assert len(text) < 6000
    assert Reference.model_validate_json(text) == reference


def test_few_images_make_no_reference():
    assert make_reference("TOY", "gamma", *images(60)) is None
    assert len(make_reference("TOY", "gamma", *images(250)).nodes) >= 1
