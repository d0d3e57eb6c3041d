"""Fixtures of the service's tests."""

import pytest
from tests.alerts.service.toy_service import Service


@pytest.fixture
def service(tmp_path, bundle):
    return Service(tmp_path, bundle)
