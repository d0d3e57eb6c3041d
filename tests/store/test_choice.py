"""Mono models see one telescope type, stereo models all of them."""

import pytest
from tests.store.toy_store import two_types

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.store.choice import only_store, store_for


def test_the_only_store_is_taken():
    store = object()
    assert only_store({"SST_1M_DigiCam": store}) is store


def test_several_stores_are_refused_with_their_names():
    with pytest.raises(UserError, match=r"hold LST, MST: choose one with dl1\.telescope_types"):
        only_store({"LST": object(), "MST": object()})


def test_stereo_sees_all_types_together(tmp_path):
    stores = two_types(tmp_path)
    joined = store_for("stereo", stores)
    assert [store.telescope_type for store in joined.stores] == sorted(stores)
    assert store_for("stereo", {"only": stores["SST_TOY_OtherCam"]}) is stores["SST_TOY_OtherCam"]
    with pytest.raises(UserError, match=r"choose one with dl1\.telescope_types"):
        store_for("mono", stores)
