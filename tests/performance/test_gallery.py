"""Single events: which are chosen, whose images are shown, what is drawn into them."""

import astropy.units as u
import matplotlib.text
import numpy as np
import pytest
from astropy.table import QTable
from matplotlib.collections import PolyCollection
from tests.store.toy_dl1 import ToyEvent, camera, geometry, subarray, toy_image, write_dl1
from tests.store.toy_store import build, two_types

from cherenkov_pipeline.performance.direction import direction_gallery, direction_sample
from cherenkov_pipeline.performance.energy import energy_gallery, energy_sample
from cherenkov_pipeline.performance.evaluations import EVALUATIONS
from cherenkov_pipeline.performance.gallery import find_images
from cherenkov_pipeline.performance.plots.camera import RECO, TRUE, Mark, Panel, event_panels, pixel_corners
from cherenkov_pipeline.performance.report.content import Figure, ReportContent, Text
from cherenkov_pipeline.performance.report.gallery import ERROR_CAPTIONS, gallery_figures, gallery_section
from cherenkov_pipeline.performance.report.render import render_report
from cherenkov_pipeline.performance.type import type_gallery, type_sample
from cherenkov_pipeline.store import JoinedStores


def chosen(table: QTable, kind: str, column: str = "event_id") -> list:
    return list(table[column][table["kind"] == kind])


def test_energies_are_chosen_by_error_and_predicted_error(make_predictions):
    predictions = make_predictions(100, width=0.2)
    ratio, predicted = np.full(100, 1.2), np.full(100, 0.2)
    ratio[[7, 8]] = 1.0001, 0.1  # best; worst, too low by a factor ten
    ratio[9], predicted[9] = 1.8, 0.02  # confidently wrong
    predicted[10] = 0.9
    predictions["reco_energy"] = ratio * predictions["true_energy"]
    predictions["reco_energy_uncert"] = predicted * predictions["reco_energy"]
    table = energy_gallery(predictions, energy_sample(predictions))
    assert [chosen(table, kind)[0] for kind in ("best", "worst", "uncertain", "surprising")] == [7, 8, 10, 9]
    assert all(chosen(table, kind, "number") == [1, 2, 3, 4] for kind in ("best", "worst", "uncertain", "surprising"))
    worst = table[table["kind"] == "worst"][0]
    assert worst["relative_error"] == pytest.approx(-0.9)
    assert worst["pull"] == pytest.approx(np.log(0.1) / 0.2)


def test_a_shower_is_shown_once_of_a_kind(make_predictions):
    predictions = make_predictions(40)
    predictions["shower"] = np.arange(40) // 2
    predictions["reco_energy"] = predictions["true_energy"] * np.exp(np.arange(40))
    table = energy_gallery(predictions, energy_sample(predictions))
    assert chosen(table, "worst") == [39, 37, 35, 33]


def test_events_that_do_not_count_are_not_chosen(make_predictions):
    predictions = make_predictions(30)
    predictions["reco_energy"][3:5] *= 1e4
    predictions["is_valid"][3] = False
    predictions["true_shower_primary_id"][4] = 101
    table = energy_gallery(predictions, energy_sample(predictions))
    assert not {3, 4} & set(table["event_id"])


def test_without_predicted_errors_there_are_best_and_worst_alone(make_predictions):
    table = energy_gallery(*(lambda one: (one, energy_sample(one)))(make_predictions(30, predicted=np.nan)))
    assert set(table["kind"]) == {"best", "worst"}


def test_directions_are_chosen_by_the_angle(make_events):
    events = make_events(200)
    wrong = 2 * np.argmin(np.abs(events["true_alt"][::2].value - 70))  # a gamma
    events["reco_alt"][wrong] += 1.5 * u.deg
    events["reco_ang_distance_uncert"][wrong] = 0.05 * u.deg
    table = direction_gallery(events, direction_sample(events))
    assert chosen(table, "worst")[0] == chosen(table, "surprising")[0] == wrong
    assert table["angle"].unit == u.deg
    assert (np.diff(table["angle"][table["kind"] == "best"]) >= 0).all()


def test_types_are_chosen_by_gammaness(make_events):
    events = make_events(100)
    events["gammaness"] = np.where(events["true_shower_primary_id"] == 0, 0.8, 0.2)
    for number, value in {10: 0.001, 11: 0.999, 20: 0.9999, 30: 0.51}.items():
        events["gammaness"][number] = value
    table = type_gallery(events, type_sample(events))
    first = {kind: chosen(table, kind)[0] for kind in EVALUATIONS["type"].gallery_names}
    assert first == {"best": 20, "uncertain": 30, "missed": 10, "false": 11}


@pytest.fixture(scope="module")
def array():
    return subarray({1: camera(), 2: camera()})


