import astropy.units as u
import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cherenkov_pipeline.performance.energy import energy_tables
from cherenkov_pipeline.performance.plots import energy, uncertainty
from cherenkov_pipeline.performance.plots.architecture import architecture
from cherenkov_pipeline.performance.plots.history import loss_curves
from cherenkov_pipeline.performance.plots.style import BLUE
from cherenkov_pipeline.performance.published import ctlearn, random_forest_energy
from cherenkov_pipeline.performance.report.energy import energy_figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


@pytest.mark.parametrize("n", [0, 1, 600])
def test_every_figure_is_drawn_whatever_the_number_of_events(make_predictions, parameters, n):
    figures = energy_figures(energy_tables(make_predictions(n), parameters), "single_tel", "mono_tel1")
    assert set(figures) == {
        "resolution",
        "bias",
        "migration",
        "distribution",
        "pulls",
        "quarters",
        "coverage",
        "pulls_per_energy",
    }
    for figure in figures.values():
        figure.draw_without_rendering()
        assert any("[TeV]" in text or "Pull" in text or "Quarter" in text for text in texts(figure))


def test_no_value_lies_beyond_its_axis(make_predictions, parameters):
    """A shift of five predicted errors: no interval holds the truth, and the pull is far from 0."""
    curves = {"model": energy_tables(make_predictions(400, shift=1.0), parameters)["per_energy"]}
    for figure in (uncertainty.coverage(curves), uncertainty.pull_per_energy(curves)):
        for axes in figure.axes:
            (curve,) = [line for line in axes.lines if line.get_label() == "model"]
            low, high = axes.get_ylim()
            values = curve.get_ydata()[np.isfinite(curve.get_ydata())]
            assert len(values)
            assert ((low < values) & (values < high)).all()


def test_axes_are_the_same_where_all_values_fit(make_predictions, parameters):
    curves = {"model": energy_tables(make_predictions(400), parameters)["per_energy"]}
    assert uncertainty.coverage(curves).axes[0].get_ylim() == (0.3, 1)


@pytest.mark.parametrize("rates", [[0.002, 0.0013, 0.00002], [0.001, 0.001, 0.001]])
def test_learning_rate_tells_its_ends(rates):
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3, 2, 1], "learning_rate": rates})
    figure = loss_curves({"model": history})
    figure.draw_without_rendering()
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels() if text.get_text()]
    assert labels == [f"{rate:.2g}" for rate in sorted({min(rates), max(rates)})]


def test_only_bins_with_enough_events_are_drawn(make_predictions, parameters):
    table = energy_tables(make_predictions(150), parameters)["per_energy"]
    (axes,) = energy.energy_resolution({"model": table}).axes
    drawn = axes.lines[0].get_ydata()
    np.testing.assert_array_equal(np.isfinite(drawn), table["drawn"])
    np.testing.assert_array_equal(drawn[table["drawn"]], table["resolution"][table["drawn"]])


def test_models_and_reference_are_told_apart(make_predictions, parameters):
    curves = {
        name: energy_tables(make_predictions(400, width=width), parameters)["per_energy"]
        for name, width in (("first", 0.1), ("second", 0.3))
    }
    points = ctlearn("energy_resolution", "stereo")
    (axes,) = energy.energy_resolution(curves, random_forest_energy("stereo"), points).axes
    labels = axes.get_legend_handles_labels()[1]
    assert labels == [
        "first",
        "second",
        "broken: 68 % quantile of |error|",
        "SST-1M random forest, stereo (published; 60 % of the gammas)",
        "CTLearn, stereo (published; no cuts)",
    ]
    drawn = [line for line in axes.lines if np.isfinite(line.get_xdata()).any()]
    assert len(drawn) == 2 * 2 + 2
    assert len({to_hex(line.get_color()) for line in drawn}) == 3


