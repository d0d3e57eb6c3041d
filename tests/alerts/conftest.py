"""Fixtures of the alerts' tests."""

import pytest
from tests.alerts.toy_bundle import make_toy_bundle

from cherenkov_pipeline.alerts.bundle import Bundle, read_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory):
    """Folder of a bundle of two small networks that were trained on toy sub-images; leave it as it is."""
    base = tmp_path_factory.getbasetemp()
    # one for all of pytest-xdist's workers
    shared = base.parent if base.name.startswith("popen-") else base
    (shared / "toy_bundle").mkdir(exist_ok=True)
    return make_toy_bundle(shared / "toy_bundle")


@pytest.fixture(scope="session")
def bundle(bundle_path) -> Bundle:
    return read_bundle(bundle_path, n_threads=1)