@pytest.fixture(scope="module")
def store(tmp_path_factory, array):
    """Two productions with the same numbers of events."""
    folder = tmp_path_factory.mktemp("gallery")
    paths = [
        write_dl1(folder / f"{name}.dl1.h5", array, [ToyEvent(event, seed + event) for event in range(3)])
        for name, seed in (("gamma_a", 0), ("gamma_b", 50))
    ]
    return build(folder / "store", *paths)[0]


def events_of(**columns) -> QTable:
    return QTable(columns)


def test_images_are_those_of_production_event_and_telescope(store, array):
    events = events_of(
        production=["gamma_b", "gamma_a", "gamma_a", "elsewhere"],
        obs_id=[1, 1, 1, 1],
        event_id=[2, 2, 9, 2],
        tel_id=[1, 2, 1, 1],
    )
    first, second, *others = find_images(events, store)
    assert others == [None, None]
    for found, seed in ((first, 52 + 7), (second, 2 + 14)):
        np.testing.assert_allclose(found.image, toy_image(array.tel[1].camera.geometry, seed)[0], atol=0.1, rtol=0.02)
        assert 0 < found.mask.sum() < len(found.mask)
    assert find_images(events[:0], store) == []


def test_of_several_telescopes_the_brightest_image_is_shown(store):
    (found,) = find_images(events_of(production=["gamma_a"], obs_id=[1], event_id=[1]), store)
    table = store.table
    same = (table["event_id"] == 1) & (table["production"] == store.productions.index("gamma_a"))
    assert same.sum() == 2
    assert found.row["hillas_intensity"] == table["hillas_intensity"][same].max()


def test_images_have_the_camera_of_their_telescope(tmp_path):
    stores = two_types(tmp_path)
    joined = JoinedStores(list(stores.values()))
    seen = next(event for event in range(400, 0, -3) if len(_row(joined, event)) == 1)
    (row,) = _row(joined, seen)
    (found,) = find_images(events_of(production=["gamma"], obs_id=[1], event_id=[seen]), joined)
    assert found.camera.n_pixels == len(found.image)
    assert found.row["tel_id"] == joined.columns(["tel_id"])["tel_id"][row]


def _row(store, event_id: int) -> np.ndarray:
    return np.flatnonzero(store.columns(["event_id"])["event_id"] == event_id)


@pytest.mark.parametrize("pix_type", ["hexagon", "rectangular"])
def test_pixels_tile_the_camera(pix_type):
    from ctapipe.instrument import CameraGeometry

    camera = geometry() if pix_type == "hexagon" else CameraGeometry.make_rectangular(10, 10)
    corners = pixel_corners(camera)
    centres = np.stack([camera.pix_x.to_value("m"), camera.pix_y.to_value("m")], axis=-1)
    np.testing.assert_allclose(corners.mean(axis=1), centres, atol=1e-9)
    x, y = np.moveaxis(corners, -1, 0)
    area = 0.5 * np.abs(np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1), axis=1))
    np.testing.assert_allclose(area, camera.pix_area.to_value("m2"), rtol=0.02)


def panel(**marks: Mark) -> Panel:
    found = geometry()
    image = toy_image(found, 3)[0]
    return Panel("an event", found, image, image > 8, (0.0, 0.0, 30.0), {TRUE: marks["true"], RECO: marks["reco"]})


def test_marks_are_in_the_picture_where_the_sources_are():
    axes = event_panels([panel(true=Mark(1, 0.5), reco=Mark(0.9, 0.3, 0.2))]).axes[0]
    places = {line.get_marker(): line.get_xydata()[0] for line in axes.lines if line.get_marker() in ("*", "o")}
    np.testing.assert_allclose(places["*"], (1, 0.5))
    np.testing.assert_allclose(places["o"], (0.9, 0.3))
    (circle,) = axes.patches
    assert (*circle.center, circle.radius) == (0.9, 0.3, 0.2)
    for place in places.values():
        assert axes.get_xlim()[0] < place[0] < axes.get_xlim()[1]
        assert axes.get_ylim()[0] < place[1] < axes.get_ylim()[1]
    _, outlines = (one for one in axes.collections if isinstance(one, PolyCollection))
    assert len(outlines.get_paths()) == panel(true=Mark(0, 0), reco=Mark(0, 0)).mask.sum()


