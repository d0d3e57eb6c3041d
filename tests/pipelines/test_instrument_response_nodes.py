"""From DL2 files of others to FITS files and report, node by node."""

import shutil

import astropy.units as u
import numpy as np
import pytest
import tables
from tests.reconstruction.other_dl2 import PREFIX, write_other_dl2

from cherenkov_pipeline.errors import UserError
from cherenkov_pipeline.file_plans import FileSet
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response import ResponseParameters
from cherenkov_pipeline.performance.response.names import FIGURES, TABLES
from cherenkov_pipeline.pipelines.instrument_response import nodes

PROTON = {"max_viewcone_radius": 8 * u.deg}
EVALUATION = EvaluationParameters(resamples=100, minimum_events=5, bins_per_decade=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dl2")
    write_other_dl2(folder / "gamma.h5", 0, 1, 60)
    write_other_dl2(folder / "proton.h5", 101, 2, 60, PROTON)
    return folder


@pytest.fixture(scope="module")
def parameters(folder) -> ResponseParameters:
    return ResponseParameters(dl2_path=str(folder), minimum_protons=2)


@pytest.fixture(scope="module")
def gathered(parameters):
    return nodes.gather_response_events(FileSet(""), parameters)


def test_each_image_is_an_event_of_one_of_two_telescopes(gathered):
    events, thrown = gathered
    assert thrown["n_telescopes"].tolist() == [2, 2]
    assert thrown["n_thrown"].tolist() == [2000, 2000]
    assert set(np.asarray(events["tel_id"])) == {1, 2}
    assert np.isnan(events["reco_energy_uncert"]).all()


def test_what_is_no_prediction_is_not_valid(folder, parameters, gathered, tmp_path):
    """As in the evaluation of others: CTLearn's zeros, and values that are not finite but called valid."""
    for name in ("gamma.h5", "proton.h5"):
        shutil.copy(folder / name, tmp_path / name)
    with tables.open_file(tmp_path / "gamma.h5", "a") as file:
        file.root._v_attrs["CTA ACTIVITY SOFTWARE NAME"] = "ctlearn"
        for group, field, value in (("particle_type", "prediction", 0.0), ("energy", "energy", np.nan)):
            table = file.root[f"/dl2/event/telescope/{group}/{PREFIX}/tel_001"]
            changed = table.col(f"{PREFIX}_tel_{field}")
            changed[:5] = value
            changed[5:7] = np.inf
            table.modify_column(column=changed, colname=f"{PREFIX}_tel_{field}")
    options = parameters.model_copy(update={"dl2_path": str(tmp_path)})
    events, thrown = nodes.gather_response_events(FileSet(""), options)
    assert len(events) == len(gathered[0])
    assert events["is_valid"].sum() == gathered[0]["is_valid"].sum() - 7
    assert np.isnan(events["gammaness"][~events["is_valid"]]).all()
    np.testing.assert_array_equal(thrown["n_thrown"], gathered[1]["n_thrown"])


def test_all_outputs_are_made(gathered, parameters):
    cuts = nodes.optimise_cuts(*gathered, parameters, EVALUATION)
    tables = nodes.tabulate_response(*gathered, cuts, parameters, EVALUATION)
    assert len(tables) == len(TABLES)
    files = nodes.write_response_files(*gathered, cuts, parameters, EVALUATION)
    assert [len(extensions) for extensions in files] == [6, 6]
    figures = nodes.draw_response(cuts, parameters, EVALUATION, *tables)
    assert len(figures) == len(FIGURES)
    page, summary = nodes.write_response_report(FileSet(""), gathered[0], cuts, parameters, *tables, *figures)
    assert page.count("<svg") == len(FIGURES)
    assert "gamma, proton" in page
    assert summary.startswith("# Instrument response of one telescope")


def test_files_of_the_reconstruction_are_taken_without_a_path(folder, parameters):
    files = FileSet("x", [{"path": str(folder / name)} for name in ("gamma.h5", "proton.h5")])
    events, _ = nodes.gather_response_events(files, parameters.model_copy(update={"dl2_path": None}))
    assert set(events["production"]) == {"gamma", "proton"}


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"dl2_path": None}, "There are no DL2 files: kedro run --pipeline=reconstruction"),
        ({"dl2_path": "nowhere"}, "nowhere does not exist: set instrument_response.dl2_path to a DL2 file"),
        ({"level": "subarray"}, "no subarray predictions of energy"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(parameters, update, message):
    with pytest.raises(UserError, match=message) as error:
        nodes.gather_response_events(FileSet(""), parameters.model_copy(update=update))
    assert "\n" not in str(error.value)


def test_gammas_of_another_source_are_refused(folder, parameters, tmp_path):
    for name in ("gamma.h5", "proton.h5"):
        shutil.copy(folder / name, tmp_path / name)
    write_other_dl2(tmp_path / "more.h5", 0, 3, 10, direction=(71.0, 180.0))
    with pytest.raises(UserError, match=r"0\.50 to 1\.00 deg beside the pointing"):
        nodes.gather_response_events(FileSet(""), parameters.model_copy(update={"dl2_path": str(tmp_path)}))


def test_one_file_may_be_called_anything(folder, parameters, tmp_path):
    named = shutil.copy(folder / "gamma.h5", tmp_path / "gamma.dl2")
    with pytest.raises(UserError, match="hold no protons"):
        nodes.gather_response_events(FileSet(""), parameters.model_copy(update={"dl2_path": str(named)}))
    for name in ("notes.txt", "more.txt"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"holds no HDF5 file: set instrument_response\.dl2_path"):
        nodes.gather_response_events(FileSet(""), parameters.model_copy(update={"dl2_path": str(tmp_path)}))


def test_gammas_alone_are_not_enough(folder, parameters):
    options = parameters.model_copy(update={"dl2_path": str(folder / "gamma.h5")})
    with pytest.raises(UserError, match="hold no protons"):
        nodes.gather_response_events(FileSet(""), options)
