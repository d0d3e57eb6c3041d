"""Ratios to the nominal condition: what was injected comes back, and what did not change is not significant."""

from datetime import datetime

import numpy as np
import pytest
from astropy.table import QTable, vstack

from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.report.content import ReportContent
from cherenkov_pipeline.performance.report.render import render_markdown, render_report
from cherenkov_pipeline.performance.report.robustness import robustness_figure, robustness_report
from cherenkov_pipeline.performance.robustness.table import robustness_numbers, robustness_table
from cherenkov_pipeline.reconstruction.drift import drift_table
from cherenkov_pipeline.reconstruction.parameters import DriftParameters

SETTINGS = {"nominal": (np.nan, np.nan, ""), "night sky": (0.2, 0.1, "1 / ns"), "light": (0.28, 0.35, "")}


def labelled(table: QTable, condition: str) -> QTable:
    table = QTable(table)
    setting, nominal, unit = SETTINGS[condition]
    table["condition"], table["unit"] = np.full(len(table), condition, "U64"), np.full(len(table), unit, "U64")
    table["setting"], table["nominal"] = np.full(len(table), setting), np.full(len(table), nominal)
    return table


@pytest.fixture(scope="module")
def predictions(make_predictions) -> QTable:
    """Under the brighter night sky errors are 1.5 times as large; with less light a third of the showers is lost."""
    parts = {
        "nominal": make_predictions(1500),
        "night sky": make_predictions(1500, width=0.3),
        "light": make_predictions(1500)[::3],
    }
    for part in parts.values():
        part["shower"], part["outside_validity"] = np.asarray(part["event_id"]), np.zeros(len(part), dtype=bool)
    return vstack([labelled(part, name) for name, part in parts.items()], metadata_conflicts="silent")


@pytest.fixture(scope="module")
def drift() -> QTable:
    def record(shares) -> dict:
        counts = {"pixel_spread": (np.array(shares) * 1000).astype(int).tolist()}
        return {
            "telescope_type": "TOY", "tasks": ["energy"], "data": "gamma", "reference": "gamma", "n_reference": 5000,
            "n_images": 1000, "n_events": 800, "counts": counts, "shares": {"pixel_spread": [0.1] * 10},
        }  # fmt: skip

    same, other = [0.1] * 10, [0, 0, 0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4]
    return vstack(
        [
            labelled(drift_table([record(other if name == "night sky" else same)], DriftParameters()), name)
            for name in SETTINGS
        ]
    )


def counted(*conditions: str) -> QTable:
    rows = [dict(zip(("setting", "nominal", "unit"), SETTINGS[name], strict=True)) for name in conditions]
    return QTable(rows=[{"condition": name, **row} for name, row in zip(conditions, rows, strict=True)])


@pytest.fixture(scope="module")
def counts() -> QTable:
    return counted(*SETTINGS)


@pytest.fixture(scope="module")
def table(predictions, drift, counts, parameters) -> QTable:
    return robustness_table("energy", predictions, drift, counts, parameters)


def row(table: QTable, condition: str, metric: str = "resolution") -> QTable.Row:
    (found,) = table[(table["condition"] == condition) & (table["metric"] == metric)]
    return found


def test_injected_change_comes_back(table):
    nominal, worse = row(table, "nominal"), row(table, "night sky")
    assert (nominal["ratio"], nominal["difference"]) == (1, 0)
    assert nominal["ratio_low"] == nominal["ratio_high"] == 1
    assert worse["ratio"] == pytest.approx(1.5, abs=0.1)
    assert worse["ratio_low"] < worse["ratio"] < worse["ratio_high"]
    assert worse["changed"]
    assert worse["value"] - nominal["value"] == pytest.approx(worse["difference"])


def test_lost_events_alone_are_no_change(table):
    lost = row(table, "light")
    assert lost["n"] == 500
    assert not lost["changed"]
    assert lost["ratio_low"] < 1 < lost["ratio_high"]


def test_intervals_are_paired(table):
    """Errors of the same throws grow together: their ratio is known better than each of them."""
    nominal, worse = row(table, "nominal"), row(table, "night sky")
    unpaired = np.hypot(
        *((one["value_high"] - one["value_low"]) / one["value"] * worse["ratio"] for one in (nominal, worse))
    )
    assert worse["ratio_high"] - worse["ratio_low"] < 0.5 * unpaired