def test_a_mark_far_away_stands_at_the_edge_without_its_circle():
    axes = event_panels([panel(true=Mark(0, 0), reco=Mark(80, 0, 5))]).axes[0]
    (reco,) = [line.get_xydata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert reco[0] < axes.get_xlim()[1] < 10
    assert not axes.patches


def test_number_of_panels_is_free():
    for n in (0, 1, 3):
        figure = event_panels(n * [panel(true=Mark(1, 0.5), reco=Mark(0.9, 0.3))])
        figure.draw_without_rendering()
        assert sum(axes.get_title().startswith("an event") for axes in figure.axes) == n


@pytest.mark.parametrize("task", EVALUATIONS)
def test_every_task_has_its_pictures(task, store, make_events, parameters):
    events = make_events(2 * len(store.table), flipped=0.2)[::2]  # gammas
    for name in ("obs_id", "event_id", "tel_id", "telescope_pointing_altitude", "telescope_pointing_azimuth"):
        events[name] = store.table[name]
    events["production"] = np.array(store.productions)[store.table["production"]]
    events["reco_energy"], events["reco_energy_uncert"] = 1.1 * events["true_energy"], 0.2 * events["true_energy"]
    for axis, angle in (("x", "alt"), ("y", "az")):
        for kind in ("true", "reco"):
            events[f"{kind}_camera_{axis}"] = events[f"{kind}_{angle}"].to_value("rad") * 5.6 * u.m
    evaluation = EVALUATIONS[task]
    tables = evaluation.tables(events, parameters)
    figures = evaluation.gallery(tables["gallery"], {store.telescope_type: store})
    assert tuple(figures) == evaluation.gallery_names
    titles = [axes.get_title() for figure in figures.values() for axes in figure.axes if axes.get_title()]
    assert len(titles) == len(tables["gallery"]) > 0
    assert all(" p.e." in title and "nan" not in title for title in titles)
    section = evaluation.result(tables, figures).sections[-1]
    assert section.title == "Single events"
    assert len([block for block in section.blocks if isinstance(block, Figure)]) == 4
    page = render_report(ReportContent("Model report", task, "", (section,)))
    assert len(page) < 1_500_000


@pytest.mark.parametrize(("task", "others"), [("skydirection", 1), ("energy", 0), ("type", 0), ("core", 0)])
def test_true_direction_is_drawn_in_the_telescope_frame(task, others, store, make_events, parameters):
    events = make_events(4)[::2]
    events["reco_energy"], events["reco_energy_uncert"] = 1.1 * events["true_energy"], 0.2 * events["true_energy"]
    for name in ("obs_id", "event_id", "tel_id"):
        events[name] = store.table[name][:2]
    events["production"] = np.array(store.productions)[store.table["production"][:2]]
    events["telescope_pointing_altitude"], events["telescope_pointing_azimuth"] = 70 * u.deg, 180 * u.deg
    events["true_alt"], events["true_az"] = 70.5 * u.deg, 180 * u.deg  # half a degree above the centre
    evaluation = EVALUATIONS[task]
    tables = evaluation.tables(events, parameters)
    figures = evaluation.gallery(tables["gallery"], {store.telescope_type: store})
    stars, circles = (
        [line.get_xydata()[0] for axes in figures["best"].axes for line in axes.lines if line.get_marker() == marker]
        for marker in "*o"
    )
    np.testing.assert_allclose(stars, [(0, 0.5)], atol=1e-6)
    assert len(circles) == others
    text = evaluation.result(tables, figures).sections[-1].blocks[0].text
    assert "Star: true direction" in text
    assert ("reconstructed direction" in text) == (others > 0)


def test_without_images_the_section_says_so_and_lists_the_events(make_predictions):
    predictions = make_predictions(50)
    predictions["production"] = np.full(50, "<b>bold</b>")
    table = energy_gallery(predictions, energy_sample(predictions))
    section = gallery_section(table, {}, ERROR_CAPTIONS, {"true_energy": "E_true"})
    text, events = section.blocks
    assert isinstance(text, Text)
    assert "no event store" in text.text
    assert len(events.rows) == 16
    assert "<b>bold" not in render_report(ReportContent("", "", "", (section,)))


def test_an_error_of_nothing_has_no_sign(store, make_predictions):
    predictions = make_predictions(1)
    for name in ("obs_id", "event_id", "tel_id"):
        predictions[name] = store.table[name][:1]
    predictions["production"] = np.array(store.productions)[store.table["production"][:1]]
    predictions["reco_energy"] = predictions["true_energy"] * (1 - 1e-5)
    table = energy_gallery(predictions, energy_sample(predictions))
    figure = gallery_figures(("best",), table, {store.telescope_type: store})["best"]
    assert "TeV (0.0 %)" in figure.axes[0].get_title()


def test_titles_never_round_to_certainty(store, make_events):
    events = make_events(2)
    for name in ("obs_id", "event_id", "tel_id"):
        events[name] = store.table[name][[0, 2]]
    events["production"] = np.array(store.productions)[store.table["production"][[0, 2]]]
    events["gammaness"] = 0.99999, 0.00002
    figures = gallery_figures(("best",), type_gallery(events, type_sample(events)), {store.telescope_type: store})
    words = [text.get_text() for text in figures["best"].findobj(matplotlib.text.Text)]
    assert any("gamma, gammaness 0.99999" in word for word in words)
    assert any("proton, gammaness 0.00002" in word for word in words)
