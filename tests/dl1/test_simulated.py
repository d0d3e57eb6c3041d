import astropy.units as u
import numpy as np
import pytest
import tables
from ctapipe.calib import CameraCalibrator
from ctapipe.core import Provenance
from ctapipe.image import ImageProcessor
from ctapipe.io import DataWriter, EventSource, HDF5EventSource, HDF5Merger, TableLoader, read_table
from numpy.testing import assert_allclose

from cherenkov_pipeline.dl1 import simulated
from cherenkov_pipeline.dl1.image_processing import image_processor
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.dl1.production import plan_production
from cherenkov_pipeline.file_plans import run_plan
from cherenkov_pipeline.simulation import SimulationParameters

GAMMA = {
    "particle": "gamma",
    "n_files": 2,
    "n_showers": 500,
    "energy_min": "1 TeV",
    "energy_max": "50 TeV",
    "core_radius": "400 m",
}
PROTON = {**GAMMA, "particle": "proton", "n_files": 1, "n_showers": 250, "uses_per_shower": 4, "energy_min": "3 TeV"}


@pytest.fixture(scope="module")
def parameters():
    return SimulationParameters(
        training={
            "gamma_diffuse": {**GAMMA, "viewcone_radius": "3 deg"},
            "proton_diffuse": {**PROTON, "viewcone_radius": "3 deg"},
        },
        test={"gamma_point": {**GAMMA, "n_files": 1, "source_offset": "0.5 deg"}},
        n_workers=1,
    )


@pytest.fixture(scope="module")
def produced(parameters, tmp_path_factory):
    plan = plan_production(parameters, DL1Parameters(), parameters.training)
    return run_plan(plan, tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="module")
def events(produced):
    with TableLoader(
        produced.paths[0], dl1_images=True, true_images=True, dl1_parameters=True, simulated=True, pointing=True
    ) as loader:
        return loader.read_telescope_events()


def layout(path):
    """Columns of each table, with their units."""
    with tables.open_file(path) as file:
        names = [node._v_pathname for node in file.walk_nodes("/", "Table")]
    return {
        name.replace("tel_002", "tel_001"): {name: str(getattr(table[name], "unit", None)) for name in table.colnames}
        for name in names
        if not name.startswith("/configuration/instrument")
        for table in [read_table(path, name)]
    }


def test_files_have_the_layout_that_ctapipe_writes_for_sim_telarray(produced, test_data, tmp_path):
    path = test_data / "simtel" / "sst1m_digicam_gamma_9ev.simtel.gz"
    real = tmp_path / "real.dl1.h5"
    with EventSource(path, focal_length_choice="EQUIVALENT", max_events=3) as source:
        calibrate, process = CameraCalibrator(subarray=source.subarray), ImageProcessor(subarray=source.subarray)
        with Provenance().activity("test"), DataWriter(source, output_path=real, write_dl1_images=True) as write:
            for event in source:
                calibrate(event)
                process(event)
                write(event)

    expected, ours = layout(real), layout(produced.paths[0])
    # only sim_telarray knows its atmosphere; we know the thrown showers, which the writer's user must add
    assert ours.keys() - {"/simulation/service/shower_distribution"} == expected.keys()
    for name, columns in expected.items():
        assert ours[name] == columns, name


def test_ctapipe_reads_the_files(produced, events):
    record = produced.records[0]
    assert len(events) == record["n_images"] > 100
    assert HDF5EventSource.is_compatible(produced.paths[0])
    with EventSource(produced.paths[0], max_events=3) as source:
        for event in source:
            assert list(event.trigger.tels_with_trigger) == list(event.dl1.tel)
            assert all(tel.image.shape == (1296,) for tel in event.dl1.tel.values())


def test_what_is_stored_agrees_with_itself(events):
    assert_allclose(events["true_image_sum"], events["true_image"].sum(axis=1))
    assert_allclose(np.unique(events["telescope_pointing_altitude"].quantity.to_value(u.deg)), 70, atol=1e-6)
    assert np.all(events["true_energy"].quantity >= 1 * u.TeV)
    assert np.all(events["event_id"] % 100 == 0)  # each shower used once
    cleaned = np.where(events["image_mask"], events["image"], 0).sum(axis=1)
    seen = np.isfinite(events["hillas_intensity"])
    assert_allclose(events["hillas_intensity"][seen], cleaned[seen], rtol=1e-4)
    correlation = [np.corrcoef(row["image"], row["true_image"])[0, 1] for row in events if row["true_image_sum"] > 300]
    assert np.median(correlation) > 0.9


