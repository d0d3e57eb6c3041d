"""Real files, converted once for all tests of this room."""

from pathlib import Path

import pytest

from cherenkov_pipeline.dl1.convert import plan_dl1
from cherenkov_pipeline.dl1.inputs import find_inputs
from cherenkov_pipeline.dl1.parameters import DL1Parameters
from cherenkov_pipeline.file_plans import FileSet, run_plan

RAW = {
    "sst1m": "sst1m_digicam_gamma_9ev.simtel.gz",
    "gamma_diffuse": "gamma_diffuse_run000010_za20deg_azm000deg_North_alpha_6.0.0_test_file.simtel.zst",
    "proton": "proton_run000001_za20deg_azm180deg_North_alpha_6.0.2_test.simtel.zst",
    "flashcam": "run201_proton_prod5_LST_FlashCam.simtel.zst",
    "truncated": "test_lasercal_v3.simtel.gz",
    "empty": "gamma_merged.simtel.gz",
    "history": "history_meta_75.simtel.zst",
}


@pytest.fixture(scope="session")
def simtel(test_data: Path) -> Path:
    """Folder of real simtel files."""
    return test_data / "simtel"


@pytest.fixture(scope="session")
def raw(simtel: Path) -> dict[str, Path]:
    """Real simtel files by short name."""
    return {name: simtel / file for name, file in RAW.items()}


@pytest.fixture(scope="session")
def serial() -> DL1Parameters:
    """Default parameters, in this process."""
    return DL1Parameters(n_workers=1)


@pytest.fixture(scope="session")
def converted(simtel: Path, serial: DL1Parameters, tmp_path_factory: pytest.TempPathFactory) -> FileSet:
    """DL1 files of all real simtel files."""
    return run_plan(plan_dl1(find_inputs(simtel), serial), tmp_path_factory.mktemp("dl1"))


@pytest.fixture(scope="session")
def records(converted: FileSet) -> dict[str, dict]:
    """Records of the converted files by short name."""
    made_from = {Path(record["inputs"][0]["path"]).name: dict(record) for record in converted.records}
    return {name: made_from[file] for name, file in RAW.items()}
