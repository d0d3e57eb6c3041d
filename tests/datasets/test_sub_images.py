import numpy as np
import pytest
from kedro.io import DatasetError, Version
from tests.alerts.toy_images import toy_images

from cherenkov_pipeline.datasets.sub_images import SubImagesDataset


@pytest.mark.parametrize("name", ["images.h5", "images.npz"])
def test_saved_images_are_loaded_as_they_were(name, tmp_path):
    images = toy_images(6)
    dataset = SubImagesDataset(filepath=str(tmp_path / name), version=Version(None, "2026-02-09T10.00.00.000Z"))
    assert not dataset.exists()
    dataset.save(images)
    found = SubImagesDataset(filepath=str(tmp_path / name), version=Version(None, None)).load()
    np.testing.assert_array_equal(found.snr, images.snr)
    np.testing.assert_array_equal(found.codes, images.codes)
    for column in ("image_id", "snr_max", "snr_std", "is_real", "cause", "burst_id"):
        np.testing.assert_array_equal(np.asarray(found.table[column]), np.asarray(images.table[column]))


def test_no_images_are_an_error(tmp_path):
    with pytest.raises(DatasetError):
        SubImagesDataset(filepath=str(tmp_path / "images.h5")).load()
