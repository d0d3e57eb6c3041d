"""Tables keep values, units and metadata."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from cherenkov_pipeline.datasets.astropy_table import AstropyTableDataset


@pytest.fixture
def table() -> QTable:
    content = QTable({"energy": [1.0, np.nan, 3.0] * u.TeV, "n": [1, 2, 3], "name": ["a", "b", "c"]})
    content.meta["convention"] = "median"
    return content


@pytest.mark.parametrize("suffix", ["ecsv", "h5"])
def test_round_trip(tmp_path, table, suffix):
    dataset = AstropyTableDataset(filepath=str(tmp_path / f"table.{suffix}"))
    dataset.save(table)
    loaded = dataset.load()

    assert loaded["energy"].unit == u.TeV
    np.testing.assert_array_equal(loaded["energy"].value, table["energy"].value)
    assert list(loaded["name"]) == ["a", "b", "c"]
    assert loaded.meta["convention"] == "median"


def test_preview_shows_first_rows(tmp_path, table):
    dataset = AstropyTableDataset(filepath=str(tmp_path / "table.ecsv"))
    dataset.save(table)
    preview = dataset.preview(nrows=2)
    assert preview["columns"] == ["energy", "n", "name"]
    assert [row[2] for row in preview["data"]] == ["a", "b"]


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match=r"table\.fits"):
        AstropyTableDataset(filepath="table.fits")


@pytest.mark.parametrize("suffix", ["ecsv", "h5"])
def test_names_equal_text(tmp_path, table, suffix):
    """Counts by the name of a production were all zero: bytes equal no text, though single ones look like it."""
    dataset = AstropyTableDataset(filepath=str(tmp_path / f"table.{suffix}"))
    dataset.save(table)
    assert np.asarray(dataset.load()["name"] == "b").tolist() == [False, True, False]
    assert (np.asarray(dataset.load()["name"]) == np.array(["a", "b", "c"])).all()
