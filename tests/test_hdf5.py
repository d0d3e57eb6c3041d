"""Files of ctapipe's data model that would run a program where PyTables unpickles them."""

import os
import pickle
import shutil
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from ctapipe.containers import EventType
from tests.reconstruction.other_dl2 import write_other_dl2

from cherenkov_pipeline import hdf5

BEGIN = "import sys; from pathlib import Path; path, folder = map(Path, sys.argv[1:])\n"
DOORS = {
    "DL1": """
        from cherenkov_pipeline.dl1.convert import plan_dl1
        from cherenkov_pipeline.dl1.inputs import find_inputs
        from cherenkov_pipeline.dl1.merge import copy_stripped
        from cherenkov_pipeline.dl1.parameters import DL1Parameters, KeptData
        from cherenkov_pipeline.file_plans import run_plan
        from cherenkov_pipeline.store.chunks import cameras, iter_chunks
        for telescope_type in cameras(path):
            assert list(iter_chunks(path, telescope_type))
        run_plan(plan_dl1(find_inputs(path), DL1Parameters(n_workers=1, keep={"images": False})), folder)
        copy_stripped(folder / "merged.dl1.h5", [str(path)], KeptData())
    """,
    "DL2 of others": """
        from cherenkov_pipeline.dl1.thrown import read_thrown
        from cherenkov_pipeline.reconstruction.others import find_method, read_method
        assert len(read_method(find_method(str(path), "energy")))
        read_thrown([path])
    """,
}
"""What reads files, in processes of their own: one module that takes PyTables from its door is enough for all."""


class Program:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture(scope="module")
def dl2_file(tmp_path_factory):
    return write_other_dl2(tmp_path_factory.mktemp("dl2") / "other.dl2.h5", primary=0, obs_id=1, n_events=5)


@pytest.fixture
def poisoned(dl2_file, tmp_path):
    """A file every part of which has the program among its attributes."""
    path = shutil.copy(dl2_file, tmp_path / "poisoned.dl2.h5")
    program = np.bytes_(pickle.dumps(Program(tmp_path / "it ran"), 0))

    def poison(name, node):
        node.attrs["NOTE"] = program

    with h5py.File(path, "a") as file:
        poison("/", file)
        file.visititems(poison)
    return path


def test_pytables_alone_would_run_it(poisoned, tmp_path):
    read = f"import tables; tables.open_file({str(poisoned)!r}).root._v_attrs.NOTE"
    subprocess.run([sys.executable, "-c", read], check=True, capture_output=True)
    assert (tmp_path / "it ran").is_dir()


@pytest.mark.parametrize("door", DOORS)
def test_no_door_runs_what_a_file_says(door, poisoned, tmp_path):
    program = BEGIN + textwrap.dedent(DOORS[door])
    arguments = [sys.executable, "-c", program, poisoned, tmp_path]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / "it ran").exists()


def test_enumerations_and_arrays_are_read(dl2_file, tmp_path):
    with hdf5.tables.open_file(dl2_file) as file:
        assert file.root.dl1.event.subarray.trigger.attrs.CTAFIELD_4_ENUM is EventType
    texts = np.array(["one", "two"])
    with hdf5.tables.open_file(tmp_path / "file.h5", "w") as file:
        file.root._v_attrs.texts, file.root._v_attrs.options = texts, {"levels": (7, 4)}
    with hdf5.tables.open_file(tmp_path / "file.h5") as file:
        np.testing.assert_array_equal(file.root._v_attrs.texts, texts)
        assert file.root._v_attrs.options == {"levels": (7, 4)}


def test_objects_in_an_array_are_values_as_well(tmp_path):
    with hdf5.tables.open_file(tmp_path / "file.h5", "w") as file:
        objects = file.create_vlarray("/", "objects", hdf5.tables.ObjectAtom())
        objects.append([1, "two"])
        objects.append(Program(tmp_path / "it ran"))
    with hdf5.tables.open_file(tmp_path / "file.h5") as file:
        assert file.root.objects[0] == [1, "two"]
        with pytest.raises(pickle.UnpicklingError, match="mkdir is not made for a file"):
            file.root.objects[1]
    assert not (tmp_path / "it ran").exists()
