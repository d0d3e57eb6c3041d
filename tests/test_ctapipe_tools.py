"""DL2 files through ctapipe's own tools, as they are, with the configuration that the project ships."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.table import QTable, vstack
from ctapipe.core import run_tool
from ctapipe.core.tool import Tool
from ctapipe.io import DL2EventLoader, TableLoader
from ctapipe.irf import OptimizationResult, Spectra
from ctapipe.tools.compute_irf import IrfTool
from ctapipe.tools.merge import MergeTool
from ctapipe.tools.optimize_event_selection import EventSelectionOptimizer
from pyirf.cuts import evaluate_binned_cut
from pyirf.spectral import IRFDOC_PROTON_SPECTRUM
from pyirf.utils import cone_solid_angle
from traitlets.config import Config

from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters, SelectionParameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.file_plans import FileSet, run_plan
from cherenkov_pipeline.models.parameters import ModelParameters
from cherenkov_pipeline.models.saved import TrainedModel
from cherenkov_pipeline.performance.binning import energy_edges
from cherenkov_pipeline.performance.parameters import EvaluationParameters
from cherenkov_pipeline.performance.response import ResponseParameters
from cherenkov_pipeline.performance.response.events import GAMMA, PROTON, read_events, simulated
from cherenkov_pipeline.performance.response.selection import cuts_table
from cherenkov_pipeline.performance.response.stages import GAMMANESS, THETA, areas, stages
from cherenkov_pipeline.performance.response.tables import make_sample
from cherenkov_pipeline.performance.weighting import flux_weights
from cherenkov_pipeline.reconstruction.dl2 import plan_dl2
from cherenkov_pipeline.reconstruction.parameters import ReconstructionParameters
from cherenkov_pipeline.simulation import Production, SimulationParameters
from cherenkov_pipeline.store import EventStore
from cherenkov_pipeline.store.build import plan_store
from cherenkov_pipeline.store.parameters import SplitParameters, StoreParameters
from cherenkov_pipeline.training.parameters import TrainingParameters, input_parameters
from cherenkov_pipeline.training.task import train_task
from kedro_command import PROJECT

pytestmark = pytest.mark.slow

CONFIG = PROJECT / "conf" / "ctapipe.yml"
PRODUCTIONS = ("gamma_point", "proton_test", "gamma_diffuse")
SETTINGS = ("n_showers", "energy_min", "energy_max", "max_impact", "spectral_index", "viewcone_min", "viewcone_max")
TASKS = ("energy", "type", "skydirection")
SELECTION = SelectionParameters(quality={"bright": "hillas_intensity > 50", "inside": "leakage_pixels_width_2 < 0.5"})
THROWN = {
    "n_files": 2,
    "energy_min": "0.39 TeV",
    "energy_max": "260 TeV",
    "spectral_index": -1.5,
    "core_radius": "400 m",
}
GAMMAS = Production(particle="gamma", n_showers=600, viewcone_radius="3 deg", **THROWN)
PROTONS = Production(particle="proton", n_showers=300, uses_per_shower=3, viewcone_radius="5 deg", **THROWN)
SIMULATION = SimulationParameters(
    training={"gamma_diffuse": GAMMAS, "proton_diffuse": PROTONS},
    test={
        "gamma_point": GAMMAS.model_copy(update={"viewcone_radius": 0 * u.deg, "source_offset": 0.5 * u.deg}),
        "proton_test": PROTONS,
    },
    n_workers=1,
)
FOREST = ModelParameters(name="random_forest", options={"n_trees_regression": 20, "n_trees_classification": 20})
STEREO = ModelParameters(
    name="stereo_set_network",
    options={"encoder": {"width": 4, "heads": 2, "exchanges": 1, "units": (4,)}, "units": (6,)},
)


def simulate(folder: Path, productions: dict[str, Production]) -> FileSet:
    return run_plan(plan_production(SIMULATION, DL1Parameters(n_workers=1), productions), folder)


@pytest.fixture(scope="module")
def diffuse(tmp_path_factory) -> FileSet:
    """DL1 files that models learn from."""
    return simulate(tmp_path_factory.mktemp("diffuse"), SIMULATION.training)


@pytest.fixture(scope="module")
def models(diffuse, tmp_path_factory) -> dict[str, list[TrainedModel]]:
    """Small random forests, and a small stereo network of all tasks."""
    folder = tmp_path_factory.mktemp("models")
    split = SplitParameters(train=0.8, validation=0.2, test=0)
    built = run_plan(plan_store(diffuse, SELECTION, StoreParameters(n_workers=1, split=split)), folder / "store")
    store = EventStore(built.paths)

    def train(task: str, model: ModelParameters, given: dict | None = None) -> TrainedModel:
        training = TrainingParameters(epochs=8, batch_size=32)
        return train_task(store, task, model, input_parameters(model, given), training, folder / f"{model.name} {task}")

    return {
        "mono": [train(task, FOREST) for task in TASKS],
        "stereo": [train("+".join(TASKS), STEREO, {"brightest": 8, "parameters": ["hillas_width"]})],
    }


@pytest.fixture(scope="module")
def dl2(diffuse, models, tmp_path_factory) -> dict[str, FileSet]:
    """DL2 files by single telescopes and by a stereo model; the columns have the default models' names."""
    folder = tmp_path_factory.mktemp("dl2")
    tests = simulate(folder / "dl1", SIMULATION.test)
    gammas = [record for record in diffuse.records if record["particle"] == "gamma"]
    parameters = ReconstructionParameters(prefix="set_network")
    return {
        mode: run_plan(
            plan_dl2(FileSet("dl1", [*tests.records, *gammas]), chosen, SELECTION, parameters), folder / mode
        )
        for mode, chosen in models.items()
    }


