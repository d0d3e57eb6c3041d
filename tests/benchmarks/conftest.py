import numpy as np
import pytest

from cherenkov_pipeline.performance.parameters import EvaluationParameters


@pytest.fixture(scope="session")
def parameters() -> EvaluationParameters:
    return EvaluationParameters(resamples=200)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)
