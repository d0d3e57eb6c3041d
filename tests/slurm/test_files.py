"""Many files over an array of SLURM, one of them damaged."""

import os
import shutil

import h5py
import pytest
import yaml
from tests.kedro_command import Kedro
from tests.store.toy_dl1 import ToyEvent, camera, subarray, write_dl1

pytestmark = pytest.mark.slurm

N_FILES = 40
DAMAGED = 17


@pytest.fixture
def raw_files(tmp_path):
    """Copies of a DL1 file that differ in a note; the images of one are not what was written."""
    folder = tmp_path / "raw"
    folder.mkdir()
    first = write_dl1(
        tmp_path / "first.h5",
        subarray({1: camera(), 2: camera()}),
        [ToyEvent(number, seed=number) for number in range(4)],
    )
    for number in range(N_FILES):
        path = folder / f"run_{number:03d}.dl1.h5"
        shutil.copy(first, path)
        with h5py.File(path, "a") as file:
            file.attrs["note"] = str(number)
            if number == DAMAGED:
                images = file["/dl1/event/telescope/images/tel_001"]
                place = images.id.get_chunk_info(0)
        if number == DAMAGED:
            with path.open("r+b") as stream:
                stream.seek(place.byte_offset)
                stream.write(os.urandom(place.size))
    return folder


def test_one_damaged_file_of_forty_is_named_and_the_others_are_made(tmp_path, raw_files, slurm, monkeypatch):
    site = tmp_path / "site.yml"
    settings = {
        "executor": "slurm",
        "poll": "1 s",
        "retries": 1,
        "default": {"cpus": 1, "memory": "2 GB"},
        "tags": {"cpu": {"files_per_job": 10, "time": "10 min"}},
    }
    site.write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("CHERENKOV_SLURM", str(site))
    kedro = Kedro(tmp_path / "data", env="cluster")
    # without the image parameters, so that each file has to be written anew
    process = kedro.start(
        "run", "--env=cluster", "--pipeline=data_processing", f"--params=raw_path={raw_files},dl1.keep.parameters=false"
    )
    printed = process.communicate(timeout=800)[0]
    assert process.returncode == 1, printed
    last = printed.strip().splitlines()[-1]
    assert f"1 of {N_FILES} files could not be made in 2 tries: run_{DAMAGED:03d}.dl1.h5 (" in last
    assert f"The other {N_FILES - 1} are kept" in last
    made = [path.name for path in kedro.root.glob("02_intermediate/converted_files/*/*.dl1.h5")]
    assert sorted(made) == [f"run_{number:03d}.dl1.h5" for number in range(N_FILES) if number != DAMAGED]
    arrays = {path.name.split("_")[0] for path in kedro.root.glob("cluster/*/jobs/*_3_0_log.out")}
    assert len(arrays) == 1  # four jobs of ten files each, in one array
