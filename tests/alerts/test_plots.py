import numpy as np
import pytest
from astropy.table import Table

from cherenkov_pipeline.alerts.images import CAUSES, SIZE, SubImages
from cherenkov_pipeline.alerts.plots import sample_sheet, sky_figure
from cherenkov_pipeline.alerts.simulation.events import Source
from cherenkov_pipeline.alerts.simulation.frames import Peak
from cherenkov_pipeline.alerts.simulation.parameters import AlertSimulationParameters
from cherenkov_pipeline.alerts.simulation.sample import simulate_sample


@pytest.fixture(scope="module")
def sample():
    return simulate_sample(AlertSimulationParameters(n_images=40))


def test_sheet_has_a_row_a_cause_and_a_picture_an_event(sample, tmp_path):
    figure = sample_sheet(sample, per_cause=3)
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
            assert axes.get_title().startswith(f"{table['snr_max'][first]:.1f}, ")
            np.testing.assert_array_equal(axes.images[0].get_array().mask, np.isnan(sample.snr[first]))


def test_sheet_of_images_without_a_cause_says_so():
    table = Table({"image_id": ["a"], "snr_max": [7.0], "snr_std": [1.0]})
    images = SubImages(np.zeros((1, SIZE, SIZE), np.float32), np.ones((1, SIZE, SIZE), np.uint8), table)
    assert "no sub-image" in sample_sheet(images).axes[0].texts[0].get_text()


def test_sky_image_shows_trigger_and_known_sources(tmp_path):
    snr = np.random.default_rng(0).normal(size=(199, 199))
    figure = sky_figure(snr, Peak(60, 170, 9.0, 1.0, True), [Source(20, 30)], least_coded=0.1)
    figure.savefig(tmp_path / "sky.png", dpi=40)
    axes = figure.axes[0]
    frame, ring = axes.patches
    assert frame.get_xy() == (170 - 28.5, 60 - 28.5)
    assert ring.center == (30, 20)
    assert axes.images[0].get_array().mask[0, 0]
    assert "9.0 at (60, 170)" in axes.get_title()