def test_bias_has_no_ratio(table):
    found = row(table, "night sky", "bias")
    assert np.isnan(found["ratio"])
    assert np.isfinite([found["difference"], found["difference_low"], found["difference_high"]]).all()


def test_condition_without_an_event_is_listed(predictions, drift, counts, parameters, table, tmp_path):
    counts.write(tmp_path / "counts.ecsv", format="ascii.ecsv")
    read = QTable.read(tmp_path / "counts.ecsv", format="ascii.ecsv")  # empty units come back masked
    found = robustness_table("energy", predictions[predictions["condition"] != "light"], drift, read, parameters)
    assert found["condition"].tolist() == table["condition"].tolist()
    assert found["setting_unit"].tolist() == table["setting_unit"].tolist()
    dark = row(found, "light")
    assert (dark["n"], dark["setting"], dark["nominal"]) == (0, 0.28, 0.35)
    assert np.isnan([dark[name] for name in ("value", "ratio", "difference", "ratio_low", "ratio_high")]).all()
    assert not dark["changed"]
    assert row(found, "night sky")["ratio"] == row(table, "night sky")["ratio"]
    assert robustness_numbers(found)["conditions"]["light"]["0.28"]["metrics"]["resolution"]["value"] is None
    assert len(robustness_figure(found).axes) == 2


def test_what_the_reconstruction_warns_of(table, predictions, drift, counts, parameters):
    assert [row(table, name)["noticed"] for name in SETTINGS] == ["nothing", "pixel_spread", "nothing"]
    outside = QTable(predictions)
    outside["outside_validity"] = np.asarray(outside["condition"]) == "light"
    again = robustness_table("energy", outside, drift, counts, parameters)
    assert row(again, "light")["noticed"] == "zenith"


def report_of(table: QTable, drift: QTable, created: datetime) -> ReportContent:
    counts = ("n_thrown", "n_triggered", "n_images", "n_predicted", "n_cut", "n_invalid", "n_valid")
    row_of_counts = {
        "condition": "nominal",
        "setting": np.nan,
        "unit": "",
        "particle": "gamma",
        **dict.fromkeys(counts, 9),
    }
    counted = QTable(rows=[row_of_counts])
    return robustness_report(table, drift, counted, robustness_figure(table), {"Model": "toy"}, created)


def test_numbers_and_pages(table, drift, tmp_path, created):
    numbers = robustness_numbers(table)
    assert numbers["conditions"]["night sky"]["0.2 1 / ns"]["noticed"] == "pixel_spread"
    assert numbers["conditions"]["night sky"]["0.2 1 / ns"]["metrics"]["bias"]["ratio"] is None
    table.write(tmp_path / "table.ecsv", format="ascii.ecsv")
    content = report_of(QTable.read(tmp_path / "table.ecsv", format="ascii.ecsv"), drift, created)
    assert (
        content.summary
        == "1 of 2 conditions changes the energy resolution significantly; the reconstruction warns of each of them."
    )
    page = render_report(content)
    assert page.count("<svg") == 1
    assert "noise of dark pixels" in page
    assert "night sky 0.2 ns⁻¹" in render_markdown(content)


def test_condition_that_cannot_be_judged_is_no_unchanged_one(predictions, drift, parameters, created):
    """Without gammas there is no resolution, though there are events."""
    protons = QTable(predictions)
    protons["true_shower_primary_id"][np.asarray(protons["condition"]) == "light"] = 101
    judged = robustness_table("energy", protons, drift, counted(*SETTINGS), parameters)
    content = report_of(judged, drift, created)
    assert content.summary == (
        "1 of 1 condition changes the energy resolution significantly; the reconstruction warns of each of them. "
        "light 0.28 cannot be judged."
    )
    ranks = content.sections[0].blocks[1]
    assert [row[4].text for row in ranks.rows] == ["–", "yes", "–"]
    metrics = robustness_numbers(judged)["conditions"]["light"]["0.28"]["metrics"]
    assert metrics["resolution"]["changed"] is None
    alone = judged[np.asarray(judged["condition"]) != "night sky"]
    summary = report_of(alone, drift, created).summary
    assert summary == "The energy resolution cannot be judged under any condition."


def test_level_of_the_intervals_is_the_one_that_was_asked_for(predictions, drift, created):
    wide = EvaluationParameters(resamples=200, confidence=0.8)
    content = report_of(robustness_table("energy", predictions, drift, counted(*SETTINGS), wide), drift, created)
    page = render_report(content)
    assert "with its 80 % interval" in page
    assert "95 %" not in page
