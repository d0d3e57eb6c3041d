"""Fixtures that several rooms share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real files; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("CHERENKOV_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real files: {folder} is not a folder (set CHERENKOV_TEST_DATA)")
    return folder
