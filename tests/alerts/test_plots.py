import numpy as np
import pytest

from cherenkov_pipeline.alerts.images import CAUSES, SubImages
from cherenkov_pipeline.alerts.plots import sample_sheet
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_sample


@pytest.fixture(scope="module")
def sample():
    return simulate_sample(AlertSimulationParameters(n_images=40))


def test_sheet_has_a_row_a_cause_and_a_picture_an_event(sample, tmp_path):
    figure = sample_sheet(sample, per_row=3)
    figure.savefig(tmp_path / "sheet.png", dpi=40)
    grid = np.reshape(figure.axes, (-1, 3))
    assert [row[0].texts[0].get_text() for row in grid] == [cause.replace("_", " ") for cause in CAUSES]
    table = sample.table
    for cause, row in zip(CAUSES, grid, strict=True):
        bursts = list(dict.fromkeys(table["burst_id"][table["cause"] == cause]))
        drawn = [axes for axes in row if axes.images]
        assert len(drawn) == min(3, len(bursts))
        for axes, burst in zip(drawn, bursts, strict=False):
            first = np.flatnonzero(table["burst_id"] == burst)[0]
            assert axes.get_title().startswith(f"SNR {table['snr_max'][first]:.1f}, ")
            np.testing.assert_array_equal(axes.images[0].get_array().mask, np.isnan(sample.snr[first]))


def test_images_whose_cause_is_not_known_stand_with_their_label(sample):
    table = sample.table.copy()
    table["cause"][table["cause"] == "grb"] = ""
    rows = np.reshape(sample_sheet(SubImages(sample.snr, sample.codes, table), per_row=2).axes, (-1, 2))
    causes = [cause for cause in CAUSES if cause != "grb"]
    names = [row[0].texts[0].get_text() for row in rows]
    assert names[: len(causes)] == [cause.replace("_", " ") for cause in causes]
    assert names[len(causes)] == "true source"
    table.remove_column("cause")
    sheet = sample_sheet(SubImages(sample.snr, sample.codes, table), per_row=3)
    assert [axes.texts[0].get_text() for axes in sheet.axes[::3]] == ["true source", "false alert"]


def test_no_image(sample):
    assert sample_sheet(sample[:0]).axes[0].texts[0].get_text() == "no image"