def test_losses_of_many_models_have_colours_of_their_own(history):
    names = [f"model {number}" for number in range(9)]
    axes = loss_curves(dict.fromkeys(names, history)).axes[0]
    colours = {to_hex(line.get_color()) for line in axes.lines if "training" in line.get_label()}
    assert len(colours) == len(names)


def test_a_forest_of_one_epoch_does_not_squeeze_the_losses_of_networks(history):
    forest = history[:1].assign(loss=-1e3)
    beside, alone = (loss_curves(models).axes[0] for models in ({"a": history, "b": forest}, {"b": forest}))
    assert {line.get_label()[:2] for line in beside.lines if not line.get_label().startswith("_")} == {"a,"}
    assert beside.get_ylim()[0] > -1e3
    assert alone.lines[0].get_ydata() == [-1e3]


def test_no_published_curve_where_none_is_asked_for(make_predictions, parameters):
    figures = energy_figures(energy_tables(make_predictions(400), parameters), "single_tel", None)
    assert not any("published" in text for text in texts(figures["resolution"]))


def test_events_are_drawn_with_their_errors_and_the_rest_is_counted(make_predictions):
    predictions = make_predictions(9)
    predictions["is_valid"][0] = False
    predictions["reco_energy"][1] = np.nan
    predictions["true_energy"][2] = np.nan
    figure = energy.true_against_reco(predictions)
    container = figure.axes[0].containers[0]
    np.testing.assert_allclose(container.lines[0].get_xdata(), predictions["true_energy"][3:].value)
    np.testing.assert_allclose(container.lines[0].get_ydata(), predictions["reco_energy"][3:].value)
    assert "6 events\n3 without a valid energy" in texts(figure)
    predictions["is_valid"] = False
    assert any("no event" in text for text in texts(energy.true_against_reco(predictions)))


def test_pulls_are_compared_with_the_gaussian(make_predictions, parameters):
    figure = uncertainty.pull_distribution(energy_tables(make_predictions(3000), parameters)["pulls"])
    gaussian = figure.axes[0].lines[0].get_ydata()
    bars = figure.axes[0].patches[0].get_data().values
    assert gaussian.max() == pytest.approx(bars.max(), rel=0.15)


def test_best_epoch_is_named(history):
    figure = loss_curves({"single_tel": history})
    best = history.loc[history["val_loss"].idxmin()]
    assert any(f"epoch {best['epoch']:g}" in text for text in texts(figure))


def test_history_may_be_empty_or_without_validation(history):
    for columns, expected in ((history[:0], "no epoch was recorded"), (history[["epoch", "loss"]], "training")):
        figure = loss_curves({"model": columns})
        figure.draw_without_rendering()
        assert expected in texts(figure)


def test_layers_become_blocks_and_parameters_are_kept(layers):
    words = texts(architecture(layers))
    assert "Conv2D + BatchNorm" in words
    assert any("48 × 48 × 32 · 736 par." in word for word in words)  # 608 and the 128 of its normalisation
    assert "Dense" in words


def test_long_networks_grow_sideways(layers):
    many = pd.concat([layers] * 12)
    width, height = architecture(many).get_size_inches()
    small = architecture(layers).get_size_inches()
    assert width > 3 * small[0]
    assert height < 8
    assert "no layers" in texts(architecture(layers[:0]))


def test_style_does_not_leak_and_is_not_disturbed(history):
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "black", "lines.linewidth": 9}):
        figure = loss_curves({"single_tel": history})
    assert dict(matplotlib.rcParams) == before
    line = figure.axes[0].lines[0]
    assert line.get_linewidth() < 3
    assert to_hex(line.get_color()) == BLUE.lower()


def test_energies_may_come_in_another_unit(make_predictions):
    predictions = make_predictions(5)
    in_gev = predictions.copy()
    for name in ("true_energy", "reco_energy", "reco_energy_uncert"):
        in_gev[name] = in_gev[name].to(u.GeV)
    first, second = (energy.true_against_reco(table).axes[0].get_xlim() for table in (predictions, in_gev))
    assert first == pytest.approx(second)
