"""Synthetic predictions, with a known bias, spread and predicted error."""

from collections.abc import Callable
from datetime import UTC, datetime

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import QTable
from tests.toy_events import toy_events

from cherenkov_pipeline.performance.parameters import EvaluationParameters


@pytest.fixture(scope="session")
def parameters() -> EvaluationParameters:
    return EvaluationParameters(resamples=200)


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., QTable]:
    """Gammas of 0.3 to 30 TeV whose ln E_reco is Gaussian about ln E_true + ``shift`` with the width ``width``."""

    def make(n: int, *, shift: float = 0, width: float = 0.2, predicted: float | None = None, seed: int = 1) -> QTable:
        rng = np.random.default_rng(seed)
        true = 10 ** rng.uniform(-0.5, 1.5, n)
        reco = true * np.exp(shift + width * rng.normal(size=n))
        return QTable(
            {
                "production": np.full(n, "gamma"),
                "obs_id": np.ones(n, dtype=int),
                "event_id": np.arange(n),
                "tel_id": np.ones(n, dtype=int),
                "true_energy": true * u.TeV,
                "reco_energy": reco * u.TeV,
                "reco_energy_uncert": reco * (width if predicted is None else predicted) * u.TeV,
                "is_valid": np.ones(n, dtype=bool),
                "hillas_intensity": 100 * true,
                "true_shower_primary_id": np.zeros(n, dtype=int),
            }
        )

    return make


@pytest.fixture(scope="session")
def history() -> pd.DataFrame:
    epoch = np.arange(1, 9)
    loss = np.exp(-epoch / 3) - 1
    columns = {"epoch": epoch, "loss": loss, "val_loss": loss + 0.01 * (epoch - 4) ** 2, "learning_rate": 1e-3}
    return pd.DataFrame({**columns, "seconds": 1.5})


@pytest.fixture(scope="session")
def layers() -> pd.DataFrame:
    rows = [
        ("image", "InputLayer", "48x48x2", 0),
        ("conv", "Conv2D", "48x48x32", 608),
        ("norm", "BatchNormalization", "48x48x32", 128),
        ("flat", "GlobalAveragePooling2D", "32", 0),
        ("head", "Dense", "2", 66),
    ]
    return pd.DataFrame(rows, columns=["name", "kind", "output_shape", "parameters"])


@pytest.fixture(scope="session")
def provenance() -> pd.DataFrame:
    rows = [("data_processing", "cuts", "a81e55c90b7712fe", 1000, 812, "hillas_intensity > 50")]
    return pd.DataFrame(rows, columns=["step", "item", "fingerprint", "n_in", "n_out", "detail"])


@pytest.fixture(scope="session")
def created() -> datetime:
    return datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture(scope="session")
def make_events() -> Callable[..., QTable]:
    """See `tests.toy_events.toy_events`."""
    return toy_events