def test_axis_of_an_image_goes_through_the_source(events):
    bright = events[events["hillas_intensity"] > 300]
    alt, az = (bright[f"true_{name}"].quantity.to_value(u.deg) for name in ("alt", "az"))
    lat = alt - 70
    lon = (az + 180) % 360 - 180
    lon = lon * np.cos(np.deg2rad(alt))
    dlon, dlat = lon - bright["hillas_fov_lon"].value, lat - bright["hillas_fov_lat"].value
    psi = np.deg2rad(bright["hillas_psi"].value)
    miss = np.abs(dlon * np.sin(psi) - dlat * np.cos(psi))
    assert np.median(miss) < 0.15


def test_thrown_showers_are_all_counted(produced, parameters):
    for record in produced.records:
        production = parameters.training[record["production"]]
        thrown = production.n_showers * production.uses_per_shower
        distribution = read_table(record["path"], "/simulation/service/shower_distribution")
        run = read_table(record["path"], "/configuration/simulation/run")
        assert record["n_thrown"] == thrown == distribution["n_entries"][0] == distribution["histogram"].sum()
        assert run["n_showers"][0] * run["shower_reuse"][0] == thrown
        assert run["max_scatter_range"].quantity[0] == production.core_radius


def test_runs_have_their_own_numbers_and_merge(produced, parameters, tmp_path):
    plans = [plan_production(parameters, DL1Parameters(), part) for part in (parameters.training, parameters.test)]
    names = [job.name for plan in plans for job in plan.jobs]
    assert len({name.rsplit("_", 1)[1] for name in names}) == len(names) == 4
    merged = tmp_path / "merged.dl1.h5"
    with HDF5Merger(merged) as merge:
        for path in produced.paths:
            merge(path)
    with TableLoader(merged) as loader:
        assert len(loader.read_telescope_events()) == sum(record["n_images"] for record in produced.records)


def test_uses_of_a_shower_share_its_number(produced):
    showers = read_table(produced.paths[2], "/simulation/event/subarray/shower")
    assert set(showers["event_id"] % 100) <= {0, 1, 2, 3}
    for number in np.unique(showers["event_id"] // 100):
        uses = showers[showers["event_id"] // 100 == number]
        assert len(np.unique(uses["true_energy"])) == 1
        assert len(np.unique(uses["true_core_x"])) == len(uses)


def test_fingerprint_follows_what_matters(parameters):
    def fingerprint(dl1=None, **changes):
        return plan_production(
            parameters.model_copy(update=changes), dl1 or DL1Parameters(), parameters.training
        ).fingerprint

    assert fingerprint() == fingerprint(n_workers=5)
    assert fingerprint() != fingerprint(seed=1)
    assert fingerprint() != fingerprint(zenith=40 * u.deg)
    assert fingerprint() != fingerprint(dl1=DL1Parameters(focal_length_choice="EFFECTIVE"))
    assert fingerprint() != fingerprint(dl1=DL1Parameters(cleaning={"picture_threshold_pe": 9}))


def test_parameters_are_those_of_a_reader_with_the_same_focal_length(produced, parameters, tmp_path):
    """As for real files, which carry the equivalent focal length alone."""
    few = parameters.training["gamma_diffuse"].model_copy(update={"n_showers": 60})
    for choice in ("EQUIVALENT", "EFFECTIVE"):
        dl1_parameters = DL1Parameters(focal_length_choice=choice)
        path = tmp_path / f"{choice}.dl1.h5"
        simulated.write_run(path, "gamma", 1, np.random.SeedSequence(1), parameters, few, dl1_parameters)
        with EventSource(path, focal_length_choice=choice) as source:
            process = image_processor(source.subarray, dl1_parameters)
            lengths = []
            for event in source:
                stored = {tel_id: tel.parameters.hillas.length for tel_id, tel in event.dl1.tel.items()}
                process(event)
                lengths += [(stored[i].value, tel.parameters.hillas.length.value) for i, tel in event.dl1.tel.items()]
        stored, again = np.array(lengths).T
        assert np.count_nonzero(np.isfinite(stored)) > 20
        assert_allclose(stored, again, rtol=1e-5)
