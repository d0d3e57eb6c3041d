"""FITS files come back whole, or are not there."""

import numpy as np
import pytest
from astropy.io import fits
from kedro.io import DatasetError

from cherenkov_pipeline.datasets.fits import FitsDataset


@pytest.fixture
def extensions() -> fits.HDUList:
    column = fits.Column("RATE", "D", unit="s-1", array=np.arange(3.0))
    return fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name="BACKGROUND")])


@pytest.mark.parametrize("name", ["irf.fits", "irf.fits.gz"])
def test_round_trip(tmp_path, extensions, name):
    dataset = FitsDataset(filepath=str(tmp_path / name))
    assert not dataset.exists()
    dataset.save(extensions)
    assert dataset.exists()
    loaded = dataset.load()
    np.testing.assert_array_equal(loaded["BACKGROUND"].data["RATE"], [0, 1, 2])
    assert loaded["BACKGROUND"].columns["RATE"].unit == "s-1"
    assert "CHECKSUM" in loaded["BACKGROUND"].header


def test_failed_write_leaves_nothing(tmp_path):
    class Broken(fits.HDUList):
        def writeto(self, path, **options):
            path.write_text("half")
            raise ValueError("broken")

    dataset = FitsDataset(filepath=str(tmp_path / "irf.fits"))
    with pytest.raises(DatasetError, match="broken"):
        dataset.save(Broken())
    assert list(tmp_path.iterdir()) == []


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match=r"irf\.h5"):
        FitsDataset(filepath="irf.h5")