def paths_of(files: FileSet, production: str) -> list[Path]:
    found = [path for path in files.paths if path.name.startswith(production)]
    assert len(found) == 2
    return found


def run(tool: Tool, *arguments: object, cwd: Path) -> None:
    assert run_tool(tool, [str(argument) for argument in arguments], cwd=cwd, raises=True) == 0


@pytest.fixture(scope="module")
def merged(dl2, tmp_path_factory) -> dict[str, dict[str, Path]]:
    """Files as ctapipe-merge makes them, by mode and production."""
    folder, found = tmp_path_factory.mktemp("merged"), {}
    for mode, files in dl2.items():
        for name in PRODUCTIONS:
            path = folder / f"{name}.{mode}.dl2.h5"
            run(MergeTool(), *paths_of(files, name), f"--output={path}", cwd=folder)
            found.setdefault(mode, {})[name] = path
    return found


@pytest.fixture(scope="module", params=["mono", "stereo"])
def mode(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def paths(merged, mode) -> dict[str, Path]:
    """The merged file of each production."""
    return merged[mode]


def files_of(paths: dict[str, Path]) -> list[str]:
    return [f"--config={CONFIG}", f"--gamma-file={paths['gamma_point']}", f"--proton-file={paths['proton_test']}"]


@pytest.fixture(scope="module")
def cuts(paths, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cuts")
    run(EventSelectionOptimizer(), *files_of(paths), f"--output={folder / 'cuts.fits'}", cwd=folder)
    return folder / "cuts.fits"


@pytest.fixture(scope="module")
def responses(paths, cuts, tmp_path_factory) -> dict[str, Path]:
    folder, found = tmp_path_factory.mktemp("responses"), {}
    for name, option in (("full_enclosure", "--no-"), ("point_like", "--")):
        found[name] = folder / f"{name}.fits.gz"
        benchmarks = folder / f"{name}.benchmarks.fits"
        outputs = [f"--output={found[name]}", f"--benchmark-output={benchmarks}"]
        run(IrfTool(), *files_of(paths), f"--cuts={cuts}", *outputs, f"{option}spatial-selection-applied", cwd=folder)
    return found


@pytest.fixture(scope="module")
def ours(merged) -> dict[str, tuple[QTable, QTable]]:
    """Events and thrown numbers as our own response reads them, by mode."""
    parameters = ResponseParameters(level="subarray")
    return {
        mode: read_events([paths["gamma_point"], paths["proton_test"]], parameters) for mode, paths in merged.items()
    }


def subarray_events(path: Path) -> QTable:
    with TableLoader(path, focal_length_choice="EQUIVALENT") as loader:
        return loader.read_subarray_events()


@pytest.mark.parametrize("name", PRODUCTIONS)
def test_nothing_is_lost_or_mixed_up_by_merging(dl2, merged, mode, name):
    parts = vstack([subarray_events(path) for path in paths_of(dl2[mode], name)])
    found = subarray_events(merged[mode][name])
    assert len(found) == len(parts) > 50
    for column in ("event_id", "true_energy", *(name for name in parts.colnames if name.startswith("set_network"))):
        np.testing.assert_array_equal(found[column], parts[column])


@pytest.mark.parametrize(("particle", "name"), [(GAMMA, "gamma_point"), (PROTON, "proton_test")])
def test_ctapipe_reads_what_we_read(merged, ours, mode, particle, name):
    """What was thrown, and the events that the shipped conditions leave."""
    loader = DL2EventLoader(merged[mode][name], Spectra.CRAB_HEGRA, config=Config(yaml.safe_load(CONFIG.read_text())))
    events, n_events, meta = loader.load_preselected_events(100, 50 * u.h)
    read, thrown = ours[mode]
    for field in SETTINGS:
        assert u.isclose(getattr(meta["sim_info"], field), getattr(simulated(thrown, particle), field)), field
    chosen = getattr(make_sample(read, thrown), f"{particle}s")
    assert n_events == len(chosen)
    chosen = chosen[chosen["is_valid"]]
    assert len(events) == len(chosen) > 50
    same = ("event_id", "true_energy", "reco_energy", "theta", "reco_source_fov_offset")
    for theirs, own in (("gh_score", "gammaness"), *((field, field) for field in same)):
        np.testing.assert_allclose(events[theirs], chosen[own], rtol=1e-5)


def test_cuts_are_made_in_the_bins_of_our_reports(cuts):
    found = OptimizationResult.read(cuts)
    edges = energy_edges(EvaluationParameters())
    np.testing.assert_allclose(found.gh_cuts["low"], edges[3:-4], rtol=1e-6)
    np.testing.assert_allclose(found.gh_cuts["high"], edges[4:-3], rtol=1e-6)
    assert found.valid_energy.max > 3 * found.valid_energy.min
    assert [name for name, _ in found.quality_query.quality_criteria] == [
        "valid energy",
        "valid direction",
        "valid gammaness",
    ]


def at_least(multiplicity: QTable, path: Path, energy: u.Quantity) -> np.ndarray:
    """Events that enough telescopes have predicted."""
    events = subarray_events(path)
    seen = np.min([events[f"set_network_{task}_telescopes"].sum(axis=1) for task in TASKS], axis=0)
    return evaluate_binned_cut(seen, energy, multiplicity, np.greater_equal)


@pytest.mark.parametrize(("name", "stage"), [("full_enclosure", GAMMANESS), ("point_like", THETA)])
def test_area_is_that_of_our_own_response(paths, cuts, responses, ours, mode, name, stage):
    chosen = OptimizationResult.read(cuts)
    edges = np.append(chosen.gh_cuts["low"], chosen.gh_cuts["high"][-1])
    own = cuts_table(edges, chosen.gh_cuts["cut"], chosen.spatial_selection_table["cut"])
    events, thrown = ours[mode]
    gammas = make_sample(events, thrown).gammas
    left = stages(gammas, own)[stage] & at_least(chosen.multiplicity_cuts, paths["gamma_point"], gammas["reco_energy"])
    expected = areas(gammas, {stage: left}, simulated(thrown, GAMMA), edges, 1)
    with fits.open(responses[name]) as extensions:
        data = extensions["EFFECTIVE AREA"].data
    np.testing.assert_allclose(data["ENERG_LO"][0], edges[:-1].to_value("TeV"))
    np.testing.assert_allclose(data["EFFAREA"][0, 0], expected["area"].to_value("m2"), rtol=1e-6)
    assert left.sum() > 50


@pytest.mark.parametrize("name", ["full_enclosure", "point_like"])
def test_gammapy_reads_the_responses(responses, name):
    irf = pytest.importorskip("gammapy.irf", reason="gammapy is not installed: pip install -e .[dev]")
    found = irf.load_irf_dict_from_file(responses[name])
    assert {"aeff", "edisp", "bkg", "psf"} | ({"rad_max"} if name == "point_like" else set()) == set(found)
    with fits.open(responses[name]) as extensions:
        data = extensions["EFFECTIVE AREA"].data
    energy = np.sqrt(data["ENERG_LO"][0] * data["ENERG_HI"][0]) * u.TeV
    area = found["aeff"].evaluate(energy_true=energy, offset=0.5 * u.deg)
    np.testing.assert_allclose(area.to_value("m2"), data["EFFAREA"][0, 0], rtol=1e-6)
    for response in found.values():
        assert np.isfinite(response.quantity).all()


def test_background_is_that_of_our_protons(paths, ours, mode, tmp_path):
    """With cuts that leave many: the rate in the field of view is the sum of the protons' weights."""
    cuts, response = tmp_path / "cuts.fits", tmp_path / "irf.fits"
    loose = ["--EventSelectionOptimizer.optimization_algorithm=PercentileCuts"]
    loose += ["--GhPercentileCutCalculator.target_percentile=95"]
    run(EventSelectionOptimizer(), *files_of(paths), *loose, f"--output={cuts}", cwd=tmp_path)
    run(IrfTool(), *files_of(paths), f"--cuts={cuts}", f"--output={response}", cwd=tmp_path)
    chosen = OptimizationResult.read(cuts)
    edges = np.append(chosen.gh_cuts["low"], chosen.gh_cuts["high"][-1])
    own = cuts_table(edges, chosen.gh_cuts["cut"], np.ones(len(edges) - 1) * u.deg)
    events, thrown = ours[mode]
    protons = make_sample(events, thrown).protons
    left = stages(protons, own)[GAMMANESS] & (protons["reco_source_fov_offset"] < 3 * u.deg)
    weights = flux_weights(protons["true_energy"][left], simulated(thrown, PROTON), IRFDOC_PROTON_SPECTRUM)
    with fits.open(response) as extensions:
        data = extensions["BACKGROUND"].data
    width = (data["ENERG_HI"][0] - data["ENERG_LO"][0]) * u.TeV.to("MeV")
    rate = np.sum(data["BKG"][0, 0] * width) * cone_solid_angle(3 * u.deg).value
    assert left.sum() > 20
    assert rate == pytest.approx(weights.to_value("1/s").sum())


def test_diffuse_gammas_give_areas_over_the_field_of_view(paths, cuts, tmp_path):
    bins = ["--DefaultFoVOffsetBins.fov_offset_max=3 deg", "--DefaultFoVOffsetBins.fov_offset_n_bins=3"]
    options = [f"--config={CONFIG}", f"--gamma-file={paths['gamma_diffuse']}", "--no-do-background"]
    run(IrfTool(), *options, *bins, f"--cuts={cuts}", f"--output={tmp_path / 'diffuse.fits'}", cwd=tmp_path)
    with fits.open(tmp_path / "diffuse.fits") as extensions:
        area = extensions["EFFECTIVE AREA"].data["EFFAREA"][0]
    assert area.shape == (3, 14)
    assert (area.sum(axis=1) > 0).all()


def test_real_events_pass_the_same_way(models, test_data, tmp_path):
    raw = find_inputs(test_data / "simtel" / "sst1m_digicam_gamma_9ev.simtel.gz")
    dl1 = run_plan(plan_dl1(raw, DL1Parameters(n_workers=1)), tmp_path / "dl1")
    plan = plan_dl2(
        dl1, models["mono"], SelectionParameters(quality={}), ReconstructionParameters(prefix="set_network")
    )
    made = run_plan(plan, tmp_path / "dl2")
    run(MergeTool(), *made.paths, f"--output={tmp_path / 'merged.dl2.h5'}", cwd=tmp_path)
    config = Config(yaml.safe_load(CONFIG.read_text()))
    loader = DL2EventLoader(tmp_path / "merged.dl2.h5", Spectra.CRAB_HEGRA, config=config)
    events, n_events, meta = loader.load_preselected_events(100, 50 * u.h)
    assert n_events == len(events) == 9
    assert (events["multiplicity"] == 1).all()
    assert meta["sim_info"].n_showers == 1000
