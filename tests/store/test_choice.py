"""Mono models see one telescope type."""

import pytest

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.choice import only_store


def test_the_only_store_is_taken():
    store = object()
    assert only_store({"SST_1M_DigiCam": store}) is store


def test_several_stores_are_refused_with_their_names():
    with pytest.raises(UserError, match=r"hold LST, MST: choose one with dl1\.telescope_types"):
        only_store({"LST": object(), "MST": object()})
